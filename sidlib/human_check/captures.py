"""One short exposure, of a data set or a RAW file of your own, and the pictures that models make of it."""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from sidlib.brightness import estimate_ratio
from sidlib.dataset import read_picture
from sidlib.evaluation import run_batch, score_picture
from sidlib.models import source_of
from sidlib.preprocess import load_signal
from sidlib.raw import Signal, read_exposure, read_signal
from sidlib.rawfile import RawError
from sidlib.sources import SOURCES

INPUTS = {"input": SOURCES["dark8"], "RAW, amplified": SOURCES["amplified16"]}  # shown beside the outputs


@dataclass(frozen=True, eq=False)
class Capture:
    """A short exposure to show to models."""

    name: str
    signal: Signal
    ratio: float
    iso: float
    truth: np.ndarray | None = None  # float32 (height, width, 3) in 0…255; None without a long exposure


def choose_pair(pairs):
    """Return the first test pair, always the same, as a DataFrame of one row; a ValueError says that there is none."""
    test = pairs[pairs.split == "test"]
    if test.empty:
        raise ValueError(f"A human check needs a test pair. Received: {len(pairs)} pairs, none of split test")
    return test.head(1)


def describe_pair(pair):
    """Return the name of a pair for people: its scene and frame, and how it was exposed."""
    return f"scene {pair.scene}, frame {pair.frame}: {pair.short_s:.3g} s, ×{pair.ratio:.0f}, ISO {pair.iso}"


def load_capture(pair):
    """Return the Capture of a pair (a row of preprocess.develop_pairs, as a named tuple)."""
    truth = read_picture(str(pair.long_png)).numpy()
    return Capture(describe_pair(pair), load_signal(pair.short_signal), pair.ratio, pair.iso, truth)


def open_capture(path, name):
    """Return the Capture of any RAW file, developed like those of a data set; its exposure ratio is estimated.

    A RawError names a file that cannot be read.
    """
    signal, iso = read_signal(path), 0.0
    with suppress(RawError):  # it need not say its exposure time
        iso = read_exposure(path)["iso"]
    return Capture(name, signal, estimate_ratio(signal), iso)


def check_names(models):
    """Raise a ValueError if there are no models, or if one has the name of another picture or none."""
    if not models:
        raise ValueError("A human check needs at least one model. Received: none")
    if taken := {*INPUTS, "truth", ""} & set(models):
        raise ValueError(f"These names are kept for other pictures. Received: models called {sorted(taken)}")


def collect_pictures(models, pair):
    """Return the pictures of a human check in the order of every figure: those of INPUTS, the outputs, and "truth".

    They are {name: float32 (height, width, 3) in 0…255}; `pair` is a DataFrame of one row, see compare for models.
    """
    check_names(models)
    capture = load_capture(next(pair.itertuples()))
    return {name: make_picture(models, capture, name) for name in [*INPUTS, *models, "truth"]}


def make_picture(models, capture, name):
    """Return a picture of collect_pictures by its name; {name: model} need have no other model."""
    if name == "truth":
        return capture.truth
    source = INPUTS.get(name) or SOURCES[source_of(models[name])]
    seen = source(capture.signal, capture.ratio, capture.iso)
    return seen if name in INPUTS else run_batch(models[name], seen[None])[0]


def describe_scores(output, truth=None):
    """Return how close an output is to the truth, in one line, or how many of its values are not finite.

    It is "" if there is no truth, and has no SSIM where its window does not fit.
    """
    if broken := np.size(output) - np.isfinite(output).sum():
        return f"{broken} of {np.size(output)} values are NaN or infinite"
    if truth is None:
        return ""
    scores = score_picture(output, truth)
    line = f"MAE {scores['mae']:.1f} · {scores['psnr_db']:.1f} dB"
    return line if np.isnan(scores["ssim"]) else f"{line} · SSIM {scores['ssim']:.2f}"
