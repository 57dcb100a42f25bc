from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sidlib import paths, training
from sidlib.backend import keras
from sidlib.beyond import stream
from sidlib.beyond.full_size import experiment, network

TINY = replace(experiment.FULL_SIZE, epochs=3, updates=2, batch_size=2)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(stream, "POOL", 2)
    monkeypatch.setattr(experiment, "VALIDATION", 2)
    monkeypatch.setitem(network.NETWORKS, "residual_unet", lambda: network.build_residual_unet((4, 8)))


def test_a_training_goes_on_where_it_stood_and_leaves_its_network(tmp_path):
    def interrupt(history):
        raise KeyboardInterrupt

    whole, expected = experiment.train_full_size(tmp_path / "whole", TINY)
    for _ in range(2):
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


def test_it_learns(tmp_path):
    _, history = experiment.train_full_size(tmp_path, replace(TINY, epochs=2, updates=100, batch_size=4))
    assert history.val_loss.iloc[1] < history.val_loss.iloc[0]  # the same patches, where those of training differ


def test_a_run_of_another_setting_is_not_gone_on_with(tmp_path):
    run = training.Run(tmp_path, TINY)
    with run.lock():
        run.keep_config({"photographs": "others", "val_patches": 2})
    with pytest.raises(ValueError, match="another setting"):
        experiment.train_full_size(tmp_path, TINY)


def test_its_results_stand_beside_the_samples(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    experiment.train_full_size(experiment=replace(TINY, epochs=1))
    assert (tmp_path / "sample" / "full-size.keras").is_file()


def test_a_faint_grid_or_tint_costs_more_than_noise_of_the_same_mse():
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
