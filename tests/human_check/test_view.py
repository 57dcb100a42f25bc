import base64
import io

import numpy as np
import pytest
from PIL import Image

from sidlib.evaluation import score_picture
from sidlib.human_check import page, stage, view
from sidlib.human_check.view import View


@pytest.fixture
def picture():
    return np.random.default_rng(0).uniform(0, 255, (40, 60, 3)).astype(np.float32)


def read_png(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))))


def test_a_whole_picture_is_shown_at_first(picture):
    np.testing.assert_array_equal(picture[view.find_part(picture.shape, View())], picture)


def test_the_visible_part_lies_where_it_was_moved_to(picture):
    corner = picture[view.find_part(picture.shape, View(zoom=2, across=0, down=1))]
    np.testing.assert_array_equal(corner, picture[20:, :30])
    np.testing.assert_array_equal(picture[view.find_part(picture.shape, View(zoom=2))], picture[10:30, 15:45])


def test_the_visible_part_is_never_too_small_to_be_scored(picture):
    crop = picture[view.find_part(picture.shape, View(zoom=100, across=1))]
    assert crop.shape == (11, 16, 3)  # and as wide for its height as the picture
    assert np.isfinite(score_picture(crop, crop + 1)["ssim"])


def test_a_line_of_scores_says_those_of_the_evaluation(picture):
    scores = score_picture(picture, picture + 10)
    line = view.describe_scores(picture, picture + 10)
    assert line == f"MAE 10.0 · {scores['psnr_db']:.1f} dB · SSIM {scores['ssim']:.2f}"


@pytest.mark.parametrize("shape", [(10, 60, 3), (60, 10, 3), (1, 1, 3)])
def test_a_picture_smaller_than_the_window_of_ssim_is_scored_without_it(picture, shape):
    small = picture[: shape[0], : shape[1]] if shape[0] < 60 else picture.swapaxes(0, 1)[:, : shape[1]]
    assert small.shape == shape
    mse = np.square(small - 7.5).mean()
    expected = f"MAE {np.abs(small - 7.5).mean():.1f} · {10 * np.log10(255**2 / mse):.1f} dB"
    assert view.describe_scores(small, np.full_like(small, 7.5)) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_counted_instead_of_scored(picture, value):
    broken = picture.copy()
    broken[3, 4:6] = value
    assert view.describe_scores(broken, picture) == "6 of 7200 values are NaN or infinite"
    assert view.describe_broken(picture) == ""


def read_samples(data, shape):
    """The levels 0…255 of the bytes that the viewer is given."""
    wide = len(data) > np.prod(shape)
    return np.frombuffer(data, "<u2" if wide else "u1").reshape(shape) / (257 if wide else 1)


def test_the_viewer_is_given_a_picture_of_whole_levels_in_8_bits_as_it_is(picture):
    whole = np.rint(picture)
    data = stage.take_samples(whole)
    assert len(data) == whole.size
    np.testing.assert_array_equal(read_samples(data, whole.shape), whole)


def test_the_viewer_is_given_fractions_in_16_bits(picture):
    data = stage.take_samples(picture)
    assert len(data) == 2 * picture.size
    np.testing.assert_allclose(read_samples(data, picture.shape), picture, atol=0.5 / 257 + 1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_values_that_are_no_numbers_are_black_or_the_end_of_the_scale(fraction):
    broken = np.full((2, 2, 3), 9 + fraction)
    broken[0, 0] = np.nan, np.inf, -np.inf
    assert read_samples(stage.take_samples(broken), broken.shape)[0, 0].tolist() == [0, 255, 0]
    assert read_png(page.encode_png(broken))[0, 0].tolist() == [0, 255, 0]


def test_a_png_holds_the_picture_to_the_nearest_level(picture):
    np.testing.assert_array_equal(read_png(page.encode_png(picture)), np.rint(picture))
