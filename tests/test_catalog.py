import os
import random
import shutil

import pandas as pd
import pytest

from sidlib import catalog
from sidlib.raw import read_exposure


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny data set to damage."""
    return shutil.copytree(tiny_folder, tmp_path / "copy", ignore=shutil.ignore_patterns("png", "signal"))


def read_problems(pairs):
    return {problem["file"].rsplit("/", 1)[-1]: problem["reason"] for problem in pairs.attrs["problems"]}


def test_the_index_holds_the_real_2697_pairs():
    index = catalog.load_index()
    assert index.split.value_counts().to_dict() == {"train": 1865, "test": 598, "val": 234}
    assert index.groupby("split").scene.nunique().to_dict() == {"train": 161, "test": 50, "val": 20}
    assert not index.duplicated(["scene", "short_s", "frame"]).any()
    assert index.notna().all().all()


def test_no_scene_of_the_index_is_in_two_splits_and_its_first_digit_says_which():
    index = catalog.load_index()
    assert (index.groupby("scene").split.nunique() == 1).all()
    assert (index.scene.str[0].map(catalog.SPLITS) == index.split).all()


def test_the_ratio_stops_at_300():
    index = catalog.load_index()
    assert set(index.ratio.round()) == {100, 250, 300}
    assert catalog.exposure_ratio(pd.Series([0.033]), pd.Series([10])).tolist() == [300]


def test_a_burst_of_the_index_that_begins_at_2_keeps_its_numbers():
    index = catalog.load_index()
    burst = index[(index.scene == "00207") & (index.short_s == 0.033)]
    assert burst.frame.tolist() == [0, 1, 2]  # from two rows of the table


def test_times_iso_and_f_number_are_the_files_own(folder):
    before = catalog.load_pairs(folder)
    short = before.short[0]
    short.rename(short.with_name("00001_07_0.5s.dng"))  # a name that lies about the time
    after = catalog.load_pairs(folder)
    renamed = after[after.frame == 7].iloc[0]
    assert renamed.short_s == before.short_s[0]
    assert renamed.ratio == before.ratio[0] == min(before.long_s[0] / before.short_s[0], 300)
    assert renamed.iso in set(catalog.load_index().iso)


def test_pairs_share_their_scene_and_its_long_exposure(tiny_folder):
    pairs = catalog.load_pairs(tiny_folder)
    assert pairs.split.value_counts().to_dict() == {"train": 6, "val": 2, "test": 4}
    assert (pairs.groupby("scene").long.nunique() == 1).all()
    assert all(
        short.name[:5] == long.name[:5] == scene
        for short, long, scene in zip(*(pairs[c] for c in ("short", "long", "scene")), strict=True)
    )
    assert pairs.attrs["problems"] == []


@pytest.mark.parametrize(
    ("damage", "lost", "named", "reason"),
    [
        (lambda f: next((f / "long").glob("00001*")).unlink(), 3, "00001_00", "a short exposure without its long one"),
        (
            lambda f: [p.unlink() for p in (f / "short").glob("20001*")],
            2,
            "20001_00",
            "a long exposure without a short one",
        ),
        (lambda f: (f / "short" / "IMG_1.dng").touch(), 0, "IMG_1.dng", "name"),
        (
            lambda f: shutil.copy(next((f / "long").glob("10001*")), f / "long" / "10001_00_99s.dng"),
            2,
            "10001_00_99s.dng",
            "more than one",
        ),
        (lambda f: (f / "short" / "00001_09_0.1s.ARW").write_text("no RAW"), 0, "00001_09_0.1s.ARW", "not a RAW file"),
        (lambda f: (f / "short" / "00001_09_0.1s.ARW").touch(), 0, "00001_09_0.1s.ARW", "empty"),
        (
            lambda f: next((f / "long").glob("10001*")).write_text("no RAW"),
            2,
            "10001_00_0",
            "a short exposure without its long one",
        ),
        (
            lambda f: shutil.copy(p := next((f / "short").glob("00001_00*")), p.with_suffix(".zzz")),
            0,
            "00001_00",
            "same name",
        ),
        (lambda f: (f / "short" / "00001_09_0.1s.ARW").symlink_to("gone.ARW"), 0, "00001_09", "No such file"),
        (lambda f: (f / "long" / "00009_00_10s.ARW").symlink_to("00009_00_10s.ARW"), 0, "00009_00", "symbolic links"),
        (lambda f: (f / "short" / "00001_09_0.1s.ARW").mkdir(), 0, "00001_09", "not a file"),
        (lambda f: os.mkfifo(f / "long" / "00009_00_10s.ARW"), 0, "00009_00", "not a file"),
    ],
    ids=[
        "no long",
        "no short",
        "name",
        "two longs",
        "text",
        "empty",
        "bad long",
        "twin",
        "gone",
        "loop",
        "dir",
        "pipe",
    ],
)
def test_what_is_in_no_pair_is_said(folder, caplog, damage, lost, named, reason):
    damage(folder)
    pairs = catalog.load_pairs(folder)
    problems = read_problems(pairs)
    assert len(pairs) == 12 - lost
    assert any(file.startswith(named) and reason in text for file, text in problems.items())
    assert named in caplog.text and reason in caplog.text


@pytest.mark.parametrize("ending", ["JPG", "jpeg", "HEIC", "TIF", "xmp", "XMP", "pp3", "DOP", "txt", "Arw"])
def test_what_is_no_raw_file_never_displaces_one_that_is(folder, ending):
    expected = catalog.load_pairs(folder)
    beside = [path.with_suffix(f".{ending}") for path in {*expected.short, *expected.long}]
    for path in beside:
        path.write_bytes(b"\xff\xd8\xff\xe1 no raw photograph")
    pairs = catalog.load_pairs(folder)
    pd.testing.assert_frame_equal(pairs, expected)
    assert read_problems(pairs).keys() == {path.name for path in beside}
    assert all("same name" in reason for reason in read_problems(pairs).values())


def test_of_two_files_that_cannot_be_read_each_has_its_own_reason(folder):
    (folder / "short" / "00001_09_0.1s.JPG").write_text("no photograph")
    (folder / "short" / "00001_09_0.1s.NEF").touch()
    problems = read_problems(catalog.load_pairs(folder))
    assert "not a RAW file" in problems["00001_09_0.1s.JPG"]
    assert "empty" in problems["00001_09_0.1s.NEF"]


def test_a_data_set_without_val_or_test_is_accepted_where_they_are_not_needed(folder):
    for path in [path for split in "12" for path in folder.rglob(f"{split}*.dng")]:
        path.unlink()
    assert set(catalog.load_pairs(folder).split) == {"train"}
    with pytest.raises(ValueError, match=r"no pair of test or val; .*0 train, 1 test, 2 val"):
        catalog.load_pairs(folder, needed=("train", "val", "test"))


def test_a_folder_without_any_pair_is_refused(tmp_path):
    (tmp_path / "short").mkdir()
    (tmp_path / "long").mkdir()
    with pytest.raises(ValueError, match="holds no pair"):
        catalog.load_pairs(tmp_path)


def test_a_few_scenes_of_each_split_are_taken_whole(tiny_pairs):
    few = catalog.take_scenes(tiny_pairs, 1)
    assert few.groupby("split").scene.nunique().to_dict() == {"train": 1, "val": 1, "test": 1}
    assert len(few[few.split == "train"]) == 3


def test_what_was_read_is_kept_and_only_changed_files_are_read_again(folder, monkeypatch):
    first = catalog.load_pairs(folder)
    changed = first.short[3]
    changed.write_bytes(changed.read_bytes())
    read = []
    monkeypatch.setattr(catalog, "read_exposure", lambda path: read.append(path) or read_exposure(path))
    pd.testing.assert_frame_equal(catalog.load_pairs(folder), first)
    assert read == [changed]
    catalog.load_pairs(folder)
    assert read == [changed]


def damage_table(text):
    """Return what may have become of exposures.csv: {kind: bytes}."""
    known, names, first, second, *rest = lines = text.splitlines(keepends=True)
    head = known + names
    other = head + first.replace(",0.1,", ",0.7,") + second + "".join(rest)
    texts = {
        "empty": "",
        "header alone": head,
        "no checksum": text.removeprefix(known),
        "semicolons": text.replace(",", ";"),
        "a column is missing": known + "".join(line.split(",", 1)[1] for line in lines[1:]),
        "another column": text.replace("exposure_s", "seconds"),
        "no number": text.replace(",0.1,", ",a tenth,"),
        "nothing": text.replace(",0.1,", ",,"),
        "NaN": text.replace(",0.1,", ",nan,"),
        "another time": other,
        "a row twice": text + first,
        "a row twice, once of another time": text + other.splitlines(keepends=True)[2],
        "cut": text[:-20],
    }
    rng = random.Random(0)
    edited = {f"byte {place}": text[:place] + "7" + text[place + 1 :] for place in rng.sample(range(len(text)), 20)}
    rubbish = {"rubbish": rng.randbytes(3000), "zeros": bytes(3000), "UTF-16": text.encode("utf-16")}
    return {name: content.encode() for name, content in (texts | edited).items() if content != text} | rubbish


def test_a_table_of_exposures_that_is_not_as_it_was_written_is_made_anew(folder):
    expected = catalog.load_pairs(folder)
    file = folder / "exposures.csv"
    whole = file.read_bytes()
    damages = damage_table(whole.decode())
    assert len(damages) > 30
    for kind, content in damages.items():
        file.write_bytes(content)
        pd.testing.assert_frame_equal(catalog.load_pairs(folder), expected)
        assert file.read_bytes() == whole, kind


def test_a_file_that_is_kept_only_for_speed_stops_nothing_when_it_cannot_be_written(folder, caplog):
    (folder / "exposures.csv").unlink(missing_ok=True)
    (folder / "exposures.csv").mkdir()
    assert len(catalog.load_pairs(folder)) == 12
    assert "exposures.csv cannot be written" in caplog.text


@pytest.fixture(scope="module")
def sony(tiny_folder, tmp_path_factory):
    """A tree of 2928 files with the names of the real data set, all links to one small file."""
    folder = tmp_path_factory.mktemp("data") / "Sony"
    capture = next((tiny_folder / "long").iterdir())
    index = catalog.load_index()
    names = {f"long/{row.scene}_00_{row.long_s:g}s.ARW" for row in index.itertuples()}
    names |= {f"short/{row.scene}_{row.frame:02d}_{row.short_s:g}s.ARW" for row in index.itertuples()}
    for kind in ("short", "long"):
        (folder / kind).mkdir(parents=True)
    for name in names:
        os.link(capture, folder / name)
    assert len(names) == 2928
    return folder


def test_a_complete_copy_of_the_real_data_set_has_nothing_to_report(sony):
    assert catalog.check_dataset(sony).empty


def test_each_file_of_the_real_data_set_is_opened_once(sony, monkeypatch):
    (sony / "exposures.csv").unlink(missing_ok=True)
    read = []
    monkeypatch.setattr(catalog, "read_exposure", lambda path: read.append(path) or read_exposure(path))
    assert len(catalog.load_pairs(sony)) == 2697
    assert len(read) == len(set(read)) == 2928
    catalog.load_pairs(sony)
    assert len(read) == 2928


def test_what_is_missing_unexpected_or_unreadable_is_named(sony):
    lost, broken = (sony / "short" / f"10003_00_0.{time}s.ARW" for time in ("04", "1"))
    lost.unlink()
    broken.unlink()
    broken.write_text("no RAW")
    (sony / "long" / "99999_00_10s.ARW").touch()
    (sony / "long" / "10003_00_10s.dng").hardlink_to(sony / "long" / "10003_00_10s.ARW")
    found = catalog.check_dataset(sony).set_index("file").reason
    assert found["short/10003_00_0.04s"] == "missing"
    assert found["long/99999_00_10s.ARW"] == "not in the index"
    assert "same name" in found["long/10003_00_10s.dng"]
    assert "not a RAW file" in found[f"short/{broken.name}"]
    assert len(found) == 4
