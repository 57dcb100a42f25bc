"""The course's three models: CNN, dense CNN and U-Net.

Input and output: RGB in 0…255, float32 (batch, height, width, 3), any height and width from 8 up.
"""

import math
import random

import pandas as pd

from sidlib.backend import keras
from sidlib.sources import check_source

layers, ops = keras.layers, keras.ops


def build_model(name, activation):
    """Return an untrained one of MODELS, with one of ACTIVATIONS after each convolution but the last."""
    if name not in MODELS:
        raise ValueError(f"name must be one of {', '.join(MODELS)}. Received: {name!r}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}. Received: {activation!r}")
    picture = keras.Input((None, None, 3), name="dark8")  # the name says what the model sees, see source_of
    x = MODELS[name](picture, activation)
    return keras.Model(picture, ClipPixels(name="clip")(x), name=name)


def build_cnn(x, activation, filters=(32, 64, 128)):
    """Return the output of a plain CNN: one 3 × 3 convolution per level, size kept, filters doubling."""
    for level, count in enumerate(filters, 1):
        x = convolve(count, activation, f"level{level}_conv")(x)  # (batch, H, W, count)
    return convolve(3, None, "output_conv")(x)


def build_dense_cnn(x, activation, filters=(32, 64, 128)):
    """Return the output of the CNN with dense connections: each level sees the picture and all levels before it."""
    for level, count in enumerate(filters, 1):
        features = convolve(count, activation, f"level{level}_conv")(x)
        x = layers.Concatenate(name=f"level{level}_join")([x, features])  # channels 35, 99, 227
    return convolve(3, None, "output_conv")(x)


def build_unet(x, activation, filters=(16, 64, 256)):
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


def convolve(filters, activation, name):
    """Return the convolution that all models are made of: 3 × 3, size kept; the activation is one of ACTIVATIONS."""
    function = ACTIVATIONS[activation] if activation else None
    return layers.Conv2D(filters, 3, padding="same", activation=function, name=name)


def draw_weights(model, seed):
    """Return the model with first weights that depend on the seed alone: those of keras.utils.set_random_seed.

    Keras itself draws each layer's seed from Python's global generator, which other threads use, too.
    """
    draws = random.Random(seed)
    for layer in model.layers:
        if hasattr(layer, "kernel_initializer"):
            setting = layer.kernel_initializer.get_config() | {"seed": draws.randint(1, 10**9)}
            layer.kernel.assign(type(layer.kernel_initializer).from_config(setting)(layer.kernel.shape))
    return model


@keras.saving.register_keras_serializable("sidlib")
def leaky_relu(x):
    """Return x where it is positive, and a fifth of it where it is negative."""
    return keras.activations.leaky_relu(x, negative_slope=0.2)


def source_of(model):
    """Return the source that a Keras model's input layer names, or raise a ValueError; a function sees dark8."""
    return check_source(model.inputs[0].name) if isinstance(model, keras.Model) else "dark8"


def describe_layers(model, height, width):
    """Return size and cost of each layer for one picture: a DataFrame of sizes of the output, parameters, operations.

    The first row is the input. Operations are multiply-accumulates of Conv2D; the cost of other layers is small.
    """
    picture, rows = ops.zeros((1, height, width, model.input.shape[-1])), []
    outputs = keras.Model(model.input, [layer.output for layer in model.layers])(picture)
    for layer, output in zip(model.layers, outputs, strict=True):
        kernel = layer.kernel.shape if isinstance(layer, layers.Conv2D) else [0]
        rows.append((layer.name, *output.shape[1:], layer.count_params(), math.prod([*output.shape[1:3], *kernel])))
    columns = ["layer", "height", "width", "channels", "parameters", "multiply_accumulates"]
    return pd.DataFrame(rows, columns=columns).set_index("layer")


@keras.saving.register_keras_serializable("sidlib")
class ClipPixels(layers.Layer):
    """Clips pixel values to 0…255, infinities included; fractions stay. The gradient is 0 where a value is clipped.

    Values are float32 even in a model that computes in float16, whose steps are too coarse for a picture.
    """

    def __init__(self, dtype="float32", **options):
        super().__init__(dtype=dtype, **options)

    def call(self, pixels):
        return ops.clip(pixels, 0, 255)


@keras.saving.register_keras_serializable("sidlib")
class ResizeLike(layers.Layer):
    """Resizes feature maps (batch, h, w, channels) to the height and width of others, by nearest neighbours.

    Keras's own resize needs sizes that are known when the model is built.
    """

    def call(self, features, reference):
        for axis in (1, 2):
            size, target = ops.shape(features)[axis], ops.shape(reference)[axis]
            nearest = (2 * ops.arange(target) + 1) * size // (2 * target)
            features = ops.take(features, nearest, axis=axis)
        return features

    def compute_output_shape(self, features_shape, reference_shape):
        return (features_shape[0], *reference_shape[1:3], features_shape[3])


MODELS = {"cnn": build_cnn, "dense_cnn": build_dense_cnn, "unet": build_unet}
ACTIVATIONS = {"relu": keras.activations.relu, "leaky_relu": leaky_relu}
