"""Which captures exist and which short exposure belongs to which long one: one DataFrame, a row per pair."""

import json
import logging
import re
from contextlib import suppress

import numpy as np
import pandas as pd

from sidlib import paths
from sidlib.brightness import exposure_ratio
from sidlib.raw import read_exposure
from sidlib.rawfile import RawError

SPLITS = {"0": "train", "1": "test", "2": "val"}  # by a scene number's first digit
_NAME = re.compile(r"(?P<scene>[012]\d{4})_(?P<frame>\d{2})_\d+(\.\d+)?s\.\w+")
_STATE = {"kind": str, "file": str, "bytes": "int64", "changed_ns": "int64"}
_EXPOSURE = {"exposure_s": float, "iso": float, "f_number": float}
_log = logging.getLogger(__name__)


def load_index():
    """Return the index of SID's 2697 Sony pairs, a row per short exposure, see data/README.md for its columns."""
    groups = pd.read_csv(paths.DATA / "sid_sony.csv", dtype={"scene": str})
    index = groups.loc[groups.index.repeat(groups.frames)].copy()
    index["frame"] = index.first_frame + index.groupby(level=0).cumcount()
    index["ratio"] = exposure_ratio(index.short_s, index.long_s)
    columns = ["split", "scene", "frame", "short_s", "long_s", "ratio", "iso", "f_number", "wb_red", "wb_blue"]
    return index[columns].reset_index(drop=True)


def load_pairs(folder, needed=()):
    """Return the pairs of a data set that are on disk. Files in no pair are logged with the reason.

    The folders short/ and long/ hold RAW files named like 00001_00_0.1s.ARW: scene, frame, exposure time.

    Returns:
        DataFrame, a row per pair, sorted by scene: dataset (the folder's name), split, scene, frame, short_s, long_s,
        ratio (at most 300), iso, f_number, photograph (what a simulated scene shows, "drawn" for a drawn one; else the
        scene), short, long (paths). Times, ISO and f-number are the files' own.
    Raises:
        FileNotFoundError: there is no short/ or no long/. ValueError: there is no pair, or none of a split in `needed`.
    """
    scenes, files = read_plan(folder)[1], _list_files(folder)
    names = {path: _NAME.fullmatch(path.name) for path in files}
    problems = {path: "its name is not of the form 00001_00_0.1s.ARW" for path in files if not names[path]}
    exposures = _read_exposures([path for path in files if names[path]], problems, folder)
    captures = pd.DataFrame([names[path].groupdict() | {"path": path, **exposures[path]} for path in exposures])
    captures = captures.reindex(columns=["scene", "frame", "path", *_EXPOSURE]).astype({"frame": int})
    shorts, longs = (captures[captures.path.map(lambda path: path.parent.name) == kind] for kind in ("short", "long"))
    twice = longs.scene.duplicated(keep=False)
    problems |= dict.fromkeys(longs.path[twice], "its scene has more than one long exposure: none is used")
    longs = longs[~twice]
    problems |= dict.fromkeys(shorts.path[~shorts.scene.isin(longs.scene)], "a short exposure without its long one")
    problems |= dict.fromkeys(longs.path[~longs.scene.isin(shorts.scene)], "a long exposure without a short one")
    report_problems(problems)

    shorts = shorts.rename(columns={"path": "short", "exposure_s": "short_s"})
    longs = longs.rename(columns={"path": "long", "exposure_s": "long_s"})
    pairs = shorts.merge(longs[["scene", "long", "long_s"]], on="scene").sort_values(["scene", "short_s", "frame"])
    if pairs.empty:
        raise ValueError(f"{folder} holds no pair of a short and a long exposure; {len(problems)} files have a problem")
    pairs = pairs.assign(
        dataset=folder.name,
        split=pairs.scene.str[0].map(SPLITS),
        ratio=exposure_ratio(pairs.short_s, pairs.long_s),
        iso=np.nan_to_num(pairs.iso, posinf=0).astype(int),
        photograph=[scenes.get(scene, {}).get("photograph", scene) for scene in pairs.scene],
    )
    columns = ["dataset", "split", "scene", "frame", "short_s", "long_s", "ratio", "iso", "f_number", "photograph"]
    pick_splits(pairs, *needed)  # raises
    return pairs[[*columns, "short", "long"]].reset_index(drop=True)


def read_plan(folder):
    """Return the fingerprint and the scenes of a simulated data set's plan.json, see sample; "" and {} of any other."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        plan = json.loads((folder / "plan.json").read_text("utf-8"))
        return plan["fingerprint"], {scene: dict(entry) for scene, entry in plan["scenes"].items()}
    return "", {}


def check_dataset(folder):
    """Compare a copy of the real data set with its index: a DataFrame of files, and the reason why each is wrong."""
    index = load_index()
    shorts = "short/" + index.scene + "_" + index.frame.map("{:02d}".format) + "_" + index.short_s.map("{:g}s".format)
    longs = "long/" + index.scene + "_00_" + index.long_s.map("{:g}s".format)
    expected = {*shorts, *longs}
    names = {path: f"{path.parent.name}/{path.stem}" for path in _list_files(folder)}
    problems = dict.fromkeys(sorted(expected - {*names.values()}), "missing")
    problems |= {path: "not in the index" for path in names if names[path] not in expected}
    _read_exposures([path for path in names if names[path] in expected], problems, folder)
    found = pd.DataFrame(problems.items(), columns=["file", "reason"])
    return found.assign(file=[str(file).removeprefix(f"{folder}/") for file in found.file])


def take_scenes(pairs, count):
    """Return the pairs of the first `count` scenes of each split: a small set that has every split."""
    first = pairs.drop_duplicates("scene").groupby("split").scene.head(count)
    return pairs[pairs.scene.isin(first)].reset_index(drop=True)


def pick_splits(pairs, *splits):
    """Return the pairs of each of some splits: a list of DataFrames; raise a ValueError if a split has none."""
    picked = [pairs[pairs.split == split] for split in splits]
    if any(of_split.empty for of_split in picked):
        needed = f"Pairs of the splits {' and '.join(splits)} are needed"
        digits = "a scene number's first digit says its split: 0 train, 1 test, 2 val"
        raise ValueError(f"{needed}; {digits}. Received: {pairs.split.value_counts().to_dict()}")
    return picked


def report_problems(problems):
    """Log {file: reason} as a table, if there are any."""
    if problems:
        table = pd.DataFrame(problems.items(), columns=["file", "reason"])
        text = table.to_string(index=False, justify="left", max_colwidth=None)
        _log.warning("%d files are left out:\n%s", len(problems), text)


def _list_files(folder):
    """The files in short/ and long/, sorted, without hidden ones and pictures that were restored from others."""
    files = []
    for kind in ("short", "long"):
        if not (folder / kind).is_dir():
            advice = "sample.build_sample() makes the sample; data/README.md says how to get the real one"
            raise FileNotFoundError(f"No data set at {folder}: {kind}/ is not there. {advice}")
        there = (path for path in (folder / kind).iterdir() if not path.stem.endswith(" restored"))
        files += sorted(path for path in there if not path.name.startswith("."))
    return files


def _read_exposures(files, problems, folder):
    """Return {path: read_exposure(path)}, which exposures.csv keeps; files without one become problems."""
    file = paths.derived_folder(folder) / "exposures.csv"
    if file.parent != folder:
        _log.warning("%s cannot be written: what is made from it goes to %s", folder, file.parent)
    kept, states, exposures = _load_exposures(file), {}, {}
    for path in files:
        try:
            states[path] = path.parent.name, *paths.file_state(path)
            exposures[path] = kept.get(states[path]) or read_exposure(path)
        except OSError as error:  # a link that leads nowhere or in a circle
            problems[path] = error.strerror
        except RawError as error:
            problems[path] = str(error).removeprefix(f"{path}: ")
    if any(states[path] not in kept for path in exposures):
        rows = [(*states[path], *exposure.values()) for path, exposure in exposures.items()]
        with paths.write_atomically(file) as path:
            pd.DataFrame(rows, columns=[*_STATE, *_EXPOSURE]).to_csv(path, index=False)

    # Of names that differ in the suffix alone, the first readable file stays: no JPEG displaces a RAW file
    used = {path.with_suffix(""): path for path in reversed(exposures)}
    for path in files:
        if used.get(path.with_suffix(""), path) != path:
            exposures.pop(path, None)
            problems[path] = "another file has the same name but for the suffix"
    return exposures


def _load_exposures(file):
    """What exposures.csv keeps: {state of a file: exposure}; empty if it is damaged."""
    with suppress(OSError, ValueError, OverflowError, KeyError, AttributeError):
        table = pd.read_csv(file, dtype=_STATE | _EXPOSURE)
        table = table[table.exposure_s > 0]
        states = table[[*_STATE]].itertuples(index=False, name=None)
        return dict(zip(states, table[[*_EXPOSURE]].to_dict("records"), strict=True))
    return {}
