import numpy as np
import pandas as pd
import pytest

from sidlib import evaluation
from sidlib.beyond import baselines
from sidlib.beyond.baselines import Baseline
from sidlib.raw import decode_srgb, encode_srgb


@pytest.fixture(scope="module")
def scores(tiny_pairs):
    return baselines.score_baselines(tiny_pairs)


def test_every_baseline_is_scored_on_each_test_picture(scores, tiny_pairs):
    assert list(scores)[:2] == ["input as it is", "amplified"]
    assert all(len(val) == 2 and len(test) == 4 for val, test in scores.values())
    shown = evaluation.score_model(evaluation.show_input, tiny_pairs[tiny_pairs.split == "test"])
    assert scores["input as it is"][1].mae.tolist() == shown.mae.tolist()


def test_amplifying_brings_most_and_an_oracle_never_harms(scores):
    tests = {name: test for name, (_, test) in scores.items()}
    assert tests["amplified"].mae.mean() < tests["input as it is"].mae.mean() / 2
    assert (tests["amplified, oracle gain"].mse <= tests["amplified"].mse * 1.001).all()


def test_the_oracle_finds_the_factor_that_a_picture_lacks(tiny_pairs, monkeypatch):
    truth = np.random.default_rng(0).uniform(20, 200, (22, 32, 3))
    darker = 255 * encode_srgb(decode_srgb(truth / 255) / 3)
    monkeypatch.setattr(baselines, "predict", lambda *_: [(None, darker, truth)])
    scores = baselines.score_oracle_gain(None, tiny_pairs[:1])
    assert scores.mae.iloc[0] < 0.1


@pytest.mark.parametrize("denoiser", baselines.DENOISERS)
def test_denoisers_take_noise_off_and_more_strength_takes_more(denoiser):
    noisy = np.random.default_rng(0).normal(0.5, 0.1, (24, 24, 3)).clip(0, 1)
    weak, strong = (baselines.DENOISERS[denoiser](noisy, strength).std() for strength in (0.02, 0.2))
    assert strong < weak < noisy.std() + 1e-6


def test_a_noisier_picture_is_denoised_more():
    rng = np.random.default_rng(0)
    clean = np.full((48, 48, 3), 0.5)
    changes = []
    for sigma in (0.02, 0.1):
        noisy = clean + rng.normal(0, sigma, clean.shape)
        for denoiser in baselines.DENOISERS:
            denoised = baselines.denoise_by_its_noise(noisy, denoiser, 1.0)
            assert denoised.std() < 0.6 * noisy.std()
            changes.append(np.abs(denoised - noisy).mean())
    assert min(changes[2:]) > 3 * max(changes[:2])


def test_the_strength_is_chosen_on_val_alone(tiny_pairs, monkeypatch):
    seen = []

    def score(model, pairs):
        seen.extend(pairs.split)
        return pd.DataFrame({"mae": [abs(model.denoise.keywords["strength"] - 1.3)]})

    monkeypatch.setattr(baselines, "score_model", score)
    chosen = baselines.choose_strength("amplified16", "total variation", tiny_pairs)
    assert set(seen) == {"val"} and chosen.denoise.keywords["strength"] == 1.3


def test_a_baseline_is_called_like_a_model():
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 5, 6, 3))
    np.testing.assert_array_equal(Baseline("dark8")(pictures), pictures)
    np.testing.assert_allclose(Baseline("dark8", lambda picture: 1 - picture)(pictures), 255 - pictures)


def test_flips_are_averaged_where_they_came_from(tiny_pairs):
    def shift(pictures):
        return np.roll(np.asarray(pictures), 1, axis=2)

    shift.source = "corrected16"
    average = baselines.average_flips(shift)
    assert average.source == "corrected16"
    picture = np.random.default_rng(0).random((1, 4, 6, 3))
    expected = (np.roll(picture, 1, 2) + np.roll(picture, -1, 2)) / 2
    np.testing.assert_allclose(average(picture), expected)
