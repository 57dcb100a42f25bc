"""Trained networks as ONNX, for programs without Keras or Python.

The best model of beyond takes the source "signed", see sources, and returns RGB in 0…255: float32 (batch, height,
width, 3), any size from 8 pixels up. The network for full size takes a stabilised packed mosaic and returns stabilised
camera RGB: float32 (batch, h, w, 4) to (batch, 2h, 2w, 3), h and w multiples of 8.
"""

import logging
import warnings

import numpy as np
import onnxruntime

from sidlib import paths
from sidlib.backend import keras
from sidlib.beyond import study
from sidlib.full_size.finetune import FINE_TUNING
from sidlib.full_size.restore import find_network

SHAPES = {"best": (2, 43, 65, 3), "full-size": (2, 16, 24, 4)}  # of the input that each network is checked on
TOLERANCE = 1e-3  # of outputs in 0…255; larger outputs count as if their largest value were 255
_log = logging.getLogger(__name__)


def export_networks(folder):
    """Export the networks of a results folder, or else the sample's, to its folder export; return the ONNX files."""
    tuned, exported = folder / f"{FINE_TUNING.name}.keras", []
    full_size = tuned if tuned.is_file() else find_network()
    for name, network in {"best": study.find_study(folder) / "best.keras", "full-size": full_size}.items():
        _log.warning("%s is exported from %s", name, network)
        exported.append(folder / "export" / f"{name}.onnx")
        export_network(keras.saving.load_model(network, compile=False), SHAPES[name], exported[-1])
    return exported


def export_network(model, shape, file):
    """Write a Keras model as an ONNX file once ONNX Runtime agrees with Keras on a random input of a shape.

    Raises:
        ValueError: the outputs differ by more than TOLERANCE.
    """
    values = np.random.default_rng(0).uniform(-30, 255, shape).astype(np.float32)
    with keras.device("cpu"):  # a GPU may round more
        expected = np.asarray(model(values))  # a loaded model has to be called before its export
    file.unlink(missing_ok=True)  # that of another model
    with paths.write_atomically(file) as path, warnings.catch_warnings(action="ignore"):
        model.export(path, "onnx", verbose=False)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        [output] = session.run(None, {session.get_inputs()[0].name: values})
        error = np.abs(output - expected).max() * 255 / max(255, np.abs(expected).max())
        if not error <= TOLERANCE:
            raise ValueError(f"{file} would differ from Keras by {error:.3g} of 255, and is not written")
