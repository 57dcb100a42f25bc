import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from sidlib import catalog, paths
from sidlib.backend import keras
from sidlib.beyond.full_size import finetune, network, restore
from sidlib.raw import encode_srgb
from sidlib.sample import camera, dng, sharp


@pytest.fixture(scope="module")
def pairs(photograph_scenes):
    """A train and a val scene of the sharp data set: two pairs each."""
    return photograph_scenes("00005", "20001")


@pytest.fixture
def trained(tmp_path, monkeypatch):
    file = tmp_path / "full-size.keras"
    network.build_residual_unet((4, 8)).save(file)
    monkeypatch.setattr(finetune, "find_network", lambda name: file)


def test_patches_and_truths_lie_over_each_other_at_the_brightness_of_the_ratio(pairs):
    pair = next(finetune.develop_truths(pairs[pairs.split == "train"]).itertuples())
    packed, look, truth = finetune.read_pair(pair, np.random.default_rng(0))
    assert packed.shape == (finetune.PATCHES, 64, 64, 4) and truth.shape == (finetune.PATCHES, 128, 128, 3)
    trainer = network.build_trainer(network.build_residual_unet((4, 8)))  # untrained, it demosaics
    shown = np.asarray(trainer([packed, look])).clip(0, 255)
    assert np.abs(shown.mean((1, 2)) - truth.mean((1, 2)))[:, :2].max() < 6  # blue is dark, and its noise cut off at 0
    for output, expected in zip(shown, truth, strict=True):
        assert np.corrcoef(output.ravel(), expected.ravel())[0, 1] > 0.8


def test_truths_are_libraws_and_are_developed_once(pairs):
    known = finetune.develop_truths(pairs)
    times = [file.stat().st_mtime_ns for file in known.truth.unique()]
    again = finetune.develop_truths(pairs)
    assert [file.stat().st_mtime_ns for file in again.truth.unique()] == times
    truth = load_truth(known.truth.iloc[0])
    linear = finetune.develop_truth(pairs.long.iloc[0], gamma=(1, 1)) / 65535
    assert np.abs(encode_srgb(linear) - truth / 65535).max() < 0.005


def load_truth(file):
    return safetensors.numpy.load_file(file)["truth"]


@pytest.mark.parametrize("age_s", [-5e7, -3, 5e7])
def test_the_truth_of_a_long_exposure_that_has_changed_is_made_anew(pairs, tmp_path, age_s):
    pairs = catalog.load_pairs(shutil.copytree(pairs.long[0].parent.parent, tmp_path / "copy"))
    before = finetune.develop_truths(pairs)
    changed, other = before.iloc[0], before.iloc[-1]
    time_s = changed.long.stat().st_mtime - age_s
    changed.long.write_bytes(other.long.read_bytes())
    os.utime(changed.long, (time_s, time_s))
    finetune.develop_truths(pairs)
    np.testing.assert_array_equal(load_truth(changed.truth), load_truth(other.truth))


def test_the_brightest_pixel_of_a_truth_does_not_change_the_others(tmp_path):
    scene, pictures = sharp.plan_sharp()[0], []
    counts = np.random.default_rng(0).integers(600, 13500, (64, 96), np.uint16)  # of 16383
    for name in ("dull", "bright"):
        dng.write_dng(tmp_path / f"{name}.dng", counts, 10.0, scene)
        pictures.append(finetune.develop_truth(tmp_path / f"{name}.dng", **finetune.SRGB)[16:])
        counts[2, 2] = camera.WHITE
    np.testing.assert_array_equal(*pictures)


def test_it_begins_with_the_trained_network_is_interrupted_and_goes_on_to_the_same_weights(pairs, trained, tmp_path):
    tiny = replace(finetune.FINE_TUNING, epochs=2, updates=2, batch_size=4)
    whole, history = finetune.tune(pairs, tmp_path / "whole", tiny)
    assert len(history) == 2 and paths.RESULTS not in (tmp_path / "whole").parents

    class Cut(Exception):
        pass

    def cut(history):
        raise Cut

    with pytest.raises(Cut):
        finetune.tune(pairs, tmp_path / "cut", tiny, on_epoch=cut)
    again, resumed = finetune.tune(pairs, tmp_path / "cut", tiny)
    np.testing.assert_array_equal(resumed.val_loss, history.val_loss)
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    first = keras.saving.load_model(finetune.find_network("full-size"), compile=False)
    moved = [np.abs(a - b).max() for a, b in zip(first.get_weights(), whole.get_weights(), strict=True)]
    assert 0 < max(moved) < 0.01


def test_a_run_on_other_pairs_or_from_another_network_is_not_taken_for_this_one(pairs, trained, tmp_path):
    tiny = replace(finetune.FINE_TUNING, epochs=1, updates=1, batch_size=4)
    finetune.tune(pairs, tmp_path, tiny)
    for split in ("train", "val"):
        others, row = pairs.copy(), pairs.index[pairs.split == split][0]
        others.loc[row, "short"] = shutil.copy(pairs.short[row], tmp_path / pairs.short[row].name)
        finetune.tune(others, tmp_path, tiny)  # the same captures elsewhere
        others.short[row].write_bytes(pairs.short[row].read_bytes() + b"x")
        with pytest.raises(ValueError, match="other pairs"):
            finetune.tune(others, tmp_path, tiny)
    network.build_residual_unet((4, 8)).save(finetune.find_network("full-size"))
    with pytest.raises(ValueError, match="another setting"):
        finetune.tune(pairs, tmp_path, tiny)


def test_what_is_missing_is_said_before_anything_is_developed(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "develop_truths", lambda *_: pytest.fail("it was developed"))
    for split in ("train", "val"):
        with pytest.raises(ValueError, match="splits train and val are needed.*Received"):
            finetune.tune(pairs[pairs.split == split], tmp_path)
    monkeypatch.setattr(restore, "find_network", lambda name: None)
    restore.load_network.cache_clear()
    with pytest.raises(FileNotFoundError, match="make full-size"):
        finetune.tune(pairs, tmp_path)


def test_pictures_smaller_than_a_patch_are_named(pairs, monkeypatch):
    monkeypatch.setattr(finetune, "PATCH_PX", 1000)
    pair = next(finetune.develop_truths(pairs).itertuples())
    with pytest.raises(ValueError, match=f"{pair.short.name}: smaller than a patch"):
        finetune.read_pair(pair, np.random.default_rng(0))


def test_a_pair_of_two_sizes_is_named(pairs, tmp_path):
    pair = next(finetune.develop_truths(pairs).itertuples())
    larger = np.zeros((999, 999, 3), np.uint16)
    safetensors.numpy.save_file({"truth": larger}, tmp_path / "larger")
    with pytest.raises(ValueError, match=f"{pair.short.name}: not of the size of its long exposure"):
        finetune.read_pair(pair._replace(truth=tmp_path / "larger"), np.random.default_rng(0))
