"""The course's three models: CNN, dense CNN, U-Net, and the layer that clips their output.

Input and output: RGB in 0…255, float32 (batch, height, width, 3), any height and width from 8 up.
"""

import math

import pandas as pd

from sidlib.backend import keras

layers, ops = keras.layers, keras.ops

CNN_FILTERS = (32, 64, 128)
UNET_FILTERS = (16, 64, 256)


def build_model(name, activation):
    """Return an untrained model.

    Args:
        name: "cnn", "dense_cnn" or "unet".
        activation: after each convolution but the last, "relu" or "leaky_relu" (slope 0.2, Keras's default).
    Raises:
        ValueError: there is no such model or activation.
    """
    if name not in MODELS:
        raise ValueError(f"name must be one of {', '.join(MODELS)}. Received: {name!r}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}. Received: {activation!r}")
    return MODELS[name](activation)


def build_cnn(activation, filters=CNN_FILTERS):
    """Return a plain CNN: one 3 × 3 convolution a level, size kept, filters doubling."""
    picture = x = keras.Input((None, None, 3), name="picture")
    for level, count in enumerate(filters, 1):
        x = convolve(count, activation, f"level{level}_conv")(x)  # (batch, H, W, count)
    return keras.Model(picture, finish(x), name="cnn")


def build_dense_cnn(activation, filters=CNN_FILTERS):
    """Return the CNN with dense connections: each level sees the picture and the output of all levels before it."""
    picture = x = keras.Input((None, None, 3), name="picture")
    for level, count in enumerate(filters, 1):
        features = convolve(count, activation, f"level{level}_conv")(x)
        x = layers.Concatenate(name=f"level{level}_join")([x, features])  # channels 3, 35, 99, 227
    return keras.Model(picture, finish(x), name="dense_cnn")


def build_unet(activation, filters=UNET_FILTERS):
    """Return a U-Net: an encoder that halves the size at each level, a decoder that doubles it and joins the skips."""
    picture = x = keras.Input((None, None, 3), name="picture")
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
    return keras.Model(picture, finish(x), name="unet")


def convolve(filters, activation, name):
    """Return the convolution that all models are made of: 3 × 3, size kept."""
    return layers.Conv2D(filters, 3, padding="same", activation=activation, name=name)


def finish(x):
    """Return the picture that every model ends with: a convolution to RGB, clipped to 0…255."""
    return ClipPixels(name="clip")(convolve(3, None, "output_conv")(x))


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

    The gradient is 0 where a value is clipped: such a pixel tells the weights nothing.
    """

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
ACTIVATIONS = ("relu", "leaky_relu")
