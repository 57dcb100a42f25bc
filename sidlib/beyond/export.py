"""Trained networks for programs without Keras or Python: as ONNX and LiteRT, checked against Keras.

The best model takes what the source "signed" shows, see sources.show_signed: linear sRGB amplified by the exposure
ratio, then encoded as sRGB to −255…255, negative where noise took it below black. It returns RGB in 0…255. Both are
float32 (batch, height, width, 3): any batch, any height and width from 8 pixels up.

The network for full size takes a packed mosaic and returns camera RGB, both with unit noise, see full_size.stable:
float32 (batch, h, w, 4) to (batch, 2h, 2w, 3), h and w multiples of 8.
"""

import logging
import warnings

import numpy as np
import onnxruntime

from sidlib import paths
from sidlib.backend import keras, tf
from sidlib.beyond import study
from sidlib.beyond.full_size import finetune

SHAPES = {  # by a network's name, that it is checked on
    "best": [(1, 43, 65, 3), (2, 64, 96, 3)],
    "full-size": [(1, 16, 24, 4), (2, 32, 40, 4)],
}
TOLERANCE = 1e-3  # in levels of 255; where an output has larger values, of their largest as if it were 255
_log = logging.getLogger(__name__)


def export_networks(folder):
    """Export find_networks of a results folder to its folder export, see export_network, and return the files."""
    exported = []
    for name, file in find_networks(folder).items():
        _log.warning("%s is exported from %s", name, file)  # which may be the sample's
        network = keras.saving.load_model(file, compile=False)
        exported += export_network(network, SHAPES[name], folder / "export" / name)
    return exported


def find_networks(folder):
    """Return {name: file} of the networks of a results folder, or else the sample's.

    For full size that is the one that was trained on, see finetune.tune, where it is there.
    """
    tuned = folder / f"{finetune.FINE_TUNING.name}.keras"
    return {
        "best": study.find_study(folder) / "best.keras",
        "full-size": tuned if tuned.is_file() else finetune.find_base(),
    }


def export_network(model, shapes, to):
    """Export a Keras model as <to>.onnx and <to>.tflite, and return both paths. A file is there once it is checked.

    Args:
        shapes: of the inputs, drawn at random, on which each file is compared with Keras.
    Raises:
        ValueError: what a file computes differs from Keras by more than TOLERANCE. Names the file, which is not there.
    """
    inputs = [np.random.default_rng(0).uniform(-30, 255, shape).astype(np.float32) for shape in shapes]
    with keras.device("cpu"):  # a GPU may round more
        expected = [np.asarray(model(values)) for values in inputs]  # a loaded model must be called before its export
    level = max(255, *(np.abs(output).max() for output in expected)) / 255
    for suffix, (kind, run) in FORMATS.items():
        file = to.with_name(to.name + suffix)
        file.unlink(missing_ok=True)  # of another model
        with paths.write_whole(file) as path, warnings.catch_warnings(action="ignore"):  # of Keras's own ways
            model.export(path, kind, verbose=False)
            pairs = zip(run(path, inputs), expected, strict=True)
            off = max(np.abs(output - truth).max() for output, truth in pairs) / level
            if not off <= TOLERANCE:
                raise ValueError(f"{file} would differ from Keras by {off:.3g} of 255, and is not written")
    return [to.with_name(to.name + suffix) for suffix in FORMATS]


def _run_onnx(file, inputs):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return [session.run(None, {session.get_inputs()[0].name: values})[0] for values in inputs]


def _run_litert(file, inputs):
    runner = tf.lite.Interpreter(str(file)).get_signature_runner()
    return [next(iter(runner(**dict.fromkeys(runner.get_input_details(), values)).values())) for values in inputs]


FORMATS = {".onnx": ("onnx", _run_onnx), ".tflite": ("litert", _run_litert)}  # Keras's name, what runs such a file
