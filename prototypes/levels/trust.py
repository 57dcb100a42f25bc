"""How far a restored picture is to be trusted: what was taken from the capture must look like its noise.

In the stable domain noise has a standard deviation of 1, and is independent of its neighbours and of the picture.
"""

from typing import NamedTuple

import numpy as np
from sidlib.beyond.full_size.stable import destabilise, stabilise
from sidlib.sample.camera import lay_mosaic

TILE_PX = 64  # side of the tiles


class Trust(NamedTuple):
    """Maps over tiles of a capture, float32 (rows, columns), as the sensor lay.

    Attributes:
        spread: the standard deviation of what was taken: 1 where it is noise.
        alike: its correlation with its like neighbours and those beside: 0 where it is noise.
        lost: its correlation with the detail of the picture: 0 where none was taken.
        detail: the mean square of the picture's detail, in stable units.
        counted: the mean of the counts in stable units, negative where there is less than black.
        electrons: the light, electrons per pixel.
    """

    spread: np.ndarray
    alike: np.ndarray
    lost: np.ndarray
    detail: np.ndarray
    counted: np.ndarray
    electrons: np.ndarray


def measure_trust(stable, counts, black, noise, map_strips=map):
    """Return the Trust of what a network made of a mosaic.

    Args:
        stable: (H, W, 3), see Restoration.stable. counts: (H, W), RGGB, from an even row and column of the sensor.
        black: (4,), its levels in counts. noise: its Noise. map_strips: a map that may work ahead.
    """
    levels, black = (noise.gain_dn, noise.read_dn), np.reshape(black, (2, 2))
    width = counts.shape[1] // TILE_PX * TILE_PX

    def measure(top):
        strip = np.s_[top : top + TILE_PX, :width]
        found = lay_mosaic(stable[strip].astype(np.float32), "RGGB")
        counted = stabilise(counts[strip] - np.tile(black, (TILE_PX // 2, width // 2)), *levels)
        detail = np.zeros_like(found)  # beside the mean of like neighbours
        detail[2:-2, 2:-2] = found[2:-2, 2:-2] - (found[4:] + found[:-4])[:, 2:-2] / 4
        detail[2:-2, 2:-2] -= (found[:, 4:] + found[:, :-4])[2:-2] / 4
        taken, detail, found, counted = (_cut_tiles(each) for each in (counted - found, detail, found, counted))
        taken = taken - _mean(taken)[:, None, None]
        power, energy = _mean(taken**2), _mean(detail**2)
        pairs = [_mean(each[:, n:] * each[:, :-n]) for each in (taken, taken.swapaxes(1, 2)) for n in (1, 2)]
        alike, lost = np.mean(pairs, axis=0) / power, _mean(taken * detail) / np.sqrt(power * energy + 1e-9)
        electrons = _mean(destabilise(found, *levels)) / noise.gain_dn
        return np.stack([np.sqrt(power), alike, lost, energy, _mean(counted), electrons])

    strips = list(map_strips(measure, range(0, len(counts) - TILE_PX + 1, TILE_PX)))
    return Trust(*np.stack(strips, axis=1).astype(np.float32)) if strips and width else None


def _mean(tiles):
    return tiles.mean(axis=(1, 2))


def _cut_tiles(strip):
    """The tiles of a strip (TILE_PX, W): (tiles, TILE_PX, TILE_PX)."""
    return strip.reshape(TILE_PX, -1, TILE_PX).swapaxes(0, 1)


def predict_error(trust, noise, white_e):
    """Return about how far each tile's picture is off, its root mean square where white is 1: float (rows, columns).

    More where the display's curve is steep, where there is detail, and where what was taken looks like the detail. The
    exponents are fitted to the sharp data set's captures of train and val.

    Args:
        noise: its Noise. white_e: the electrons that are shown as white.
    """
    light, sigma = np.maximum(trust.electrons, 0), noise.read_dn / noise.gain_dn
    slope = np.sqrt(light + sigma**2) / white_e * 0.44 * np.maximum(light / white_e, 0.003) ** (1 / 2.4 - 1)
    return 0.18 * slope**0.68 * (trust.detail + 0.01) ** 0.18 * np.exp(2.7 * trust.lost)


def remark_trust(trust):
    """Return the sentences that are to be said: none where what was taken looks like noise."""
    low, middle, high = np.percentile(trust.spread, (10, 50, 90))
    remarks = []
    if low > 1.02:
        remarks.append(f"There is more noise than was told, at least {low:.2g} times: detail may be taken for it")
    if high < 0.97:
        remarks.append(f"There is less noise than was told, {middle:.2g} times: detail may be lost")
    if np.percentile(trust.alike, 90) > 0.08 or np.percentile(trust.counted, 2) < -0.4:
        remarks.append("Its dark parts lie below its black level: shadows may be too dark")
    return remarks
