"""Where the project, its data sets and its results are, and how a file is written whole."""

import os
import secrets
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
RESULTS = ROOT / "results"
LEFT_OVER_S = 24 * 3600  # nobody writes one file for a day


def find_dataset(dataset):
    """Return the folder of a data set; its name is the data set's, however it was reached.

    That is the entry of data/ that is this folder or a link to it, and for a folder elsewhere the folder itself, with
    every link followed.

    Args:
        dataset: name of an entry of data/ ("sample", "Sony"), or the path of any folder of SID's shape, from here or
            from the project's folder; `~` is the user's own.
    Raises:
        FileNotFoundError: the folder is not there, or lacks short/ or long/.
    """
    given = os.path.expanduser(dataset)
    is_name = len(Path(given).parts) == 1 and not given.startswith(".")
    bases = (DATA, Path.cwd(), ROOT) if is_name else (Path.cwd(), ROOT, DATA)
    candidates = [Path(os.path.realpath(base / given)) for base in bases]
    folder = next((folder for folder in candidates if (folder / "short").is_dir()), candidates[0])
    for part in ("short", "long"):
        if not (folder / part).is_dir():
            raise FileNotFoundError(
                f"No data set at {folder}: it needs the folders short/ and long/, and {part}/ is not there. "
                "The sample is made by sample.build_sample(); data/README.md says how to get the real one. "
                f"Received: {str(dataset)!r}"
            )
    entries = sorted(DATA.glob("*"), key=lambda entry: (entry.is_symlink(), entry))
    return next((entry for entry in entries if os.path.isdir(entry) and entry.samefile(folder)), folder)


def results_folder(dataset, fast=False):
    """Return the folder for everything that is computed from a data set: results/<name>, or results/fast/<name>."""
    try:
        folder = find_dataset(dataset)
    except FileNotFoundError:  # it may yet be made
        folder = DATA / Path(os.path.realpath(os.path.expanduser(dataset))).name
    name = folder.name
    if name in ("", "reference", "benchmarks", "fast", "made") or (name == "sample" and folder.parent != DATA):
        raise ValueError(f"results/{name} is not a data set's: give the data set another name. Received: {dataset!r}")
    return (RESULTS / "fast" if fast else RESULTS) / name


def made_folder(folder):
    """Return where what is made from a data set goes: its own folder, or results/made/<its path> if that is read-only.

    Args:
        folder: of the data set, see find_dataset.
    """
    if os.access(folder, os.W_OK):
        return folder
    whole = Path(os.path.realpath(folder))
    return RESULTS / "made" / whole.relative_to(whole.anchor)


def checksum(*files):
    """Return a number that tells the contents of files from others, in this order."""
    known = 0
    for file in files:
        known = zlib.crc32(file.read_bytes(), known)
    return known


@contextmanager
def write_whole(path):
    """Yield a temporary path beside `path` that becomes `path` when the block ends well, so no half file stays.

    The temporary name keeps the suffix, which many writers look at, and has a random number, so that any number of
    processes on any number of hosts can write the same file. It starts with a dot: no catalogue lists it.

    Raises:
        OSError: of the block, naming the file where the writer did not.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.randbits(64)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and not error.filename:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def clear_leftovers(folder):
    """Remove the temporary files below a folder that write_whole left there when its process was killed.

    They are told by their age: other hosts and containers may write here, too, and their processes cannot be asked.
    """
    for path in Path(folder).rglob(".*.*.*"):
        number = path.name.split(".")[-2]
        if number.isdigit() and len(number) > 12:  # one of 64 bits is hardly ever shorter
            with suppress(FileNotFoundError):  # another process has just ended it well
                if path.stat().st_mtime < time.time() - LEFT_OVER_S:
                    path.unlink()
