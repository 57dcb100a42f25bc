"""How far a restored picture is to be trusted: what the network took from the capture must look like its noise.

In the stabilised domain noise has a standard deviation of 1, and no correlation with its neighbours or the picture.
"""

from typing import NamedTuple

import numpy as np

from sidlib.camera import destabilise, mosaic, pack, stabilise, unpack
from sidlib.full_size.tiles import map_ahead

TILE_PX = 64  # side of the tiles
MORE, LESS = 1.05, 0.97  # spreads, of nearly all tiles, that tell a wrong noise
ALIKE, BELOW_BLACK = 0.08, -0.4  # correlation and mean that tell a wrong black level
DARK = 8.0  # stabilised, 36 electrons at a read noise of 2.5: in brighter tiles it is texture that correlates


class Trust(NamedTuple):
    """Maps over tiles of a capture, float32 (rows, columns), as the sensor lay."""

    spread: np.ndarray  # standard deviation of what was taken over that of noise: 1, or more if detail was taken
    alike: np.ndarray  # its correlation with like neighbours: 0 if it is noise
    lost: np.ndarray  # its correlation with the detail of the picture: 0 if no detail was taken
    detail: np.ndarray  # mean square of the picture's detail, stabilised
    counted: np.ndarray  # mean of the stabilised counts, negative below black
    electrons: np.ndarray  # light, electrons per pixel


def measure_trust(stable, counts, black, noise):
    """Return the Trust of a network's picture of a mosaic, None if that is smaller than a tile; args: see run_tiles."""
    levels, width = (noise.gain_dn, noise.read_dn), counts.shape[1] // TILE_PX * TILE_PX

    def measure_strip(top):
        strip = np.s_[top : top + TILE_PX, :width]
        found = mosaic(stable[strip]).astype(np.float32)
        counted = stabilise(unpack(pack(counts[strip]) - np.float32(black)), *levels)
        detail = np.zeros_like(found)  # differences to the mean of like neighbours
        detail[2:-2, 2:-2] = found[2:-2, 2:-2] - (found[4:] + found[:-4])[:, 2:-2] / 4
        detail[2:-2, 2:-2] -= (found[:, 4:] + found[:, :-4])[2:-2] / 4
        strips = np.stack([counted - found, detail, found, counted])
        taken, detail, found, counted = strips.reshape(4, TILE_PX, -1, TILE_PX).swapaxes(1, 2)  # (tiles, 64, 64) each
        taken = taken - taken.mean(axis=(1, 2), keepdims=True)
        power, energy = (np.square(each).mean(axis=(1, 2)) for each in (taken, detail))
        pairs = [each[:, n:] * each[:, :-n] for each in (taken, taken.swapaxes(1, 2)) for n in (1, 2)]
        alike = sum(each.mean(axis=(1, 2)) for each in pairs) / (4 * power)
        lost = (taken * detail).mean(axis=(1, 2)) / np.sqrt(power * energy + 1e-9)
        electrons = destabilise(found, *levels).mean(axis=(1, 2)) / noise.gain_dn
        spread = np.sqrt(power) / _predict_spread(electrons, levels[1] / levels[0])
        return np.stack([spread, alike, lost, energy, counted.mean(axis=(1, 2)), electrons])

    strips = list(map_ahead(measure_strip, range(0, len(counts) - TILE_PX + 1, TILE_PX)))
    return Trust(*np.stack(strips, axis=1).astype(np.float32)) if strips and width else None


def _predict_spread(electrons, sigma):
    """The standard deviation of stabilised noise, (tiles,): 1 in light, 0.85 in the dark, where the root bends."""
    z, light = np.linspace(-3.5, 3.5, 57), np.maximum(electrons, 0)[:, None]
    stable, weights = stabilise(light + np.sqrt(light + sigma**2) * z, 1, sigma), np.exp(-(z**2) / 2)
    weights /= weights.sum()
    return np.sqrt(np.square(stable - (stable @ weights)[:, None]) @ weights)


def predict_error(trust, noise, white_e):
    """Return the likely root mean square error of each tile, where white is 1: float (rows, columns).

    It is larger where the sRGB curve is steep, where there is detail, and where what was taken looks like the detail.
    The exponents are fitted to the sharp data set's captures of train and val. white_e: electrons shown as white.
    """
    light, sigma = np.maximum(trust.electrons, 0), noise.read_dn / noise.gain_dn
    slope = np.sqrt(light + sigma**2) / white_e * 0.44 * np.maximum(light / white_e, 0.003) ** (1 / 2.4 - 1)
    return 0.18 * slope**0.68 * (trust.detail + 0.01) ** 0.18 * np.exp(2.7 * trust.lost)


def remark_trust(trust):
    """Return a list of sentences on what does not look like noise; none of a good capture."""
    low, middle, high = np.percentile(trust.spread, (10, 50, 90))
    remarks = []
    if low > MORE:
        remarks.append(f"There is more noise than known, at least {low:.2g} times: some of it may be left as detail")
    if high < LESS:
        remarks.append(f"There is less noise than known, {middle:.2g} times: detail may be lost")
    dark = np.where(trust.counted < DARK, trust.alike, 0)
    if np.percentile(trust.counted, 2) < BELOW_BLACK:
        remarks.append("Dark parts lie below the black level: shadows may be too dark")
    elif np.percentile(dark, 90) > ALIKE:
        remarks.append("Dark parts do not look as black level and noise say: shadows may be too dark or tinted")
    return remarks
