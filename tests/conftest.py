"""A tiny data set of SID's shape, photographed once a session with the package's own code."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.pop("SID_SCHEDULER", None)  # the tests start their own

import numpy as np
import pytest

from sidlib import catalog, preprocess, sample
from sidlib.backend import keras, tf

SENSOR_PX = (320, 214)  # width, height: 32 × 22 pixels when developed
SPLITS = {"chelsea": "train", "coffee": "train", "grace_hopper": "val", "china": "test", "flower": "test"}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """Two train scenes of three shorts, one val scene, two test scenes."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "SENSOR_PX", dict.fromkeys(sample.SENSOR_PX, SENSOR_PX))
        patch.setattr(sample, "SCENES", {"train": 2, "val": 1, "test": 2})
        patch.setattr(sample, "DRAWN", dict.fromkeys(sample.DRAWN, 0))
        patch.setattr(sample, "FRAMES", {"train": 3, "val": 2, "test": 2})
        for scene in sample.plan_scenes(SPLITS):
            sample.photograph_scene(scene, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_pairs(tiny_folder):
    """The developed pairs of the tiny data set: 6 train, 2 val, 4 test."""
    return preprocess.develop_pairs(catalog.load_pairs(tiny_folder))


@pytest.fixture(scope="session")
def differentiate():
    """A function that returns the gradient of the sum of what a function makes of an array, with TensorFlow or JAX."""

    def differentiate(function, values):
        if keras.backend.backend() == "jax":
            import jax

            return np.asarray(jax.grad(lambda values: function(values).sum())(values))
        values = tf.Variable(values)
        with tf.GradientTape() as tape:
            result = function(values)
        return tape.gradient(result, values).numpy()

    return differentiate
