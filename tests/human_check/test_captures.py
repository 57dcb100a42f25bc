import numpy as np
import pytest

from sidlib import evaluation, preprocess
from sidlib.backend import keras
from sidlib.brightness import estimate_ratio
from sidlib.evaluation import score_picture
from sidlib.human_check import captures


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


def test_a_line_has_the_scores_of_the_evaluation_or_counts_the_values_that_are_no_numbers():
    picture = np.random.default_rng(0).uniform(0, 255, (40, 60, 3)).astype(np.float32)
    scores = score_picture(picture, picture + 10)
    line = captures.describe_scores(picture, picture + 10)
    assert line == f"MAE 10.0 · {scores['psnr_db']:.1f} dB · SSIM {scores['ssim']:.2f}"
    assert captures.describe_scores(picture) == "" and "SSIM" not in captures.describe_scores(picture[:9], picture[:9])
    picture[3, 4] = np.nan, np.inf, -np.inf
    assert captures.describe_scores(picture) == "3 of 7200 values are NaN or infinite"
