from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sidlib.backend import keras
from sidlib.full_size import experiment, network, stream

TINY = replace(experiment.FULL_SIZE, epochs=2, updates=2, batch_size=2)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(stream, "POOLS", {"train": 2, "val": 1})
    monkeypatch.setattr(stream, "draw_pool", lambda _, seed, *of: np.random.default_rng(seed).random((2, 192, 192, 3)))
    monkeypatch.setattr(experiment, "VALIDATION", 2)
    monkeypatch.setitem(network.NETWORKS, "residual_unet", lambda: network.build_residual_unet((4, 8)))


def test_a_training_goes_on_where_it_stood_leaves_its_network_and_is_loaded_without_scenes(tmp_path, monkeypatch):
    def interrupt(history):
        raise KeyboardInterrupt

    whole, expected = experiment.train_full_size(tmp_path / "whole", TINY)
    with pytest.raises(KeyboardInterrupt):
        experiment.train_full_size(tmp_path / "resumed", TINY, on_epoch=interrupt)
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


def test_it_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "VALIDATION", 16)
    _, history = experiment.train_full_size(tmp_path, replace(TINY, updates=40, batch_size=4, learning_rate=0.004))
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
