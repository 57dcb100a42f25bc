"""Networks from a packed mosaic to a full-size picture, and the model that renders their output in training.

Input: a packed RGGB mosaic, see camera.pack, with unit noise, see camera.stabilise: float32 (batch, h, w, 4), h and w
multiples of 8, for the paper's network of 16. Output: camera RGB in the same unit, (batch, 2h, 2w, 3).
"""

import numpy as np

from sidlib.backend import keras
from sidlib.models import leaky_relu

layers, ops = keras.layers, keras.ops

MULTIPLE_PX = 32  # height and width of a mosaic are multiples of it, for either network
MARGINS_PX = {"residual_unet": 96, "paper_unet": 160}  # pixels farther away change an output by < 0.002 of the noise
FILTERS = (16, 32, 64, 128)
# Kernels that interpolate the colours of a Bayer mosaic
BILINEAR = dict.fromkeys("RB", np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4)
BILINEAR |= {"G": np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4}


def build_residual_unet(filters=FILTERS):
    """Return a U-Net that corrects a bilinear demosaic: 10,380 multiply-accumulates per pixel of the sensor.

    It has plain 3 × 3 convolutions, the fastest on processors. Two choices avoid checkerboard artefacts: the decoder
    repeats pixels instead of transposing convolutions, and the last kernel starts at zero: the first output is the
    demosaic. Source: DRUNet (Zhang et al., IEEE TPAMI 2022), here much thinner.
    """
    x = packed = keras.Input((None, None, 4), name="packed")
    x = _convolve(filters[0], "head_conv")(x)
    skips = []
    for level, deeper in enumerate(filters[1:], 1):
        if level > 1:  # blocks at full height and width cost the most: only the decoder has them
            x = _add_blocks(x, 1, f"encoder{level}")
        skips.append(x)  # (batch, h, w, 16), then half the size and twice the channels per level
        x = layers.Conv2D(deeper, 2, 2, name=f"encoder{level}_down")(x)
    x = _add_blocks(x, 1, "middle")
    for level, count in reversed(list(enumerate(filters[:-1], 1))):
        x = layers.Conv2D(count, 1, name=f"decoder{level}_narrow")(x)
        x = layers.UpSampling2D(name=f"decoder{level}_up")(x)
        x = layers.Add(name=f"decoder{level}_join")([x, skips[level - 1]])
        x = _add_blocks(x, 3 if level == 1 else 1, f"decoder{level}")
    x = _convolve(12, "square_conv", start="zeros")(x)
    x = layers.Add(name="add_demosaic")([x, Demosaic(name="demosaic")(packed)])
    return keras.Model(packed, ops.depth_to_space(x, 2), name="residual_unet")


def build_paper_unet(filters=(32, 64, 128, 256, 512)):
    """Return the rival: the network of Chen et al., Learning to See in the Dark (CVPR 2018), on the same input.

    The layers are those of the authors' code (train_Sony.py), whose input is amplified by the exposure ratio instead of
    stabilised, and whose output is sRGB.
    """
    x = packed = keras.Input((None, None, 4), name="packed")
    skips = []
    for level, count in enumerate(filters, 1):
        x = _convolve_twice(x, count, f"encoder{level}")
        if level < len(filters):
            skips.append(x)
            x = layers.MaxPooling2D(name=f"encoder{level}_pool")(x)
    for level, count in reversed(list(enumerate(filters[:-1], 1))):
        x = layers.Conv2DTranspose(count, 2, 2, use_bias=False, name=f"decoder{level}_up")(x)
        x = layers.Concatenate(name=f"decoder{level}_join")([x, skips[level - 1]])
        x = _convolve_twice(x, count, f"decoder{level}")
    x = layers.Conv2D(12, 1, name="square_conv")(x)
    return keras.Model(packed, ops.depth_to_space(x, 2), name="paper_unet")


def _convolve(filters, name, activation=None, start="glorot_uniform"):
    return layers.Conv2D(filters, 3, padding="same", activation=activation, kernel_initializer=start, name=name)


def _convolve_twice(x, filters, name):
    return _convolve(filters, f"{name}_conv2", leaky_relu)(_convolve(filters, f"{name}_conv1", leaky_relu)(x))


def _add_blocks(x, count, name):
    """Residual blocks of two convolutions each; their corrections start at zero."""
    filters = x.shape[-1]
    for block in range(1, count + 1):
        features = _convolve(filters, f"{name}_conv{2 * block - 1}", "relu")(x)
        features = _convolve(filters, f"{name}_conv{2 * block}", start="zeros")(features)
        x = layers.Add(name=f"{name}_add{block}")([x, features])
    return x


@keras.saving.register_keras_serializable("sidlib")
class Demosaic(layers.Layer):
    """Bilinear demosaic of a packed RGGB mosaic: (batch, h, w, 4) to the 12 channels before a pixel shuffle."""

    def call(self, packed):
        padded = ops.pad(packed, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
        return ops.conv(padded, ops.convert_to_tensor(_build_kernel(), packed.dtype), padding="valid")


def _build_kernel():
    """The kernel of Demosaic, (3, 3, 4, 12): the spread of each CFA position over its square and those around."""
    kernel = np.zeros((3, 3, 4, 12), np.float32)
    for position, colour in enumerate("RGGB"):
        row, column = divmod(position, 2)
        spread = np.zeros((6, 6, 3))
        spread[row + 1 : row + 4, column + 1 : column + 4, "RGB".index(colour)] = BILINEAR[colour]
        squares = spread.reshape(3, 2, 3, 2, 3).swapaxes(1, 2).reshape(3, 3, 12)
        kernel[:, :, position] = squares[::-1, ::-1]  # from outputs around an input to inputs around an output
    return kernel


@keras.saving.register_keras_serializable("sidlib")
class Render(layers.Layer):
    """Renders a stabilised picture (batch, H, W, 3) as sRGB in 0…255, so that losses are of the visible picture.

    Nothing is clipped, so that every pixel has a gradient: the sRGB curve goes on above white, and straight below
    black. The second input, `rendering`, is (batch, 13) float32, see join_rendering.
    """

    def call(self, stable, rendering):
        rendering = rendering[:, None, None, :]
        sigma, scale, ccm = rendering[..., :1], rendering[..., 1:4], ops.reshape(rendering[..., 4:], (-1, 1, 3, 3))
        light = ops.maximum(stable, 0)
        electrons = light * (light / 4 + sigma) + ops.minimum(stable, 0) * sigma
        linear = ops.matmul(electrons * scale, ops.swapaxes(ccm, 2, 3))
        curved = 1.055 * ops.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
        return 255 * ops.where(linear <= 0.0031308, 12.92 * linear, curved)


def join_rendering(sigma_e, scale, ccm):
    """Return the second input of Render for one patch: float32 (13,).

    Args:
        sigma_e: read noise in electrons. scale: (3,), factors from electrons to white-balanced light with white 1.
        ccm: camera matrix.
    """
    return np.concatenate([[sigma_e], scale, np.ravel(ccm)]).astype(np.float32)


def build_trainer(network):
    """Return the model that is trained: a network and Render. Inputs: packed and rendering; output: sRGB in 0…255."""
    packed, rendering = keras.Input((None, None, 4), name="packed"), keras.Input((13,), name="rendering")
    return keras.Model([packed, rendering], Render(name="render")(network(packed), rendering), name="trainer")


def take_network(trainer):
    """Return the network of a model of build_trainer."""
    return next(layer for layer in trainer.layers if layer.name in NETWORKS)


def find_margin(network):
    """Return the margin in pixels that a network has to see around a tile, so that no seam shows."""
    return MARGINS_PX.get(network.name, max(MARGINS_PX.values()))


NETWORKS = {"residual_unet": build_residual_unet, "paper_unet": build_paper_unet}
