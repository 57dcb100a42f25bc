"""What a network for full size must do with any picture: keep brightness, colours and black, for any camera."""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import rawpy
from scipy.stats import spearmanr
from skimage.measure import block_reduce

from sidlib import camera
from sidlib.evaluation import score_picture
from sidlib.full_size.capture import read_capture
from sidlib.full_size.evaluate import SRGB, change_curve, develop_truth
from sidlib.full_size.network import build_residual_unet
from sidlib.full_size.noise import ROUNDING_DN, Noise, find_noise
from sidlib.full_size.restore import restore_mosaic
from sidlib.full_size.trust import TILE_PX, predict_error
from sidlib.raw import Mosaic
from sidlib.sample.dng import write_dng
from sidlib.sample.photographs import load_photograph

# Mistakes of a capture's noise: factors on gain and read noise, and read noises that black is too high by
MISTAKES = {"none": (1, 1, 0), "K × 2": (2, 1, 0), "K × 4": (4, 1, 0), "K / 2": (0.5, 1, 0), "K / 4": (0.25, 1, 0)}
MISTAKES |= {"both × 2": (2, 2, 0), "both / 2": (0.5, 0.5, 0), "black 1 σ high": (1, 1, 1), "black 3 σ low": (1, 1, -3)}


class Camera(NamedTuple):
    """A simulated camera under a light; xyz_to_camera × 10⁴ is its entry in LibRaw's table."""

    xyz_to_camera: tuple
    gain_dn: float = 2.0
    read_e: float = 2.5
    black: int = 512
    white: int = 16383
    pattern: str = "RGGB"
    white_balance: tuple = (2.0, 1.0, 1.6)

    def describe(self, counts=None):
        """Return the Mosaic of counts (H, W) of this camera."""
        ccm = camera.compute_ccm(np.reshape(self.xyz_to_camera, (3, 3)))
        black, gains = np.full(4, float(self.black)), np.array(self.white_balance)
        return Mosaic(counts, self.pattern, black, float(self.white), gains, ccm, 0)

    def find_gain(self, white_e):
        """Return the gain that shows white_e electrons of green as white."""
        return (self.white - self.black) / (white_e * self.gain_dn)


SONY = Camera(tuple(camera.XYZ_TO_CAMERA.ravel()))
CAMERAS = {  # the training saw the first only
    "Sony α7S II": SONY,
    "Nikon D850": Camera(
        (10405, -3755, -1270, -5461, 13787, 1793, -1040, 2015, 6785), 5.3, 3.1, 400, 15520, "RGGB", (1.7, 1.0, 1.9)
    ),
    "Panasonic S1": Camera(
        (9744, -3905, -779, -4899, 12807, 2324, -798, 1630, 5827), 0.9, 4.2, 128, 4095, "GBRG", (2.3, 1.0, 1.4)
    ),
}


def photograph(linear, by, white_e, rng):
    """Return the Mosaic and the true Noise of a picture (H, W, 3) in linear sRGB, with white_e electrons for white."""
    known, read_dn = by.describe(), by.gain_dn * by.read_e
    camera_rgb = camera.unprocess(linear, known.white_balance, known.ccm, most=max(1, linear.max()))  # lamps
    electrons = white_e * camera.mosaic(camera_rgb, by.pattern)
    counts = np.rint(by.black + camera.add_noise(electrons, by.gain_dn, read_dn, rng)).clip(0, by.white)
    noise = Noise(by.gain_dn, np.hypot(read_dn, ROUNDING_DN), 0.0, "calibration")
    return by.describe(counts.astype(np.uint16)), noise


def restore_photograph(network, linear, by, white_e, estimated=False):
    """Return photograph restored, with known or estimated noise, as bright as the picture: float (H, W, 3) in 0…255."""
    mosaic, noise = photograph(linear, by, white_e, np.random.default_rng(0))
    noise = find_noise(mosaic)[0] if estimated else noise
    return restore_mosaic((mosaic, noise, None), network).render(np.log2(by.find_gain(white_e))) / 257


def develop_light(light, algorithm="AHD"):
    """Return LibRaw's development of a mosaic (H, W), white 1: float (H, W, 3), sRGB in 0…255.

    algorithm: a name of rawpy.DemosaicAlgorithm.
    """
    counts = (SONY.black + (SONY.white - SONY.black) * light).round().clip(0, SONY.white).astype(np.uint16)
    with TemporaryDirectory() as folder:
        file = Path(folder, "clean.dng")
        write_dng(file, counts, 1, SimpleNamespace(iso=100, f_number=8, white_balance=SONY.white_balance))
        return develop_truth(file, **SRGB, demosaic_algorithm=rawpy.DemosaicAlgorithm[algorithm]) / 257


def compare_demosaicing(network, name):
    """Return what becomes of a photograph: {way and its electrons for white: float (H, W, 3) in 0…255, …, "truth"}.

    LibRaw sees its mosaic without noise. The control, a bilinear demosaic of the network's input, is untrained.
    """
    truth = np.asarray(load_photograph(name))[:426, :512]
    linear = camera.decode_srgb(truth / 255)
    clean = camera.mosaic(camera.unprocess(linear, SONY.white_balance))
    ways = {f"LibRaw, {by}\nno noise": develop_light(clean, by) for by in ("AHD", "AAHD")}
    ways["bilinear\n5000 e"] = restore_photograph(build_residual_unet((4, 8)), linear, SONY, 5000)
    ways |= {f"network\n{light_e} e": restore_photograph(network, linear, SONY, light_e) for light_e in (5000, 50)}
    return ways | {"truth": truth}


def check_trust(pairs, network, mistakes=MISTAKES):
    """Return what trust tells of restorations of pairs whose noise is mistaken: a DataFrame by mistake.

    Columns: alarmed, the share of the captures with a remark; lost_db, the PSNR that the mistake costs; rank, the mean
    of Spearman's correlations of predict_error with the true error of whole tiles.
    """
    rows = []
    for pair in pairs.itertuples():
        mosaic, right, _ = read_capture(pair.short)
        truth = develop_truth(pair.long) / 65535
        for mistake, (gain, read, black) in mistakes.items():
            levels = {"gain_dn": right.gain_dn * gain, "read_dn": right.read_dn * read}
            noise = right._replace(**levels, black_dn=right.black_dn + black * right.read_dn)
            restored = restore_mosaic((mosaic, noise, None), network)
            squares = np.square(change_curve(restored.render(np.log2(pair.ratio))) / 65535 - truth).mean(axis=2)
            rows_px, columns_px = (side // TILE_PX * TILE_PX for side in squares.shape)
            errors = block_reduce(squares[:rows_px, :columns_px], TILE_PX, np.mean)
            white_e = (mosaic.white - mosaic.black.mean()) / noise.gain_dn / pair.ratio
            likely = predict_error(restored.trust, noise, white_e)[: len(errors), : len(errors[0])]
            rank = spearmanr(likely, errors, axis=None)[0]
            psnr_db = -10 * np.log10(squares.mean())
            rows.append({"mistake": mistake, "alarmed": bool(restored.remarks), "psnr_db": psnr_db, "rank": rank})
    table = pd.DataFrame(rows).groupby("mistake", sort=False).mean()
    return table.assign(lost_db=table.psnr_db.iloc[0] - table.psnr_db).drop(columns="psnr_db")


def compare_cameras(network, photographs=("china", "flower", "astronaut"), whites_e=(30, 300)):
    """Return the mean PSNR of photographs by CAMERAS with known_db and estimated_db noise: a DataFrame by camera."""
    rows = []
    for (name, by), photo, white_e in product(CAMERAS.items(), photographs, whites_e):
        picture = np.asarray(load_photograph(photo)) / 255
        linear, ways = camera.decode_srgb(picture), (False, True)
        outputs = (restore_photograph(network, linear, by, white_e, estimated) for estimated in ways)
        rows.append((name, *(score_picture(output, 255 * picture)["psnr_db"] for output in outputs)))
    return pd.DataFrame(rows, columns=["camera", "known_db", "estimated_db"]).groupby("camera", sort=False).mean()
