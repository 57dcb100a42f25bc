"""The course's losses: MAE and MSE are Keras's own; SSIM is written here so that it stays finite."""

import numpy as np

from sidlib.backend import keras

ops = keras.ops

RANGE = 255.0
WINDOW_PX, SIGMA_PX = 11, 1.5


@keras.saving.register_keras_serializable("sidlib")
def ssim_loss(truth, output):
    """Return 1 − SSIM of each picture, (batch,) float32: 0 for identical pictures, at most 2.

    Pictures are (batch, height, width, 3), values in 0…255, height and width at least 11; else ValueError. SSIM is that
    of Wang et al. (IEEE TIP 2004): a Gaussian window of 11 × 11 with σ 1.5, K₁ = 0.01, K₂ = 0.03, per colour, averaged
    over the positions where the window fits. Value and gradient are finite for any input: the range is always 255,
    values are clipped to −255…510 so that no square overflows, and a variance that rounding makes negative counts as 0.
    """
    if any(size is not None and size < WINDOW_PX for size in truth.shape[1:3]):
        raise ValueError(f"SSIM needs pictures of at least {WINDOW_PX} × {WINDOW_PX} pixels. Received: {truth.shape}")
    x, y = (ops.clip(ops.cast(picture, "float32"), -RANGE, 2 * RANGE) for picture in (truth, output))
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = ops.maximum(_blur(x * x) - mean_x * mean_x, 0)
    variance_y = ops.maximum(_blur(y * y) - mean_y * mean_y, 0)
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    brightness = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return 1 - ops.mean(brightness * structure, axis=(1, 2, 3))


def _blur(pictures):
    """Return Gaussian means of each colour where the window fits: (batch, H − 10, W − 10, 3)."""
    weights = np.exp(-0.5 * ((np.arange(WINDOW_PX) - WINDOW_PX // 2) / SIGMA_PX) ** 2)
    weights = (weights / weights.sum()).astype("float32")
    for shape in ((WINDOW_PX, 1), (1, WINDOW_PX)):  # columns, then rows
        kernel = np.tile(weights.reshape(*shape, 1, 1), (1, 1, 3, 1))
        pictures = ops.depthwise_conv(pictures, kernel, padding="valid")
    return pictures


LOSSES = {"mae": "mae", "mse": "mse", "ssim": ssim_loss}
