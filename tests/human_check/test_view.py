import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from sidlib.evaluation import score_picture
from sidlib.human_check import view
from sidlib.human_check.view import View


@pytest.fixture
def picture():
    return np.random.default_rng(0).uniform(0, 255, (40, 60, 3)).astype(np.float32)


def read_images(page):
    """The pictures of an HTML page by their alternative text."""
    found = re.findall(r'<img alt="([^"]*)" src="data:image/png;base64,([^"]*)"', page)
    return {alt: np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for alt, data in found}


def test_a_whole_picture_is_shown_at_first(picture):
    np.testing.assert_array_equal(view.crop_picture(picture, View()), picture)


def test_the_visible_part_lies_where_it_was_moved_to(picture):
    corner = view.crop_picture(picture, View(zoom=2, across=0, down=1))
    np.testing.assert_array_equal(corner, picture[20:, :30])
    np.testing.assert_array_equal(view.crop_picture(picture, View(zoom=2)), picture[10:30, 15:45])


def test_the_visible_part_is_never_too_small_to_be_scored(picture):
    crop = view.crop_picture(picture, View(zoom=100, across=1))
    assert crop.shape == (11, 16, 3)  # and as wide for its height as the picture
    assert np.isfinite(score_picture(crop, crop + 1)["ssim"])


def test_brightness_is_in_stops_of_light(picture):
    np.testing.assert_array_equal(view.brighten(picture, 0), picture)
    dark = np.full((2, 2, 3), 60.0)
    linear = 4 * view.decode_srgb(dark / 255)
    np.testing.assert_allclose(view.decode_srgb(view.brighten(dark, 2) / 255), linear, rtol=1e-6)
    assert view.brighten(picture, 8).max() == pytest.approx(255)


def test_an_error_map_is_black_where_nothing_is_wrong_and_its_scale_ends_where_it_says(picture):
    assert view.map_errors(picture, picture).max() < 5
    errors = [view.map_errors(picture + error, picture).mean() for error in (10, 40, view.MAX_ERROR, 200)]
    assert errors[0] < errors[1] < errors[2] == pytest.approx(errors[3], rel=0.01)


def test_a_wipe_shows_the_one_left_of_its_edge_and_the_other_right_of_it(picture):
    wiped = view.wipe(picture, -picture, 0.25)
    np.testing.assert_array_equal(wiped[:, :15], picture[:, :15])
    np.testing.assert_array_equal(wiped[:, 15:], -picture[:, 15:])
    np.testing.assert_array_equal(view.wipe(picture, -picture, 1), picture)


def test_a_row_holds_the_pictures_themselves_with_names_for_screen_readers(picture):
    page = view.show_row({"a <b> & c": picture, "truth": -picture}, {"a <b> & c": "MAE 1", "truth": ""}, View())
    images = read_images(page)
    assert list(images) == ["a &lt;b&gt; &amp; c: MAE 1", "truth"]
    np.testing.assert_array_equal(images["a &lt;b&gt; &amp; c: MAE 1"], np.rint(picture))
    assert (images["truth"] == 0).all()


def test_all_pictures_of_a_row_show_the_same_part_as_they_are(picture):
    pictures = {"a": picture, "b": picture / 2, "truth": picture}
    images = read_images(view.show_row(pictures, dict.fromkeys(pictures, ""), View(zoom=4, across=0.1, down=0.8)))
    part = view.crop_picture(picture, View(zoom=4, across=0.1, down=0.8))
    np.testing.assert_array_equal(images["a"], np.rint(part))
    np.testing.assert_array_equal(images["b"], np.rint(part / 2))


def test_error_maps_spare_the_truth_and_bring_their_scale(picture):
    pictures = {"a": picture * 0, "truth": picture}
    captions = dict.fromkeys(pictures, "")
    page = view.show_row(pictures, captions, View(errors=True, stops=1))
    images = read_images(page)
    assert f"{view.MAX_ERROR} of 255" in page
    np.testing.assert_array_equal(images["a"], np.rint(view.map_errors(pictures["a"], picture)))
    np.testing.assert_array_equal(images["truth"], np.rint(view.brighten(picture, 1)))
    without = view.show_row({"a": picture}, captions, View(errors=True))  # no truth: nothing to be wrong against
    np.testing.assert_array_equal(read_images(without)["a"], np.rint(picture))


def test_a_wipe_comes_first(picture):
    pictures = {"a": picture, "truth": picture * 0}
    page = view.show_row(pictures, dict.fromkeys(pictures, ""), View(), ("a", "truth"), 0.5)
    images = read_images(page)
    assert list(images) == ["wipe: a | truth", "a", "truth"]
    np.testing.assert_array_equal(images["wipe: a | truth"][:, 30:], 0)


def test_a_line_of_scores_says_those_of_the_evaluation(picture):
    scores = score_picture(picture, picture + 10)
    line = view.describe_scores(picture, picture + 10)
    assert line == f"MAE 10.0 · {scores['psnr_db']:.1f} dB · SSIM {scores['ssim']:.2f}"


def test_each_line_of_a_caption_is_a_line_of_the_page(picture):
    page = view.show_row({"a": picture}, {"a": "MAE 1 · SSIM 0.02\nvisible: MAE 2"}, View())
    (caption,) = re.findall("<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    lines = [re.sub("<[^>]*>", "", line) for line in caption.split("<br>")]
    assert lines == ["a", "MAE 1 · SSIM 0.02", "visible: MAE 2"]


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


@pytest.mark.filterwarnings("error")
def test_a_picture_with_values_that_are_no_numbers_is_shown_where_it_has_some(picture):
    broken = picture.copy()
    broken[0, 0] = np.nan, np.inf, -np.inf
    pictures = {"a": broken, "truth": picture}
    images = read_images(view.show_row(pictures, dict.fromkeys(pictures, ""), View()))
    assert images["a"][0, 0].tolist() == [0, 255, 0]
    np.testing.assert_array_equal(images["a"][1:], np.rint(picture)[1:])
    view.show_row(pictures, dict.fromkeys(pictures, ""), View(errors=True))
    view.show_row(pictures, dict.fromkeys(pictures, ""), View(stops=2))
