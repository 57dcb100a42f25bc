import numpy as np
import pytest

from sidlib import camera, evaluation, preprocess
from sidlib.beyond import baselines
from sidlib.camera import decode_srgb, encode_srgb
from sidlib.sources import SOURCES


@pytest.fixture(scope="module")
def scores(tiny_pairs):
    return {name: baselines.score_named(name, tiny_pairs) for name in baselines.find_baselines(tiny_pairs)}


def test_every_baseline_is_scored_on_each_test_picture(scores, tiny_pairs):
    assert {*baselines.NEEDS_CALIBRATION} < scores.keys() == baselines.list_baselines(1).keys()
    assert all(len(val) == 2 and len(test) == 4 for val, test in scores.values())
    identity = evaluation.score_model(evaluation.identity, tiny_pairs[tiny_pairs.split == "test"])
    assert scores["input as it is"][1].mae.tolist() == identity.mae.tolist()
    tests = {name: test.mae.mean() for name, (_, test) in scores.items()}
    assert tests["amplified"] < tests["dark, 8 bit, × ratio"] < tests["input as it is"] / 2


def test_the_usual_ratio_is_the_most_common_of_train(tiny_pairs, scores):
    usual = tiny_pairs[tiny_pairs.split == "train"].ratio.mode()[0]
    test = tiny_pairs[tiny_pairs.split == "test"].assign(ratio=usual)
    expected = baselines.score_baseline(SOURCES["amplified16"], test)
    assert scores["amplified × usual ratio"][1].mae.tolist() == expected.mae.tolist()
    with pytest.raises(ValueError, match="splits train and val and test are needed"):
        baselines.score_named("amplified", test)


def test_another_cameras_captures_are_never_denoised_with_the_calibration(own_pairs, tiny_pairs, caplog):
    assert own_pairs.iso.tolist() == [0] * 3 and preprocess.load_signal(own_pairs.short_signal[0]).camera == "Own"
    found = baselines.find_baselines(own_pairs)
    assert {*found} == baselines.list_baselines(1).keys() - set(baselines.NEEDS_CALIBRATION)
    assert [all(name in line for name in baselines.NEEDS_CALIBRATION) for line in caplog.messages] == [True]
    other = own_pairs.assign(iso=tiny_pairs.iso[0])  # an ISO of the calibrated camera
    assert baselines.find_baselines(other) == found
    assert baselines.find_baselines(tiny_pairs.assign(iso=tiny_pairs.iso + 1)) == found


def test_where_noise_is_the_same_everywhere_a_denoiser_keeps_brightness(tiny_pairs):
    rng, iso, signal = np.random.default_rng(0), 12800, preprocess.load_signal(tiny_pairs.short_signal[0])
    scene = np.tile(np.repeat([0.02, 0.2, 0.6], 20)[:, None, None], (1, 40, 3)).astype(np.float32)
    clean, noisy = (
        signal._replace(camera_rgb=camera.expose_reduced(scene, ratio, iso, rng), camera=camera.MODEL)
        for ratio in (1, 250)
    )
    denoised = baselines.denoise_stabilised(noisy, 250, iso, strength=1.0)
    expected, before = SOURCES["corrected16"](clean, 1, iso), SOURCES["corrected16"](noisy, 250, iso)
    assert np.abs(denoised - expected).mean() < 0.7 * np.abs(before - expected).mean()
    for rows in (slice(25, 35), slice(45, 55)):  # away from the edges, and from black, where clipping brightens
        assert denoised[rows].mean() == pytest.approx(expected[rows].mean(), abs=4)


def test_the_strength_is_chosen_on_val_alone(tiny_pairs, monkeypatch):
    choices = [lambda signal, ratio, iso, by=by: SOURCES["amplified16"](signal, ratio * by, iso) for by in (0.1, 1, 3)]
    monkeypatch.setattr(baselines, "list_baselines", lambda _: {"amplified": choices})
    val, test = (tiny_pairs[tiny_pairs.split == split] for split in ("val", "test"))
    of_val = [baselines.score_baseline(choice, val).mae.mean() for choice in choices]
    chosen_val, chosen_test = baselines.score_named("amplified", tiny_pairs)
    assert chosen_val.mae.mean() == min(of_val)
    best = choices[int(np.argmin(of_val))]
    assert chosen_test.mae.tolist() == baselines.score_baseline(best, test).mae.tolist()


def test_an_oracle_finds_the_factor_that_a_picture_lacks_and_never_harms(tiny_pairs):
    truth = np.random.default_rng(0).uniform(20, 200, (22, 32, 3))
    darker = 255 * encode_srgb(decode_srgb(truth / 255) / 3)
    assert np.abs(baselines.fit_gain(darker, truth) - truth).mean() < 0.1
    plain = evaluation.score_model(evaluation.identity, tiny_pairs)
    fitted = baselines.score_oracle_gain(evaluation.identity, tiny_pairs)
    assert (fitted.mse <= plain.mse).all()
