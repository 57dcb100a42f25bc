"""Every RAW file of a data set, once: reduced to a tenth of its size, kept as a Signal and as an 8-bit PNG."""

import errno
import json
import os

import numpy as np
import safetensors.numpy
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sidlib import catalog, paths, workers
from sidlib.camera import quantize, render
from sidlib.raw import Signal, read_signal
from sidlib.rawfile import RawError

MIN_SIZE_PX = 11  # the window of SSIM
VERSION = 3  # raise it when the same capture gives another Signal or PNG than before
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk of every PNG


def develop_pairs(pairs):
    """Develop both pictures of every pair to png/ and signal/ in paths.derived_folder; what is up to date is kept.

    Returns:
        the pairs with the paths of their files: short_png, long_png, short_signal, long_signal; without those that
        cannot be read or whose pictures differ in size, which are logged with the reason.
    Raises:
        FileNotFoundError: a worker of the cluster does not see the data set. ValueError: no pair is left.
    """
    usable = pairs.copy()
    for kind in ("short", "long"):
        usable[[f"{kind}_png", f"{kind}_signal"]] = pairs[kind].map(locate_developed).tolist()
    for folder in {file.parent.parent for column in ("short_png", "short_signal") for file in usable[column]}:
        paths.clear_leftovers(folder)
    missing, problems = [file for file in (*usable.short, *usable.long.unique()) if not _is_developed(file)], {}
    for file, reason in workers.share(develop_file, missing, "Developing", "file"):
        if reason == os.strerror(errno.ENOENT) and file.exists():
            raise FileNotFoundError(f"{file} is not on a worker: mount the data set at the same path on all workers")
        if reason:
            problems[file] = reason
    usable = usable[~usable.short.isin(problems) & ~usable.long.isin(problems)]
    sizes = {png: Image.open(png).size for png in {*usable.short_png, *usable.long_png}}
    for pair in usable.itertuples():
        if (short := sizes[pair.short_png]) != (long := sizes[pair.long_png]):
            problems[pair.short] = "{} × {} pixels when developed, its long exposure {} × {}".format(*short, *long)
    catalog.report_problems(problems)
    usable = usable[~usable.short.isin(problems)].reset_index(drop=True)
    if usable.empty:
        raise ValueError(f"No pair is left of {len(pairs)}: {len(problems)} files have a problem")
    return usable


def locate_developed(capture):
    """Return where the PNG and the Signal of short/x.ARW go: png/short/x.png and signal/short/x.safetensors."""
    folder, name = paths.derived_folder(capture.parents[1]), f"{capture.parent.name}/{capture.stem}"
    return folder / "png" / f"{name}.png", folder / "signal" / f"{name}.safetensors"


def _make_key(capture):
    return paths.fingerprint(paths.file_state(capture), VERSION)


def _is_developed(capture):
    """Whether the PNG and the Signal of a capture are there, whole, and made from the capture as it is now."""
    try:
        key, (png, signal) = _make_key(capture), locate_developed(capture)
        with open(png, "rb") as file, Image.open(file) as picture:
            keys_match = picture.info.get("key") == key and is_current(signal, key)
            file.seek(-len(PNG_END), os.SEEK_END)
            return keys_match and file.read() == PNG_END
    except (OSError, SyntaxError):  # Pillow raises a SyntaxError for some damaged headers
        return False


def develop_file(capture):
    """Write the PNG and the Signal of a RAW file; if it cannot be read, return the reason."""
    try:
        key = _make_key(capture)  # before it is read: a later change shows
        signal = read_signal(capture)
    except OSError as error:
        return error.strerror
    except RawError as error:
        return str(error).removeprefix(f"{capture}: ")
    height, width = signal.camera_rgb.shape[:2]
    if min(height, width) < MIN_SIZE_PX:
        return f"too small: {width} × {height} pixels are left of it, and SSIM's window needs {MIN_SIZE_PX}"
    info = PngInfo()
    info.add_text("key", key)
    png, file = locate_developed(capture)
    with paths.write_atomically(png) as path:  # the usual compression, 6, takes as long as developing
        Image.fromarray(quantize(render(*signal[:3]))).save(path, compress_level=1, pnginfo=info)
    arrays = signal._asdict()
    save_arrays(file, arrays, key, camera=arrays.pop("camera"))


def save_arrays(file, arrays, key, **record):
    """Write {name: array} as safetensors, with the key of what they were made from and whatever else is given."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    contents = [(name, str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()]
    record |= {"key": key, "digest": paths.fingerprint(contents)}
    with paths.write_atomically(file) as path:  # one text, since safetensors keeps several in no order
        path.write_bytes(safetensors.numpy.save(arrays, {"record": json.dumps(record)}))


def is_current(file, key):
    """Return whether a file of save_arrays is there, whole, and has this key. Only its header is read."""
    try:
        return _read(file)[0]["key"] == key
    except (OSError, RawError, KeyError):
        return False


def read_digest(file):
    """Return the digest of a Signal's arrays, 16 hexadecimal digits; raise a RawError if the file is damaged."""
    return _read(file)[0]["digest"]


def load_signal(file):
    """Return the Signal that develop_file wrote; raise a RawError if the file is damaged."""
    record, arrays = _read(file, Signal._fields[:3])
    return Signal(**arrays, camera=record["camera"])


def _read(file, names=()):
    """The record and some arrays of a file of save_arrays. Opening it compares its length with that in its header."""
    try:
        with safetensors.safe_open(file, "numpy") as opened:
            return json.loads(opened.metadata()["record"]), {name: opened.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RawError(f"{file}: damaged, preprocess.develop_pairs makes it anew ({error})") from error
