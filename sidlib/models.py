"""The course's three models: CNN, dense CNN, U-Net; one beyond it: RCAN; and the layer that clips their output.

Input and output: RGB in 0…255, float32 (batch, height, width, 3), any height and width from 8 up.
"""

import math
from functools import partial

import pandas as pd

from sidlib.backend import keras

layers, ops = keras.layers, keras.ops

CNN_FILTERS = (32, 64, 128)
UNET_FILTERS = (16, 64, 256)


def build_model(name, activation, source="dark8", unit=False, linear=False, residual=False):
    """Return an untrained model: a body of the given name between an input and an RGB output.

    Args:
        name: one of MODELS.
        activation: after each convolution but the last, "relu" or "leaky_relu" (slope 0.2, Keras's default).
        source: what the model is to see, see dataset.SOURCES; the name of its input.
        unit: compute on values of 0…1 inside.
        linear: do not clip in training, where a clipped pixel would have no gradient; clip at use.
        residual: the output is a correction that is added to the input.
    Raises:
        ValueError: there is no such model or activation.
    """
    if name not in MODELS:
        raise ValueError(f"name must be one of {', '.join(MODELS)}. Received: {name!r}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}. Received: {activation!r}")
    picture = x = keras.Input((None, None, 3), name=source)
    if unit:
        x = layers.Rescaling(1 / 255, name="to_unit")(x)
    x = MODELS[name](x, activation)
    if unit:
        x = layers.Rescaling(255.0, name="from_unit")(x)
    if residual:
        x = layers.Add(name="add_input")([picture, x])
    return keras.Model(picture, ClipPixels(in_training=not linear, name="clip")(x), name=name)


def build_cnn(x, activation, filters=CNN_FILTERS):
    """Return the output of a plain CNN: one 3 × 3 convolution a level, size kept, filters doubling."""
    for level, count in enumerate(filters, 1):
        x = convolve(count, activation, f"level{level}_conv")(x)  # (batch, H, W, count)
    return convolve(3, None, "output_conv")(x)


def build_dense_cnn(x, activation, filters=CNN_FILTERS):
    """Return the output of the CNN with dense connections: each level sees the picture and all levels before it."""
    for level, count in enumerate(filters, 1):
        features = convolve(count, activation, f"level{level}_conv")(x)
        x = layers.Concatenate(name=f"level{level}_join")([x, features])  # channels 3, 35, 99, 227
    return convolve(3, None, "output_conv")(x)


def build_unet(x, activation, filters=UNET_FILTERS):
    """Return the output of a U-Net: an encoder that halves the size, a decoder that doubles it and joins the skips."""
    skips = []
    for level, count in enumerate(filters, 1):
        x = convolve(count, activation, f"encoder{level}_conv")(x)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"encoder{level}_pool")(x)  # half the size, rounded down
    for level, count in reversed(list(enumerate(filters, 1))):
        x = layers.UpSampling2D(name=f"decoder{level}_up")(x)  # one pixel short where the half was rounded
        x = ResizeLike(name=f"decoder{level}_resize")(x, skips[level - 1])
        x = layers.Concatenate(name=f"decoder{level}_join")([x, skips[level - 1]])
        x = convolve(count, activation, f"decoder{level}_conv")(x)
    return convolve(3, None, "output_conv")(x)


def build_rcan(x, activation, filters=48, blocks=6, stride=2, attention=True):
    """Return the output of a residual channel attention network that works at 1 / stride of the size.

    Source: Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention Networks (ECCV 2018), here
    with one group of blocks, and with the strided convolution of a denoiser in front.
    """
    picture = x
    x = layers.Conv2D(filters, 2 * stride - 1, stride, padding="same", name="head_conv")(x)  # (batch, H / 2, W / 2, 48)
    for block in range(1, blocks + 1):
        features = convolve(filters, activation, f"block{block}_conv1")(x)
        features = convolve(filters, None, f"block{block}_conv2")(features)
        if attention:
            weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"block{block}_mean")(features)
            weights = layers.Conv2D(filters // 4, 1, activation="relu", name=f"block{block}_squeeze")(weights)
            weights = layers.Conv2D(filters, 1, activation="sigmoid", name=f"block{block}_weights")(weights)
            features = layers.Multiply(name=f"block{block}_weigh")([features, weights])
        x = layers.Add(name=f"block{block}_add")([x, features])
    x = convolve(3 * stride**2, None, "output_conv")(x)  # each place holds the stride × stride pixels of its square
    return DepthToSpace(stride, name="full_size")(x, picture)


def convolve(filters, activation, name):
    """Return the convolution that all models are made of: 3 × 3, size kept."""
    return layers.Conv2D(filters, 3, padding="same", activation=activation, name=name)


def describe_layers(model, height, width):
    """Return what each layer of a model makes of one picture: a DataFrame, a row a layer.

    Columns: layer, height, width, channels (of its output), parameters, multiply_accumulates (of convolutions; the cost
    of the others is small).
    """
    outputs = keras.Model(model.input, [layer.output for layer in model.layers])(ops.zeros((1, height, width, 3)))
    rows = []
    for layer, output in zip(model.layers, outputs, strict=True):
        _, height, width, channels = output.shape
        kernel = layer.kernel.shape if isinstance(layer, layers.Conv2D) else (0,)
        cost = height * width * math.prod(kernel)
        rows.append((layer.name, height, width, channels, layer.count_params(), cost))
    columns = ["layer", "height", "width", "channels", "parameters", "multiply_accumulates"]
    return pd.DataFrame(rows, columns=columns).set_index("layer")


@keras.saving.register_keras_serializable("sidlib")
class ClipPixels(layers.Layer):
    """Holds pixel values in 0…255: what is below becomes 0, what is above 255, infinities included; fractions stay.

    The gradient is 0 where a value is clipped: such a pixel tells the weights nothing. So with in_training=False values
    pass as they are while the weights are trained.
    """

    def __init__(self, in_training=True, **options):
        super().__init__(**options)
        self.in_training = in_training

    def call(self, pixels, training=False):
        return pixels if training and not self.in_training else ops.clip(pixels, 0, 255)

    def get_config(self):
        return super().get_config() | {"in_training": self.in_training}


@keras.saving.register_keras_serializable("sidlib")
class ResizeLike(layers.Layer):
    """Resizes feature maps (batch, h, w, channels) to the height and width of others, by nearest neighbours.

    Keras's own resize needs sizes that are known when the model is built; here they come with each picture.
    """

    def call(self, features, reference):
        for axis in (1, 2):
            size, target = ops.shape(features)[axis], ops.shape(reference)[axis]
            nearest = (2 * ops.arange(target) + 1) * size // (2 * target)
            features = ops.take(features, nearest, axis=axis)
        return features

    def compute_output_shape(self, features_shape, reference_shape):
        return (features_shape[0], *reference_shape[1:3], features_shape[3])


@keras.saving.register_keras_serializable("sidlib")
class DepthToSpace(layers.Layer):
    """Lays stride² · c channels out as stride × stride pixels of c, cut to the size of a picture (batch, H, W, …)."""

    def __init__(self, stride, **options):
        super().__init__(**options)
        self.stride = stride

    def call(self, features, picture):
        batch, height, width, channels = ops.shape(features)
        x = ops.reshape(features, (batch, height, width, self.stride, self.stride, channels // self.stride**2))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (batch, height * self.stride, width * self.stride, channels // self.stride**2))
        return x[:, : ops.shape(picture)[1], : ops.shape(picture)[2]]

    def compute_output_shape(self, features_shape, picture_shape):
        return (*picture_shape[:3], features_shape[3] // self.stride**2)

    def get_config(self):
        return super().get_config() | {"stride": self.stride}


MODELS = {
    "cnn": build_cnn,
    "dense_cnn": build_dense_cnn,
    "unet": build_unet,
    "rcan": build_rcan,
    # RCAN without one of its ideas, to measure what the idea is worth:
    "rcan_no_attention": partial(build_rcan, attention=False),
    "rcan_full_size": partial(build_rcan, filters=24, stride=1),  # as many multiply-accumulates
}
COURSE_MODELS = ("cnn", "dense_cnn", "unet")
ACTIVATIONS = ("relu", "leaky_relu")
