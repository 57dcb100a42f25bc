"""Where the project, its data sets and results are; and files: written atomically, told from others, locked."""

import dataclasses
import hashlib
import json
import logging
import os
import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
RESULTS = Path(os.environ.get("SID_RESULTS") or ROOT / "results").absolute()
REFERENCE = ROOT / "results" / "reference"
LEFTOVER_S = 24 * 3600  # no process writes one file for a day
_log = logging.getLogger(__name__)


def dataset_folder(dataset):
    """Return the folder of a data set, whether it exists or not; the entry of data/ if one is or links to this folder.

    `dataset` is the name of an entry of data/ ("sample", "Sony") or the path of any folder, relative to the current
    folder or to the project.
    """
    given = os.path.expanduser(dataset)
    is_name = len(Path(given).parts) == 1 and not given.startswith(".")
    bases = (DATA, Path.cwd(), ROOT) if is_name else (Path.cwd(), ROOT, DATA)
    candidates = [Path(os.path.abspath(base / given)) for base in bases]
    folder = next((folder for folder in candidates if (folder / "short").is_dir()), None)
    if not folder:
        return candidates[0]
    entries = sorted(DATA.glob("*"), key=lambda entry: (entry.is_symlink(), entry))
    return next((entry for entry in entries if os.path.isdir(entry) and entry.samefile(folder)), folder.resolve())


def results_folder(folder, fast=False):
    """Return results/<name> or results/fast/<name> for a data set's folder; raise a ValueError if it is reserved."""
    name = Path(folder).name
    if name in ("", "reference", "benchmarks", "fast", "made") or (name == "sample" and Path(folder).parent != DATA):
        raise ValueError(f"results/{name} is reserved: give the data set another name. Received: {str(folder)!r}")
    return (RESULTS / "fast" if fast else RESULTS) / name


def derived_folder(folder):
    """Return the folder for files that are made from a data set: its own, or results/made/<its path> if read-only."""
    whole = Path(os.path.realpath(folder))
    return folder if os.access(folder, os.W_OK) else RESULTS / "made" / whole.relative_to(whole.anchor)


def fingerprint(*parts):
    """Return 16 hex digits that tell parts from others: texts, numbers, bytes, None, dataclasses, lists, dicts."""

    def serialise(part):
        if isinstance(part, bytes):
            return hashlib.sha256(part).hexdigest()
        if dataclasses.is_dataclass(part):
            return [type(part).__name__, dataclasses.asdict(part)]
        return part.tolist()  # NumPy

    text = json.dumps(parts, default=serialise, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_state(path):
    """Return (name, size in bytes, time of change in ns) of a file: it identifies a capture without reading it."""
    state = Path(path).stat()
    return Path(path).name, state.st_size, state.st_mtime_ns


@contextmanager
def write_atomically(path):
    """Yield a temporary path that becomes `path` when the block succeeds: `path` is whole or absent, whatever happens.

    The temporary file has a random name, so several hosts can write the same file, and reaches the disk before it is
    renamed, so a power cut leaves no empty file. An OSError of the block names the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.partial-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        _flush(temporary, os.O_RDWR)  # which Windows asks for
        os.replace(temporary, path)
        with suppress(OSError):  # not every file system flushes folders
            _flush(path.parent, os.O_RDONLY)
    except OSError as error:
        if error.errno and not error.filename:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path, mode):
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_leftovers(folder):
    """Remove temporary files of write_atomically below a folder whose process was killed more than a day ago."""
    for path in Path(folder).rglob(f".*.partial-{'[0-9a-f]' * 16}*"):
        with suppress(OSError):  # another process has just completed it
            if path.stat().st_mtime < time.time() - LEFTOVER_S:
                path.unlink()


@contextmanager
def lock(file):
    """Let one process at a time run the block, by a lock file; a process that has to wait logs a warning."""
    try:
        held = FileLock(file).acquire(timeout=0)  # makes the folder, too
    except Timeout:
        _log.warning("%s is held by another process: waiting for it", file)
        held = FileLock(file).acquire()
    except OSError as error:
        advice = "work in a folder that can be written, on a disk mounted with locks"
        raise OSError(error.errno, f"{os.strerror(error.errno)}: {advice}", str(file)) from error
    with held:
        yield
