"""Restoration at full size, compared with baselines and with the paper's network by the paper's protocol.

The truth is LibRaw's development of the long exposure, as in the authors' code, and every method is given the exposure
ratio. All pictures have the tone curve of LibRaw's development, BT.709.
"""

import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import rawpy
import tifffile
from tqdm import tqdm

from sidlib import camera, paths
from sidlib.backend import keras
from sidlib.beyond.baselines import denoise_signal
from sidlib.catalog import pick_splits
from sidlib.evaluation import ScoreTable, score_picture
from sidlib.full_size.capture import read_capture
from sidlib.full_size.restore import find_network, restore_capture
from sidlib.raw import interpret_raw
from sidlib.rawfile import open_raw

VERSION = 4  # raise it when the same captures and methods get other scores
# The authors' call, as in published figures: a picture's brightest pixel is white if it is above 75 % of the sensor's.
LIBRAW = {"use_camera_wb": True, "no_auto_bright": True, "output_bps": 16}
# Further options: the sRGB curve, not turned, and the sensor's white level, whatever the brightest pixel
SRGB = {"gamma": (2.4, 12.92), "user_flip": 0, "adjust_maximum_thr": 0}
STRENGTHS = (0.6, 1.0, 1.6, 2.5)  # of non-local means, relative to the noise
FEW = 12  # val pairs that the strength is chosen on: the real data set has 234
RAWTHERAPEE = Path(__file__).with_name("rawtherapee.pp3")


def develop_truth(path, **options):
    """Return LibRaw's development of a long exposure: uint16 (height, width, 3); options are those of postprocess."""
    with open_raw(path) as (raw, _):
        return raw.postprocess(**LIBRAW, **options)


def develop_amplified(path, ratio, strength=0, **options):
    """Return LibRaw's development of a short exposure whose counts are multiplied by the exposure ratio.

    With a strength, baselines.denoise_signal is applied to the four CFA positions first.
    """
    mosaic, noise, _ = read_capture(path)
    counts, inner = camera.align(mosaic.counts, mosaic.pattern)
    black = camera.align_levels(mosaic.black, mosaic.pattern)
    signal = camera.pack(counts) - black
    if strength:
        signal = denoise_signal(signal - noise.black_dn, noise.gain_dn, noise.read_dn**2, strength)
    with open_raw(path) as (raw, pages):
        stated = interpret_raw(path, raw, pages)  # a black that was cut off lies elsewhere in `mosaic`
        black = camera.align_levels(stated.black, stated.pattern)
        bright = np.clip(np.rint(signal * ratio + black), 0, stated.white).astype(np.uint16)
        raw.raw_image_visible[:] = camera.unpack(bright)[inner]
        return raw.postprocess(**LIBRAW, **options)


def restore_with(path, ratio, network=None):
    """Return a network's picture of a short exposure, see restore_capture, with the tone curve of the truth."""
    return change_curve(restore_capture(path, network).render(np.log2(ratio)))


def develop_by_rawtherapee(path, ratio):
    """Return RawTherapee's development with its automatic noise reduction, with the tone curve of the truth."""
    with tempfile.TemporaryDirectory() as folder:
        profile, picture = Path(folder, "dark.pp3"), Path(folder, "picture.tif")
        profile.write_text(RAWTHERAPEE.read_text().format(stops=np.log2(ratio)))
        command = ["rawtherapee-cli", "-Y", "-b16", "-t", "-o", picture, "-p", profile, "-c", path]
        subprocess.run(command, check=True, capture_output=True)
        return change_curve(tifffile.imread(picture))


def change_curve(picture):
    """Return a uint16 picture in sRGB with the tone curve of ITU-R BT.709."""
    linear = camera.decode_srgb(picture / np.float32(65535))
    return np.rint(65535 * np.where(linear < 0.018, 4.5 * linear, 1.099 * linear**0.45 - 0.099)).astype(np.uint16)


def list_methods(val):
    """Return {name: (function of a short exposure's path and ratio to a picture, version)} of all that are compared.

    The denoiser's strength has the highest fitted PSNR on FEW of the pairs of split val.
    """
    fbdd = partial(develop_amplified, fbdd_noise_reduction=rawpy.FBDDNoiseReductionMode.Full)
    methods = {"amplified": (develop_amplified, ""), "amplified, FBDD": (fbdd, "")}
    few = val[:: max(1, len(val) // FEW)]
    tried = {by: partial(develop_amplified, strength=by) for by in STRENGTHS}
    rows = tqdm(few.itertuples(), "Choosing a strength", len(few), unit="pair", file=sys.stdout)
    best = pd.concat([score_pair(pair, tried) for pair in rows]).groupby("method").fitted_db.mean().idxmax()
    methods["stabilised, non-local means"] = tried[best], str(best)
    if shutil.which("rawtherapee-cli"):
        methods["RawTherapee"] = develop_by_rawtherapee, RAWTHERAPEE.read_text()
    for name, trained in (("the paper's U-Net", "full-size-paper"), ("full size", "full-size")):
        with suppress(FileNotFoundError):
            file = find_network(trained)
            network = keras.saving.load_model(file, compile=False)
            methods[name] = partial(restore_with, network=network), paths.fingerprint(file.read_bytes())
    return methods


def score_methods(pairs, folder):
    """Return the scores of list_methods on test pairs, see score_pair, by method in the order of the pairs.

    Args:
        pairs: DataFrame of catalog.load_pairs, with the splits val and test.
        folder: results folder, whose full_size.csv keeps every row once it is known.
    """
    val, test = pick_splits(pairs, "val", "test")
    table, keys = ScoreTable(folder / "full_size.csv"), []
    work, kept = list(product(list_methods(val).items(), test.itertuples())), table.keys()
    for (name, (restore, version)), pair in tqdm(work, "Scoring at full size", unit="picture", file=sys.stdout):
        captures = paths.file_state(pair.short), paths.file_state(pair.long), pair.ratio
        keys.append(paths.fingerprint(captures, name, version, VERSION, rawpy.libraw_version))
        if keys[-1] not in kept:
            table.add(keys[-1], score_pair(pair, {name: restore}).round(4))
            kept.add(keys[-1])
    table.prune(keys)
    return table.rows(*keys)


def load_scores(folder):
    """Return full_size.csv of a results folder, or else that of the sharp data set in the repository: a DataFrame."""
    file = folder / "full_size.csv"
    table = pd.read_csv(file if file.is_file() else paths.REFERENCE / file.name, dtype={"scene": str})
    return table.drop(columns="key")


def score_pair(pair, restores):
    """Return the scores of {name: function of a short exposure's path and ratio}: a DataFrame, a row per method.

    Columns: method, scene, frame, ratio, iso, those of evaluation.score_picture, and fitted_db, see score_fitted.
    """
    truth, rows = develop_truth(pair.long) / 257, []
    for method, restore in restores.items():
        output = restore(pair.short, pair.ratio) / 257
        scores = score_picture(output, truth) | {"fitted_db": score_fitted(output, truth)}
        known = {name: getattr(pair, name) for name in ("scene", "frame", "ratio", "iso")}
        rows.append({"method": method} | known | scores)
    return pd.DataFrame(rows)


def score_fitted(output, truth):
    """Return the PSNR in dB after each colour of an output was multiplied and shifted to fit the truth best.

    It compares noise and detail where developers differ in brightness and colours. Values are in 0…255.
    """
    fitted = np.empty(np.shape(output))
    for colour in range(3):
        line = np.polyfit(np.ravel(output[..., colour]), np.ravel(truth[..., colour]), 1)
        fitted[..., colour] = np.polyval(line, output[..., colour])
    return score_picture(fitted.clip(0, 255), truth)["psnr_db"]
