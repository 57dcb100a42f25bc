from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import rawpy
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
    monkeypatch.setattr(sample, "SENSOR_PX", (160, 106))
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
    assert shorts == {"0": 80, "1": 36, "2": 12}
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


def test_crops_lie_in_their_photograph_and_have_the_sensors_shape(scenes):
    for scene in scenes:
        left, upper, right, lower = scene.box
        width, height = sample.load_photograph(scene.photograph).size
        assert 0 <= left < right <= width and 0 <= upper < lower <= height
        assert (right - left) / (lower - upper) == pytest.approx(1280 / 854, rel=1e-3)


def test_a_written_file_is_read_back_pixel_for_pixel_with_its_metadata(scenes, tmp_path):
    scene = replace(scenes[0], iso=25600, f_number=5.6)
    counts = np.random.default_rng(0).integers(0, 16384, (854, 1280)).astype(np.uint16)
    dng.write_dng(tmp_path / "a.dng", counts, 0.033, scene)
    with rawpy.imread(str(tmp_path / "a.dng")) as file:
        np.testing.assert_array_equal(file.raw_image, counts)
    mosaic = raw.read_mosaic(tmp_path / "a.dng")
    assert (mosaic.pattern, mosaic.white, mosaic.black.tolist()) == ("RGGB", camera.WHITE, [camera.BLACK] * 4)
    np.testing.assert_allclose(mosaic.white_balance, scene.white_balance, rtol=1e-5)
    np.testing.assert_allclose(mosaic.to_srgb, camera.TO_SRGB, atol=1e-5)
    exposure = raw.read_exposure(tmp_path / "a.dng")
    assert exposure == {"exposure_s": pytest.approx(1 / 30, rel=1e-5), "iso": 25600, "f_number": 5.6}


def test_another_reader_finds_the_same_exposure(scenes, tmp_path):
    dng.write_dng(tmp_path / "a.dng", np.zeros((10, 12), np.uint16), 0.04, scenes[0])
    with tifffile.TiffFile(tmp_path / "a.dng") as file:
        exif = file.pages[0].tags["ExifTag"].value
    assert (exif["ExposureTime"], exif["ISOSpeedRatings"]) == ((1, 25), scenes[0].iso)
    assert Fraction(*exif["FNumber"]) == Fraction(scenes[0].f_number).limit_denominator(10)


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
    photograph = sample.load_photograph(scene.photograph).resize((1280, 854), Image.Resampling.BICUBIC, scene.box)
    expected = block_reduce(np.asarray(photograph)[:850], (10, 10, 1), np.mean)
    assert np.abs(developed[:85] - expected).mean() < 1


def test_photographs_of_ones_own_are_split_by_photograph(small, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(paths, "DATA", tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    for place in range(4):
        Image.fromarray(np.full((120, 150, 3), 60 * place, np.uint8)).save(photos / f"{place}.png")
    (photos / "notes.txt").write_text("no photograph")
    (tmp_path / "sid_sony.csv").write_bytes((paths.ROOT / "data" / "sid_sony.csv").read_bytes())
    splits = photographs.split_photographs(photos, seed=0)
    assert sorted(splits.values()) == ["test", "train", "train", "val"]
    assert "notes.txt" in caplog.text
    assert {scene.photograph for scene in sample.plan_scenes(splits)} <= {
        str(photos / f"{place}.png") for place in range(4)
    }


def test_a_second_build_writes_nothing(small, tmp_path, monkeypatch):
    (tmp_path / "sid_sony.csv").write_bytes((paths.ROOT / "data" / "sid_sony.csv").read_bytes())
    monkeypatch.setattr(paths, "DATA", tmp_path)
    scenes = sample.plan_scenes(sample.PHOTOGRAPHS)
    for scene in scenes:
        sample.photograph_scene(scene, tmp_path / "again")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "again").rglob("*")}
    sample.build_sample(name="again")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "again").rglob("*")} == before


def test_too_few_photographs_and_no_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least three"):
        sample.build_sample(photos=tmp_path, name="x")
    with pytest.raises(FileNotFoundError, match="Received"):
        sample.build_sample(photos=tmp_path / "nowhere", name="x")
