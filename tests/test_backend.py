"""Imports in processes of their own."""

import json
import os
import subprocess
import sys

import pytest

from sidlib import backend, paths

BUILD = """
import os, sys
from sidlib.models import build_model
os.fstat(2)  # there is a standard error
print("mine", file=sys.stderr)
print(build_model("unet", "relu").output.shape)
"""


@pytest.mark.parametrize(("streams", "said"), [("", "mine\n"), ("2>&-", "")], ids=["usual", "no standard error"])
def test_models_are_built_whatever_the_users_keras_says_and_only_python_writes_to_standard_error(
    streams, said, tmp_path
):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps({"image_data_format": "channels_first"}))
    command = ["sh", "-c", f'exec "$0" -c "$1" {streams}', sys.executable, BUILD]
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT), "HOME": str(tmp_path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.stdout.endswith("(None, None, None, 3)\n") and run.stderr == said


@pytest.mark.parametrize(("device", "hidden", "warned"), [(True, "0", True), (True, "-1", False), (False, "0", False)])
def test_a_gpu_that_tensorflow_does_not_find_is_said_once(device, hidden, warned, tmp_path, monkeypatch, caplog):
    if device:
        (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(backend.tf.config, "list_physical_devices", lambda _: [])
    backend._check_gpu(tmp_path)
    assert caplog.text.count("pip install 'tensorflow[and-cuda]") == warned
    caplog.clear()
    monkeypatch.setattr(backend.tf.config, "list_physical_devices", lambda _: ["GPU:0"])
    backend._check_gpu(tmp_path)
    assert not caplog.text
