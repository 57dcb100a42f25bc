import numpy as np
import pytest

from sidlib.beyond.full_size import stable


@pytest.mark.parametrize("pattern", stable.ORDERS)
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1 + 6, 4)])
def test_each_order_and_size_becomes_rggb_and_is_found_again(pattern, size):
    rows, columns = np.indices(size)
    letters = np.array(list(pattern)).reshape(2, 2)[rows % 2, columns % 2]
    aligned, inner = stable.align(letters.view(np.uint32).reshape(size), pattern, margin=4, multiple=16)
    assert aligned.shape[0] % 16 == aligned.shape[1] % 16 == 0
    np.testing.assert_array_equal(aligned[inner], letters.view(np.uint32).reshape(size))
    assert min(*(each.start for each in inner), *(np.array(aligned.shape) - [each.stop for each in inner])) >= 4
    for place, colour in zip(np.moveaxis(stable.pack(aligned), -1, 0), "RGGB", strict=True):
        assert (place == ord(colour)).all()
    assert stable.align_levels([ord(letter) for letter in pattern], pattern).tolist() == [ord(c) for c in "RGGB"]


def test_what_cannot_be_aligned_is_refused():
    for wrong in (("RGBG", 0, 2), ("RGGB", 3, 2), ("RGGB", 0, 3)):
        with pytest.raises(ValueError, match="even sizes"):
            stable.align(np.zeros((4, 4)), *wrong)


@pytest.mark.parametrize(("gain", "read"), [(0.1, 0.5), (2.0, 3.0), (24.0, 26.0)])
def test_noise_has_a_deviation_of_one_from_black_to_bright_and_is_not_cut_off(gain, read):
    rng = np.random.default_rng(0)
    for electrons in (0, 1, 10, 1000):
        counts = gain * rng.poisson(electrons, 100_000) + rng.normal(0, read, 100_000)
        found = stable.stabilise(counts, gain, read)
        assert found.dtype == np.float32
        assert found.std() == pytest.approx(1, abs=0.12)
        assert electrons or found.min() < -3


def test_stabilising_is_smooth_rising_and_inverted_exactly():
    counts = np.linspace(-40, 4000, 100_001)
    found = stable.stabilise(counts, 2.0, 3.0)
    assert (np.diff(found) > 0).all() and found[np.abs(counts).argmin()] == pytest.approx(0, abs=0.02)
    slopes = np.diff(found) / np.diff(counts)
    assert np.abs(np.diff(slopes)).max() < 0.01
    np.testing.assert_allclose(stable.destabilise(found, 2.0, 3.0), counts, rtol=1e-4, atol=1e-4)
