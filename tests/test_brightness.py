from functools import cache

import numpy as np
import pytest

from sidlib import brightness, camera, raw, sample


def make_signal(level):
    return raw.Signal(np.full((20, 30, 3), level, np.float32), np.ones(3), np.eye(3))


load_photograph = cache(sample.load_photograph)


def expose_long(scene):
    """The Signal of a scene's long exposure."""
    photograph = load_photograph(scene.photograph)
    signal = sample.expose_mosaic(photograph, scene.box, scene.white_balance, scene.size_px)
    counts, gains = camera.expose(signal, 1, scene.iso, np.random.default_rng(0)), np.array(scene.white_balance)
    mosaic = raw.Mosaic(counts, camera.PATTERN, np.full(4, 512.0), float(camera.WHITE), gains, camera.CCM, 0)
    return raw.Signal(raw.reduce_mosaic(mosaic, 10), gains, camera.CCM)


def test_the_usual_brightness_is_that_of_the_samples_train_photographs():
    scenes = [scene for scene in sample.plan_scenes(sample.PHOTOGRAPHS) if scene.number[0] == "0" and scene.box]
    levels = [brightness.find_bright(expose_long(scene)) for scene in scenes]
    assert len(levels) == 128
    assert np.exp(np.mean(np.log(levels))) == pytest.approx(brightness.BRIGHT, rel=0.01)


def test_the_estimate_makes_a_capture_as_bright_as_long_exposures_usually_are():
    for level in (0.1, 0.01, 0.002):
        assert brightness.estimate_ratio(make_signal(level)) * level == pytest.approx(brightness.BRIGHT)


def test_the_estimate_neither_darkens_nor_amplifies_more_than_the_paper():
    assert [brightness.estimate_ratio(make_signal(level)) for level in (0.9, 0.0, -0.1)] == [1, 300, 300]


def test_the_estimate_is_within_two_stops_on_the_samples_own_captures(tiny_pairs):
    for pair in tiny_pairs.itertuples():
        estimate = brightness.estimate_ratio(raw.read_signal(pair.short))
        assert abs(np.log2(estimate / pair.ratio)) < 2


def test_a_ratio_is_at_most_that_of_the_paper():
    assert brightness.exposure_ratio(np.array([0.1, 0.01]), 10).tolist() == [100, 300]
