import json
import os
import shutil

import pandas as pd
import pytest

from sidlib import catalog
from sidlib.raw import read_exposure


def test_the_index_holds_the_real_2697_pairs():
    index = catalog.load_index()
    assert index.split.value_counts().to_dict() == {"train": 1865, "test": 598, "val": 234}
    assert index.groupby("split").scene.nunique().to_dict() == {"train": 161, "test": 50, "val": 20}
    assert not index.duplicated(["scene", "short_s", "frame"]).any()
    assert index.notna().all().all()
    assert set(index.ratio.round()) == {100, 250, 300}

    assert (index.scene.str[0].map(catalog.SPLITS) == index.split).all()
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


def test_pairs_share_their_scene_and_its_long_exposure(tiny_folder, caplog):
    pairs = catalog.load_pairs(tiny_folder)
    assert pairs.split.value_counts().to_dict() == {"train": 6, "val": 2, "test": 4}
    assert (pairs.groupby("scene").long.nunique() == 1).all()
    assert all(row.short.name[:5] == row.long.name[:5] == row.scene for row in pairs.itertuples())
    assert set(pairs.dataset) == {"tiny"} and not caplog.text


def test_the_photograph_of_a_scene_is_the_one_of_its_plan_or_else_the_scene_itself(folder):
    pairs = catalog.load_pairs(folder)
    assert sorted(set(pairs.photograph)) == ["chelsea", "china", "coffee", "flower", "grace_hopper"]
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps(plan | {"scenes": {"00001": plan["scenes"]["00001"], "10001": {}}}))
    shown = catalog.load_pairs(folder)
    assert (shown.photograph == shown.scene.where(shown.scene != "00001", pairs.photograph)).all()
    for text in ('{"fingerprint": "", "scenes": {"00001": "note"}}', "[1]", "{"):
        (folder / "plan.json").write_text(text)
        assert (catalog.load_pairs(folder).photograph == pairs.scene).all()


@pytest.mark.parametrize(
    ("damage", "lost", "named", "reason"),
    [
        (lambda f: next(f.glob("long/00001*")).unlink(), 3, "00001_00", "a short exposure without its long one"),
        (lambda f: [p.unlink() for p in f.glob("short/20001*")], 2, "20001_00", "a long exposure without a short one"),
        (lambda f: (f / "short" / "IMG_1.dng").touch(), 0, "IMG_1.dng", "name"),
        (lambda f: shutil.copy(next(f.glob("long/10001*")), f / "long/10001_00_99s.dng"), 2, "10001_00_9", "more than"),
        (lambda f: (f / "short" / "00001_09_0.1s.ARW").symlink_to("gone.ARW"), 0, "00001_09", "No such file"),
        (lambda f: (f / "long" / "00009_00_10s.ARW").mkdir(), 0, "00009_00", "Is a directory"),
    ],
    ids=["no long", "no short", "name", "two longs", "gone", "folder"],
)
def test_what_is_in_no_pair_is_said(folder, caplog, damage, lost, named, reason):
    damage(folder)
    assert len(catalog.load_pairs(folder)) == 12 - lost
    assert any(named in line and reason in line for line in caplog.text.splitlines())


def test_what_is_no_raw_file_never_displaces_one_that_is(folder, caplog):
    expected = catalog.load_pairs(folder)
    beside = expected.long[0].with_suffix(".JPG")
    beside.write_bytes(b"\xff\xd8\xff\xe1 no raw photograph")
    (folder / "short" / "00001_09_0.1s.JPG").touch()  # beside no other
    pd.testing.assert_frame_equal(catalog.load_pairs(folder), expected)
    assert any(str(beside) in line and "same name" in line for line in caplog.text.splitlines())
    assert "the file is empty" in caplog.text


def test_a_data_set_without_val_or_test_is_accepted_where_they_are_not_needed(folder):
    for path in [path for split in "12" for path in folder.rglob(f"{split}*.dng")]:
        path.unlink()
    pairs = catalog.load_pairs(folder)
    assert set(pairs.split) == {"train"}
    with pytest.raises(ValueError, match="train and val and test are needed; .* 0 train, 1 test, 2 val"):
        catalog.load_pairs(folder, needed=("train", "val", "test"))
    with pytest.raises(ValueError, match="train and val are needed.*Received: {'train': 6}"):
        catalog.pick_splits(pairs, "train", "val")


def test_a_folder_that_is_no_data_set_is_named_with_what_to_do(tmp_path):
    (tmp_path / "short").mkdir()
    for read in (catalog.load_pairs, catalog.check_dataset):
        with pytest.raises(FileNotFoundError, match=rf"{tmp_path}: .*long/ is not there.*build_sample"):
            read(tmp_path)
    (tmp_path / "long").mkdir()
    with pytest.raises(ValueError, match="holds no pair"):
        catalog.load_pairs(tmp_path)


def test_a_few_scenes_of_each_split_are_taken_whole(tiny_pairs):
    few = catalog.take_scenes(tiny_pairs, 1)
    assert few.groupby("split").scene.nunique().to_dict() == {"train": 1, "val": 1, "test": 1}
    assert len(few[few.split == "train"]) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: b"x" + b"".join(lines),
        lambda lines: b"".join(lines[:5]) + lines[5][:20],
        lambda lines: b"".join(lines).replace(b",1", b",1" + b"0" * 30),
        lambda lines: b"".join(lines).decode().encode("utf-16"),
    ],
    ids=["another column", "cut off", "huge numbers", "UTF-16"],
)
def test_a_row_of_the_kept_exposures_that_does_not_fit_is_read_again(folder, damage):
    expected = catalog.load_pairs(folder)
    file = folder / "exposures.csv"
    file.write_bytes(damage(file.read_bytes().splitlines(keepends=True)))
    pd.testing.assert_frame_equal(catalog.load_pairs(folder), expected)


def test_a_copy_of_the_real_data_set_is_read_once_and_its_missing_unexpected_and_changed_files_are_named(
    tiny_folder, tmp_path, monkeypatch
):
    capture, folder, read = next((tiny_folder / "long").iterdir()), tmp_path / "Sony", []
    whole, size = read_exposure(capture), capture.stat().st_size
    index = catalog.load_index()
    names = {f"long/{row.scene}_00_{row.long_s:g}s.ARW" for row in index.itertuples()}
    names |= {f"short/{row.scene}_{row.frame:02d}_{row.short_s:g}s.ARW" for row in index.itertuples()}
    for kind in ("short", "long"):
        (folder / kind).mkdir(parents=True)
    for name in names:
        os.link(capture, folder / name)

    def read_quickly(path):  # all are one file
        read.append(path)
        return whole if path.stat().st_size == size else read_exposure(path)

    monkeypatch.setattr(catalog, "read_exposure", read_quickly)
    assert len(catalog.load_pairs(folder)) == 2697
    assert catalog.check_dataset(folder).empty
    assert len(read) == len(set(read)) == 2928

    lost, broken = (folder / "short" / f"10003_00_0.{time}s.ARW" for time in ("04", "1"))
    touched, extra = (folder / "long" / f"{name}_00_10s.ARW" for name in ("10003", "99999"))
    for file in (lost, broken, touched):
        file.unlink()
    broken.write_text("no RAW")
    extra.touch()
    shutil.copy(capture, touched)  # as large as before
    read.clear()
    found = catalog.check_dataset(folder).set_index("file").reason
    assert found["short/10003_00_0.04s"] == "missing"
    assert found["long/99999_00_10s.ARW"] == "not in the index"
    assert "not a RAW file" in found[f"short/{broken.name}"] and len(found) == 3
    assert set(read) == {broken, touched}
