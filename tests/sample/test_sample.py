import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from skimage.measure import block_reduce

from sidlib import catalog, paths, raw, sample
from sidlib.sample import camera, dng, photographs


@pytest.fixture(scope="module")
def scenes():
    return sample.plan_scenes(sample.PHOTOGRAPHS)


@pytest.fixture
def small(monkeypatch):
    """A sensor and a plan small enough for a test."""
    monkeypatch.setattr(sample, "SENSOR_PX", dict.fromkeys(sample.SENSOR_PX, (160, 106)))
    monkeypatch.setattr(sample, "DRAWN", {"train": 1, "val": 0, "test": 0})
    monkeypatch.setattr(sample, "SCENES", {"train": 1, "val": 1, "test": 1})
    monkeypatch.setattr(sample, "FRAMES", {"train": 2, "val": 1, "test": 1})


def test_photographs_never_cross_splits(scenes):
    splits = {
        photograph: {catalog.SPLITS[s.number[0]] for s in scenes if s.photograph == photograph}
        for photograph in sample.PHOTOGRAPHS
    }
    assert all(len(of) == 1 for of in splits.values())
    assert {photograph for photograph, of in splits.items() if of == {"test"}} == {"astronaut", "china", "flower"}
    assert {photograph for photograph, of in splits.items() if of == {"val"}} == {"grace_hopper"}


def test_the_sample_has_its_size(scenes):
    shorts = {digit: sum(len(s.short_s) for s in scenes if s.number[0] == digit) for digit in "012"}
    assert shorts == {"0": 1280, "1": 36, "2": 48}
    assert len({s.number for s in scenes if s.number[0] == "1"}) >= 15
    assert len({s.number for s in scenes}) == len(scenes)


def test_each_scene_is_exposed_like_a_real_one_of_its_split(scenes):
    index = catalog.load_index()
    for scene in scenes:
        real = index[
            (index.split == catalog.SPLITS[scene.number[0]])
            & (index.iso == scene.iso)
            & (index.f_number == scene.f_number)
        ]
        real = real[(real.long_s == scene.long_s) & (real.wb_red == scene.white_balance[0])]
        assert set(scene.short_s) <= set(real.short_s)


def test_each_ratio_is_about_as_frequent_as_in_the_real_data_set(scenes):
    index = catalog.load_index()
    for digit, split in catalog.SPLITS.items():
        real = index[index.split == split].ratio.value_counts(normalize=True)
        ratios = pd.Series([min(round(s.long_s / t), 300) for s in scenes if s.number[0] == digit for t in s.short_s])
        assert (ratios.value_counts(normalize=True) - real).abs().max() < 0.15


def test_drawn_scenes_are_in_train_and_val_alone_and_take_colours_of_their_split(scenes):
    drawn = [scene for scene in scenes if not scene.box]
    assert {scene.number[0] for scene in drawn} == {"0", "2"}
    assert all(sample.PHOTOGRAPHS[scene.photograph] == catalog.SPLITS[scene.number[0]] for scene in drawn)
    assert sample.name_photographs(drawn_pairs(scenes)).value_counts()["drawn"] == len(drawn)


def drawn_pairs(scenes):
    return pd.DataFrame({"scene": [scene.number for scene in scenes], "dataset": "sample"})


def test_crops_lie_in_their_photograph_and_have_the_sensors_shape(scenes):
    for scene in (scene for scene in scenes if scene.box):
        left, upper, right, lower = scene.box
        width, height = sample.load_photograph(scene.photograph).size
        assert 0 <= left < right <= width and 0 <= upper < lower <= height
        assert (right - left) / (lower - upper) == pytest.approx(scene.size_px[0] / scene.size_px[1], rel=1e-3)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(small, tmp_path):
    scene = sample.plan_scenes(sample.PHOTOGRAPHS)[0]
    folders = [tmp_path / name for name in ("one", "same", "other")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        sample.photograph_scene(scene, folder, seed)
    one, same, other = ([path.read_bytes() for path in sorted(folder.rglob("*.dng"))] for folder in folders)
    assert one == same
    assert one != other
    assert len(set(one)) == 3  # a long exposure and two frames, each with a noise of its own


def test_the_long_exposure_developed_is_the_photograph(scenes, tmp_path):
    scene = replace(scenes[0], iso=100)
    sample.photograph_scene(scene, tmp_path)
    developed = raw.develop(next((tmp_path / "long").iterdir()))
    photograph = sample.load_photograph(scene.photograph).resize((320, 214), Image.Resampling.BICUBIC, scene.box)
    expected = block_reduce(np.asarray(photograph)[:210], (10, 10, 1), np.mean)
    assert np.abs(developed[:21] - expected).mean() < 1


@pytest.fixture
def data(small, tmp_path, monkeypatch):
    """An empty data/ but for its tables."""
    for table in ("sid_sony.csv", "sony_a7s2_noise.csv"):
        shutil.copy(paths.ROOT / "data" / table, tmp_path)
    monkeypatch.setattr(paths, "DATA", tmp_path)
    return tmp_path


@pytest.fixture
def photos(tmp_path):
    """Six photographs of one's own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for place in range(6):
        save_photograph(folder / f"{place}.png", place)
    return folder


def save_photograph(path, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (120, 150, 3), np.uint8)).save(path)


def read_files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("[!.]*.dng")}


def build_fresh(**arguments):
    """What a build gives where nothing was before."""
    return read_files(sample.build_sample(name="fresh", **arguments))


def test_a_second_build_writes_nothing(data):
    folder = sample.build_sample(name="again")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert len(read_files(folder)) == 10
    sample.build_sample(name="again")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def add(photos):
    save_photograph(photos / "7.png", 7)


def remove(photos):
    (photos / "2.png").unlink()


def swap(photos):
    for place in range(6):
        save_photograph(photos / f"{place}.png", 10 + place)


@pytest.mark.parametrize("change", [add, remove, swap])
def test_changed_photographs_leave_nothing_of_the_old_plan(data, photos, change):
    before = read_files(sample.build_sample(photos, "mine"))
    change(photos)
    after = read_files(sample.build_sample(photos, "mine"))
    assert after == build_fresh(photos=photos)
    assert change is not swap or not set(before.values()) & set(after.values())


def test_another_seed_leaves_nothing_of_the_old_plan(data, photos):
    sample.build_sample(photos, "mine", seed=1)
    assert read_files(sample.build_sample(photos, "mine", seed=2)) == build_fresh(photos=photos, seed=2)


def test_a_renamed_photograph_changes_nothing(data, photos):
    folder = sample.build_sample(photos, "mine")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.dng")}
    (photos / "0.png").rename(photos / "9.png")
    sample.build_sample(photos, "mine")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.dng")} == before


def test_what_was_not_made_here_stays(data, photos):
    folder = sample.build_sample(photos, "mine", seed=1)
    own = folder / "short" / "00001_00_0.1s.ARW", folder / "short" / "00099_00_0.1s.dng", folder / "long" / "notes.dng"
    own[0].write_bytes(b"of another camera")
    shutil.copy(next((folder / "long").glob("1*.dng")), own[1])  # a copy under a name of one's own
    dng.write_dng(own[2], np.zeros((30, 40), np.uint16), 1, sample.plan_scenes(sample.PHOTOGRAPHS)[0])
    before = [path.read_bytes() for path in own]
    sample.build_sample(photos, "mine", seed=2)
    assert [path.read_bytes() for path in own] == before


def test_a_file_of_ones_own_is_never_overwritten(data):
    folder = sample.build_sample(name="mine")
    own = next((folder / "long").glob("*.dng"))
    own.write_bytes(b"my own capture")
    (folder / "short" / "00001_00_0.1s.dng").unlink(missing_ok=True)
    with pytest.raises(FileExistsError, match=own.name):
        sample.build_sample(name="mine")
    assert own.read_bytes() == b"my own capture"


@pytest.mark.parametrize("left", [0, 20_000, -1])
def test_a_file_that_was_cut_off_is_made_anew(data, left):
    folder = sample.build_sample(name="mine")
    whole = read_files(folder)
    for name in whole:
        (folder / name).write_bytes(whole[name][:left])
    assert read_files(sample.build_sample(name="mine")) == whole


def test_files_of_an_earlier_version_are_made_anew(data, monkeypatch):
    folder = sample.build_sample(name="mine")
    whole = read_files(folder)
    counts, tags = np.zeros((106, 160), np.uint16), [("UniqueCameraModel", "s", 0, camera.MODEL, True)]
    for name in [*whole, "long/10099_00_10s.dng"]:  # the last is of a larger plan
        tifffile.imwrite(folder / name, counts, photometric="cfa", metadata=None, software=False, extratags=tags)
    assert read_files(sample.build_sample(name="mine")) == whole


def start_build(data, seed):
    """Another process that builds a larger data set `shared`."""
    code = f"""
from pathlib import Path
from sidlib import paths, sample
paths.DATA = Path({str(data)!r})
sample.SENSOR_PX = dict.fromkeys(sample.SENSOR_PX, (160, 106))
sample.SCENES, sample.DRAWN = {{"train": 15, "val": 5, "test": 15}}, {{"train": 1, "val": 0, "test": 0}}
sample.FRAMES = {{"train": 5, "val": 4, "test": 2}}
sample.build_sample({str(data / "photos")!r}, "shared", seed={seed})
"""
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL)


def find_seed(folder, plans):
    """The one plan whose files a folder holds, all of them and no other."""
    marks = {file: dng.read_mark(folder / file)[1] for file in read_files(folder)}
    return [seed for seed, scenes in plans.items() if marks == {f: sign for f, sign in scenes.items()}]


def test_killed_builds_and_builds_at_once_never_mix_plans(data, photos, monkeypatch):
    monkeypatch.setattr(sample, "SCENES", {"train": 15, "val": 5, "test": 15})
    monkeypatch.setattr(sample, "FRAMES", {"train": 5, "val": 4, "test": 2})
    plans = {}
    for seed in (1, 2):
        scenes = sample.plan_scenes(photographs.split_photographs(photos, seed), seed)
        plans[seed] = {f: sample.sign_file(scene, f, seed) for scene in scenes for f in scene.name_files()}
    killed = start_build(data, 1)
    while not list(data.glob("shared/*/0*.dng")):
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert find_seed(data / "shared", plans) == []
    both = [start_build(data, seed) for seed in (2, 1)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(find_seed(data / "shared", plans)) == 1
    assert not list((data / "shared").rglob(".*.dng"))


def test_a_complete_data_set_is_only_read(data, photos):
    folder = sample.build_sample(photos, "mine")
    (folder / ".building").unlink(missing_ok=True)
    sample.build_sample(photos, "mine")
    assert {path.name for path in folder.iterdir()} == {"short", "long"}  # so a read-only one will do


def test_too_few_photographs_and_no_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least three"):
        sample.build_sample(photos=tmp_path, name="x")
    with pytest.raises(FileNotFoundError, match="Received"):
        sample.build_sample(photos=tmp_path / "nowhere", name="x")
    with pytest.raises(ValueError, match="a name of its own"):
        sample.build_sample(photos=tmp_path)
