import pytest

from sidlib import catalog, sample
from sidlib.backend import keras
from sidlib.full_size.network import Demosaic, build_residual_unet

DEMOSAIC = build_residual_unet((4, 8))  # untrained it corrects nothing; of one network, functions are traced once


def build_tiny():
    """A network of the residual U-Net's name, input and output that is trained in seconds: one convolution."""
    packed = keras.Input((None, None, 4), name="packed")
    x = keras.layers.Conv2D(12, 3, padding="same", kernel_initializer="zeros")(packed)
    x = keras.layers.Add()([x, Demosaic()(packed)])
    return keras.Model(packed, keras.ops.depth_to_space(x, 2), name="residual_unet")


@pytest.fixture(scope="module")
def photograph_scenes(tmp_path_factory):
    """A function that photographs scenes of the sharp data set, given their numbers, and returns their pairs."""

    def photograph(*numbers):
        folder = tmp_path_factory.mktemp("data") / "sharp"
        for scene in sample.plan_sharp():
            if scene.number in numbers:
                sample.photograph_scene(scene, folder)
        return catalog.load_pairs(folder)

    return photograph
