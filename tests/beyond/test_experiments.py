from dataclasses import replace

import numpy as np
import pytest

from sidlib import training
from sidlib.beyond.experiments import OpenExperiment

BEYOND = OpenExperiment(
    "rcan",
    "relu",
    "log_mse",
    augment=True,
    epochs=3,
    batch_size=4,
    label="beyond",
    source="corrected16",
    unit=True,
    linear=True,
    residual=True,
    cosine=True,
    clip_norm=1.0,
)


def test_every_option_is_saved_and_resumed(tiny_pairs, tmp_path):
    assert BEYOND.name == "beyond" and replace(BEYOND, seed=1).name == "beyond-seed1"
    whole, expected = training.train(BEYOND, tiny_pairs, tmp_path / "whole")

    def interrupt(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(BEYOND, tiny_pairs, tmp_path / "resumed", on_epoch=interrupt)
    resumed, history = training.train(BEYOND, tiny_pairs, tmp_path / "resumed")
    np.testing.assert_allclose(history[["loss", "val_loss"]], expected[["loss", "val_loss"]], rtol=1e-3)
    for weights, expected_weights in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(weights, expected_weights, atol=1e-3)


def test_the_schedule_and_the_clipping_of_an_experiment_reach_its_optimizer(tmp_path):
    experiment = replace(BEYOND, clip_norm=1.0)
    for _ in range(2):  # the second time they come from the file
        optimizer = training.Run(tmp_path, experiment).resume(updates=8)[0].optimizer
        assert optimizer.clipnorm == 1
        assert float(optimizer.learning_rate) == pytest.approx(experiment.learning_rate)
        optimizer.iterations.assign(8)
        assert float(optimizer.learning_rate) == pytest.approx(0, abs=1e-9)
