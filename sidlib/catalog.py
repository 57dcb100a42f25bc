"""Which captures exist and which short exposure belongs to which long one: one DataFrame, a row a pair."""

import io
import logging
import re
import stat
import zlib

import numpy as np
import pandas as pd

from sidlib import paths
from sidlib.raw import RawError, read_exposure

SPLITS = {"0": "train", "1": "test", "2": "val"}  # by a scene number's first digit
MAX_RATIO = 300  # the paper's code amplifies by no more

_NAME = re.compile(r"(?P<scene>[012]\d{4})_(?P<frame>\d{2})_\d+(\.\d+)?s\.\w+")
_KEY, _EXPOSURE = ["file", "bytes", "changed_ns"], ["exposure_s", "iso", "f_number"]
_log = logging.getLogger(__name__)


def load_index():
    """Return the real data set's index: SID's 2697 Sony pairs, whether its files are here or not.

    Returns:
        DataFrame, a row a short exposure: split, scene (str), frame, short_s, long_s, ratio (at most 300), iso,
        f_number, wb_red, wb_blue (white-balance gains, green 1).
    Source: data/sid_sony.csv, see data/README.md.
    """
    groups = pd.read_csv(paths.DATA / "sid_sony.csv", dtype={"scene": str})
    index = groups.loc[groups.index.repeat(groups.frames)].copy()
    index["frame"] = index.first_frame + index.groupby(level=0).cumcount()
    index["ratio"] = exposure_ratio(index.short_s, index.long_s)
    columns = ["split", "scene", "frame", "short_s", "long_s", "ratio", "iso", "f_number", "wb_red", "wb_blue"]
    return index[columns].reset_index(drop=True)


def exposure_ratio(short_s, long_s):
    """Return by how much a short exposure has to be amplified to be as bright as its long one, at most 300."""
    return np.minimum(long_s / short_s, MAX_RATIO)


def load_pairs(dataset="sample", needed=()):
    """Return the pairs of a data set that are on disk.

    Args:
        dataset: "sample", "Sony", or any folder of SID's shape: short/ and long/ with files named like
            00001_00_0.1s.ARW (scene, frame, exposure time), in any RAW format.
        needed: splits that have to be there, of "train", "val" and "test".
    Returns:
        DataFrame, a row a pair, sorted by scene: dataset, split, scene, frame, short_s, long_s, ratio (at most 300),
        iso, f_number, short, long (paths). Times, ISO and f-number are the files' own. What is in the folder but in no
        pair is logged and kept in `.attrs["problems"]`, a list of {"file", "reason"}.
    Raises:
        FileNotFoundError: there is no such data set. ValueError: it holds no pair, or none of a split that is needed.
    """
    folder, problems = paths.find_dataset(dataset), []
    captures = _read_exposures(_name_captures(_list_files(folder), problems), problems, folder)
    shorts, longs = (captures[captures.path.map(lambda path: path.parent.name) == kind] for kind in ("short", "long"))

    twice = longs.scene.duplicated(keep=False)
    _note(problems, longs.path[twice], "its scene has more than one long exposure: none is used")
    longs = longs[~twice]
    _note(problems, shorts.path[~shorts.scene.isin(longs.scene)], "a short exposure without its long one")
    _note(problems, longs.path[~longs.scene.isin(shorts.scene)], "a long exposure without a short one")

    pairs = shorts.merge(longs[["scene", "path", "exposure_s"]], on="scene", suffixes=("", "_long"))
    pairs = pairs.rename(
        columns={"exposure_s": "short_s", "exposure_s_long": "long_s", "path": "short", "path_long": "long"}
    )
    pairs = pairs.assign(
        dataset=folder.name,
        split=pairs.scene.str[0].map(SPLITS),
        ratio=exposure_ratio(pairs.short_s, pairs.long_s),
        iso=np.nan_to_num(pairs.iso, posinf=0).astype(int),
    )
    columns = ["dataset", "split", "scene", "frame", "short_s", "long_s", "ratio", "iso", "f_number", "short", "long"]
    pairs = pairs.sort_values(["scene", "short_s", "frame"])[columns].reset_index(drop=True)
    report_problems(pairs, problems)
    if pairs.empty:
        raise ValueError(f"{folder} holds no pair of a short and a long exposure; {len(problems)} files have a problem")
    if missing := set(needed) - set(pairs.split):
        splits = ", ".join(f"{digit} {split}" for digit, split in SPLITS.items())
        raise ValueError(
            f"{folder} holds no pair of {' or '.join(sorted(missing))}; a scene number's first digit says the split: "
            f"{splits}. {len(problems)} files have a problem"
        )
    return pairs


def check_dataset(dataset="Sony"):
    """Compare a copy of the real data set with its index, before hours are spent on it.

    Returns:
        DataFrame, a row a file that is missing, unexpected, twice there or unreadable: file (short/… or long/…; a
        missing one without ending), reason. Empty if all 2928 files are there and open. Files are compared by name
        without the ending; pixels are not read.
    Raises:
        FileNotFoundError: there is no such data set.
    """
    folder = paths.find_dataset(dataset)
    index = load_index()
    shorts = "short/" + index.scene + "_" + index.frame.map("{:02d}".format) + "_" + index.short_s.map("{:g}s".format)
    longs = "long/" + index.scene + "_00_" + index.long_s.map("{:g}s".format)
    expected = {*shorts, *longs}
    captures = pd.DataFrame({"path": _list_files(folder)})
    names = captures.path.map(lambda path: f"{path.parent.name}/{path.stem}")

    problems = []
    _note(problems, sorted(expected - set(names)), "missing")
    _note(problems, captures.path[~names.isin(expected)], "not in the index")
    _read_exposures(captures[names.isin(expected)], problems, folder)
    found = pd.DataFrame(problems, columns=["file", "reason"])
    return found.assign(file=found.file.str.removeprefix(f"{folder}/"))


def take_scenes(pairs, count):
    """Return the pairs of the first `count` scenes of each split: a small set that has every split."""
    first = pairs.drop_duplicates("scene").groupby("split").scene.head(count)
    return pairs[pairs.scene.isin(first)].reset_index(drop=True)


def pick_splits(pairs, *splits):
    """Return the pairs of each of some splits: a list of DataFrames.

    Raises:
        ValueError: a split has no pairs.
    """
    picked = [pairs[pairs.split == split] for split in splits]
    if any(of_split.empty for of_split in picked):
        found = dict(pairs.split.value_counts())
        raise ValueError(f"Pairs of the splits {' and '.join(splits)} are needed. Received: {found}")
    return picked


def report_problems(pairs, problems):
    """Log files with a problem as a table and add them to `pairs.attrs["problems"]`."""
    if problems:
        table = pd.DataFrame(problems).to_string(index=False, justify="left", max_colwidth=None)
        _log.warning("%d files are left out:\n%s", len(problems), table)
    pairs.attrs["problems"] = pairs.attrs.get("problems", []) + problems


def _list_files(folder):
    """What lies in short/ and long/, sorted, without hidden files."""
    files = [path for kind in ("short", "long") for path in sorted((folder / kind).iterdir())]
    return [path for path in files if not path.name.startswith(".")]


def _name_captures(files, problems):
    """The files whose names say scene and frame: a DataFrame of scene, frame, path."""
    names = {path: _NAME.fullmatch(path.name) for path in files}
    _note(problems, [path for path, name in names.items() if not name], "its name is not of the form 00001_00_0.1s.ARW")
    rows = [(name["scene"], int(name["frame"]), path) for path, name in names.items() if name]
    return pd.DataFrame(rows, columns=["scene", "frame", "path"])


def _read_exposures(captures, problems, folder):
    """Add what each file says of its exposure; files that cannot be read become problems.

    Of files whose names differ in the ending alone, which would become the same PNG, the first that can be read stays:
    so no JPEG and no side-car file displaces a RAW file. What was read is kept in exposures.csv, and read again only
    from a file that has changed since.
    """
    made = paths.made_folder(folder)
    if made != folder:
        _log.warning("%s cannot be written: what is made from it goes to %s", folder, made)
    states = pd.DataFrame([_find_state(path) for path in captures.path], captures.index, [*_KEY[1:], "reason"])
    captures = captures.join(states.astype({"bytes": "int64", "changed_ns": "int64"}))
    captures = captures.assign(file=captures.path.map(lambda path: f"{path.parent.name}/{path.name}"))
    captures = captures.merge(_load_kept(made / "exposures.csv"), on=_KEY, how="left")
    unread = captures[captures.reason.isna() & captures.exposure_s.isna()]
    for row in unread.itertuples():
        try:
            captures.loc[row.Index, _EXPOSURE] = read_exposure(row.path)
        except RawError as error:
            captures.loc[row.Index, "reason"] = str(error).removeprefix(f"{row.path}: ")
    readable = captures[captures.reason.isna()]
    if len(unread):
        _keep(readable[[*_KEY, *_EXPOSURE]], made / "exposures.csv")

    stems = captures.path.map(lambda path: path.with_suffix(""))
    usable = readable[~stems[readable.index].duplicated()]
    captures.loc[stems.isin(stems[usable.index]), "reason"] = "another file has the same name but for the ending"
    for row in captures.drop(usable.index).itertuples():
        _note(problems, [row.path], row.reason)
    return usable


def _find_state(path):
    """A file's size in bytes, when it was changed, and None; or why it cannot be read."""
    try:
        state = path.stat()
    except OSError as error:  # a link that leads nowhere or in a circle
        return 0, 0, error.strerror
    # Whoever reads a pipe waits.
    reason = None if stat.S_ISREG(state.st_mode) else "a folder, pipe or device, not a file"
    return state.st_size, state.st_mtime_ns, reason


def _load_kept(file):
    """What _keep wrote; without rows if it is not as it was written, since it is only for speed."""
    try:
        known, text = file.read_text("utf-8").split("\n", 1)
        if known == _checksum(text):
            return pd.read_csv(io.StringIO(text), float_precision="round_trip")
    except (OSError, ValueError):
        pass
    types = dict.fromkeys(_KEY, "int64") | {"file": object} | dict.fromkeys(_EXPOSURE, float)
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in types.items()})


def _keep(exposures, file):
    text = exposures.to_csv(index=False, lineterminator="\n")
    try:
        with paths.write_whole(file) as path:
            path.write_text(f"{_checksum(text)}\n{text}", "utf-8", newline="\n")
    except OSError as error:
        _log.warning("%s cannot be written, so files are read again each time: %s", file, error.strerror or error)


def _checksum(text):
    return f"# checksum {zlib.crc32(text.encode())}"


def _note(problems, files, reason):
    problems.extend({"file": str(file), "reason": reason} for file in files)
