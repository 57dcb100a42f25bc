from functools import partial

import numpy as np
import pytest

from sidlib import evaluation, preprocess
from sidlib.beyond import baselines
from sidlib.dataset import SOURCES
from sidlib.raw import decode_srgb, encode_srgb
from sidlib.sample import camera


@pytest.fixture(scope="module")
def scores(tiny_pairs):
    return baselines.score_baselines(tiny_pairs)


@pytest.fixture
def signal(tiny_pairs):
    return preprocess.load_signal(tiny_pairs.short_signal[0])


def test_every_baseline_is_scored_on_each_test_picture(scores, tiny_pairs):
    assert all(len(val) == 2 and len(test) == 4 for val, test in scores.values())
    shown = evaluation.score_model(evaluation.show_input, tiny_pairs[tiny_pairs.split == "test"])
    assert scores["input as it is"][1].mae.tolist() == shown.mae.tolist()


def test_amplifying_brings_most_and_before_rounding_more(scores):
    tests = {name: test.mae.mean() for name, (_, test) in scores.items()}
    assert tests["amplified"] < tests["dark, 8 bit, × ratio"] < tests["input as it is"] / 2


def test_the_usual_ratio_is_the_most_common_of_train(tiny_pairs, scores):
    usual = tiny_pairs[tiny_pairs.split == "train"].ratio.mode()[0]
    assert {f"dark, 8 bit, × {usual:g}", f"amplified × {usual:g}"} <= scores.keys()
    test = tiny_pairs[tiny_pairs.split == "test"]
    told = baselines.score_baseline(SOURCES["amplified16"], test.assign(ratio=usual))
    assert scores[f"amplified × {usual:g}"][1].mae.tolist() == told.mae.tolist()


def test_amplifying_what_was_rounded_brings_no_level_back(signal):
    dark, bright = SOURCES["dark8"](signal, 300, 200), baselines.amplify_rounded(signal, 300, 200)
    assert len(np.unique(bright)) <= len(np.unique(dark))
    assert bright.max() <= 255 and bright.mean() > 3 * dark.mean()


@pytest.mark.parametrize("denoiser", baselines.DENOISERS)
def test_denoisers_take_noise_off_and_more_strength_takes_more(denoiser):
    noisy = np.random.default_rng(0).normal(0.5, 0.1, (24, 24, 3)).clip(0, 1)
    weak, strong = (baselines.DENOISERS[denoiser](noisy, strength).std() for strength in (0.02, 0.2))
    assert strong < weak < noisy.std() + 1e-6


@pytest.mark.parametrize("denoiser", baselines.DENOISERS)
def test_a_noisier_picture_is_denoised_more(denoiser):
    rng, changes = np.random.default_rng(0), []
    for sigma in (5, 25):
        noisy = rng.normal(128, sigma, (48, 48, 3))
        denoised = baselines.denoise_picture(None, 1, 100, lambda *_, noisy=noisy: noisy, denoiser, 1.0)
        assert denoised.std() < 0.6 * noisy.std()
        changes.append(np.abs(denoised - noisy).mean())
    assert changes[1] > 3 * changes[0]


@pytest.mark.parametrize("denoiser", baselines.DENOISERS)
@pytest.mark.parametrize("iso", [160, 12800])
def test_where_noise_is_the_same_everywhere_a_denoiser_keeps_brightness(signal, denoiser, iso):
    rng = np.random.default_rng(0)
    scene = np.tile(np.repeat([0.02, 0.2, 0.6], 20)[:, None, None], (1, 40, 3)).astype(np.float32)
    clean, noisy = (
        signal._replace(camera_rgb=camera.expose_reduced(scene, ratio, iso, rng), camera=camera.MODEL)
        for ratio in (1, 250)
    )
    show = partial(baselines.denoise_stable, denoiser=denoiser, strength=1.0)
    expected, denoised = SOURCES["corrected16"](clean, 1, iso), show(noisy, 250, iso)
    before = SOURCES["corrected16"](noisy, 250, iso)
    assert np.abs(denoised - expected).mean() < 0.7 * np.abs(before - expected).mean()
    for rows in (slice(25, 35), slice(45, 55)):  # away from the edges, and from black, where clipping brightens
        assert denoised[rows].mean() == pytest.approx(expected[rows].mean(), abs=4)


def test_the_strength_is_chosen_on_val_alone(tiny_pairs, monkeypatch):
    def amplify(strength, signal, ratio, iso):
        return SOURCES["amplified16"](signal, ratio * strength, iso)

    choices = [partial(amplify, strength) for strength in (0.1, 1.0, 3.0)]
    monkeypatch.setattr(baselines, "list_baselines", lambda _: {"amplified": choices})
    val, test = (tiny_pairs[tiny_pairs.split == split] for split in ("val", "test"))
    of_val = [baselines.score_baseline(choice, val).mae.mean() for choice in choices]
    chosen_val, chosen_test = baselines.score_baselines(tiny_pairs)["amplified"]
    assert chosen_val.mae.mean() == min(of_val)
    best = choices[int(np.argmin(of_val))]
    assert chosen_test.mae.tolist() == baselines.score_baseline(best, test).mae.tolist()


def test_an_oracle_finds_the_factor_that_a_picture_lacks_and_never_harms(tiny_pairs):
    truth = np.random.default_rng(0).uniform(20, 200, (22, 32, 3))
    darker = 255 * encode_srgb(decode_srgb(truth / 255) / 3)
    assert np.abs(baselines.fit_gain(darker, truth) - truth).mean() < 0.1
    plain, fitted = (
        score(evaluation.show_input, tiny_pairs) for score in (evaluation.score_model, baselines.score_oracle_gain)
    )
    assert (fitted.mse <= plain.mse).all()


def test_flips_are_averaged_where_they_came_from(tiny_pairs):
    def shift(pictures):
        return np.roll(np.asarray(pictures), 1, axis=2)

    shift.source = "corrected16"
    average = baselines.average_flips(shift)
    assert average.source == "corrected16"
    picture = np.random.default_rng(0).random((1, 4, 6, 3))
    expected = (np.roll(picture, 1, 2) + np.roll(picture, -1, 2)) / 2
    np.testing.assert_allclose(average(picture), expected)
