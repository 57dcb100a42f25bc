import numpy as np
import pytest

from sidlib import dataset, preprocess, raw
from sidlib.beyond import sources
from sidlib.sample import camera


@pytest.fixture
def train(tiny_pairs):
    return tiny_pairs[tiny_pairs.split == "train"]


def test_amplified_sources_are_as_bright_as_the_truth_and_keep_more_levels(train):
    levels = {}
    for source in dataset.SOURCES:
        ((short, long),) = dataset.make_dataset(train, batch_size=len(train), source=source)
        assert short.shape == long.shape and short.numpy().max() <= 255
        assert short.numpy().min() < 0 if source == "signed" else short.numpy().min() >= 0
        levels[source] = len(np.unique(short))
        brightness = short.numpy().mean() / long.numpy().mean()
        assert brightness < 0.5 if "dark" in source else 0.8 < brightness < 1.3
    assert levels["dark8"] < levels["amplified8"] <= 256 < levels["dark16"] < levels["amplified16"]


def test_only_what_is_below_black_differs_between_signed_and_cut_off(train):
    signal = preprocess.load_signal(train.short_signal[0])
    signal = signal._replace(camera_rgb=signal.camera_rgb - signal.camera_rgb.mean())
    signed, cut = (dataset.SOURCES[source](signal, 300, 200) for source in ("signed", "corrected16"))
    np.testing.assert_allclose(np.maximum(signed, 0), cut, atol=0.01)
    assert 0.2 < (signed < 0).mean() < 0.8


def test_where_there_is_no_light_signed_noise_has_a_mean_of_black():
    dark = camera.expose_reduced(np.zeros((40, 40, 3), np.float32), 300, 12800, np.random.default_rng(0))
    signal = raw.Signal(dark, np.ones(3), np.eye(3), camera.MODEL)
    cut = dataset.SOURCES["corrected16"](signal, 300, 12800)
    assert abs(sources.show_signed(signal, 300, 12800).mean()) < 0.1 * cut.mean()


@pytest.mark.parametrize(
    ("name", "matrix", "corrected"),
    [
        (camera.MODEL, camera.TO_SRGB, True),
        ("SONY ILCE-7SM2", np.eye(3), True),  # the name tells it, whatever the matrix
        ("SONY ILCE-7S", camera.TO_SRGB, False),  # its predecessor, of the same matrix
        ("", camera.TO_SRGB, True),
        ("", camera.TO_SRGB @ np.diag([0.9, 1, 1.1]), False),
    ],
)
def test_black_is_corrected_for_the_calibrated_camera_alone(train, name, matrix, corrected):
    signal = preprocess.load_signal(train.short_signal[0])._replace(camera=name, to_srgb=matrix)
    shown, plain = (dataset.SOURCES[source](signal, 300, 200) for source in ("corrected16", "amplified16"))
    assert (np.abs(shown - plain).max() > 1) == corrected
