import numpy as np
import pytest

from sidlib.camera import destabilise
from sidlib.full_size import trust
from sidlib.full_size.noise import Noise

FLAT = np.full((256, 320, 3), 10.0, np.float32)  # a stabilised picture
NOISE, BLACK = Noise(2.0, 5.0, 0.0, "calibration"), np.full(4, 512.0)


def measure(deviation, mean=0.0, grain=None):
    taken = deviation * np.random.default_rng(0).normal(size=FLAT.shape[:2]) + mean
    return trust.measure_trust(FLAT, destabilise(FLAT[..., 0] + taken, 2.0, 5.0) + 512, BLACK, NOISE)


@pytest.mark.parametrize(("deviation", "sentence"), [(1, None), (1.3, "more noise"), (0.7, "less noise")])
def test_what_was_taken_is_trusted_if_it_is_noise_and_not_if_its_size_is_wrong(deviation, sentence):
    found = measure(deviation)
    assert found.spread.shape == (4, 5) and np.allclose(found.spread, deviation, atol=0.1)
    remarks = trust.remark_trust(found)
    assert sentence in remarks[0] if sentence else remarks == []
    assert found.electrons == pytest.approx(10 * (10 / 4 + 2.5), rel=0.01)


def test_counts_below_black_tell_a_wrong_black_level():
    dark = np.zeros_like(FLAT)
    counts = destabilise(np.random.default_rng(0).normal(-1, 1, FLAT.shape[:2]), 2.0, 5.0) + 512
    remarks = trust.remark_trust(trust.measure_trust(dark, counts, BLACK, NOISE))
    assert any("black level" in remark for remark in remarks)
    found = measure(1)
    for counted, number in ((1, 1), (30, 0)):  # in the light texture alone correlates
        alike = found._replace(alike=found.alike + 0.2, counted=0 * found.counted + counted)
        assert len(trust.remark_trust(alike)) == number


def test_a_capture_smaller_than_a_tile_has_no_map():
    assert trust.measure_trust(FLAT[:32, :32], np.full((32, 32), 600), BLACK, NOISE) is None


def test_the_likely_error_grows_with_the_noise_and_with_what_was_lost():
    found = measure(1)
    error = trust.predict_error(found, NOISE, 100)
    assert (trust.predict_error(found._replace(lost=found.lost + 0.3), NOISE, 100) > error).all()
    assert (trust.predict_error(found, NOISE._replace(read_dn=20.0), 100) > error).all()
