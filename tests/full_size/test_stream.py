from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from sidlib.backend import keras
from sidlib.camera import encode_srgb
from sidlib.full_size import experiment, network, scenes, stream
from tests.full_size.conftest import build_tiny


@pytest.fixture(autouse=True)
def small_pools(monkeypatch):
    monkeypatch.setattr(stream, "POOLS", {"train": 2, "val": 1})


def read(numbers, split="train", **options):
    batches = stream.make_stream(replace(experiment.FULL_SIZE, batch_size=2, **options), numbers, split)
    return [(packed.numpy(), rendering.numpy(), truth.numpy()) for (packed, rendering), truth in batches]


def test_a_patch_depends_on_the_seed_the_split_and_its_number_alone():
    whole = read(range(6))
    shapes = [(2, 64, 64, 4), (2, 13), (2, 128, 128, 3)]
    assert [part.shape for part in whole[0]] == shapes and len(whole) == 3
    for found, expected in zip(read(range(4, 6))[0], whole[2], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len({picture.tobytes() for _, _, truths in whole for picture in truths}) == 6
    for other in (read(range(2), seed=1), read(range(2), "val")):
        assert not np.array_equal(other[0][2], whole[0][2])


def test_a_split_draws_its_own_scenes_and_no_more_than_it_needs(monkeypatch):
    drawn = []
    draw = stream.draw_pool
    monkeypatch.setattr(stream, "draw_pool", lambda *options: drawn.append(options[-1]) or draw(*options))
    assert read(range(0)) == [] and drawn == []  # of a training that has ended
    read(range(2), "val")
    read(range(2))
    assert drawn == [1, 2]
    train, val = (stream.load_pools(split, (0, place)) for place, split in enumerate(stream.POOLS))
    assert not any(np.array_equal(scene, val["photograph"][0]) for scene in train["photograph"])
    assert not np.array_equal(train["chart"][0], val["chart"][0])


def test_noise_is_as_strong_as_it_is_stated_and_the_truth_lies_in_its_middle(monkeypatch):
    # The mean of an even picture's stabilised counts, unbiased again and rendered, is the truth.
    for share in ("DEFECTS", "CUT", "LINES"):
        monkeypatch.setattr(stream, share, 0)
    light = np.tile(np.float32([0.5, 0.2, 0.3]), (128, 128, 1))
    deviations, errors = [], []
    for number in range(40):
        rng = np.random.default_rng(number)
        packed, rendering, truth = stream.expose(light, *stream.draw_colours(rng), rng)
        assert packed.dtype == rendering.dtype == truth.dtype == np.float32
        deviations.append(packed.std(axis=(0, 1)).mean())
        sigma, means = rendering[0], packed.mean(axis=(0, 1))[[0, 1, 3]]
        electrons = means * (means / 4 + sigma) + 0.25  # of the root, whose variance is 1/4 of 2 √e's
        linear = rendering[4:].reshape(3, 3) @ (np.maximum(electrons, 0) * rendering[1:4])
        errors.append(np.abs(255 * encode_srgb(linear) - truth[0, 0]).mean() if means.min() > 6 else np.nan)
    assert np.median(deviations) == pytest.approx(1, abs=0.07)
    assert np.ptp(np.percentile(deviations, (10, 90))) < 0.3
    assert np.nanmedian(errors) < 6 and np.isfinite(errors).sum() > 10


def test_exposures_reach_from_dark_to_daylight_and_grey_stays_grey():
    rng = np.random.default_rng(0)
    grey, levels = np.full((8, 8, 3), 0.4, np.float32), []
    for _ in range(200):
        white_balance, ccm = stream.draw_colours(rng)
        packed, _, truth = stream.expose(grey, white_balance, ccm, rng)
        assert np.ptp(truth) < 0.1 and white_balance.min() == 1
        levels.append(packed.mean())
    assert min(levels) < 1 and max(levels) > 200


def test_patches_hold_lamps_and_defects_and_the_truth_has_the_lamps_alone(monkeypatch):
    lit = scenes.add_lamps(np.full((128, 128, 3), 0.1, np.float32), np.random.default_rng(3))
    assert lit.max() > 1 and np.median(lit) < 0.2
    monkeypatch.setattr(stream, "DEFECTS", 1)
    rng, dark = np.random.default_rng(1), np.full((128, 128, 3), 0.05, np.float32)
    patches = [stream.expose(dark, *stream.draw_colours(rng), rng) for _ in range(20)]
    assert max(np.abs(packed - np.median(packed, axis=(0, 1))).max() for packed, *_ in patches) > 20
    assert all(np.ptp(truth) < 0.1 for *_, truth in patches)


@pytest.mark.parametrize("kind", scenes.CHARTS)
def test_a_chart_has_sharp_edges_at_high_contrast(kind, monkeypatch):
    monkeypatch.setattr(scenes, "CHARTS", {kind: 1.0})
    charts = [scenes.draw_chart(np.random.default_rng(seed), (96, 64)) for seed in range(8)]
    assert all(chart.shape == (64, 96, 3) and chart.min() >= 0 and chart.max() <= 1 for chart in charts)
    steps = [max(np.abs(np.diff(chart, axis=axis)).max() for axis in (0, 1)) for chart in charts]
    assert np.median(steps) > 0.2


TINY = replace(experiment.FULL_SIZE, epochs=2, updates=2, batch_size=2)


@pytest.fixture
def tiny(monkeypatch):
    """Trainings of a tiny network on noise for scenes."""
    monkeypatch.setattr(stream, "draw_pool", lambda _, seed, *of: np.random.default_rng(seed).random((2, 192, 192, 3)))
    monkeypatch.setattr(experiment, "VALIDATION", 2)
    monkeypatch.setitem(network.NETWORKS, "residual_unet", build_tiny)


@pytest.mark.usefixtures("eager")
def test_a_training_goes_on_where_it_stood_leaves_its_network_and_is_loaded_without_scenes(tiny, tmp_path, monkeypatch):
    whole, expected = experiment.train_full_size(tmp_path / "whole", TINY)
    with pytest.raises(KeyboardInterrupt):
        experiment.train_full_size(tmp_path / "resumed", TINY, on_epoch=Mock(side_effect=KeyboardInterrupt))
    resumed, history = experiment.train_full_size(tmp_path / "resumed", TINY)
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), expected.drop(columns="seconds"), rtol=1e-5)
    for found, weights in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(found, weights, atol=1e-5)
    files = {file.name for file in (tmp_path / "resumed" / "full-size").iterdir()}
    assert files == {"best.keras", "config.json", "history.csv", ".lock"}
    kept = keras.saving.load_model(tmp_path / "resumed" / "full-size.keras")
    assert kept.name == "residual_unet" and not hasattr(kept, "optimizer") or kept.optimizer is None
    packed = np.ones((1, 8, 8, 4), np.float32)
    np.testing.assert_array_equal(kept.predict_on_batch(packed), resumed.predict_on_batch(packed))
    monkeypatch.setattr(stream, "draw_pool", None)
    assert experiment.train_full_size(tmp_path / "resumed", TINY)[1].equals(history)


def test_a_training_learns(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "VALIDATION", 16)
    _, history = experiment.train_full_size(tmp_path, replace(TINY, updates=20, batch_size=4, learning_rate=0.01))
    assert history.val_loss.iloc[1] < history.val_loss.iloc[0]  # the same patches, where those of training differ


def test_a_faint_checkerboard_or_tint_costs_more_than_noise_of_the_same_mse():
    rng, truth = np.random.default_rng(0), np.full((1, 64, 96, 3), 128.0)
    rows, columns = np.indices((64, 96))
    grid = np.where((rows + columns) % 2, 3.0, -3.0)[..., None]
    noise, more_noise = (rng.normal(0, sigma, truth.shape) for sigma in (10, np.hypot(10, 3)))
    plain, with_grid, with_tint = (
        float(experiment.coarse_log_mse_loss(truth, truth + error)[0])
        for error in (more_noise, noise + grid, noise + 3)
    )
    assert with_grid == pytest.approx(with_tint, abs=0.1) and with_grid > plain + 1
    assert plain > float(experiment.log_mse_loss(truth, truth + more_noise)[0])
