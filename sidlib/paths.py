"""Where the project, its data sets and its results are, and how a file is written whole."""

import os
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
RESULTS = ROOT / "results"


def find_dataset(dataset):
    """Return the folder of a data set: `data/<name>` for a name, or any folder of SID's shape.

    Args:
        dataset: name of a folder in data/ ("sample", "Sony"), or a path.
    Raises:
        FileNotFoundError: the folder is not there, or lacks short/ or long/.
    """
    candidates = DATA / dataset, Path(dataset).resolve()
    folder = next((folder for folder in candidates if (folder / "short").is_dir()), DATA / dataset)
    for part in ("short", "long"):
        if not (folder / part).is_dir():
            raise FileNotFoundError(
                f"No data set at {folder}: it needs the folders short/ and long/, and {part}/ is not there. "
                "The sample is made by sample.build_sample(); data/README.md says how to get the real one. "
                f"Received: {str(dataset)!r}"
            )
    return folder


def results_folder(dataset, fast=False):
    """Return the folder for everything that is computed from a data set: results/<name>, or results/fast/<name>."""
    name = Path(dataset).resolve().name
    if name in ("reference", "benchmarks", "fast"):
        raise ValueError(f"results/{name} is not a data set's: give the data set another name. Received: {dataset!r}")
    return (RESULTS / "fast" if fast else RESULTS) / name


@contextmanager
def write_whole(path):
    """Yield a temporary path beside `path` that becomes `path` when the block ends well, so no half file stays.

    The temporary name keeps the suffix, which many writers look at, and the process number, so that two
    processes can write the same file. It starts with a dot: no catalogue lists it.

    Raises:
        OSError: of the block, naming the file where the writer did not.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
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
    """Remove the temporary files that write_whole left below a folder when its process was killed."""
    for path in Path(folder).rglob(".*.*.*"):
        process = path.suffixes[-2].removeprefix(".")
        if process.isdigit() and not _is_running(int(process)):
            path.unlink(missing_ok=True)


def _is_running(process):
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
