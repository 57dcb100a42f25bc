"""The network of the real dark: two U-Nets side by side, beside them a mean of what is alike, and of lamps no more than it need see.

Input: a packed RGGB mosaic with unit noise, float32 (batch, h, w, 4), see stable.stabilise. Output: camera RGB in the
same unit, (batch, 2h, 2w, 3). Replaces parts of full_size/network.py (build_residual_unet, Render); new are SmoothAlike,
run_capped, find_cap (in stream25) and what starts it from older networks (pair_up, take_over).
"""

import numpy as np

from sidlib.backend import keras
from sidlib.beyond.full_size.network import Demosaic
from sidlib.beyond.models import DepthToSpace

layers, ops = keras.layers, keras.ops

BEYOND = 0.1  # see stream25.show
GATE = (0.2, 0.5)  # of the cap: where a network finds less, nothing is given back, and where it finds more, all is
THRESHOLDS = (8.0, 1.5, 0.4)  # of steps of 1, 2 and 4 squares: about 4 to 8 times what noise alone differs by
BRANCHES = {
    "a": {"encoder": (0, 1, 1), "middle": 1, "decoder": (3, 1, 1)},
    "b": {"encoder": (1, 1, 1), "middle": 2, "decoder": (2, 2, 2)},
}


def build_pair(filters=(16, 32, 64, 128), branches=BRANCHES, name="residual_unet"):
    """Return two U-Nets whose convolutions of 3 × 3 are their own, and whose steps from level to level see both.

    It is what grouped convolutions are: half the multiply-accumulates of one network as wide as both. The last weights
    see both, too. It begins as the mean of two networks, see pair_up.
    """
    packed = keras.Input((None, None, 4), name="packed")
    smooth = SmoothAlike(4.0, name="smooth_alike")(packed)
    seen = layers.Concatenate(name="seen")([packed, smooth])
    streams = {b: _convolve(filters[0], f"{b}_head_conv")(seen) for b in branches}
    skips = []
    for level, deeper in enumerate(filters[1:], 1):
        streams = {b: _add_blocks(x, branches[b]["encoder"][level - 1], f"{b}_encoder{level}") for b, x in streams.items()}
        skips.append(streams)
        both = layers.Concatenate(name=f"encoder{level}_both")(list(streams.values()))
        streams = {b: layers.Conv2D(deeper, 2, 2, name=f"{b}_encoder{level}_down")(both) for b in branches}
    streams = {b: _add_blocks(x, branches[b]["middle"], f"{b}_middle") for b, x in streams.items()}
    for level, count in reversed(list(enumerate(filters[:-1], 1))):
        both = layers.Concatenate(name=f"decoder{level}_both")(list(streams.values()))
        for b in branches:
            x = layers.Conv2D(count, 1, name=f"{b}_decoder{level}_narrow")(both)
            x = layers.UpSampling2D(name=f"{b}_decoder{level}_up")(x)
            x = layers.Add(name=f"{b}_decoder{level}_join")([x, skips[level - 1][b]])
            streams[b] = _add_blocks(x, branches[b]["decoder"][level - 1], f"{b}_decoder{level}")
    both = layers.Concatenate(name="both")(list(streams.values()))
    last = layers.Conv2D(16, 3, padding="same", kernel_initializer="zeros", name="square_conv")(both)
    share = layers.Multiply(name="share")([last[..., 12:], smooth])  # where the mean of what is alike is to be had
    clean = layers.Add(name="clean")([packed, share])
    x = layers.Add(name="add_demosaic")([last[..., :12], Demosaic(name="demosaic")(clean)])
    return keras.Model(packed, DepthToSpace(2, name="full_size")(x), name=name)


def _convolve(filters, name, activation=None):
    return layers.Conv2D(filters, 3, padding="same", activation=activation, name=name)


def _add_blocks(x, count, name):
    for block in range(1, count + 1):
        features = _convolve(x.shape[-1], f"{name}_conv{2 * block - 1}", "relu")(x)
        last = layers.Conv2D(x.shape[-1], 3, padding="same", kernel_initializer="zeros", name=f"{name}_conv{2 * block}")
        x = layers.Add(name=f"{name}_add{block}")([x, last(features)])
    return x


@keras.saving.register_keras_serializable("sidlib")
class SmoothAlike(layers.Layer):
    """Takes from a packed mosaic what a mean over like neighbours would: (batch, h, w, 4) to the same, zero without noise.

    Squares count by how alike they are in all four colours, in units of the noise, which is 1. So a mean never reaches
    over an edge that can be seen, and right beside one it is as wide as elsewhere: there a network of few channels
    leaves the noise. Nothing is learned.

    Source: the edge-avoiding à-trous wavelet (Dammertz et al., HPG 2010), after Tomasi and Manduchi's bilateral filter.
    """

    def __init__(self, scale=1.0, **options):
        super().__init__(**options)
        self.scale = scale  # of what is put out: the larger, the faster it is learned to be used

    def get_config(self):
        return super().get_config() | {"scale": self.scale}

    def call(self, packed):
        smooth = planes = ops.transpose(packed, (0, 3, 1, 2))
        for step, threshold in zip((1, 2, 4), THRESHOLDS):
            smooth = _smooth(smooth, step, threshold)
        return self.scale * ops.transpose(smooth - planes, (0, 2, 3, 1))

    def compute_output_shape(self, packed_shape):
        return packed_shape


def _smooth(x, step, threshold):
    """One step: (batch, 4, h, w) to the same; planes of one colour are what processors are fastest at here."""
    height, width = ops.shape(x)[2:]
    edged = ops.pad(x, ((0, 0), (0, 0), (step, step), (step, step)), mode="symmetric")
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
    return x + total / weights


@keras.saving.register_keras_serializable("sidlib")
class Show(layers.Layer):
    """Shows a stable picture as sRGB in 0…255, so that a loss is one of what is seen: (batch, H, W, 3) to the same.

    As stream25.show, which makes the truth: white is nearly cut, so that a lamp's strength hardly counts, and every
    pixel has a gradient. The second input is `look`, (batch, 13) float32, see network.join_look. Replaces Render.
    """

    def call(self, stable, look):
        look = look[:, None, None, :]
        sigma, scale, to_srgb = look[..., :1], look[..., 1:4], ops.reshape(look[..., 4:], (-1, 1, 3, 3))
        light = ops.maximum(stable, 0)
        balanced = (light * (light / 4 + sigma) + ops.minimum(stable, 0) * sigma) * scale
        balanced = ops.where(balanced > 1, 1 + BEYOND * ops.log(ops.maximum(balanced, 1)), balanced)
        linear = ops.matmul(balanced, ops.swapaxes(to_srgb, 2, 3))
        size = ops.abs(linear)
        curved = 1.055 * ops.maximum(size, 0.0031308) ** (1 / 2.4) - 0.055
        return 255 * ops.where(size <= 0.0031308, 12.92 * linear, ops.sign(linear) * curved)

    def compute_output_shape(self, stable_shape, look_shape):
        return stable_shape


def build_trainer(network):
    packed, look = keras.Input((None, None, 4), name="packed"), keras.Input((13,), name="look")
    return keras.Model([packed, look], Show(name="show")(network(packed), look), name="trainer")


def take_network(trainer):
    return next(layer for layer in trainer.layers if layer.name == "residual_unet")


def run_capped(network, packed, cap):
    """Return what a network makes of a tile of which it sees no more than a cap, and above it a bilinear demosaic.

    What a lamp has above the cap, which is some white, no network need see: it spoils what is around. It is given back
    where the network has found white, so that it reaches no pixel beside.

    Args:
        packed: float32 (1, h, w, 4), stable. cap: (3,), see stream25.find_cap.
    """
    low = np.minimum(packed, cap[[0, 1, 1, 2]])
    picture = network.predict_on_batch(low)
    if (over := packed - low).any():
        white = np.clip((picture / cap - GATE[0]) / (GATE[1] - GATE[0]), 0, 1)
        picture += white * _demosaic().predict_on_batch(over)
    return picture


def _demosaic(made=[]):
    if not made:
        packed = keras.Input((None, None, 4))
        made.append(keras.Model(packed, DepthToSpace(2)(Demosaic()(packed))))
    return made[0]


class Capped:
    """A network as restore.run_tiles calls it, with the cap of a capture: set `cap` before."""

    def __init__(self, network):
        self.network, self.name, self.cap = network, network.name, None

    def predict_on_batch(self, packed):
        return run_capped(self.network, packed, self.cap) if self.cap is not None else self.network.predict_on_batch(packed)


def take_over(new, old):
    """Give a network the weights of one that lacks some inputs of its layers, which come last, or some layers or outputs."""
    theirs = {layer.name: layer.get_weights() for layer in old.layers}
    scales = [net.get_layer("smooth_alike").scale for net in (old, new) if "smooth_alike" in {of.name for of in net.layers}]
    ratio = scales[0] / scales[-1]
    for layer in new.layers:
        if weights := theirs.get(layer.name):
            kernel, bias = (np.zeros_like(part) for part in layer.get_weights())
            kernel[:, :, : weights[0].shape[2], : weights[0].shape[3]] = weights[0]
            bias[: len(weights[1])] = weights[1]
            if layer.name.endswith("head_conv"):
                kernel[:, :, 4:] *= ratio
            elif layer.name == "square_conv":
                kernel[..., 12:] *= ratio
                bias[12:] *= ratio
            layer.set_weights([kernel, bias])
    return new


def pair_up(pair, olds):
    """Give build_pair's network the mean of what two networks give, {branch: network}."""
    olds = {b: {layer.name: layer.get_weights() for layer in old.layers if layer.get_weights()} for b, old in olds.items()}
    for layer in pair.layers:
        weights = layer.get_weights()
        if layer.name == "square_conv":
            kernels, biases = zip(*(old["square_conv"] for old in olds.values()))
            kernel = np.concatenate(kernels, axis=2) / len(olds)
            bias = sum(biases) / len(olds)
            layer.set_weights([np.pad(kernel, [(0, 0), (0, 0), (0, 0), (0, 4)]), np.pad(bias, (0, 4))])
        elif weights and "_" in layer.name and layer.name.split("_")[0] in olds:
            branch, name = layer.name.split("_", 1)
            kernel, bias = olds[branch][name]
            if name == "head_conv":
                kernel = np.pad(kernel, [(0, 0), (0, 0), (0, 4), (0, 0)])
            elif kernel.shape[2] < weights[0].shape[2]:
                kernel = np.concatenate([kernel * (b == branch) for b in olds], axis=2)
            layer.set_weights([kernel, bias])
    return pair
