import numpy as np
import pytest

from sidlib import catalog, paths, raw
from sidlib.beyond.full_size.evaluate import develop_truth, encode_bt709
from sidlib.sample import camera, load_photograph, sharp


@pytest.fixture
def data(monkeypatch, tmp_path):
    camera.load_noise_table()  # which is kept, before data/ is elsewhere
    plan = [scene for scene in sharp.plan_sharp() if scene.number in ("00001", "10010", "20004")]
    monkeypatch.setattr(paths, "DATA", tmp_path)
    monkeypatch.setattr(sharp, "plan_sharp", lambda: plan)
    return tmp_path


def test_each_photograph_is_there_at_each_iso_and_ratio_in_one_split():
    scenes = sharp.plan_sharp()
    assert len({scene.number for scene in scenes}) == len(scenes) == 8 * 4
    for name in {scene.photograph for scene in scenes}:
        of_name = [scene for scene in scenes if scene.photograph == name]
        assert [scene.iso for scene in of_name] == list(sharp.ISOS)
        assert len({scene.number[0] for scene in of_name}) == len({scene.white_balance for scene in of_name}) == 1


def test_it_has_sids_shape_and_its_truth_is_the_photograph(data):
    folder = sharp.build_sharp()
    pairs = catalog.load_pairs(folder)
    assert pairs.attrs["problems"] == [] and sorted(set(pairs.split)) == ["test", "train", "val"]
    assert sorted(set(pairs.ratio.round(6))) == [100, 300] and set(pairs.iso) == {160, 800, 12800}
    for scene in sharp.plan_sharp():
        truth = develop_truth(pairs.long[pairs.scene == scene.number].iloc[0])
        photograph = encode_bt709(raw.decode_srgb(np.asarray(load_photograph(scene.photograph)) / 255))
        assert truth.shape == photograph.shape
        assert np.abs(truth / 257 - photograph / 257).mean() < 0.1


def test_what_is_there_stays_and_what_is_missing_is_made_again_to_the_same_bytes(data):
    folder = sharp.build_sharp()
    files = sorted(folder.rglob("*.dng"))
    first = [file.read_bytes() for file in files]
    times = [file.stat().st_mtime_ns for file in files[1:]]
    files[0].unlink()
    sharp.build_sharp()
    assert [file.read_bytes() for file in files] == first
    assert [file.stat().st_mtime_ns for file in files[1:]] == times
