"""The course's three models: CNN, dense CNN, U-Net; the layers that state their input and clip their output.

Input and output: RGB in 0…255, float32 (batch, height, width, 3), any height and width from 8 up.
"""

import math
import random

import pandas as pd

from sidlib.backend import keras
from sidlib.dataset import check_source

layers, ops = keras.layers, keras.ops

CNN_FILTERS = (32, 64, 128)
UNET_FILTERS = (16, 64, 256)
LEAKY_SLOPE = 0.2


def build_model(name, activation):
    """Return an untrained model: a body of the given name between an input, "dark8", and an RGB output.

    Args:
        name: one of MODELS.
        activation: after each convolution but the last, "relu" or "leaky_relu".
    Raises:
        ValueError: there is no such model or activation.
    """
    if name not in MODELS:
        raise ValueError(f"name must be one of {', '.join(MODELS)}. Received: {name!r}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}. Received: {activation!r}")
    picture = keras.Input((None, None, 3))
    x = MODELS[name](Sees("dark8", name="sees")(picture), activation)
    return keras.Model(picture, ClipPixels(name="clip")(x), name=name)


def build_cnn(x, activation, filters=CNN_FILTERS):
    """Return the output of a plain CNN: one 3 × 3 convolution a level, size kept, filters doubling."""
    for level, count in enumerate(filters, 1):
        x = convolve(count, activation, f"level{level}_conv")(x)  # (batch, H, W, count)
    return convolve(3, None, "output_conv")(x)


def build_dense_cnn(x, activation, filters=CNN_FILTERS):
    """Return the output of the CNN with dense connections: each level sees the picture and all levels before it."""
    for level, count in enumerate(filters, 1):
        features = convolve(count, activation, f"level{level}_conv")(x)
        x = layers.Concatenate(name=f"level{level}_join")([x, features])  # channels 35, 99, 227
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


def convolve(filters, activation, name):
    """Return the convolution that all models are made of: 3 × 3, size kept; the activation is one of ACTIVATIONS."""
    function = ACTIVATIONS[activation] if activation else None
    return layers.Conv2D(filters, 3, padding="same", activation=function, name=name)


def draw_weights(model, seed):
    """Return the model with first weights that the seed alone decides: those that keras.utils.set_random_seed gives.

    That seeds Python's own generator, from which Keras draws a seed for each layer. Other threads draw from it, too:
    those of Dask do so several times a second.
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
    return keras.activations.leaky_relu(x, negative_slope=LEAKY_SLOPE)


def describe_layers(model, height, width):
    """Return what each layer of a model makes of one picture: a DataFrame, a row a layer.

    Columns: layer, height, width, channels (of its output), parameters, multiply_accumulates (of convolutions; the cost
    of the others is small).
    """
    described = model.layers[1:]  # all but the input
    outputs = keras.Model(model.input, [layer.output for layer in described])(
        ops.zeros((1, height, width, model.input.shape[-1]))
    )
    rows = []
    for layer, output in zip(described, outputs, strict=True):
        _, height, width, channels = output.shape
        kernel = layer.kernel.shape if isinstance(layer, layers.Conv2D) else (0,)
        cost = height * width * math.prod(kernel)
        rows.append((layer.name, height, width, channels, layer.count_params(), cost))
    columns = ["layer", "height", "width", "channels", "parameters", "multiply_accumulates"]
    return pd.DataFrame(rows, columns=columns).set_index("layer")


def source_of(model):
    """Return what of a short exposure a model sees, one of dataset.SOURCES.

    Args:
        model: a Keras model with a layer Sees, or a function from batch to batch; a function sees "dark8", the course's
            input, unless it has an attribute `source`.
    Raises:
        ValueError: a Keras model does not state what it sees, or what it states is unknown.
    """
    if not isinstance(model, keras.Model):
        return check_source(getattr(model, "source", "dark8"))
    stated = [layer.source for layer in model.layers if isinstance(layer, Sees)]
    if len(stated) != 1:
        raise ValueError(f"The model {model.name!r} must state what it sees with one layer Sees. Received: {stated}")
    return stated[0]


@keras.saving.register_keras_serializable("sidlib")
class Sees(layers.Layer):
    """Passes the input on. It states what of a short exposure the model is to see, and is saved with the model.

    Args:
        source: one of dataset.SOURCES.
    Raises:
        ValueError: there is no such source, or the module that makes it known is not imported.
    """

    def __init__(self, source, **options):
        super().__init__(**options)
        self.source = check_source(source)

    def call(self, pictures):
        return pictures

    def get_config(self):
        return super().get_config() | {"source": self.source}


@keras.saving.register_keras_serializable("sidlib")
class ClipPixels(layers.Layer):
    """Holds pixel values in 0…255: what is below becomes 0, what is above 255, infinities included; fractions stay.

    The gradient is 0 where a value is clipped: such a pixel tells the weights nothing. Values are float32 even where
    a model computes in float16, whose steps are too coarse for a picture and whose squares overflow in a loss.
    """

    def __init__(self, dtype="float32", **options):
        super().__init__(dtype=dtype, **options)

    def call(self, pixels):
        return ops.clip(pixels, 0, 255)


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


MODELS = {"cnn": build_cnn, "dense_cnn": build_dense_cnn, "unet": build_unet}
ACTIVATIONS = {"relu": keras.activations.relu, "leaky_relu": leaky_relu}
