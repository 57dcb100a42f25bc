import io

import numpy as np
import pytest
from PIL import Image

from sidlib.evaluation import score_picture
from sidlib.human_check.captures import encode_png
from sidlib.human_check.viewer import View, find_part, take_samples


@pytest.fixture
def picture():
    return np.random.default_rng(0).uniform(0, 255, (40, 60, 3)).astype(np.float32)


def read_png(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_a_whole_picture_is_shown_at_first(picture):
    np.testing.assert_array_equal(picture[find_part(picture.shape, View())], picture)


def test_the_visible_part_lies_where_it_was_moved_to(picture):
    corner = picture[find_part(picture.shape, View(zoom=2, across=0, down=1))]
    np.testing.assert_array_equal(corner, picture[20:, :30])
    np.testing.assert_array_equal(picture[find_part(picture.shape, View(zoom=2))], picture[10:30, 15:45])


def test_the_visible_part_is_never_too_small_to_be_scored(picture):
    crop = picture[find_part(picture.shape, View(zoom=100, across=1))]
    assert crop.shape == (11, 16, 3)  # and as wide for its height as the picture
    assert np.isfinite(score_picture(crop, crop + 1)["ssim"])


def read_samples(data, shape):
    """The levels 0…255 of the bytes that the viewer is given."""
    wide = len(data) > np.prod(shape)
    return np.frombuffer(data, "<u2" if wide else "u1").reshape(shape) / (257 if wide else 1)


def test_the_viewer_is_given_a_picture_of_whole_levels_in_8_bits_as_it_is(picture):
    whole = np.rint(picture)
    data = take_samples(whole)
    assert len(data) == whole.size
    np.testing.assert_array_equal(read_samples(data, whole.shape), whole)


def test_the_viewer_is_given_fractions_in_16_bits(picture):
    data = take_samples(picture)
    assert len(data) == 2 * picture.size
    np.testing.assert_allclose(read_samples(data, picture.shape), picture, atol=0.5 / 257 + 1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_values_that_are_no_numbers_are_black_or_the_end_of_the_scale(fraction):
    broken = np.full((2, 2, 3), 9 + fraction)
    broken[0, 0] = np.nan, np.inf, -np.inf
    assert read_samples(take_samples(broken), broken.shape)[0, 0].tolist() == [0, 255, 0]
    assert read_png(encode_png(broken))[0, 0].tolist() == [0, 255, 0]


def test_a_png_holds_the_picture_to_the_nearest_level(picture):
    np.testing.assert_array_equal(read_png(encode_png(picture)), np.rint(picture))
