"""What a network can see of a short exposure: the course's dark 8-bit picture, and inputs that tell more of it.

Each function takes a raw.Signal, the exposure ratio and the ISO and returns float32 (height, width, 3), black 0 and
white 255. A model names its source with its input layer, see models.source_of.
"""

from functools import partial

import numpy as np

from sidlib.camera import correct_black, decode_srgb, encode_srgb, quantize, render


def develop_dark(signal, ratio, iso):
    """Return the short exposure as it is, rounded to 8 bits: the course's input."""
    return quantize(render(*signal[:3])).astype(np.float32)


def amplify_rounded(signal, ratio, iso):
    """Return develop_dark times the exposure ratio, in linear light: amplified after it was rounded."""
    return (255 * encode_srgb(decode_srgb(develop_dark(signal, ratio, iso) / 255) * ratio)).astype(np.float32)


def develop_amplified(signal, ratio, iso, bits=16):
    """Return the short exposure times the exposure ratio, then rounded."""
    return quantize(render(*signal[:3], ratio), bits).astype(np.float32) * np.float32(255 / (2**bits - 1))


def develop_corrected(signal, ratio, iso):
    """Return develop_amplified without the calibrated black-level error, see camera.correct_black."""
    return develop_amplified(signal._replace(camera_rgb=correct_black(signal, iso)), ratio, iso)


def develop_signed(signal, ratio, iso):
    """Return the amplified, black-corrected short exposure with negative values where noise lies below black.

    A clip at black would make the dark brighter on average, and no denoiser could tell by how much.
    """
    linear = render(correct_black(signal, iso), signal.white_balance, signal.ccm, ratio)
    return np.copysign(255 * encode_srgb(np.abs(linear)), linear).astype(np.float32)


SOURCES = {
    "dark8": develop_dark,
    "rounded8": amplify_rounded,
    "amplified8": partial(develop_amplified, bits=8),
    "amplified16": develop_amplified,
    "corrected16": develop_corrected,
    "signed": develop_signed,
}


def check_source(name):
    """Return the name of a source; raise a ValueError if it is none of SOURCES."""
    if name not in SOURCES:
        raise ValueError(f"The source (a model's input layer) must be one of {', '.join(SOURCES)}. Received: {name!r}")
    return name
