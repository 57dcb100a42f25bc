"""One short exposure, of a data set or of one's own, and what models make of it."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sidlib import paths
from sidlib.backend import tf
from sidlib.dataset import SOURCES, estimate_ratio, read_picture, show, source_of
from sidlib.preprocess import load_signal
from sidlib.raw import RawError, Signal, read_exposure, read_signal

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
        brightness: how bright long exposures usually are, see dataset.measure_brightness.
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


def run_model(model, capture):
    """Return what a model makes of a Capture: float32 (height, width, 3)."""
    shown = show(capture.signal, SOURCES[source_of(model)], capture.ratio, capture.iso)
    return np.asarray(model(shown[None]))[0]


def save_picture(picture, file, bits):
    """Write a picture (values in 0…255, with fractions) as a PNG of 8 or 16 bits."""
    levels = np.rint(np.clip(picture, 0, 255) / 255 * (2**bits - 1)).astype(f"uint{bits}")
    with paths.write_whole(file) as path:
        path.write_bytes(tf.io.encode_png(levels).numpy())  # Pillow has no 16-bit colour
