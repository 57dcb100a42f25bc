"""JAX in processes of its own: a process has one backend, and as many devices as it was started with."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sidlib import paths

TRAIN = """
import pathlib, pickle, sys
from sidlib import training
from sidlib.backend import keras

pairs = pickle.loads(pathlib.Path("pairs.pickle").read_bytes())
experiment = training.Experiment("cnn", "relu", "mae", augment=True, epochs=2, batch_size=5)  # 5 pairs, and 1
told = lambda history: print("shared by", getattr(keras.distribution.distribution(), "num_model_replicas", 1))
model, history = training.train(experiment, pairs, pathlib.Path(sys.argv[1]), told)
history.to_csv(sys.argv[1] + ".csv")
"""


def test_several_devices_learn_what_one_learns_from_batches_of_any_size(tiny_pairs, tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed: .venv/bin/pip install -e '.[gpus]'")
    (tmp_path / "pairs.pickle").write_bytes(pickle.dumps(tiny_pairs))
    runs = {}
    for devices in (1, 2):
        simulated = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
        environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(paths.ROOT)} | simulated
        command = [sys.executable, "-c", TRAIN, str(devices)]
        runs[devices] = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    for devices, run in runs.items():
        assert f"shared by {devices}\n" in run.communicate(timeout=180)[0]
        assert run.returncode == 0
    one, two = (pd.read_csv(tmp_path / f"{devices}.csv")[["loss", "mae", "val_loss", "val_mae"]] for devices in runs)
    np.testing.assert_allclose(two, one, rtol=1e-5)
