import numpy as np
import pytest
from scipy.stats import tukeylambda

from sidlib import camera

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
            camera._tukey_lambda(uniform, shape), tukeylambda.ppf(uniform, shape), rtol=1e-6, atol=1e-9
        )


def test_the_matrix_is_that_of_the_camera():
    expected = [[1.97123, -0.67892, -0.29231], [-0.29105, 1.74840, -0.45735], [0.02051, -0.53804, 1.51752]]
    np.testing.assert_allclose(camera.TO_SRGB, expected, atol=1e-4)


def test_an_iso_without_calibration_and_a_ratio_of_zero_are_refused():
    with pytest.raises(ValueError, match="Received: 123"):
        expose(1, 1, 123)
    with pytest.raises(ValueError, match="Received: 0"):
        expose(1, 0, 100)
