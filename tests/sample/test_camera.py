import numpy as np
import pytest
from scipy.stats import tukeylambda

from sidlib import raw
from sidlib.sample import camera

SHAPE = (400, 500)


def expose(signal, ratio, iso, seed=0):
    return camera.expose(np.full(SHAPE, float(signal)), ratio, iso, np.random.default_rng(seed)).astype(float)


@pytest.mark.parametrize("iso", [100, 1600, 2000, 25600])
@pytest.mark.parametrize("ratio", [1, 100])
def test_mean_and_variance_are_those_of_the_calibration(iso, ratio):
    signal, noise = 4000, camera.load_noise_table().loc[iso]
    counts = expose(signal, ratio, iso)
    mean = camera.BLACK + signal / ratio + noise.black_error_dn
    variance = noise.gain_dn_per_e * signal / ratio + noise.read_sigma_dn**2 + noise.row_sigma_dn**2 + 1 / 12
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / counts.size) + 3 * noise.row_sigma_dn / 20)
    assert counts.var() == pytest.approx(variance, rel=0.05)


def test_rows_share_the_row_noise_and_columns_do_not():
    noise = camera.load_noise_table().loc[6400]
    counts = expose(0, 1, 6400)
    per_pixel = noise.read_sigma_dn**2
    assert counts.mean(axis=1).var() == pytest.approx(noise.row_sigma_dn**2 + per_pixel / SHAPE[1], rel=0.25)
    assert counts.mean(axis=0).var() == pytest.approx(per_pixel / SHAPE[0], rel=0.25)


def test_counts_stop_at_saturation_and_noise_below_black_is_kept():
    assert expose(10**6, 1, 100).max() == camera.WHITE
    dark = expose(0, 1, 25600)
    assert dark.min() < camera.BLACK - 50
    assert dark.min() >= 0


def test_a_shorter_exposure_has_the_worse_signal_to_noise_ratio():
    long, short = expose(1000, 1, 800), expose(1000, 100, 800)
    assert (short.mean() - camera.BLACK) / short.std() < (long.mean() - camera.BLACK) / long.std() / 5


def test_the_read_noise_follows_scipys_tukey_lambda():
    uniform = np.random.default_rng(0).random(1000)
    for shape in camera.load_noise_table().tukey_lambda:
        np.testing.assert_allclose(
            camera.tukey_lambda(uniform, shape), tukeylambda.ppf(uniform, shape), rtol=1e-6, atol=1e-9
        )


def test_the_matrix_is_that_of_the_camera():
    expected = [[1.97123, -0.67892, -0.29231], [-0.29105, 1.74840, -0.45735], [0.02051, -0.53804, 1.51752]]
    np.testing.assert_allclose(camera.TO_SRGB, expected, atol=1e-4)


def test_an_iso_without_calibration_and_a_ratio_of_zero_are_refused():
    with pytest.raises(ValueError, match="Received: 123"):
        expose(1, 1, 123)
    with pytest.raises(ValueError, match="Received: 0"):
        expose(1, 0, 100)


@pytest.mark.parametrize(("iso", "ratio"), [(160, 300), (1600, 100), (12800, 250)])
def test_the_noise_of_reduced_pictures_is_that_of_reduced_captures(iso, ratio):
    span = camera.WHITE - camera.BLACK
    signal = np.full((400, 600), 3000.0)
    rng = np.random.default_rng(0)
    captures, drawn = [], []
    for _ in range(12):
        counts = camera.expose(signal, ratio, iso, rng)
        mosaic = raw.Mosaic(counts, "RGGB", np.full(4, 512.0), float(camera.WHITE), np.ones(3), np.eye(3), 0)
        captures.append(raw.reduce_mosaic(mosaic, 10)[1:-1, 1:-1] * span)
        drawn.append(camera.expose_reduced(np.full((40, 60, 3), 3000 / span), ratio, iso, rng)[1:-1, 1:-1] * span)
    captures, drawn = np.array(captures), np.array(drawn)
    error = 4 * captures.std() / np.sqrt(len(captures) * 38)  # rows are the independent draws of the row noise
    np.testing.assert_allclose(drawn.mean((0, 1, 2)), captures.mean((0, 1, 2)), atol=error)
    np.testing.assert_allclose(drawn.std((0, 1, 2)), captures.std((0, 1, 2)), rtol=0.05)
    np.testing.assert_allclose(drawn.mean(2).std((0, 1)), captures.mean(2).std((0, 1)), rtol=0.15)  # along rows


def test_the_known_black_level_error_is_taken_off_and_an_unknown_one_left():
    noise, span = camera.load_noise_table().loc[160], camera.WHITE - camera.BLACK
    dark = np.full((2, 3, 3), noise.black_error_dn / span, np.float32)
    np.testing.assert_allclose(camera.correct_black(dark, 160), 0, atol=1e-9)
    np.testing.assert_array_equal(camera.correct_black(dark, 161), dark)


def test_what_a_camera_sees_is_what_rendering_shows_again_in_double_precision():
    linear = np.random.default_rng(0).uniform(0.3, 0.6, (4, 6, 3)).astype(np.float32)
    gains = (2.1, 1.0, 1.7)
    seen = camera.see(linear, gains)
    assert seen.dtype == np.float64  # with less, the same seed gives other files
    np.testing.assert_allclose(raw.render(seen, np.array(gains), camera.TO_SRGB), linear, atol=1e-6)
