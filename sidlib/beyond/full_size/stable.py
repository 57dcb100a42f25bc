"""A Bayer mosaic made ready for one network: always RGGB, and with the same noise whatever camera, ISO or exposure."""

import numpy as np

ORDERS = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}  # row and column of the first red


def align(counts, pattern, margin=0, multiple=2):
    """Return a mosaic as RGGB with a margin, by reflecting its borders: a reflected pixel keeps its colour.

    Args:
        counts: (H, W), any real type, of any size.
        pattern: one of ORDERS.
        margin: rows and columns at least that are added at each side, even.
        multiple: of what the height and width become a multiple, even.
    Returns:
        the larger mosaic, and the slices (rows, columns) of it that hold the one that was given.
    Raises:
        ValueError: there is no such pattern, or margin or multiple is odd.
    """
    if pattern not in ORDERS or margin % 2 or multiple % 2:
        known = ", ".join(ORDERS)
        raise ValueError(f"A pattern of {known} and even sizes are needed. Received: {pattern!r}, {margin}, {multiple}")
    before = [margin + first for first in ORDERS[pattern]]
    after = [margin + -(start + size + margin) % multiple for start, size in zip(before, counts.shape, strict=True)]
    inner = tuple(slice(start, start + size) for start, size in zip(before, counts.shape, strict=True))
    return np.pad(counts, list(zip(before, after, strict=True)), "reflect"), inner


def align_levels(levels, pattern):
    """Return what is stated for the four places of a pattern, such as black levels, for those of RGGB: (4,)."""
    return np.roll(np.reshape(levels, (2, 2)), ORDERS[pattern], axis=(0, 1)).ravel()


def pack(mosaic):
    """Return a mosaic (H, W) of even size as its four places, (H / 2, W / 2, 4): of RGGB these are R, G, G, B."""
    height, width = mosaic.shape
    return mosaic.reshape(height // 2, 2, width // 2, 2).swapaxes(1, 2).reshape(height // 2, width // 2, 4)


def unpack(packed):
    """Return the mosaic (H, W) that pack made (H / 2, W / 2, 4) of."""
    height, width, _ = packed.shape
    return packed.reshape(height, width, 2, 2).swapaxes(1, 2).reshape(2 * height, 2 * width)


def stabilise(counts, gain_dn, read_dn):
    """Return counts above black with noise of standard deviation 1 everywhere, and not cut off at black: float32.

    s = 2 (√(e + σ²) − σ) for e ≥ 0 and e / σ below, of e = counts / K and σ in electrons: it is smooth at 0.

    Args:
        counts: any shape, in counts above black.
        gain_dn: K, counts an electron. read_dn: the standard deviation of the noise in the dark, counts; both positive.
    Source: the generalised Anscombe transform (Starck, Murtagh and Bijaoui 1998) without its constant 3/8, which only
        an unbiased inverse of means needs; here a network makes up for the bias.
    """
    electrons, sigma = np.asarray(counts, np.float32) / np.float32(gain_dn), np.float32(read_dn / gain_dn)
    light = 2 * (np.sqrt(np.maximum(electrons, 0) + sigma**2) - sigma)
    return light + np.minimum(electrons, 0) / sigma


def destabilise(stable, gain_dn, read_dn):
    """Return counts above black of what stabilise returns: float32, its exact inverse."""
    stable, sigma = np.asarray(stable, np.float32), np.float32(read_dn / gain_dn)
    light = np.maximum(stable, 0)
    return (light * (light / 4 + sigma) + np.minimum(stable, 0) * sigma) * np.float32(gain_dn)
