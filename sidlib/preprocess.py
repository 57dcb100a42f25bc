"""Every RAW file of a data set, once: reduced to a tenth of its size, kept as it is and developed to an 8-bit PNG."""

import json
import os
import sys
from contextlib import suppress

import joblib
import numpy as np
import safetensors.numpy
from PIL import Image
from tqdm import tqdm

from sidlib import catalog, paths
from sidlib.raw import RawError, Signal, quantize, read_signal, render


def develop_pairs(pairs):
    """Develop both pictures of every pair to data/<name>/png, with all cores; what is there is kept.

    The Signal of each capture goes to data/<name>/signal, for networks that read more than 8 bits of it. Both are made
    anew when the capture has changed since, or one of them. What a read-only data set lacks goes to paths.made_folder.

    Args:
        pairs: DataFrame of catalog.load_pairs.
    Returns:
        the pairs whose two pictures are there, with their paths in columns short_png, long_png, short_signal and
        long_signal. Files that cannot be read are logged with the reason and added to `.attrs["problems"]`.
    Raises:
        OSError: a file cannot be written (a full disk). What was written stays and is whole; call again to go on.
    """
    captures = [*pairs.short, *pairs.long.unique()]
    made = {folder: paths.made_folder(folder) for folder in {capture.parent.parent for capture in captures}}
    for folder in made.values():
        paths.clear_leftovers(folder / "png")
        paths.clear_leftovers(folder / "signal")
    places = {}  # of each capture: the folder that holds what was made from it, or will
    for capture in captures:
        own = capture.parent.parent
        places[capture] = next(
            (place for place in dict.fromkeys((own, made[own])) if _is_current(capture, place)), None
        )
    missing = [capture for capture in captures if places[capture] is None]
    places |= {capture: made[capture.parent.parent] for capture in missing}

    workers = joblib.Parallel(n_jobs=-1, return_as="generator")
    reasons = workers(joblib.delayed(develop_file)(capture, places[capture]) for capture in missing)
    progress = tqdm(reasons, "Developing", len(missing), unit="file", file=sys.stdout, disable=not missing)
    unreadable = {capture: reason for capture, reason in zip(missing, progress, strict=True) if reason}
    usable = pairs.assign(
        short_png=[locate_png(capture, places[capture]) for capture in pairs.short],
        long_png=[locate_png(capture, places[capture]) for capture in pairs.long],
        short_signal=[locate_signal(capture, places[capture]) for capture in pairs.short],
        long_signal=[locate_signal(capture, places[capture]) for capture in pairs.long],
    )
    problems = [{"file": str(capture), "reason": reason} for capture, reason in unreadable.items()]
    catalog.report_problems(usable, problems)
    return usable[~usable.short.isin(unreadable) & ~usable.long.isin(unreadable)].reset_index(drop=True)


def locate_png(capture, folder=None):
    """Return where the developed picture of a capture goes: data/<name>/short/x.ARW → data/<name>/png/short/x.png.

    Args:
        folder: what stands in for data/<name>; None for paths.made_folder.
    """
    return _locate(capture, folder, "png", ".png")


def locate_signal(capture, folder=None):
    """Return where the Signal of a capture goes: data/<name>/signal/short/x.safetensors, see locate_png."""
    return _locate(capture, folder, "signal", ".safetensors")


def _locate(capture, folder, made, suffix):
    folder = folder or paths.made_folder(capture.parent.parent)
    return folder / made / capture.parent.name / (capture.stem + suffix)


def develop_file(capture, folder=None):
    """Write one RAW file's PNG and Signal, see locate_png; return None, or the reason why the file cannot be read."""
    try:
        state = capture.stat()  # before it is read: what changes later shows
        signal = read_signal(capture)
    except (OSError, RawError) as error:
        return getattr(error, "strerror", None) or str(error).removeprefix(f"{capture}: ")
    picture = Image.fromarray(quantize(render(*signal[:3])))
    arrays = signal._asdict()
    record = {"camera": arrays.pop("camera"), "source": [state.st_size, state.st_mtime_ns]}
    # The PNG gets its name first: the Signal vouches for both.
    with (
        paths.write_whole(locate_signal(capture, folder)) as signal_path,
        paths.write_whole(locate_png(capture, folder)) as png_path,
    ):
        picture.save(png_path, compress_level=1)  # the usual 6 takes as long as developing
        record["png_bytes"] = png_path.stat().st_size
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}  # a turned one is a view
        # One entry of metadata: safetensors writes several in any order, and the same bytes are to come out.
        signal_path.write_bytes(safetensors.numpy.save(arrays, {"record": json.dumps(record)}))
        for path in (png_path, signal_path):
            with suppress(PermissionError):  # a disk that lets nobody set times: it is made anew each time
                os.utime(path, ns=(_stamp(state), _stamp(state)))


def load_signal(path):
    """Return the Signal that develop_file wrote.

    Raises:
        RawError: the file is not as it was written.
    """
    try:
        with safetensors.safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
            return Signal(**arrays, camera=json.loads(file.metadata()["record"])["camera"])
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RawError(f"{path}: damaged, preprocess.develop_pairs makes it anew ({error})") from error


def _is_current(capture, folder):
    """Whether a folder holds the PNG and the Signal of a capture as it is now, as develop_file wrote them.

    Nothing but the Signal's header is read, which tells how long it has to be. Both files bear the capture's time, so
    one that was edited shows. What a disk changes in silence does not.
    """
    png, signal = locate_png(capture, folder), locate_signal(capture, folder)
    try:
        state, made = capture.stat(), png.stat()
        with safetensors.safe_open(signal, "numpy") as file:
            record = json.loads(file.metadata()["record"])
        expected = {"source": [state.st_size, state.st_mtime_ns], "png_bytes": made.st_size}
        unedited = made.st_mtime_ns == signal.stat().st_mtime_ns == _stamp(state)
        return unedited and record == {**expected, "camera": record["camera"]}
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return False


def _stamp(state):
    """The time in ns that files bear which are made from a capture: its own, in even seconds as every disk keeps it."""
    return state.st_mtime_ns - state.st_mtime_ns % 2_000_000_000
