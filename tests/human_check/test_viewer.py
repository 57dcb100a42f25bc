import numpy as np
import pytest

from sidlib.evaluation import score_picture
from sidlib.human_check.viewer import View, find_part, take_samples
from sidlib.plots import round_picture


@pytest.fixture
def picture():
    return np.random.default_rng(0).uniform(0, 255, (40, 60, 3)).astype(np.float32)


def test_the_visible_part_is_all_at_first_then_lies_where_it_was_moved_to_and_can_always_be_scored(picture):
    for view, expected in {
        View(): picture,
        View(zoom=2): picture[10:30, 15:45],
        View(zoom=2, across=0, down=1): picture[20:, :30],
    }.items():
        np.testing.assert_array_equal(picture[find_part(picture.shape, view)], expected)
    assert find_part((10, 9, 3), View(zoom=4)) == np.s_[0:10, 0:9]
    crop = picture[find_part(picture.shape, View(zoom=100, across=1))]
    assert crop.shape == (11, 16, 3)  # and as wide for its height as the picture
    assert np.isfinite(score_picture(crop, crop + 1)["ssim"])


def read_samples(data, shape):
    """The levels 0…255 of the bytes that the viewer is given."""
    wide = len(data) > np.prod(shape)
    return np.frombuffer(data, "<u2" if wide else "u1").reshape(shape) / (257 if wide else 1)


@pytest.mark.filterwarnings("error")
def test_the_viewer_is_given_whole_levels_in_8_bits_fractions_in_16_and_no_number_as_black_or_an_end(picture):
    whole = np.rint(picture)
    assert len(take_samples(whole)) == len(take_samples(picture)) / 2 == whole.size
    np.testing.assert_array_equal(read_samples(take_samples(whole), whole.shape), whole)
    np.testing.assert_allclose(read_samples(take_samples(picture), picture.shape), picture, atol=0.5 / 257 + 1e-4)
    for broken in (whole, picture):
        broken[0, 0] = np.nan, np.inf, -np.inf
        assert read_samples(take_samples(broken), broken.shape)[0, 0].tolist() == [0, 255, 0]
        assert round_picture(broken)[0, 0].tolist() == [0, 255, 0]
