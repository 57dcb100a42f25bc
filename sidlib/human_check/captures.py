"""One short exposure, of a data set or of one's own, and what models make of it."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sidlib import paths
from sidlib.backend import tf
from sidlib.catalog import MAX_RATIO
from sidlib.dataset import SOURCES, read_picture
from sidlib.evaluation import run
from sidlib.human_check.view import describe_broken
from sidlib.models import source_of
from sidlib.preprocess import load_signal
from sidlib.raw import RawError, Signal, encode_srgb, quantize, read_exposure, read_signal, render
from sidlib.sample import name_photographs

MAX_FILE_BYTES = 256 * 2**20  # more than today's cameras write
MIN_SIZE_PX = 8  # of a developed picture, what the smallest model needs


@dataclass(frozen=True, eq=False)
class Capture:
    """A short exposure to show to models.

    Attributes:
        name: what it is called.
        signal: its raw.Signal.
        ratio, iso: exposure ratio and ISO.
        truth: float32 (height, width, 3) in 0…255, or None where there is no long exposure.
    """

    name: str
    signal: Signal
    ratio: float
    iso: float
    truth: np.ndarray | None = None


def choose_pair(pairs, number=0):
    """Return a test pair as a DataFrame of one row; by default always the same, the first.

    Raises:
        ValueError: there are no test pairs. IndexError: there are some, but not this one.
    """
    test = pairs[pairs.split == "test"]
    if test.empty:
        raise ValueError(f"A human check needs a test pair. Received: {len(pairs)} pairs, none of split test")
    if not 0 <= number < len(test):
        raise IndexError(f"There are {len(test)} test pairs, numbered from 0. Received: {number}")
    return test.iloc[[number]]


def describe_pair(pair):
    """Return what a pair is called: its scene and frame, and how it was exposed."""
    return f"scene {pair.scene}, frame {pair.frame}: {pair.short_s:.3g} s, ×{pair.ratio:.0f}, ISO {pair.iso}"


def load_capture(pair):
    """Return the Capture of a pair (a row of preprocess.develop_pairs, as a named tuple)."""
    truth = read_picture(str(pair.long_png)).numpy()
    return Capture(describe_pair(pair), load_signal(pair.short_signal), pair.ratio, pair.iso, truth)


def open_capture(path, brightness):
    """Return the Capture of any RAW file, developed like those of a data set; its exposure ratio is estimated.

    Args:
        path: a RAW file that LibRaw reads.
        brightness: how bright long exposures usually are, see measure_brightness.
    Raises:
        RawError: it is too large, or cannot be read; the message names the file and the reason.
    """
    path = Path(path).expanduser()
    if path.is_file():
        check_size(path, path.stat().st_size)
    signal, iso = read_signal(path), 0.0
    height, width = signal.camera_rgb.shape[:2]
    if min(height, width) < MIN_SIZE_PX:
        raise RawError(f"{path}: too small, {width} × {height} pixels are left of it at a tenth of its size")
    with suppress(RawError):  # it need not say its exposure time
        iso = read_exposure(path)["iso"]
    return Capture(path.name, signal, estimate_ratio(signal, brightness), iso)


def check_size(path, size):
    """Raise a RawError if a file of this size in bytes is too large to be opened."""
    if size > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES / 2**20
        raise RawError(f"{path}: too large, {size / 2**20:.0f} MB where {limit:.0f} MB are the limit")


def measure_brightness(pairs):
    """Return how bright the long exposures of pairs are, drawn scenes left out: the geometric mean, see find_bright."""
    photographed = pairs[name_photographs(pairs) != "drawn"]
    levels = [find_bright(load_signal(path)) for path in photographed.long_signal.unique()]
    return float(np.exp(np.log(levels).mean()))


def find_bright(signal):
    """Return the level in 0…1 that 1 % of a Signal's values, white balanced, are above: bright, and yet no lamp."""
    return max(float(np.percentile(signal.camera_rgb * signal.white_balance, 99)), 1e-6)


def estimate_ratio(signal, brightness):
    """Return the exposure ratio that would make a Signal as bright as long exposures are, 1 to catalog.MAX_RATIO.

    For captures that have no long exposure. It is wrong by as much as a scene is brighter or darker than usual.

    Args:
        brightness: see measure_brightness.
    """
    return float(np.clip(brightness / find_bright(signal), 1, MAX_RATIO))


def _develop(capture, gain):
    signal = capture.signal
    return render(signal.camera_rgb, signal.white_balance, signal.to_srgb, gain)


# What is shown beside the outputs, for comparison: functions of a Capture to pictures as make_picture returns them.
INPUTS = {
    "input": lambda capture: quantize(_develop(capture, 1)).astype(np.float32),
    "input, amplified": lambda capture: 255 * encode_srgb(_develop(capture, capture.ratio)),
}


def check_names(models):
    """Raise a ValueError if there are no models, or one whose name is that of another picture or of none."""
    if not models:
        raise ValueError("A human check needs at least one model. Received: none")
    if taken := {*INPUTS, "truth", ""} & set(models):
        raise ValueError(f"These names are kept for other pictures. Received: models called {sorted(taken)}")


def collect_pictures(models, pair):
    """Return the pictures of a human check, in the order that every figure keeps: inputs, outputs, truth.

    Args:
        models: {name: Keras model, or function from batch to batch}.
        pair: DataFrame of one row.
    Returns:
        {name: picture}, see make_picture: "input" as it is, "input, amplified" by the exposure ratio, the outputs,
        "truth".
    """
    check_names(models)
    capture = load_capture(next(pair.itertuples()))
    return {name: make_picture(models, capture, name) for name in [*INPUTS, *models]} | {"truth": capture.truth}


def make_picture(models, capture, name):
    """Return an input or the output of one of {name: model} by its name: float32 (height, width, 3) in 0…255."""
    return INPUTS[name](capture) if name in INPUTS else run_model(models[name], capture)


def run_model(model, capture):
    """Return what a model makes of a Capture: float32 (height, width, 3)."""
    shown = SOURCES[source_of(model)](capture.signal, capture.ratio, capture.iso)
    return run(model, shown[None])[0]


def save_picture(picture, file, bits):
    """Write a picture (values in 0…255, with fractions) as a PNG of 8 or 16 bits.

    Raises:
        ValueError: it has values that no PNG can hold. OSError: the file cannot be written.
    """
    if broken := describe_broken(picture):
        raise ValueError(broken)
    levels = np.rint(np.clip(np.float64(picture), 0, 255) / 255 * (2**bits - 1)).astype(f"uint{bits}")
    with paths.write_whole(file) as path:
        path.write_bytes(tf.io.encode_png(levels).numpy())  # Pillow has no 16-bit colour
