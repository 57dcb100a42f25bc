import numpy as np
import pytest

from sidlib import dataset, preprocess
from sidlib.beyond import sources
from sidlib.sample import camera


def list_shorts(batches):
    return [picture.numpy().tobytes() for short, _ in batches for picture in short]


@pytest.fixture
def train(tiny_pairs):
    return tiny_pairs[tiny_pairs.split == "train"]


def test_amplified_sources_are_as_bright_as_the_truth_and_keep_more_levels(train):
    levels = {}
    for source in dataset.SOURCES:
        ((short, long),) = dataset.make_dataset(train, batch_size=len(train), source=source)
        assert short.shape == long.shape and short.numpy().min() >= 0 and short.numpy().max() <= 255
        levels[source] = len(np.unique(short))
        brightness = short.numpy().mean() / long.numpy().mean()
        assert brightness < 0.5 if "dark" in source else 0.8 < brightness < 1.3
    assert levels["dark8"] < levels["amplified8"] <= 256 < levels["dark16"] < levels["amplified16"]


def test_fresh_noise_is_another_in_each_epoch_and_the_same_for_a_seed(train):
    options = {"source": "amplified16", "retake": sources.retake}
    epochs = list_shorts(dataset.make_dataset(train, epochs=range(3), **options))
    assert len(set(epochs)) == 3 * len(train)
    assert epochs[2 * len(train) :] == list_shorts(dataset.make_dataset(train, epochs=range(2, 3), **options))
    assert epochs != list_shorts(dataset.make_dataset(train, epochs=range(3), seed=1, **options))


def test_fresh_noise_shows_the_same_scene_as_brightly_as_its_long_exposure(train):
    ((short, long),) = dataset.make_dataset(train, batch_size=len(train), source="amplified16", retake=sources.retake)
    assert 0.8 < short.numpy().mean() / long.numpy().mean() < 1.3
    assert np.corrcoef(short.numpy().ravel(), long.numpy().ravel())[0, 1] > 0.6


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
