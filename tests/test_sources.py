import numpy as np

from sidlib import camera, dataset, preprocess, raw
from sidlib.sources import SOURCES


def test_amplified_sources_are_as_bright_as_the_truth_and_keep_more_levels(train):
    levels = {}
    for source in SOURCES:
        [(short, long)] = dataset.make_dataset(train, batch_size=len(train), source=source).as_numpy_iterator()
        assert short.shape == long.shape and short.max() <= 255
        assert short.min() < 0 if source == "signed" else short.min() >= 0
        levels[source], brightness = len(np.unique(short)), short.mean() / long.mean()
        assert brightness < 0.5 if "dark" in source else 0.8 < brightness < 1.3
    assert max(levels["dark8"], levels["rounded8"]) < levels["amplified8"] <= 256 < levels["amplified16"]


def test_dark_8_bit_pictures_are_the_same_from_png_and_signal(train):
    pair = train.iloc[0]
    seen = SOURCES["dark8"](preprocess.load_signal(pair.short_signal), pair.ratio, pair.iso)
    np.testing.assert_array_equal(seen, dataset.read_picture(str(pair.short_png)))


def test_without_light_signed_noise_has_a_mean_of_black_and_only_what_is_below_black_differs_from_clipped():
    dark = camera.expose_reduced(np.zeros((40, 40, 3), np.float32), 300, 12800, np.random.default_rng(0))
    signal = raw.Signal(dark, np.ones(3), np.eye(3), camera.MODEL)
    signed, clipped = (SOURCES[source](signal, 300, 12800) for source in ("signed", "corrected16"))
    assert abs(signed.mean()) < 0.1 * clipped.mean() and 0.2 < (signed < 0).mean() < 0.8
    np.testing.assert_allclose(np.maximum(signed, 0), clipped, atol=0.01)
