import os
import shutil
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import safetensors.numpy

from sidlib import camera, catalog, paths, sample
from sidlib.backend import keras
from sidlib.full_size import evaluate, finetune, network
from sidlib.sample import dng
from tests.full_size.conftest import DEMOSAIC, build_tiny


@pytest.fixture(scope="module")
def pairs(photograph_scenes):
    """A train and a val scene of the sharp data set: two pairs each."""
    return photograph_scenes("00001", "20001")


@pytest.fixture
def trained(tmp_path, monkeypatch):
    file = tmp_path / "full-size.keras"
    build_tiny().save(file)
    monkeypatch.setattr(finetune, "find_network", lambda: file)
    return file


def test_patches_and_truths_lie_over_each_other_at_the_brightness_of_the_ratio(pairs):
    pair = next(finetune.develop_truths(pairs[pairs.split == "train"]).itertuples())
    packed, rendering, truth = finetune.read_pair(pair, np.random.default_rng(0))
    assert packed.shape == (finetune.PATCHES, 64, 64, 4) and truth.shape == (finetune.PATCHES, 128, 128, 3)
    trainer = network.build_trainer(DEMOSAIC)
    shown = np.asarray(trainer([packed, rendering])).clip(0, 255)
    assert np.abs(shown.mean((1, 2)) - truth.mean((1, 2)))[:, :2].max() < 6  # blue is dark, and its noise cut off at 0
    for output, expected in zip(shown, truth, strict=True):
        assert np.corrcoef(output.ravel(), expected.ravel())[0, 1] > 0.8


def test_truths_are_libraws_are_developed_once_and_again_when_the_long_exposure_changes(pairs, tmp_path):
    pairs = catalog.load_pairs(shutil.copytree(pairs.long[0].parent.parent, tmp_path / "copy"))
    known = finetune.develop_truths(pairs)
    first, last = known.iloc[0], known.iloc[-1]
    linear = finetune.develop_truth(first.long, gamma=(1, 1)) / 65535
    load = safetensors.numpy.load_file
    assert np.abs(camera.encode_srgb(linear) - load(first.truth)["truth"] / 65535).max() < 0.005
    times = [file.stat().st_mtime_ns for file in known.truth]
    assert [file.stat().st_mtime_ns for file in finetune.develop_truths(pairs).truth] == times
    before = first.long.stat()
    first.long.write_bytes(last.long.read_bytes())
    os.utime(first.long, ns=(0, before.st_mtime_ns - 10**17))  # older than it was
    finetune.develop_truths(pairs)
    np.testing.assert_array_equal(load(first.truth)["truth"], load(last.truth)["truth"])


def test_the_brightest_pixel_of_a_truth_does_not_change_the_others(tmp_path):
    scene, pictures = sample.plan_sharp()[0], []
    counts = np.random.default_rng(0).integers(600, 13500, (64, 96), np.uint16)  # of 16383
    for name in ("dull", "bright"):
        dng.write_dng(tmp_path / f"{name}.dng", counts, 10.0, scene)
        pictures.append(finetune.develop_truth(tmp_path / f"{name}.dng", **evaluate.SRGB)[16:])
        counts[2, 2] = camera.WHITE
    np.testing.assert_array_equal(*pictures)


def test_it_begins_with_the_trained_network_and_goes_on_to_the_same_weights(pairs, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "VALIDATION", 2)
    tiny = replace(finetune.FINE_TUNING, epochs=2, updates=2, batch_size=4)
    whole, history = finetune.tune(pairs, tmp_path / "whole", tiny)
    assert len(history) == 2 and (tmp_path / "whole" / "full-size-tuned.keras").is_file()
    with pytest.raises(KeyboardInterrupt):
        finetune.tune(pairs, tmp_path / "cut", tiny, on_epoch=Mock(side_effect=KeyboardInterrupt))
    again, resumed = finetune.tune(pairs, tmp_path / "cut", tiny)
    np.testing.assert_array_equal(resumed.val_loss, history.val_loss)
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    first = keras.saving.load_model(trained, compile=False)
    moved = [np.abs(a - b).max() for a, b in zip(first.get_weights(), whole.get_weights(), strict=True)]
    assert 0 < max(moved) < 0.01


def test_a_run_is_told_from_others_without_reading_captures(pairs, trained, tmp_path, monkeypatch):
    finetune.develop_truths(pairs)
    for reader in ("read_capture", "develop_truth"):
        monkeypatch.setattr(finetune, reader, None)
    monkeypatch.setattr(finetune, "train_network", lambda experiment, folder, key, *options: key)
    key, others = finetune.tune(pairs, tmp_path), pairs.copy()
    others.loc[0, "short"] = shutil.copy2(pairs.short[0], tmp_path / pairs.short[0].name)
    assert finetune.tune(others, tmp_path) == key  # the same captures elsewhere
    keys = [key, finetune.tune(others.assign(ratio=99.0), tmp_path)]
    os.utime(others.short[0], ns=(0, 0))
    keys.append(finetune.tune(others, tmp_path))
    DEMOSAIC.save(trained)
    keys.append(finetune.tune(pairs, tmp_path))
    assert len({str(each) for each in keys}) == 4


def test_what_is_missing_is_said_before_anything_is_developed(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "develop_truths", None)
    for split in ("train", "val"):
        with pytest.raises(ValueError, match="splits train and val are needed.*Received"):
            finetune.tune(pairs[pairs.split == split], tmp_path)
    for folder in ("RESULTS", "REFERENCE"):
        monkeypatch.setattr(paths, folder, tmp_path)
    with pytest.raises(FileNotFoundError, match="make full-size"):
        finetune.tune(pairs, tmp_path)


@pytest.mark.parametrize(("truth_px", "patch_px"), [(999, 128), (None, 1000)])
def test_pictures_that_are_too_small_or_of_two_sizes_are_named(truth_px, patch_px, pairs, tmp_path, monkeypatch):
    pair = next(finetune.develop_truths(pairs).itertuples())
    if truth_px:
        safetensors.numpy.save_file({"truth": np.zeros((truth_px, truth_px, 3), np.uint16)}, tmp_path / "larger")
        pair = pair._replace(truth=tmp_path / "larger")
    monkeypatch.setattr(finetune, "PATCH_PX", patch_px)
    with pytest.raises(ValueError, match=f"{pair.short.name}: .* need one size, above {patch_px}. Received"):
        finetune.read_pair(pair, np.random.default_rng(0))
