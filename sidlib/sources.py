"""What a network can see of a short exposure: the course's dark 8-bit picture, and inputs that keep more of it.

Each function takes a raw.Signal, the exposure ratio and the ISO and returns float32 (height, width, 3), black 0 and
white 255. A model names its source with its input layer, see models.source_of.
"""

from functools import partial

import numpy as np

from sidlib.camera import correct_black, encode_srgb, quantize, render


def develop_input(signal, ratio, iso, amplified, bits, corrected=False):
    """Return the short exposure, developed to RGB of 2 ** bits levels.

    Args:
        amplified: multiply by the exposure ratio before rounding.
        corrected: subtract the calibrated black-level error first, see camera.correct_black.
    """
    camera_rgb = correct_black(signal, iso) if corrected else signal.camera_rgb
    linear = render(camera_rgb, signal.white_balance, signal.ccm, ratio if amplified else 1)
    return quantize(linear, bits).astype(np.float32) * np.float32(255 / (2**bits - 1))


def develop_signed(signal, ratio, iso):
    """Return the amplified, black-corrected short exposure with negative values where noise lies below black.

    A clip at black would make the dark brighter on average, and no denoiser could tell by how much.
    """
    linear = render(correct_black(signal, iso), signal.white_balance, signal.ccm, ratio)
    return np.copysign(255 * encode_srgb(np.abs(linear)), linear).astype(np.float32)


SOURCES = {
    "dark8": partial(develop_input, amplified=False, bits=8),  # the course's
    "dark16": partial(develop_input, amplified=False, bits=16),
    "amplified8": partial(develop_input, amplified=True, bits=8),
    "amplified16": partial(develop_input, amplified=True, bits=16),
    "corrected16": partial(develop_input, amplified=True, bits=16, corrected=True),
    "signed": develop_signed,
}


def check_source(name):
    """Return the name of a source; raise a ValueError if it is none of SOURCES."""
    if name not in SOURCES:
        raise ValueError(f"The source (a model's input layer) must be one of {', '.join(SOURCES)}. Received: {name!r}")
    return name
