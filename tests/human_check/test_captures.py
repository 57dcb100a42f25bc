import numpy as np
import pytest

from sidlib import evaluation, models, preprocess, raw
from sidlib.backend import keras, tf
from sidlib.beyond import sources  # noqa: F401  makes "amplified16" known
from sidlib.human_check import captures


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
    bright, dark = (captures.open_capture(path, brightness) for brightness in (0.1, 0.01))
    assert bright.name == path.name and bright.truth is None and bright.iso == pair.iso.item()
    assert 1 <= dark.ratio < bright.ratio <= 300
    outputs = [captures.run_model(say_back("amplified16"), capture).mean() for capture in (dark, bright)]
    assert outputs[0] < outputs[1]


def test_what_cannot_be_shown_is_refused_with_the_reason(pair, tmp_path, monkeypatch):
    text = tmp_path / "holiday.ARW"
    text.write_text("no photograph")
    with pytest.raises(raw.RawError, match=r"holiday\.ARW: not a RAW"):
        captures.open_capture(text, 0.1)
    with pytest.raises(raw.RawError, match="Is a directory"):
        captures.open_capture(tmp_path, 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(captures, "MIN_SIZE_PX", 100)
        with pytest.raises(raw.RawError, match="too small, 32 × 22 pixels"):
            captures.open_capture(pair.short.item(), 0.1)
    monkeypatch.setattr(captures, "MAX_FILE_BYTES", 100_000)
    with pytest.raises(raw.RawError, match="too large, 0 MB"):
        captures.open_capture(pair.short.item(), 0.1)


def test_the_ratio_of_a_capture_is_estimated_from_how_bright_long_exposures_are(tiny_pairs):
    train = tiny_pairs[tiny_pairs.split == "train"]
    brightness = captures.measure_brightness(train)
    for row in train.itertuples():
        signal = preprocess.load_signal(row.short_signal)
        estimate = captures.estimate_ratio(signal, brightness)
        assert row.ratio / 4 < estimate <= 300
        darker = signal._replace(camera_rgb=signal.camera_rgb / 2)
        assert captures.estimate_ratio(darker, brightness) == pytest.approx(min(300, 2 * estimate), rel=1e-3)


def test_the_inputs_are_those_that_models_see(capture):
    for name, source in {"input": "dark8", "input, amplified": "amplified16"}.items():
        picture = captures.INPUTS[name](capture)
        assert picture.dtype == np.float32
        np.testing.assert_allclose(picture, captures.run_model(say_back(source), capture), atol=0.003)


def test_no_test_pairs_are_refused(tiny_pairs):
    with pytest.raises(ValueError, match="Received: 6 pairs"):
        captures.choose_pair(tiny_pairs[tiny_pairs.split == "train"])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_a_picture_of_a_model_of_less_precision_is_saved_as_bright_as_it_is(capture, policy, tmp_path):
    picture = keras.Input((None, None, 3))
    model = keras.Model(picture, keras.layers.Rescaling(0.0, 200, dtype=policy)(models.Sees("dark8")(picture)))
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
