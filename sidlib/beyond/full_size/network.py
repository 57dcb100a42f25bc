"""Networks from a stable mosaic to a stable picture at full size, and what shows their output while they are trained.

Input: a packed RGGB mosaic with unit noise, float32 (batch, h, w, 4), see stable.stabilise. Output: camera RGB in the
same unit, (batch, 2h, 2w, 3). Height and width h and w are multiples of 8, for the paper's network of 16.
"""

import numpy as np

from sidlib.backend import keras
from sidlib.beyond.models import DepthToSpace
from sidlib.models import leaky_relu

layers, ops = keras.layers, keras.ops

MULTIPLE_PX = 32  # of it both sides of a mosaic have to be, for either network
MARGINS_PX = {"residual_unet": 96, "paper_unet": 160}  # what lies farther away changes a pixel by < 0.002 of the noise
FILTERS = (16, 32, 64, 128)


def build_residual_unet(filters=FILTERS):
    """Return a U-Net that corrects a bilinear demosaic of its input: 10,380 multiply-accumulates a pixel of the sensor.

    Plain 3 × 3 convolutions, which processors are fastest at, in residual blocks without normalisation. What goes up is
    repeated, not transposed, and the last weights start from 0, equal at all places of a square: neither paints a grid
    of its own, and the first output is the demosaic.

    Source: DRUNet (Zhang et al., IEEE TPAMI 2022), here much thinner; Aitken et al. (2017) for the equal places.
    """
    x = packed = keras.Input((None, None, 4), name="packed")
    x = _convolve(filters[0], "head_conv")(x)
    skips = []
    for level, deeper in enumerate(filters[1:], 1):
        if level > 1:  # at full height and width a block takes the most time: they wait for what comes up from below
            x = _add_blocks(x, 1, f"encoder{level}")
        skips.append(x)  # (batch, h, w, 16), then half and half again
        x = layers.Conv2D(deeper, 2, 2, name=f"encoder{level}_down")(x)
    x = _add_blocks(x, 1, "middle")
    for level, count in reversed(list(enumerate(filters[:-1], 1))):
        x = layers.Conv2D(count, 1, name=f"decoder{level}_narrow")(x)
        x = layers.UpSampling2D(name=f"decoder{level}_up")(x)
        x = layers.Add(name=f"decoder{level}_join")([x, skips[level - 1]])
        x = _add_blocks(x, 3 if level == 1 else 1, f"decoder{level}")
    x = layers.Conv2D(12, 3, padding="same", kernel_initializer="zeros", name="square_conv")(x)
    x = layers.Add(name="add_demosaic")([x, Demosaic(name="demosaic")(packed)])
    return keras.Model(packed, DepthToSpace(2, name="full_size")(x), name="residual_unet")


def build_paper_unet(filters=(32, 64, 128, 256, 512)):
    """Return the network of Chen et al., Learning to See in the Dark (CVPR 2018), on the same input: the rival.

    As in the authors' code (train_Sony.py), but for its input, which there is amplified by the exposure ratio, and its
    output, which there is sRGB.
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
    return keras.Model(packed, DepthToSpace(2, name="full_size")(x), name="paper_unet")


def _convolve(filters, name, activation=None):
    return layers.Conv2D(filters, 3, padding="same", activation=activation, name=name)


def _convolve_twice(x, filters, name):
    return _convolve(filters, f"{name}_conv2", leaky_relu)(_convolve(filters, f"{name}_conv1", leaky_relu)(x))


def _add_blocks(x, count, name):
    """The residual blocks of a level: each adds what two convolutions find, which is nothing at first."""
    for block in range(1, count + 1):
        features = _convolve(x.shape[-1], f"{name}_conv{2 * block - 1}", "relu")(x)
        last = layers.Conv2D(x.shape[-1], 3, padding="same", kernel_initializer="zeros", name=f"{name}_conv{2 * block}")
        features = last(features)
        x = layers.Add(name=f"{name}_add{block}")([x, features])
    return x


@keras.saving.register_keras_serializable("sidlib")
class Demosaic(layers.Layer):
    """Interpolates a packed RGGB mosaic bilinearly: (batch, h, w, 4) to the 12 channels that DepthToSpace spreads."""

    def call(self, packed):
        edged = ops.pad(packed, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
        return ops.conv(edged, ops.convert_to_tensor(_weigh_neighbours(), packed.dtype), padding="valid")

    def compute_output_shape(self, packed_shape):
        return (*packed_shape[:3], 12)


def _weigh_neighbours():
    """The kernel of Demosaic, (3, 3, 4, 12): at each place of a square the mean of the nearest of each colour."""
    near = np.array([1, 2, 1]) / 2  # of pixels beside, times two for one in the middle
    kernel = np.zeros((6, 6, 2, 2, 3))  # pixel of the mosaic around a square; the square's place; colour
    colours = np.array([[0, 1], [1, 2]])
    for row, column in np.ndindex(2, 2):
        around = (slice(row + 1, row + 4), slice(column + 1, column + 4))
        seen = np.tile(colours, (3, 3))[around]
        for colour in range(3):
            weights = np.outer(near, near) * (seen == colour)
            if colours[row, column] == colour:
                weights *= np.outer([0, 1, 0], [0, 1, 0])
            kernel[around][:, :, row, column, colour] = weights / weights.sum()
    places = kernel.reshape(3, 2, 3, 2, 12).transpose(0, 2, 1, 3, 4)
    return places.reshape(3, 3, 4, 12).astype(np.float32)


@keras.saving.register_keras_serializable("sidlib")
class Render(layers.Layer):
    """Shows a stable picture as sRGB in 0…255, so that a loss is one of what is seen: (batch, H, W, 3) to the same.

    Nothing is clipped, so that each pixel has a gradient: below black the sRGB curve goes on straight, above white it
    goes on as it is. The second input is `look`, (batch, 13) float32, see join_look.
    """

    def call(self, stable, look):
        look = look[:, None, None, :]
        sigma, scale, to_srgb = look[..., :1], look[..., 1:4], ops.reshape(look[..., 4:], (-1, 1, 3, 3))
        light = ops.maximum(stable, 0)
        electrons = light * (light / 4 + sigma) + ops.minimum(stable, 0) * sigma
        linear = ops.matmul(electrons * scale, ops.swapaxes(to_srgb, 2, 3))
        curved = 1.055 * ops.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
        return 255 * ops.where(linear <= 0.0031308, 12.92 * linear, curved)

    def compute_output_shape(self, stable_shape, look_shape):
        return stable_shape


def join_look(sigma_e, scale, to_srgb):
    """Return what Render needs of a patch: float32 (13,).

    Args:
        sigma_e: read noise in electrons. scale: (3,), what makes electrons of R, G, B white-balanced light, white 1.
        to_srgb: (3, 3), white-balanced camera RGB to linear sRGB.
    """
    return np.concatenate([[sigma_e], scale, np.ravel(to_srgb)]).astype(np.float32)


def build_trainer(network):
    """Return the model that is trained: a network, and its output rendered. Inputs packed and look, output sRGB."""
    packed, look = keras.Input((None, None, 4), name="packed"), keras.Input((13,), name="look")
    return keras.Model([packed, look], Render(name="render")(network(packed), look), name="trainer")


def take_network(model):
    """Return the network of a trainer; any other model as it is."""
    return next((layer for layer in model.layers if layer.name in NETWORKS), model)


def find_margin(network):
    """Return how many pixels around a tile a network has to see, so that no seam shows: a multiple of MULTIPLE_PX."""
    return MARGINS_PX.get(network.name, max(MARGINS_PX.values()))


NETWORKS = {"residual_unet": build_residual_unet, "paper_unet": build_paper_unet}
