"""What is shown of pictures: as models see them, a part, its levels and its scores."""

import numpy as np
import pytest

from sidlib import evaluation, preprocess
from sidlib.backend import keras
from sidlib.brightness import estimate_ratio
from sidlib.evaluation import score_picture
from sidlib.human_check import captures
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


def say_back(source):
    """A model that returns what it sees."""
    picture = keras.Input((None, None, 3), name=source)
    return keras.Model(picture, keras.layers.Identity()(picture))


@pytest.fixture(scope="module")
def pair(tiny_pairs):
    return tiny_pairs[tiny_pairs.split == "test"].iloc[[0]]


@pytest.fixture(scope="module")
def capture(pair):
    return captures.load_capture(next(pair.itertuples()))


@pytest.mark.parametrize(("name", "source"), [("input", "dark8"), ("RAW, amplified", "amplified16")])
def test_a_model_sees_what_it_sees_when_it_is_scored_and_what_is_shown_as_its_input(capture, pair, name, source):
    model = say_back(source)
    _, output, truth = next(evaluation.predict(model, pair))
    seen = captures.make_picture({"model": model}, capture, "model")
    np.testing.assert_allclose(seen, output, atol=1e-4)
    np.testing.assert_array_equal(capture.truth, truth)
    np.testing.assert_array_equal(captures.make_picture({}, capture, name), seen)


def test_a_file_without_a_long_exposure_gets_an_estimated_ratio(pair):
    own = captures.open_capture(pair.short.item(), "mine")
    assert own.name == "mine" and own.truth is None and own.iso == pair.iso.item()
    assert own.ratio == estimate_ratio(preprocess.load_signal(pair.short_signal.item())) > 1


def test_a_line_has_the_scores_of_the_evaluation_or_counts_the_values_that_are_no_numbers(picture):
    scores = score_picture(picture, picture + 10)
    line = captures.describe_scores(picture, picture + 10)
    assert line == f"MAE 10.0 · {scores['psnr_db']:.1f} dB · SSIM {scores['ssim']:.2f}"
    assert captures.describe_scores(picture) == "" and "SSIM" not in captures.describe_scores(picture[:9], picture[:9])
    picture[3, 4] = np.nan, np.inf, -np.inf
    assert captures.describe_scores(picture) == "3 of 7200 values are NaN or infinite"
