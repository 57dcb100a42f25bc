"""Restoration at full size, compared with baselines and with the paper's network by the paper's protocol.

The truth is LibRaw's development of the long exposure, as in the authors' code, and every method is given the exposure
ratio. All pictures have the tone curve of LibRaw's development, BT.709.
"""

import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import rawpy
import tifffile
from skimage.transform import EuclideanTransform, warp
from tqdm import tqdm

from sidlib import camera, paths, sample
from sidlib.backend import keras
from sidlib.beyond.baselines import denoise_signal
from sidlib.catalog import pick_splits
from sidlib.evaluation import ScoreTable, score_picture
from sidlib.full_size.burst import merge_burst, restore_merged
from sidlib.full_size.capture import read_capture
from sidlib.full_size.restore import find_network, restore_capture
from sidlib.raw import interpret_raw
from sidlib.rawfile import open_raw
from sidlib.sample.dng import write_dng
from sidlib.sample.photographs import decode_linear, load_photograph

VERSION = 9  # raise it when the same captures and methods get other scores
# The authors' call, as in published figures: a picture's brightest pixel is white if it is above 75 % of the sensor's.
LIBRAW = {"use_camera_wb": True, "no_auto_bright": True, "output_bps": 16}
# Further options: the sRGB curve, not turned, and the sensor's white level, whatever the brightest pixel
SRGB = {"gamma": (2.4, 12.92), "user_flip": 0, "adjust_maximum_thr": 0}
STRENGTHS = (0.6, 1.0, 1.6, 2.5)  # of non-local means, relative to the noise
FEW = 12  # val pairs that the strength is chosen on: the real data set has 234
RAWTHERAPEE = Path(__file__).with_name("rawtherapee.pp3")
MOTIONS = "tripod", "hand-held", "moving"  # of bursts
FRAMES = (1, 2, 4, 8)  # of a burst
INNER = np.s_[32:-32, 32:-32]  # beside the border there is less to see
CROSSED, SQUARE = np.s_[192:256], (0.9, 0.8, 0.1)  # the rows in which something moves, and its colour


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
    """Return {name: (function of a pair to its scores, see score_pair, version)} of all that are compared.

    The denoiser's strength has the highest fitted PSNR on FEW of the pairs of split val. Bursts are of the sharp data
    set alone.
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
    bursts = {}
    for name, trained in (("the paper's U-Net", "full-size-paper"), ("full size", "full-size")):
        with suppress(FileNotFoundError):
            file = find_network(trained)
            network, version = keras.saving.load_model(file, compile=False), paths.fingerprint(file.read_bytes())
            methods[name] = partial(restore_with, network=network), version
            if name == "full size" and val.dataset.iloc[0] == "sharp":
                bursts = {motion: (partial(score_burst, motion=motion, network=network), version) for motion in MOTIONS}
    scored = {name: (partial(score_pair, restores={name: by}), version) for name, (by, version) in methods.items()}
    return scored | bursts


def score_methods(pairs, folder):
    """Return the scores of list_methods on test pairs, by method in the order of the pairs: a DataFrame.

    Args:
        pairs: DataFrame of catalog.load_pairs, with the splits val and test.
        folder: results folder, whose full_size.csv keeps every row once it is known.
    """
    val, test = pick_splits(pairs, "val", "test")
    table, keys = ScoreTable(folder / "full_size.csv"), []
    work, kept = list(product(list_methods(val).items(), test.itertuples())), table.keys()
    for (name, (score, version)), pair in tqdm(work, "Scoring at full size", unit="picture", file=sys.stdout):
        captures = paths.file_state(pair.short), paths.file_state(pair.long), pair.ratio
        keys.append(paths.fingerprint(captures, name, version, VERSION, rawpy.libraw_version))
        if keys[-1] not in kept:
            table.add(keys[-1], score(pair).round(4))
            kept.add(keys[-1])
    table.prune(keys)
    return table.rows(*keys)


def load_scores(folder):
    """Return full_size.csv of a results folder, or else that of the sharp data set in the repository: two DataFrames.

    The first is of single captures, see score_pair, the second of bursts, see score_burst.
    """
    file = folder / "full_size.csv"
    table = pd.read_csv(file if file.is_file() else paths.REFERENCE / file.name, dtype={"scene": str})
    table, is_burst = table.drop(columns="key"), table.frames > 0
    return table[~is_burst].drop(columns=["motion", "frames"]), table[is_burst].astype({"frames": int})


def score_pair(pair, restores):
    """Return the scores of {name: function of a short exposure's path and ratio}: a DataFrame, a row per method.

    Columns: method, scene, frame, ratio, iso, motion and frames (None), those of evaluation.score_picture, and
    fitted_db, see score_fitted.
    """
    truth = develop_truth(pair.long)
    return _score(pair, [(name, None, None, by(pair.short, pair.ratio), truth) for name, by in restores.items()])


def score_burst(pair, motion, network):
    """Return the scores of bursts of FRAMES frames of take_burst, and of their control: a DataFrame as of score_pair.

    The control, "mean of frames", is LibRaw's development of their mean. Of "moving", the rows are scored in which
    something moves.
    """
    scene, rows, part = find_scene(pair.scene), [], np.s_[CROSSED, 32:-32] if motion == "moving" else INNER
    with tempfile.TemporaryDirectory() as folder:
        truths = take_burst(pair, motion, Path(folder), max(FRAMES))
        captures, mean = [read_capture(file) for file in truths], Path(folder, "mean.dng")
        for count in sorted(FRAMES, reverse=True):
            merged = merge_burst(captures[:count])
            if count == max(FRAMES):  # its reference is in all of them
                captures.sort(key=lambda capture: capture[2].name != merged.info.name)
            truth = change_curve(truths[Path(folder, merged.info.name)])
            restored = change_curve(restore_merged(merged, network).render(np.log2(pair.ratio)))
            light = np.mean([mosaic.counts for mosaic, *_ in captures[:count]], axis=0) - camera.BLACK
            light = np.rint(camera.BLACK + pair.ratio * light).clip(0, camera.WHITE)
            write_dng(mean, light.astype(np.uint16), 1, scene)
            for method, output in (("full size", restored), ("mean of frames", develop_truth(mean))):
                rows.append((method, motion, count, output[part], truth[part]))
    return _score(pair, rows[::-1])


def _score(pair, rows):
    """The scores of rows of method, motion, frames, output and truth, of a pair."""
    known, scored = {name: getattr(pair, name) for name in ("scene", "frame", "ratio", "iso")}, []
    for method, motion, frames, *pictures in rows:
        output, truth = (picture / 257 for picture in pictures)
        scores = score_picture(output, truth) | {"fitted_db": score_fitted(output, truth)}
        scored.append({"method": method} | known | {"motion": motion, "frames": frames} | scores)
    return pd.DataFrame(scored)


@cache
def find_scene(number):
    """Return the Scene of the sharp data set with a number; planning reads all photographs."""
    return next(scene for scene in sample.plan_sharp() if scene.number == number)


def take_burst(pair, motion, folder, count):
    """Write so many exposures of a scene of the sharp data set to a folder; return {file: true picture, as of render}.

    motion: one of MOTIONS. Hand-held frames but the first are shifted by up to 20 pixels and turned by up to half a
    degree. What is "moving" is a square, by 48 pixels per frame.
    """
    scene, pictures = find_scene(pair.scene), {}
    linear, rng = decode_linear(load_photograph(scene.photograph)), np.random.default_rng(int(pair.scene))
    middle = np.array(linear.shape[1::-1]) / 2
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        seen = linear
        if motion == "hand-held" and number:
            around = EuclideanTransform(rotation=np.radians(rng.uniform(-0.5, 0.5)))
            pose = EuclideanTransform(translation=-middle) + around
            pose += EuclideanTransform(translation=middle + rng.uniform(-20, 20, 2))
            seen = warp(linear, pose, order=5, mode="reflect").clip(0, 1)
        elif motion == "moving":
            seen = linear.copy()
            seen[CROSSED, 64 + 48 * number : 128 + 48 * number] = SQUARE
        signal = camera.mosaic(camera.unprocess(seen, scene.white_balance)) * np.float32(camera.SPAN)
        file = folder / f"{number}.dng"
        write_dng(file, camera.expose(signal, pair.ratio, pair.iso, rng), scene.long_s / pair.ratio, scene)
        pictures[file] = camera.quantize(seen, bits=16)
    return pictures


def score_fitted(output, truth):
    """Return the PSNR in dB after each colour of an output was multiplied and shifted to fit the truth best.

    It compares noise and detail where developers differ in brightness and colours. Values are in 0…255.
    """
    fitted = np.empty(np.shape(output))
    for colour in range(3):
        line = np.polyfit(np.ravel(output[..., colour]), np.ravel(truth[..., colour]), 1)
        fitted[..., colour] = np.polyval(line, output[..., colour])
    return score_picture(fitted.clip(0, 255), truth)["psnr_db"]
