"""What restores at full size, held against what does not learn and against the paper's network: the paper's protocol.

The truth is LibRaw's development of the long exposure, as in the authors' code, and every method is told the exposure
ratio. LibRaw's tone curve is that of BT.709 there, so everything is compared in it.
"""

import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import rawpy
import tifffile
from tqdm import tqdm

from sidlib import paths
from sidlib.backend import keras
from sidlib.beyond.baselines import DENOISERS, denoise_signal
from sidlib.beyond.full_size.restore import find_network, read_capture, restore_capture
from sidlib.beyond.full_size.stable import align, align_levels, pack, unpack
from sidlib.catalog import pick_splits
from sidlib.evaluation import score_picture
from sidlib.raw import decode_srgb
from sidlib.rawfile import open_raw

# The authors' call, as in published figures: a picture's brightest pixel is white if it is above 75 % of the sensor's.
LIBRAW = {"use_camera_wb": True, "no_auto_bright": True, "output_bps": 16}
STRENGTHS = (0.6, 1.0, 1.6, 2.5)  # of the denoisers, times the noise
FEW = 12  # pairs of val to choose on: the real data set has 234, and each is denoised eight times
KEYS = ["method", "state"]
RAWTHERAPEE = """[Version]
AppVersion=5.9
[Exposure]
Auto=false
HistogramMatching=false
Clip=0
Compensation={stops:.3f}
Black=0
[Directional Pyramid Denoising]
Enabled=true
Enhance=false
Median=false
Luma=0
LMethod=SLI
CMethod=AUT
C2Method=AUTO
SMethod=shal
Chroma=15
Gamma=1.7
[RAW Bayer]
Method=amaze
Border=0
"""


def develop_truth(path, **options):
    """Return LibRaw's development of a long exposure: uint16 (height, width, 3).

    Args:
        options: of rawpy's postprocess, beside LIBRAW.
    """
    with open_raw(path) as (raw, _):
        return raw.postprocess(**LIBRAW, **options)


def develop_amplified(path, ratio, denoiser=None, strength=1.0, **options):
    """Return LibRaw's development of a short exposure, its counts multiplied by the exposure ratio.

    Args:
        denoiser, strength: see baselines.denoise_signal; it sees the four places of the Bayer pattern. None for none.
        options: of rawpy's postprocess, beside LIBRAW.
    """
    mosaic, noise, _ = read_capture(path)
    counts, inner = align(mosaic.counts, mosaic.pattern)
    black = align_levels(mosaic.black, mosaic.pattern)
    signal = pack(counts) - black
    if denoiser:
        signal = denoise_signal(signal - noise.black_dn, noise.gain_dn, noise.read_dn**2, denoiser, strength)
    bright = np.clip(np.rint(signal * ratio + black), 0, mosaic.white).astype(np.uint16)
    with open_raw(path) as (raw, _):
        raw.raw_image_visible[:] = unpack(bright)[inner]
        return raw.postprocess(**LIBRAW, **options)


def restore_with(path, ratio, network=None):
    """Return what a network makes of a short exposure, with the tone curve of the truth."""
    return encode_bt709(decode_srgb(restore_capture(path, network).render(np.log2(ratio)) / np.float32(65535)))


def develop_by_rawtherapee(path, ratio):
    """Return RawTherapee's development with its automatic noise reduction, with the tone curve of the truth."""
    with tempfile.TemporaryDirectory() as folder:
        profile, picture = Path(folder, "dark.pp3"), Path(folder, "picture.tif")
        profile.write_text(RAWTHERAPEE.format(stops=np.log2(ratio)))
        command = ["rawtherapee-cli", "-Y", "-b16", "-t", "-o", picture, "-p", profile, "-c", path]
        subprocess.run(command, check=True, capture_output=True)
        return encode_bt709(decode_srgb(tifffile.imread(picture) / np.float32(65535)))


def encode_bt709(linear):
    """Return linear light in 0…1 with the curve that LibRaw's development has: uint16 (ITU-R BT.709)."""
    linear = np.clip(linear, 0, 1)
    curved = np.where(linear < 0.018, 4.5 * linear, 1.099 * linear**0.45 - 0.099)
    return np.rint(65535 * curved).astype(np.uint16)


def list_methods(val):
    """Return {name: Method} of all that are compared.

    Args:
        val: pairs; on about FEW of them the strengths of the denoisers are chosen, by their fitted PSNR.
    """
    fbdd = rawpy.FBDDNoiseReductionMode.Full
    methods = {
        "amplified": Method(develop_amplified),
        "amplified, FBDD": Method(partial(develop_amplified, fbdd_noise_reduction=fbdd)),
    }
    tried = {
        (denoiser, strength): partial(develop_amplified, denoiser=denoiser, strength=strength)
        for denoiser in DENOISERS
        for strength in STRENGTHS
    }
    few = val[:: max(1, len(val) // FEW)]
    scores = pd.concat([score_pair(pair, tried) for pair in _go_through(few, "Choosing strengths")])
    fitted_db = scores.fitted_db.groupby(level=[0, 1]).mean()
    for denoiser in DENOISERS:
        strength = fitted_db[denoiser].idxmax()
        methods[f"stabilised, {denoiser}"] = Method(tried[denoiser, strength], str(strength))
    if shutil.which("rawtherapee-cli"):
        methods["RawTherapee"] = Method(develop_by_rawtherapee, RAWTHERAPEE)
    for name, file in (("the paper's U-Net", "full-size-paper"), ("full size", "full-size")):
        if path := find_network(file):
            network = keras.saving.load_model(path, compile=False)
            methods[name] = Method(partial(restore_with, network=network), str(paths.checksum(path)))
    return methods


class Method(NamedTuple):
    """A function of a short exposure's path and the ratio to a picture, uint16, and what tells it from others."""

    restore: Callable
    version: str = ""


def score_methods(pairs, folder=None):
    """Score all of list_methods on the test pairs of a data set, or go on with it.

    Writes full_size.csv to the folder, the rows of a pair as soon as they are known, and returns it as DataFrame:
    method, `state` (the checksum of what a row was made from), and the columns of score_pair. At the end, rows of
    another state go.

    Args:
        pairs: DataFrame of catalog.load_pairs, with the splits val and test.
        folder: results folder of the data set; None for results/<data set>.
    Raises:
        ValueError: a split has no pairs.
    """
    val, test = pick_splits(pairs, "val", "test")
    file = (folder or paths.results_folder(pairs.dataset.iloc[0])) / "full_size.csv"
    known = pd.read_csv(file, dtype={"scene": str}).set_index(KEYS) if file.is_file() else None
    methods, wanted = list_methods(val), []
    for pair in _go_through(test, "Scoring at full size"):
        of_pair = zlib.crc32(str(pair.ratio).encode(), paths.checksum(pair.short, pair.long))
        keys = {name: (name, zlib.crc32(method.version.encode(), of_pair)) for name, method in methods.items()}
        wanted += keys.values()
        missing = {key: methods[name].restore for name, key in keys.items() if known is None or key not in known.index}
        if missing:
            known = pd.concat([known, score_pair(pair, missing).rename_axis(KEYS).round(4)])
            _write(known, file)
    known = known[~known.index.duplicated()]  # two pairs may be the same files
    known = known.loc[[key for name in methods for key in wanted if key[0] == name]]
    _write(known, file)
    return known.reset_index()


def _write(table, file):
    with paths.write_whole(file) as path:
        table.to_csv(path)


def load_scores(folder):
    """Return the table of score_methods in a results folder, or else the sharp data set's that comes along."""
    file = folder / "full_size.csv"
    return pd.read_csv(file if file.is_file() else paths.RESULTS / "reference" / file.name, dtype={"scene": str})


def score_pair(pair, restores):
    """Return the scores of functions of a short exposure's path and its ratio, {key: function}: a DataFrame by key.

    Columns: scene, frame, ratio, iso; mae, mse, psnr_db, ssim, see evaluation.score_picture; and fitted_db, see
    score_fitted.
    """
    truth, rows = develop_truth(pair.long) / 257, {}
    known = {name: getattr(pair, name) for name in ("scene", "frame", "ratio", "iso")}
    for key, restore in restores.items():
        output = restore(pair.short, pair.ratio) / 257
        rows[key] = known | score_picture(output, truth) | {"fitted_db": score_fitted(output, truth)}
    return pd.DataFrame.from_dict(rows, orient="index")


def score_fitted(output, truth):
    """Return the PSNR in dB after fit_colours, of pictures (height, width, 3) in 0…255."""
    return score_picture(fit_colours(output, truth), truth)["psnr_db"]


def _go_through(pairs, title):
    return tqdm(pairs.itertuples(), title, len(pairs), unit="pair", file=sys.stdout)


def fit_colours(output, truth):
    """Return a picture whose colours are each multiplied and shifted to fit its truth best, by least squares.

    So developers that see brightness and colour otherwise are compared by what they make of noise and detail.
    """
    fitted = np.empty(np.shape(output))
    for colour in range(3):
        slope, offset = np.polyfit(np.ravel(output[..., colour]), np.ravel(truth[..., colour]), 1)
        fitted[..., colour] = slope * output[..., colour] + offset
    return fitted.clip(0, 255)
