import numpy as np
import pytest

from sidlib import baselines, evaluation
from sidlib.baselines import Baseline
from sidlib.raw import decode_srgb, encode_srgb


@pytest.fixture(scope="module")
def scores(tiny_pairs):
    return baselines.score_baselines(tiny_pairs)


def test_every_baseline_is_scored_on_each_test_picture(scores, tiny_pairs):
    assert list(scores)[:2] == ["input as it is", "amplified"]
    assert all(len(table) == 4 for table in scores.values())
    shown = evaluation.score_model(evaluation.show_input, tiny_pairs[tiny_pairs.split == "test"])
    assert scores["input as it is"].mae.tolist() == shown.mae.tolist()


def test_amplifying_brings_most_and_an_oracle_never_harms(scores):
    assert scores["amplified"].mae.mean() < scores["input as it is"].mae.mean() / 2
    assert (scores["amplified, oracle gain"].mse <= scores["amplified"].mse * 1.001).all()


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


def test_the_strength_is_chosen_on_val(tiny_pairs):
    validation, test = (tiny_pairs[tiny_pairs.split == split] for split in ("val", "test"))
    alone = baselines.choose_strength("amplified16", "total variation", validation)
    both = baselines.choose_strength("amplified16", "total variation", tiny_pairs)
    assert alone.denoise.keywords == both.denoise.keywords  # the test pairs had no say
    assert len(test) and both.denoise.keywords["strength"] in baselines.STRENGTHS


def test_a_baseline_is_called_like_a_model():
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 5, 6, 3))
    np.testing.assert_array_equal(Baseline("dark8")(pictures), pictures)
    np.testing.assert_allclose(Baseline("dark8", lambda picture: 1 - picture)(pictures), 255 - pictures)
