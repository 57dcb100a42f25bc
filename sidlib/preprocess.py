"""Every RAW file of a data set, once: reduced to a tenth of its size, kept as it is and developed to an 8-bit PNG."""

import sys

import joblib
import numpy as np
import safetensors.numpy
from PIL import Image
from tqdm import tqdm

from sidlib import catalog, paths
from sidlib.raw import RawError, Signal, quantize, read_signal, render


def develop_pairs(pairs):
    """Develop both pictures of every pair to data/<name>/png, with all cores; what is there is kept.

    The Signal of each capture goes to data/<name>/signal, for networks that read more than 8 bits of it.

    Args:
        pairs: DataFrame of catalog.load_pairs.
    Returns:
        the pairs whose two pictures are there, with their paths in columns short_png, long_png, short_signal and
        long_signal. Files that cannot be read are logged with the reason and added to `.attrs["problems"]`.
    Raises:
        OSError: a file cannot be written (a full disk). What was written stays and is whole; call again to go on.
    """
    usable = pairs.assign(
        short_png=pairs.short.map(locate_png),
        long_png=pairs.long.map(locate_png),
        short_signal=pairs.short.map(locate_signal),
        long_signal=pairs.long.map(locate_signal),
    )
    captures = [*usable.short, *usable.long.unique()]
    for folder in {locate(capture).parent for capture in captures for locate in (locate_png, locate_signal)}:
        paths.clear_leftovers(folder)
    missing = [
        capture for capture in captures if not (locate_png(capture).is_file() and locate_signal(capture).is_file())
    ]

    workers = joblib.Parallel(n_jobs=-1, return_as="generator")
    reasons = workers(joblib.delayed(develop_file)(capture) for capture in missing)
    progress = tqdm(reasons, "Developing", len(missing), unit="file", file=sys.stdout, disable=not missing)
    problems = [
        {"file": str(capture), "reason": reason} for capture, reason in zip(missing, progress, strict=True) if reason
    ]
    catalog.report_problems(usable, problems)
    unreadable = [problem["file"] for problem in problems]
    return usable[~usable.short.map(str).isin(unreadable) & ~usable.long.map(str).isin(unreadable)].reset_index(
        drop=True
    )


def locate_png(capture):
    """Return where the developed picture of a capture lies: data/<name>/short/x.ARW → data/<name>/png/short/x.png."""
    return capture.parent.parent / "png" / capture.parent.name / f"{capture.stem}.png"


def locate_signal(capture):
    """Return where the Signal of a capture lies: data/<name>/short/x.ARW → data/<name>/signal/short/x.safetensors."""
    return capture.parent.parent / "signal" / capture.parent.name / f"{capture.stem}.safetensors"


def develop_file(capture):
    """Write one RAW file's Signal and PNG; return None, or the reason why the file cannot be read."""
    try:
        signal = read_signal(capture)
    except RawError as error:
        return str(error).removeprefix(f"{capture}: ")
    arrays = {
        name: np.ascontiguousarray(array) for name, array in signal._asdict().items() if name != "camera"
    }  # a turned one is a view
    with paths.write_whole(locate_signal(capture)) as path:
        path.write_bytes(safetensors.numpy.save(arrays))
    with paths.write_whole(locate_png(capture)) as path:
        picture = Image.fromarray(quantize(render(*signal[:3])))
        picture.save(path, compress_level=1)  # the usual 6 takes as long as developing


def load_signal(path):
    """Return the Signal that develop_file wrote."""
    return Signal(**safetensors.numpy.load(path.read_bytes()))
