"""What a network can see of a short exposure beyond the course's 8 dark bits.

Importing sidlib.beyond makes its sources known to dataset.SOURCES, as models that were saved with them need.
"""

import numpy as np

from sidlib.dataset import register_source
from sidlib.raw import encode_srgb, quantize, render
from sidlib.sample import camera


def _register(name, amplified, bits, corrected=False):
    """Make a source known: amplified by the exposure ratio before anything is rounded, rounded to 2 ** bits levels."""

    @register_source(name)
    def show(signal, ratio, iso):
        camera_rgb = correct_black(signal, iso) if corrected else signal.camera_rgb
        linear = render(camera_rgb, signal.white_balance, signal.to_srgb, ratio if amplified else 1)
        return quantize(linear, bits).astype(np.float32) * np.float32(255 / (2**bits - 1))


_register("dark16", amplified=False, bits=16)
_register("amplified8", amplified=True, bits=8)
_register("amplified16", amplified=True, bits=16)
_register("corrected16", amplified=True, bits=16, corrected=True)


@register_source("signed")
def show_signed(signal, ratio, iso):
    """Amplified, black corrected, and not cut off at black: what noise took below it is as negative as it was.

    Where a half of the noise is cut off, the dark becomes brighter on average, and no average brings it back.
    """
    linear = render(correct_black(signal, iso), signal.white_balance, signal.to_srgb, ratio)
    return np.copysign(255 * encode_srgb(np.abs(linear)), linear).astype(np.float32)


def correct_black(signal, iso):
    """Return a Signal's camera RGB without the black level error that its camera is known to have at an ISO.

    The camera of the calibration is told by the name that the file states. Where it states none, by its colour matrix,
    which LibRaw gives its predecessor, the α7S, too. What other cameras recorded is returned as it is.
    """
    by_matrix = not signal.camera and np.allclose(signal.to_srgb, camera.TO_SRGB, atol=1e-3)
    if by_matrix or signal.camera.casefold() == camera.MODEL.casefold():
        return camera.correct_black(signal.camera_rgb, iso)
    return signal.camera_rgb
