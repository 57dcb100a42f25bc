"""Models beyond the course's: RCAN, and options around any body: other inputs, values in 0…1, residuals."""

from sidlib.backend import keras
from sidlib.models import MODELS as COURSE_MODELS
from sidlib.models import ClipPixels, Sees, convolve

layers, ops = keras.layers, keras.ops


def build_model(name, activation, source, unit=False, linear=False, residual=False):
    """Return an untrained model: a body of the given name between an input and an RGB output.

    Args:
        name: one of MODELS.
        activation: after each convolution but the last, "relu" or "leaky_relu".
        source: what the model is to see, one of dataset.SOURCES.
        unit: compute on values of 0…1 inside.
        linear: do not clip in training, where a clipped pixel would have no gradient; clip at use.
        residual: the output is a correction that is added to the input.
    """
    picture = keras.Input((None, None, 3))
    seen = x = Sees(source, name="sees")(picture)
    if unit:
        x = layers.Rescaling(1 / 255, name="to_unit")(x)
    x = MODELS[name](x, activation)
    if unit:
        x = layers.Rescaling(255.0, name="from_unit")(x)
    if residual:
        x = layers.Add(name="add_input")([seen, x])
    clip = ClipAtUse(name="clip") if linear else ClipPixels(name="clip")
    return keras.Model(picture, clip(x), name=name)


def build_rcan(x, activation, filters=48, blocks=6, stride=2):
    """Return the output of a residual channel attention network that works at 1 / stride of the size.

    A network that puts out stride × stride pixels at once paints a grid where it is wrong in the same way everywhere.
    Here these pixels start from equal weights, and a last convolution at full size sees across their borders.

    Source: Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention Networks (ECCV 2018), here
    with one group of blocks, and with the strided convolution of a denoiser in front; Aitken et al., Checkerboard
    artifact free sub-pixel convolution (2017) for the equal weights.
    """
    picture = x
    kernel = 2 * stride - 1
    x = layers.ZeroPadding2D(((0, kernel - 1), (0, kernel - 1)), name="head_pad")(x)  # "same" would shift odd sizes
    x = layers.Conv2D(filters, kernel, stride, name="head_conv")(x)  # (batch, H / 2, W / 2, 48), rounded up
    for block in range(1, blocks + 1):
        features = convolve(filters, activation, f"block{block}_conv1")(x)
        features = convolve(filters, None, f"block{block}_conv2")(features)
        weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"block{block}_mean")(features)
        weights = layers.Conv2D(filters // 4, 1, activation="relu", name=f"block{block}_squeeze")(weights)
        weights = layers.Conv2D(filters, 1, activation="sigmoid", name=f"block{block}_weights")(weights)
        features = layers.Multiply(name=f"block{block}_weigh")([features, weights])
        x = layers.Add(name=f"block{block}_add")([x, features])
    x = layers.Conv2D(4 * stride**2, 3, padding="same", kernel_initializer=EqualPlaces(stride), name="square_conv")(x)
    x = DepthToSpace(stride, name="full_size")(x, picture)  # (batch, H, W, 4)
    return convolve(3, None, "output_conv")(x)


@keras.saving.register_keras_serializable("sidlib")
class EqualPlaces(keras.initializers.GlorotUniform):
    """Draws kernels for DepthToSpace: those of the stride × stride places are equal."""

    def __init__(self, stride, **options):
        super().__init__(**options)
        self.stride = stride

    def __call__(self, shape, dtype=None):
        places = self.stride**2
        return ops.tile(super().__call__((*shape[:-1], shape[-1] // places), dtype), (1, 1, 1, places))

    def get_config(self):
        return super().get_config() | {"stride": self.stride}


@keras.saving.register_keras_serializable("sidlib")
class ClipAtUse(ClipPixels):
    """ClipPixels that passes values as they are while the weights are trained."""

    def call(self, pixels, training=False):
        return pixels if training else super().call(pixels)


@keras.saving.register_keras_serializable("sidlib")
class DepthToSpace(layers.Layer):
    """Lays stride² · c channels out as stride × stride pixels of c, and cuts them to the size of a picture, if any."""

    def __init__(self, stride, **options):
        super().__init__(**options)
        self.stride = stride

    def call(self, features, picture=None):
        batch, height, width, channels = ops.shape(features)
        x = ops.reshape(features, (batch, height, width, self.stride, self.stride, channels // self.stride**2))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (batch, height * self.stride, width * self.stride, channels // self.stride**2))
        return x if picture is None else x[:, : ops.shape(picture)[1], : ops.shape(picture)[2]]

    def compute_output_shape(self, features_shape, picture_shape=None):
        batch, height, width, channels = features_shape
        whole = (batch, height and height * self.stride, width and width * self.stride)
        return (*(picture_shape or whole)[:3], channels // self.stride**2)

    def get_config(self):
        return super().get_config() | {"stride": self.stride}


MODELS = COURSE_MODELS | {"rcan": build_rcan}
