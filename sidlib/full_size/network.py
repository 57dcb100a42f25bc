"""Networks from a packed mosaic to a full-size picture, and the model that renders their output in training.

Input: a packed RGGB mosaic, see camera.pack, with unit noise, see camera.stabilise: float32 (batch, h, w, 4), h and w
multiples of 8, for the paper's network of 16. Output: camera RGB in the same unit, (batch, 2h, 2w, 3).
"""

import numpy as np

from sidlib.backend import keras
from sidlib.camera import stabilise
from sidlib.models import leaky_relu

layers, ops = keras.layers, keras.ops

MULTIPLE_PX = 32  # height and width of a mosaic are multiples of it, for either network
MARGINS_PX = {"residual_unet": 96, "paper_unet": 160}  # pixels farther away change an output by < 0.002 of the noise
FILTERS = (16, 32, 64, 128)
BRANCHES = {  # residual blocks by level, full size first
    "a": {"encoder": (0, 1, 1), "middle": 1, "decoder": (3, 1, 1)},
    "b": {"encoder": (1, 1, 1), "middle": 2, "decoder": (2, 2, 2)},
}
THRESHOLDS = (8.0, 1.5, 0.4)  # of SmoothAlike's steps: 4 to 8 times the square by which noise alone differs
ABOVE_WHITE = 0.1  # what a factor of e above white adds to rendered light
CAP_WHITES, CAP_NOISES = 0.6, 4.0  # a network sees values up to so many times white, and so much noise above
FOUND = (0.2, 0.5)  # of the cap: where a network finds less, no lamp is there, and where it finds more, one is
# Kernels that interpolate the colours of a Bayer mosaic
BILINEAR = dict.fromkeys("RB", np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4)
BILINEAR |= {"G": np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4}


def build_residual_unet(filters=FILTERS):
    """Return two U-Nets side by side that correct a bilinear demosaic: 25,644 multiply-accumulates per sensor pixel.

    Their 3 × 3 convolutions are their own, their steps between levels and their last convolution see both: at equal
    speed, they are better than one wider U-Net. Against checkerboard artefacts the decoders repeat pixels, and the last
    kernel starts at zero: the first output is the demosaic.
    Source: DRUNet (Zhang et al., IEEE TPAMI 2022), here much thinner, with the grouped convolutions of ResNeXt (Xie et
    al., CVPR 2017).
    """
    packed = keras.Input((None, None, 4), name="packed")
    smooth = SmoothAlike(4.0, name="smooth_alike")(packed)
    seen = layers.Concatenate(name="seen")([packed, smooth])
    streams = {b: _convolve(filters[0], f"{b}_head_conv")(seen) for b in BRANCHES}
    skips = []
    for level, deeper in enumerate(filters[1:], 1):
        for b, counts in BRANCHES.items():
            streams[b] = _add_blocks(streams[b], counts["encoder"][level - 1], f"{b}_encoder{level}")
        skips.append(streams)  # (batch, h, w, 16), then half the size and twice the channels per level
        both = layers.Concatenate(name=f"encoder{level}_both")(list(streams.values()))
        streams = {b: layers.Conv2D(deeper, 2, 2, name=f"{b}_encoder{level}_down")(both) for b in BRANCHES}
    for b, counts in BRANCHES.items():
        streams[b] = _add_blocks(streams[b], counts["middle"], f"{b}_middle")
    for level, count in reversed(list(enumerate(filters[:-1], 1))):
        both = layers.Concatenate(name=f"decoder{level}_both")(list(streams.values()))
        for b, counts in BRANCHES.items():
            x = layers.Conv2D(count, 1, name=f"{b}_decoder{level}_narrow")(both)
            x = layers.UpSampling2D(name=f"{b}_decoder{level}_up")(x)
            x = layers.Add(name=f"{b}_decoder{level}_join")([x, skips[level - 1][b]])
            streams[b] = _add_blocks(x, counts["decoder"][level - 1], f"{b}_decoder{level}")
    both = layers.Concatenate(name="both")(list(streams.values()))
    last = _convolve(16, "square_conv", start="zeros")(both)
    share = layers.Multiply(name="share")([last[..., 12:], smooth])
    clean = layers.Add(name="clean")([packed, share])
    x = layers.Add(name="add_demosaic")([last[..., :12], Demosaic(name="demosaic")(clean)])
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
class SmoothAlike(layers.Layer):
    """Edge-avoiding mean of a packed mosaic minus the mosaic: (batch, h, w, 4) to the same.

    Squares count by their likeness in all four colours, so that right beside an edge as much noise is taken as
    elsewhere, where a network of few channels leaves it.
    Source: the edge-avoiding à-trous wavelet (Dammertz et al., HPG 2010), after Tomasi and Manduchi's bilateral filter.
    """

    def __init__(self, scale=1.0, **options):
        super().__init__(**options)
        self.scale = scale  # of the output: the larger, the faster its use is learned

    def get_config(self):
        return super().get_config() | {"scale": self.scale}

    def call(self, packed):
        smooth = planes = ops.transpose(packed, (0, 3, 1, 2))  # planes of one colour are the fastest here
        for step, threshold in zip((1, 2, 4), THRESHOLDS, strict=True):
            smooth = _smooth(smooth, step, threshold)
        return self.scale * ops.transpose(smooth - planes, (0, 2, 3, 1))

    def compute_output_shape(self, packed_shape):  # else Keras traces the call, which takes longer than all others
        return packed_shape


def _smooth(planes, step, threshold):
    """One step of SmoothAlike over the eight squares at a distance of `step`: (batch, 4, h, w) to the same."""
    height, width = ops.shape(planes)[2:]
    edged = ops.pad(planes, ((0, 0), (0, 0), (step, step), (step, step)), mode="symmetric")
    high, wide = height + 2 * step, width + 2 * step
    total, weights = 0, 1
    for down, right in ((0, step), (step, 0), (step, step), (step, -step)):  # each pair of squares is looked at once
        left = max(0, -right)
        first = edged[:, :, : high - down, left : wide - max(0, right)]
        second = edged[:, :, down:, left + right : wide - left]
        apart = second - first
        alike = ops.relu(1 - ops.sum(ops.square(apart), axis=1, keepdims=True) / (4 * threshold))
        moved = alike * apart
        for sign, row, column in ((1, step, step - left), (-1, step - down, step - left - right)):
            here = (slice(None), slice(None), slice(row, row + height), slice(column, column + width))
            total += sign * moved[here]
            weights += alike[here]
    return planes + total / weights


@keras.saving.register_keras_serializable("sidlib")
class Demosaic(layers.Layer):
    """Bilinear demosaic of a packed RGGB mosaic: (batch, h, w, 4) to the 12 channels before a pixel shuffle."""

    def call(self, packed):
        kernel = np.zeros((3, 3, 4, 12), np.float32)
        for position, colour in enumerate("RGGB"):
            row, column = divmod(position, 2)
            spread = np.zeros((6, 6, 3))  # of this position over its square and those around
            spread[row + 1 : row + 4, column + 1 : column + 4, "RGB".index(colour)] = BILINEAR[colour]
            squares = spread.reshape(3, 2, 3, 2, 3).swapaxes(1, 2).reshape(3, 3, 12)
            kernel[:, :, position] = squares[::-1, ::-1]  # from outputs around an input to inputs around an output
        padded = ops.pad(packed, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
        return ops.conv(padded, ops.convert_to_tensor(kernel, packed.dtype), padding="valid")


@keras.saving.register_keras_serializable("sidlib")
class Render(layers.Layer):
    """Renders a stabilised picture (batch, H, W, 3) as sRGB in 0…255, so that losses are of the visible picture.

    The second input, `rendering`, is (batch, 13) float32, see join_rendering.
    """

    def call(self, stable, rendering):
        rendering = rendering[:, None, None, :]
        sigma, scale, ccm = rendering[..., :1], rendering[..., 1:4], ops.reshape(rendering[..., 4:], (-1, 1, 3, 3))
        light = ops.maximum(stable, 0)
        electrons = light * (light / 4 + sigma) + ops.minimum(stable, 0) * sigma
        return render_soft(electrons * scale, ccm)


def render_soft(balanced, ccm):
    """Return white-balanced camera RGB, white 1, as sRGB in 0…255 and beyond: a float32 tensor (…, W, 3).

    White is cut softly and black not at all: every pixel has a gradient, while a lamp's strength hardly counts.
    """
    soft = ops.where(balanced > 1, 1 + ABOVE_WHITE * ops.log(ops.maximum(balanced, 1)), balanced)
    linear = ops.matmul(soft, ops.swapaxes(ccm, -1, -2))
    size = ops.abs(linear)
    curved = 1.055 * ops.maximum(size, 0.0031308) ** (1 / 2.4) - 0.055
    return 255 * ops.where(size <= 0.0031308, 12.92 * linear, ops.sign(linear) * curved)


def join_rendering(sigma_e, scale, ccm):
    """Return the second input of Render for one patch: float32 (13,).

    sigma_e: read noise in electrons. scale: (3,), factors from electrons to white-balanced light with white 1.
    """
    return np.concatenate([[sigma_e], scale, np.ravel(ccm)]).astype(np.float32)


def build_trainer(network):
    """Return the model that is trained: a network and Render. Inputs: packed and rendering; output: sRGB in 0…255."""
    packed, rendering = keras.Input((None, None, 4), name="packed"), keras.Input((13,), name="rendering")
    return keras.Model([packed, rendering], Render(name="render")(network(packed), rendering), name="trainer")


def find_cap(white_dn, gain_dn, read_dn, whites=CAP_WHITES):
    """Return the stabilised values (4,) of the CFA positions up to which a network is shown a capture.

    white_dn: (3,), counts above black of R, G, B that are shown as white.
    """
    return (stabilise(whites * white_dn, gain_dn, read_dn) + np.float32(CAP_NOISES))[[0, 1, 1, 2]]


def predict_capped(network, packed, cap=np.inf):
    """Return a network's picture of a packed mosaic (h, w, 4) of which it sees no more than a cap: (2h, 2w, 3).

    A lamp's light above the cap would spoil its surroundings. It is added back, see SmoothAlike, as a bilinear demosaic
    where the network itself has found a lamp, so that it reaches no pixel beside.
    """
    low = np.minimum(packed, cap)
    picture = network.predict_on_batch(low[None])[0]
    if (low < packed).any():
        smooth = packed + ops.convert_to_numpy(SmoothAlike()(packed[None]))[0]
        over = np.maximum(smooth - cap, 0)
        found = (picture / cap[[0, 1, 3]] - FOUND[0]) / (FOUND[1] - FOUND[0])
        picture = picture + found.clip(0, 1) * ops.convert_to_numpy(ops.depth_to_space(Demosaic()(over[None]), 2))[0]
    return picture


def find_margin(network):
    """Return the margin in pixels that a network has to see around a tile, so that no seam shows."""
    return MARGINS_PX.get(network.name, max(MARGINS_PX.values()))


NETWORKS = {"residual_unet": build_residual_unet, "paper_unet": build_paper_unet}
