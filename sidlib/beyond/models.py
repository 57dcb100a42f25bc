"""Models beyond the course's: RCAN, and any network on another input, with values in 0…1, or as a correction."""

from sidlib.backend import keras
from sidlib.models import MODELS as COURSE_MODELS
from sidlib.models import ClipPixels, convolve

layers, ops = keras.layers, keras.ops


def build_model(name, source, unit=False, linear=False, residual=False):
    """Return an untrained model with leaky ReLU.

    Args:
        name: one of MODELS. source: one of sources.SOURCES.
        unit: compute on values in 0…1 inside.
        linear: clip at use only; in training, a clipped pixel would have no gradient.
        residual: the network's output is a correction that is added to the input.
    """
    x = picture = keras.Input((None, None, 3), name=source)
    if unit:
        x = layers.Rescaling(1 / 255, name="to_unit")(x)
    x = MODELS[name](x, "leaky_relu")
    if unit:
        x = layers.Rescaling(255.0, name="from_unit")(x)
    if residual:
        x = layers.Add(name="add_input")([picture, x])
    clip = ClipAtUse(name="clip") if linear else ClipPixels(name="clip")
    return keras.Model(picture, clip(x), name=name)


def build_rcan(x, activation, filters=48, blocks=6):
    """Return the output of a residual channel attention network (RCAN) that works at half the size.

    Source: Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention Networks (ECCV 2018).
    """
    picture = x
    x = layers.ZeroPadding2D(((0, 2), (0, 2)), name="head_pad")(x)  # "same" shifts odd sizes
    x = layers.Conv2D(filters, 3, strides=2, name="head_conv")(x)  # (batch, H / 2, W / 2, 48), rounded up
    for block in range(1, blocks + 1):
        features = convolve(filters, activation, f"block{block}_conv1")(x)
        features = convolve(filters, None, f"block{block}_conv2")(features)
        weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"block{block}_mean")(features)
        weights = layers.Conv2D(filters // 4, 1, activation="relu", name=f"block{block}_squeeze")(weights)
        weights = layers.Conv2D(filters, 1, activation="sigmoid", name=f"block{block}_weights")(weights)
        features = layers.Multiply(name=f"block{block}_weigh")([features, weights])
        x = layers.Add(name=f"block{block}_add")([x, features])
    x = layers.Conv2D(16, 3, padding="same", kernel_initializer=ICNR(2), name="square_conv")(x)
    x = CropLike(name="crop")(ops.depth_to_space(x, 2), picture)  # (batch, H, W, 4)
    return convolve(3, None, "output_conv")(x)  # sees across the squares of the pixel shuffle


@keras.saving.register_keras_serializable("sidlib")
class ICNR(keras.initializers.GlorotUniform):
    """Equal kernels for a square's pixels (Aitken et al., Checkerboard artifact free sub-pixel convolution, 2017)."""

    def __init__(self, scale, **options):
        super().__init__(**options)
        self.scale = scale

    def __call__(self, shape, dtype=None):
        pixels = self.scale**2
        return ops.tile(super().__call__((*shape[:-1], shape[-1] // pixels), dtype), (1, 1, 1, pixels))

    def get_config(self):
        return super().get_config() | {"scale": self.scale}


@keras.saving.register_keras_serializable("sidlib")
class ClipAtUse(ClipPixels):
    """ClipPixels that does not clip in training."""

    def call(self, pixels, training=False):
        return pixels if training else super().call(pixels)


@keras.saving.register_keras_serializable("sidlib")
class CropLike(layers.Layer):
    """Crops features (batch, h, w, channels) at the lower and right edges to the height and width of a picture."""

    def call(self, features, picture):
        return features[:, : ops.shape(picture)[1], : ops.shape(picture)[2]]


MODELS = COURSE_MODELS | {"rcan": build_rcan}
