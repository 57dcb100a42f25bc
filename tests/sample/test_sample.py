import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from skimage.measure import block_reduce

from sidlib import camera, catalog, paths, raw, sample
from sidlib.sample import dng


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


def test_the_sample_has_its_size_and_its_photographs_never_cross_splits(scenes):
    shorts = {digit: sum(len(s.short_s) for s in scenes if s.number[0] == digit) for digit in "012"}
    assert shorts == {"0": 576, "1": 27, "2": 4} and len({s.number for s in scenes}) == len(scenes)
    captures_bytes = sum((1 + len(s.short_s)) * 2 * np.prod(s.size_px, dtype=int) for s in scenes)
    assert captures_bytes < 1.4e9  # what is made from them needs 0.1 GB more
    assert all(sample.PHOTOGRAPHS[scene.photograph] == catalog.SPLITS[scene.number[0]] for scene in scenes)
    assert {scene.number[0] for scene in scenes if not scene.box} == {"0"}  # drawn with colours of its photograph
    assert {scene.size_px for scene in scenes if scene.number[0] != "0"} == {(4240, 2832)}  # SID's own


def test_crops_lie_in_their_photograph_have_the_sensors_shape_and_are_not_enlarged_at_a_tenth(scenes):
    for scene in (scene for scene in scenes if scene.box):
        left, upper, right, lower = scene.box
        width, height = sample.load_photograph(scene.photograph).size
        assert 0 <= left < right <= width and 0 <= upper < lower <= height
        assert (right - left) / (lower - upper) == pytest.approx(scene.size_px[0] / scene.size_px[1], rel=0.03)
        per_pixel = (right - left) / (scene.size_px[0] / 10)  # pixels of the photograph per developed one
        assert 0.99 < per_pixel < (1.8 if scene.number[0] != "0" else 5.4)


def test_each_scene_is_exposed_like_a_real_one_of_its_split_and_each_ratio_is_about_as_frequent(scenes):
    index = catalog.load_index().assign(digit=lambda rows: rows.scene.str[0])
    alike = ["digit", "iso", "f_number", "long_s", "wb_red"]
    short_s = index.groupby(alike).short_s.agg(set)
    for s in scenes:
        assert set(s.short_s) <= short_s[s.number[0], s.iso, s.f_number, s.long_s, s.white_balance[0]]
    for digit in "012":
        real = index[index.digit == digit].ratio.value_counts(normalize=True)
        ratios = pd.Series([min(round(s.long_s / t), 300) for s in scenes if s.number[0] == digit for t in s.short_s])
        assert (ratios.value_counts(normalize=True) - real).abs().max() < 0.2  # of 6 pairs in val, one


def test_a_scene_is_as_warm_and_dim_as_its_white_balance_and_exposure_say(scenes):
    tones = np.array([scene.tone for scene in scenes])
    assert ((tones > 0.3) & (tones <= 1)).all()
    assert (tones[:, 0] >= tones[:, 1]).all() and (tones[:, 1] >= tones[:, 2]).all()  # lamps are reddish
    bright = replace(scenes[0], iso=100, long_s=10.0, f_number=16.0)  # 64 lux
    lamp, shade = (replace(bright, white_balance=gains).tone for gains in ((1.7, 1.0, 2.7), (2.8, 1.0, 1.4)))
    assert lamp[0] == 1 and lamp[2] < 0.75 and min(shade) > 0.98
    dim, dark = (replace(bright, iso=iso).tone for iso in (6400, 640_000))  # 1 and 0.01 lux
    np.testing.assert_allclose([dim, dark], np.outer([0.5**0.5, 0.5], bright.tone), atol=0.001)


def test_the_long_exposure_developed_is_the_photograph(scenes, tmp_path, monkeypatch):
    scene = replace(scenes[0], iso=100)
    monkeypatch.setattr(sample.Scene, "tone", (1, 1, 1))
    sample.photograph_scene(scene, tmp_path)
    developed = raw.develop(next((tmp_path / "long").iterdir()))
    photograph = sample.load_photograph(scene.photograph).resize((480, 320), Image.Resampling.BICUBIC, scene.box)
    expected = block_reduce(np.asarray(photograph)[:320], (10, 10, 1), np.mean)
    assert np.abs(developed - expected).mean() < 1


def test_an_enlarged_photograph_is_smooth_and_keeps_its_place_and_colours():
    photograph, gains = sample.load_photograph("coffee").resize((60, 40)), (2.0, 1.0, 1.6)
    signal = sample.expose_mosaic(photograph, (6, 4, 54, 36), gains, (960, 640))  # 20 × 20 per pixel
    mosaic = raw.Mosaic(signal, "RGGB", np.zeros(4), camera.WHITE - camera.BLACK, np.array(gains), camera.CCM, 0)
    small = camera.render(raw.reduce_mosaic(mosaic, 20), mosaic.white_balance, mosaic.ccm)
    expected = sample.decode_linear(photograph)[4:36, 6:54]
    assert np.abs(camera.quantize(small).astype(float) - camera.quantize(expected)).mean() < 4
    steps = [np.abs(np.diff(signal[::2, ::2], axis=axis)).max() for axis in (0, 1)]
    assert max(steps) < np.ptp(signal) / 4 and signal.min() >= 0
    toned = sample.expose_mosaic(photograph, (6, 4, 54, 36), gains, (960, 640), (0.5, 0.4, 0.25))
    np.testing.assert_allclose(toned[::2, ::2], 0.5 * signal[::2, ::2], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(toned[1::2, 1::2], 0.25 * signal[1::2, 1::2], rtol=1e-5, atol=1e-3)


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
    (folder := tmp_path / "photos").mkdir()
    for place in range(6):
        save_photograph(folder / f"{place}.png", place)
    return folder


def save_photograph(path, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (120, 150, 3), np.uint8)).save(path)


def read_files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("[!.]*.dng")}


def test_plan_json_says_what_each_scene_shows_and_a_second_build_writes_nothing_and_opens_no_photograph(
    data, photos, monkeypatch
):
    folders = [sample.build_sample(name="again"), sample.build_sample(photos, "mine")]
    for folder in folders:  # a read-only one will do: no lock is taken
        (folder / ".building").unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*")}
    bundled, own = (json.loads((folder / "plan.json").read_text())["scenes"] for folder in folders)
    shown = {number: scene["photograph"] for number, scene in bundled.items()}
    assert shown == {"00001": "chelsea", "00002": "drawn", "10001": "china", "20001": "grace_hopper"}
    assert all(len(scene["tone"]) == 3 and max(scene["tone"]) <= 1 for scene in bundled.values())
    shown = {scene["photograph"] for scene in own.values()} - {"drawn"}
    assert len(shown) == 3 and shown <= {file.name for file in photos.iterdir()}
    for name in ("load_photograph", "split_photographs", "plan_scenes"):
        monkeypatch.setattr(sample, name, lambda *arguments: pytest.fail(f"called with {arguments}"))
    sample.build_sample(name="again")
    sample.build_sample(photos, "mine")
    assert {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*")} == before


def test_changed_photographs_leave_nothing_of_the_old_plan_and_a_renamed_or_moved_one_changes_no_file(data, photos):
    before = read_files(sample.build_sample(photos, "mine"))
    for place in range(5):  # one is not replaced but removed
        save_photograph(photos / f"{place}.png", 10 + place)
    (photos / "5.png").unlink()
    folder = sample.build_sample(photos, "mine")
    after = read_files(folder)
    assert len({*after.values()}) == len(after)  # each frame has a noise of its own
    assert after == read_files(sample.build_sample(photos, "fresh")) and not set(before.values()) & set(after.values())
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.dng")}
    (photos / "0.png").rename(photos / "9.png")
    photos.rename(data / "moved")
    sample.build_sample(data / "moved", "mine")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.dng")} == times
    assert "/0.png" not in (folder / "plan.json").read_text()


def test_a_file_of_ones_own_is_never_overwritten_nor_removed(data):
    folder = sample.build_sample(name="mine")
    files = read_files(folder)
    own = next((folder / "long").glob("*.dng"))
    own.write_bytes(b"my own capture")
    sample.build_sample(name="mine")
    assert read_files(folder) == files | {f"long/{own.name}": b"my own capture"}
    (folder / "plan.json").unlink()
    with pytest.raises(FileExistsError, match=own.name):
        sample.build_sample(name="mine")
    assert own.read_bytes() == b"my own capture"


@pytest.mark.parametrize("content", [None, "[]"])
def test_without_its_plan_a_data_set_is_made_anew(data, content):
    whole = read_files(sample.build_sample(name="mine"))
    plan = data / "mine" / "plan.json"
    plan.unlink() if content is None else plan.write_text(content)
    (data / "mine" / next(iter(whole))).unlink()
    assert read_files(sample.build_sample(name="mine")) == whole
    assert json.loads(plan.read_text())["scenes"]


def test_the_sharp_data_set_has_each_photograph_at_each_iso_in_one_split_as_its_truth(data, monkeypatch):
    scenes = sample.plan_sharp()
    assert len({scene.number for scene in scenes}) == len(scenes) == 8 * 4
    for name in {scene.photograph for scene in scenes}:
        of_name = [scene for scene in scenes if scene.photograph == name]
        assert [scene.iso for scene in of_name] == list(sample.ISOS)
        [same] = {(scene.number[0], scene.white_balance, scene.tone) for scene in of_name}
        assert same[2] == (1, 1, 1)
    plan = [scene for scene in scenes if scene.number in ("00001", "10010", "20004")]
    monkeypatch.setattr(sample, "plan_sharp", lambda: plan)
    folder = sample.build_sharp()
    pairs, files = catalog.load_pairs(folder), read_files(folder)
    assert len(pairs) == 6 and sorted(set(pairs.split)) == ["test", "train", "val"]
    assert sorted(set(pairs.ratio.round(6))) == [100, 300] and set(pairs.iso) == {160, 800, 12800}
    for scene in plan:
        mosaic = raw.read_mosaic(pairs.long[pairs.scene == scene.number].iloc[0])
        linear = camera.render(mosaic.counts / 65535, mosaic.white_balance, mosaic.ccm)
        photograph = np.asarray(sample.load_photograph(scene.photograph), float)
        assert linear.shape == photograph.shape
        assert np.abs(camera.quantize(linear) - photograph).mean() < 0.5  # what the camera's gamut lacks is clipped
    pairs.short[0].unlink()
    sample.build_sharp()
    assert read_files(folder) == files


def test_a_build_goes_on_where_it_was_killed(data, photos, monkeypatch):
    monkeypatch.setattr(sample, "SCENES", {"train": 20, "val": 2, "test": 4})
    killed, folder = get_context("fork").Process(target=sample.build_sample, args=(photos, "shared")), data / "shared"
    killed.start()
    while not list(folder.glob("*/00003*.dng")):
        assert killed.is_alive()
        time.sleep(0.01)
    killed.kill()
    killed.join()
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("0000[12]*.dng")}  # the scenes that are whole
    sample.build_sample(photos, "shared")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    found = read_files(folder)
    assert len(kept) < len(found) and found == read_files(sample.build_sample(photos, "undisturbed"))


def test_of_two_builds_at_once_the_second_waits_and_finds_the_files_of_the_first(data, monkeypatch, caplog):
    first, photographed = sample.build_sample(name="first"), []
    monkeypatch.setattr(sample, "photograph_scene", lambda *_: photographed.append(_))
    with ThreadPoolExecutor() as pool:
        with paths.lock(data / "second" / ".building"):
            second = pool.submit(sample.build_sample, name="second")
            while "waiting for it" not in caplog.text:
                assert not second.done()
                time.sleep(0.01)
            shutil.copytree(first, data / "second", dirs_exist_ok=True)
        second.result(timeout=60)
    assert photographed == []


def test_no_folder_and_a_name_that_is_taken_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="Received"):
        sample.build_sample(photos=tmp_path / "nowhere", name="x")
    with pytest.raises(ValueError, match="a name of its own"):
        sample.build_sample(photos=tmp_path)


@pytest.fixture(scope="module")
def scene():
    return replace(sample.plan_scenes(sample.PHOTOGRAPHS)[0], iso=25600, f_number=5.6)


def write_counts(path, scene):
    counts = np.random.default_rng(0).integers(300, 16384, (106, 160)).astype(np.uint16)
    dng.write_dng(path, counts, 0.033, scene)
    return counts


def test_a_written_file_is_read_back_pixel_for_pixel_with_its_metadata_and_is_told_from_others(scene, tmp_path):
    counts = write_counts(tmp_path / "a.dng", scene)
    mosaic = raw.read_mosaic(tmp_path / "a.dng")
    np.testing.assert_array_equal(mosaic.counts, counts)
    assert (mosaic.pattern, mosaic.white, mosaic.black.tolist()) == ("RGGB", camera.WHITE, [camera.BLACK] * 4)
    assert mosaic.flip == 0
    np.testing.assert_allclose(mosaic.white_balance, scene.white_balance, rtol=1e-5)
    np.testing.assert_allclose(mosaic.ccm, camera.CCM, atol=1e-5)
    exposure = raw.read_exposure(tmp_path / "a.dng")
    assert exposure == {"exposure_s": pytest.approx(1 / 30, rel=1e-5), "iso": 25600, "f_number": 5.6}
    (tmp_path / "b.dng").write_bytes(b"my own capture")
    assert dng.is_simulated(tmp_path / "a.dng") and not dng.is_simulated(tmp_path / "b.dng")


def test_it_has_the_tags_that_strict_readers_ask_for(scene, tmp_path):
    write_counts(tmp_path / "a.dng", scene)
    with tifffile.TiffFile(tmp_path / "a.dng") as file:
        tags = {tag.code: tag.value for tag in file.pages[0].tags}
    exif = tags[34665]
    assert (exif["ExposureTime"], exif["FNumber"], exif["ISOSpeedRatings"]) == ((1, 30), (28, 5), scene.iso)
    required = {254: 0, 259: 1, 262: 32803, 271: "SONY", 272: "ILCE-7SM2", 274: 1, 277: 1}
    required |= {50706: (1, 4, 0, 0), 50707: (1, 1, 0, 0), 50708: "Sony ILCE-7SM2"}  # versions, camera
    required |= {50710: (0, 1, 2), 50711: 1, 50714: 512, 50717: 16383}  # colours, layout, black, white
    required |= {50720: (160, 106), 50727: (1, 1) * 3, 50778: 21, 50829: (0, 0, 106, 160)}  # crop, gains, D65, area
    assert {code: tuple(tags[code]) if isinstance(tags[code], bytes) else tags[code] for code in required} == required
