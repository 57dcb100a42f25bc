"""What a network for full size must do whatever the picture: keep brightness and colours, black black, any camera."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from sidlib.beyond.full_size.noise import ROUNDING_DN, Noise, estimate_noise, find_noise
from sidlib.beyond.full_size.restore import restore_mosaic
from sidlib.beyond.full_size.save import Shot
from sidlib.beyond.study import FLAT_COLOURS, score_flat
from sidlib.evaluation import score_picture
from sidlib.raw import Mosaic, camera_to_srgb, decode_srgb, encode_srgb, reduce_mosaic, render
from sidlib.sample import camera, load_photograph

LEVELS_E = (0.3, 1, 3, 10, 30, 100, 300)
BORDER_PX = 32  # that is left out, where there is less to see


class Camera(NamedTuple):
    """A simulated camera: xyz_to_camera × 10⁴ as in LibRaw's table, its noise, counts, Bayer order and light."""

    xyz_to_camera: tuple
    gain_dn: float = 2.0
    read_e: float = 2.5
    black: int = 512
    white: int = 16383
    pattern: str = "RGGB"
    white_balance: tuple = (2.0, 1.0, 1.6)


SONY = Camera(tuple(camera.XYZ_TO_CAMERA.ravel()))
CAMERAS = {  # matrices of cameras that training did not see: LibRaw's table, from Adobe's DNG Converter
    "Sony α7S II": SONY,
    "Nikon D850": Camera(
        (10405, -3755, -1270, -5461, 13787, 1793, -1040, 2015, 6785), 5.3, 3.1, 400, 15520, "RGGB", (1.7, 1.0, 1.9)
    ),
    "Panasonic S1": Camera(
        (9744, -3905, -779, -4899, 12807, 2324, -798, 1630, 5827), 0.9, 4.2, 128, 4095, "GBRG", (2.3, 1.0, 1.4)
    ),
}


def photograph(linear, of, white_e, rng):
    """Return the Mosaic and the true Noise of a picture that a Camera takes.

    Args:
        linear: float (height, width, 3), linear sRGB in 0…1.
        of: the Camera that takes it.
        white_e: electrons of a green pixel that is to be shown as white.
        rng: numpy Generator.
    """
    gains, to_srgb = np.array(of.white_balance), camera_to_srgb(np.reshape(of.xyz_to_camera, (3, 3)))
    electrons = white_e * camera.lay_mosaic(camera.see(linear, gains, to_srgb), of.pattern)
    counts = of.black + of.gain_dn * (rng.poisson(electrons) + rng.normal(0, of.read_e, electrons.shape))
    counts = np.rint(counts).clip(0, of.white).astype(np.uint16)
    mosaic = Mosaic(counts, of.pattern, np.full(4, float(of.black)), float(of.white), gains, to_srgb, 0)
    return mosaic, Noise(of.gain_dn, np.hypot(of.gain_dn * of.read_e, ROUNDING_DN), 0.0, "calibration")


def restore_photograph(network, linear, of, white_e, seed=0, estimated=False):
    """Return what a network makes of photograph, as bright as the picture: float (height, width, 3), sRGB in 0…255.

    Args:
        estimated: the noise is estimated from the mosaic, where it would be known.
    """
    mosaic, noise = photograph(linear, of, white_e, np.random.default_rng(seed))
    if estimated:
        noise = Noise(*estimate_noise(mosaic), 0.0, "estimate")
    restoration = restore_mosaic(mosaic, noise, Shot(""), network)
    return restoration.render(np.log2(_find_gain(of, white_e))) / 257


def _find_gain(of, white_e):
    """How many times brighter white_e electrons of green become white."""
    return (of.white - of.black) / (white_e * of.gain_dn)


def measure_levels(network, side_px=1024):
    """Return by how much the mean light of flat grey differs from what it was: a Series by electrons a green pixel."""
    differences = {}
    for electrons in LEVELS_E:
        grey = np.full((side_px, side_px, 3), 0.18)
        picture = restore_photograph(network, grey, SONY, electrons / 0.18)
        differences[electrons] = _cut(decode_srgb(picture / 255)).mean() / 0.18 - 1
    return pd.Series(differences, name="difference").rename_axis("electrons")


def measure_flat(network, white_e=40, side_px=256):
    """Return what becomes of study.FLAT_COLOURS: a DataFrame, a row a colour, in levels of 255.

    Columns: grid, by how much the means of the four places of 2 × 2 pixels differ; off, by how much the mean is away
    from the colour; noise, the standard deviation that is left; each of the colour channel in which it is most.
    """
    return _tabulate_flat(lambda linear: _cut(restore_photograph(network, linear, SONY, white_e)), side_px)


def measure_means(white_e=40, square_px=64, side_px=1024):
    """Return off and noise of measure_flat where each square's counts are averaged, as if all were known to be alike.

    It is the control: what so many pixels tell of a colour, without a guess at which colours there are.
    """

    def average(linear):
        mosaic, _ = photograph(linear, SONY, white_e, np.random.default_rng(0))
        means = reduce_mosaic(mosaic, square_px)
        means = render(means, mosaic.white_balance, mosaic.to_srgb, _find_gain(SONY, white_e))
        return 255 * encode_srgb(means.clip(0, 1))

    return _tabulate_flat(average, side_px).drop(columns="grid")


def _tabulate_flat(show, side_px):
    """The table of measure_flat for a function of a flat picture, linear sRGB, to what is made of it, sRGB in 0…255."""
    rows, gains = {}, np.array(SONY.white_balance)
    for name, colour in FLAT_COLOURS.items():
        linear = np.broadcast_to(decode_srgb(np.array(colour) / 255), (side_px, side_px, 3))
        seen = camera.see(linear[0, 0], gains)  # what its sensor can see of it
        output = show(linear)
        rows[name] = score_flat(output, 255 * encode_srgb(render(seen, gains, camera.TO_SRGB).clip(0, 1)))
        rows[name]["noise"] = output.std(axis=(0, 1)).max()
    return pd.DataFrame(rows).T


def measure_black(network, iso=12800, ratio=300, side_px=512, seeds=range(4)):
    """Return the mean level of 255 of frames without any light, by SID's camera, amplified by a ratio."""
    gains, black, levels = np.array(SONY.white_balance), np.full(4, float(camera.BLACK)), []
    for seed in seeds:
        counts = camera.expose(np.zeros((side_px, side_px)), ratio, iso, np.random.default_rng(seed))
        mosaic = Mosaic(counts, camera.PATTERN, black, float(camera.WHITE), gains, camera.TO_SRGB, 0)
        restoration = restore_mosaic(mosaic, find_noise(mosaic, camera.MODEL, iso), Shot(""), network)
        levels.append(restoration.render(np.log2(ratio)).mean() / 257)
    return np.mean(levels)


def compare_cameras(network, photographs=("china", "flower", "astronaut"), whites_e=(30, 300)):
    """Return the mean PSNR of photographs by each of CAMERAS: with their noise known, and estimated from the mosaic.

    Returns:
        DataFrame, a row a camera: known_db, estimated_db.
    """
    rows = {}
    for name, of in CAMERAS.items():
        scores = {"known_db": [], "estimated_db": []}
        for photo in photographs:
            picture = np.asarray(load_photograph(photo)) / 255
            for white_e in whites_e:
                for key, of_scores in scores.items():
                    output = restore_photograph(network, decode_srgb(picture), of, white_e, 0, key == "estimated_db")
                    of_scores.append(score_picture(output, 255 * picture)["psnr_db"])
        rows[name] = {key: np.mean(of_scores) for key, of_scores in scores.items()}
    return pd.DataFrame(rows).T


def _cut(picture):
    return picture[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
