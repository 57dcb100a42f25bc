import numpy as np
import pytest

from sidlib import evaluation, raw
from sidlib.backend import tf
from sidlib.beyond.baselines import Baseline
from sidlib.human_check import captures


@pytest.fixture(scope="module")
def pair(tiny_pairs):
    return tiny_pairs[tiny_pairs.split == "test"].iloc[[0]]


@pytest.fixture(scope="module")
def capture(pair):
    return captures.load_capture(next(pair.itertuples()))


@pytest.mark.parametrize("source", ["dark8", "amplified16"])
def test_a_model_sees_of_a_capture_what_it_sees_when_it_is_scored(capture, pair, source):
    model = Baseline(source)
    _, output, truth = next(evaluation.predict(model, pair))
    np.testing.assert_allclose(captures.run_model(model, capture), output, atol=1e-4)
    np.testing.assert_array_equal(capture.truth, truth)


def test_a_file_without_a_long_exposure_gets_an_estimated_ratio(pair):
    path = pair.short.item()
    bright, dark = (captures.open_capture(path, brightness) for brightness in (0.1, 0.01))
    assert bright.name == path.name and bright.truth is None and bright.iso == pair.iso.item()
    assert 1 <= dark.ratio < bright.ratio <= 300
    outputs = [captures.run_model(Baseline("amplified16"), capture).mean() for capture in (dark, bright)]
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


@pytest.mark.parametrize("bits", [8, 16])
def test_a_saved_picture_keeps_its_levels(tmp_path, bits):
    picture = np.random.default_rng(0).uniform(-5, 260, (9, 12, 3))
    captures.save_picture(picture, tmp_path / "own" / "picture.png", bits)
    content = (tmp_path / "own" / "picture.png").read_bytes()
    read = tf.io.decode_png(content, dtype=f"uint{bits}").numpy()
    levels = 2**bits - 1
    np.testing.assert_allclose(read / levels, np.clip(picture, 0, 255) / 255, atol=0.5 / levels + 1e-9)
