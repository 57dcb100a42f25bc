"""Every RAW file of a data set, once: reduced to a tenth of its size, kept as it is and developed to an 8-bit PNG."""

import json
import os
from contextlib import suppress

import numpy as np
import safetensors.numpy
from PIL import Image

from sidlib import catalog, paths, workers
from sidlib.raw import RawError, Signal, quantize, read_signal, render

MIN_SIZE_PX = 11


def develop_pairs(pairs):
    """Develop both pictures of every pair to data/<name>/png, with all workers; what is there is kept.

    The Signal of each capture goes to data/<name>/signal, for networks that read more than 8 bits of it. Both are made
    anew if the capture has changed since, or one of them has. What a read-only data set lacks goes to
    paths.made_folder.

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
    missing = [file for file in captures if not is_current(locate_signal(file), file, locate_png(file))]

    reasons = dict(workers.share(develop_file, missing, "Developing", "file"))
    unreadable = {capture: reasons[capture] for capture in missing if reasons[capture]}
    catalog.report_problems(usable, [{"file": str(file), "reason": reason} for file, reason in unreadable.items()])
    return usable[~usable.short.isin(unreadable) & ~usable.long.isin(unreadable)].reset_index(drop=True)


def locate_png(capture):
    """Return where the developed picture of a capture lies: data/<name>/short/x.ARW → data/<name>/png/short/x.png."""
    return _locate(capture, "png", ".png")


def locate_signal(capture):
    """Return where the Signal of a capture lies: data/<name>/short/x.ARW → data/<name>/signal/short/x.safetensors."""
    return _locate(capture, "signal", ".safetensors")


def _locate(capture, made, suffix):
    return paths.made_folder(capture.parent.parent) / made / capture.parent.name / (capture.stem + suffix)


def develop_file(capture):
    """Write one RAW file's PNG and Signal; return None, or the reason why the file cannot be read."""
    try:
        state = capture.stat()  # before it is read: what changes later shows
        signal = read_signal(capture)
    except OSError as error:
        return error.strerror
    except RawError as error:
        return str(error).removeprefix(f"{capture}: ")
    height, width = signal.camera_rgb.shape[:2]
    if min(height, width) < MIN_SIZE_PX:
        return f"too small: {width} × {height} pixels are left of it, and SSIM's window needs {MIN_SIZE_PX}"
    with paths.write_whole(locate_png(capture)) as path:
        picture = Image.fromarray(quantize(render(*signal[:3])))
        picture.save(path, compress_level=1)  # the usual 6 takes as long as developing
        png_bytes = path.stat().st_size
    _stamp(locate_png(capture), state)
    arrays = {name: array for name, array in signal._asdict().items() if name != "camera"}
    # After the PNG: it vouches for both.
    save_arrays(locate_signal(capture), arrays, state, camera=signal.camera, png_bytes=png_bytes)


def save_arrays(file, arrays, state, **record):
    """Write arrays that were made from a capture as safetensors, so that is_current can tell whether it has changed.

    Args:
        arrays: {name: array}.
        state: the capture's os.stat_result, of before it was read.
        record: what else is kept with them.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    record["source"] = [state.st_size, state.st_mtime_ns]
    with paths.write_whole(file) as path:
        path.write_bytes(safetensors.numpy.save(arrays, {"record": json.dumps(record)}))
    _stamp(file, state)


def _stamp(path, state):
    """Let a file bear the time of the capture that it was made from: one that is edited later shows.

    Not before it has its name: what is being written is told from leftovers by its own time.
    """
    with suppress(PermissionError):  # a disk that lets nobody set times: it is made anew each time
        os.utime(path, ns=(state.st_mtime_ns, state.st_mtime_ns))


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


def is_current(arrays, capture, png=None):
    """Return whether a file of save_arrays is there as it was written, and of the capture as it is.

    Only its header is read, which says how long the file is. What a disk changes in silence is not noticed.

    Args:
        png: a file that it vouches for, see develop_file.
    """
    try:
        state, *made = (path.stat() for path in (capture, arrays, png) if path)
        with safetensors.safe_open(arrays, "numpy") as file:
            record = json.loads(file.metadata()["record"])
        recorded = record["source"] == [state.st_size, state.st_mtime_ns]
        recorded &= not png or record["png_bytes"] == made[-1].st_size
        # Some disks keep times to two seconds.
        return recorded and all(abs(each.st_mtime - state.st_mtime) <= 2 for each in made)
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return False
