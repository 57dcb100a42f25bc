import numpy as np
import pytest

from sidlib import evaluation, preprocess
from sidlib.backend import keras, tf
from sidlib.brightness import estimate_ratio
from sidlib.evaluation import score_picture
from sidlib.human_check import captures
from sidlib.rawfile import RawError


def say_back(source):
    """A model that returns what it sees."""

    def model(pictures):
        return pictures

    model.source = source
    return model


@pytest.fixture(scope="module")
def pair(tiny_pairs):
    return tiny_pairs[tiny_pairs.split == "test"].iloc[[0]]


@pytest.fixture(scope="module")
def capture(pair):
    return captures.load_capture(next(pair.itertuples()))


@pytest.mark.parametrize("source", ["dark8", "amplified16"])
def test_a_model_sees_of_a_capture_what_it_sees_when_it_is_scored(capture, pair, source):
    model = say_back(source)
    _, output, truth = next(evaluation.predict(model, pair))
    np.testing.assert_allclose(captures.run_model(model, capture), output, atol=1e-4)
    np.testing.assert_array_equal(capture.truth, truth)


def test_a_file_without_a_long_exposure_gets_an_estimated_ratio(pair):
    path = pair.short.item()
    own = captures.open_capture(path)
    assert own.name == path.name and own.truth is None and own.iso == pair.iso.item()
    assert own.ratio == estimate_ratio(preprocess.load_signal(pair.short_signal.item())) > 1


def test_what_cannot_be_shown_is_refused_with_the_reason(pair, tmp_path, monkeypatch):
    text = tmp_path / "holiday.ARW"
    text.write_text("no photograph")
    with pytest.raises(RawError, match=r"holiday\.ARW: not a RAW"):
        captures.open_capture(text)
    with pytest.raises(RawError, match="Is a directory"):
        captures.open_capture(tmp_path)
    monkeypatch.setattr(captures, "MIN_SIZE_PX", 100)
    with pytest.raises(RawError, match="too small, 32 × 22 pixels"):
        captures.open_capture(pair.short.item())


def test_the_inputs_are_those_that_models_see(capture):
    for name, source in {"input": "dark8", "input, amplified": "amplified16"}.items():
        picture = captures.make_picture({}, capture, name)
        assert picture.dtype == np.float32
        np.testing.assert_array_equal(picture, captures.run_model(say_back(source), capture))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_a_picture_of_a_model_of_less_precision_is_saved_as_bright_as_it_is(capture, policy, tmp_path):
    picture = keras.Input((None, None, 3), name="dark8")
    model = keras.Model(picture, keras.layers.Rescaling(0.0, 200, dtype=policy)(picture))
    output = captures.run_model(model, capture)
    assert output.dtype == np.float32 and (output == 200).all()
    assert np.asarray(model(capture.truth[None])).dtype != np.float32
    for dtype in (np.float32, np.float16):
        captures.save_picture(output.astype(dtype), tmp_path / "picture.png", 16)
        read = tf.io.decode_png((tmp_path / "picture.png").read_bytes(), dtype="uint16").numpy()
        assert (read == round(200 / 255 * 65535)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_picture_that_a_png_cannot_hold_is_not_saved(tmp_path, value):
    picture = np.full((9, 12, 3), 100.0)
    picture[0, 0, 0] = value
    with pytest.raises(ValueError, match="1 of 324 values are NaN or infinite"):
        captures.save_picture(picture, tmp_path / "picture.png", 16)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bits", [8, 16])
def test_a_saved_picture_keeps_its_levels(tmp_path, bits):
    picture = np.random.default_rng(0).uniform(-5, 260, (9, 12, 3))
    captures.save_picture(picture, tmp_path / "own" / "picture.png", bits)
    content = (tmp_path / "own" / "picture.png").read_bytes()
    read = tf.io.decode_png(content, dtype=f"uint{bits}").numpy()
    levels = 2**bits - 1
    np.testing.assert_allclose(read / levels, np.clip(picture, 0, 255) / 255, atol=0.5 / levels + 1e-9)


@pytest.fixture
def picture():
    return np.random.default_rng(0).uniform(0, 255, (40, 60, 3)).astype(np.float32)


def test_a_line_of_scores_says_those_of_the_evaluation(picture):
    scores = score_picture(picture, picture + 10)
    line = captures.describe_scores(picture, picture + 10)
    assert line == f"MAE 10.0 · {scores['psnr_db']:.1f} dB · SSIM {scores['ssim']:.2f}"


@pytest.mark.parametrize("shape", [(10, 60, 3), (60, 10, 3), (1, 1, 3)])
def test_a_picture_smaller_than_the_window_of_ssim_is_scored_without_it(picture, shape):
    small = picture[: shape[0], : shape[1]] if shape[0] < 60 else picture.swapaxes(0, 1)[:, : shape[1]]
    assert small.shape == shape
    mse = np.square(small - 7.5).mean()
    expected = f"MAE {np.abs(small - 7.5).mean():.1f} · {10 * np.log10(255**2 / mse):.1f} dB"
    assert captures.describe_scores(small, np.full_like(small, 7.5)) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_counted_instead_of_scored(picture, value):
    broken = picture.copy()
    broken[3, 4:6] = value
    assert captures.describe_scores(broken, picture) == "6 of 7200 values are NaN or infinite"
    assert captures.describe_broken(picture) == ""
