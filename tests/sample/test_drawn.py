import subprocess
import sys

import numpy as np
import pytest
from skimage.color import rgb2hsv

from sidlib.camera import decode_srgb, encode_srgb
from sidlib.sample import drawn
from sidlib.sample.photographs import PHOTOGRAPHS, load_photograph

SIZE = (128, 86)
HUES = range(6)  # red, yellow, green, cyan, blue, magenta


@pytest.fixture(scope="module")
def photographs():
    return [np.asarray(load_photograph(name)) for name, split in PHOTOGRAPHS.items() if split == "train"]


@pytest.fixture(scope="module")
def scenes(photographs):
    """300 scenes in sRGB: (300, 86, 128, 3) in 0…1."""
    return np.stack([encode_srgb(drawn.draw_scene(seed, SIZE, photographs)) for seed in range(300)])


def has_hue(hsv, hue):
    """Where a colour is within 30° of a hue and saturated to 85 % at least, and neither black nor dark."""
    away = np.abs((hsv[..., 0] - hue / 6 + 0.5) % 1 - 0.5)
    return (away < 1 / 12) & (hsv[..., 1] > 0.85) & (hsv[..., 2] > 0.4)


def test_a_scene_is_linear_light_of_the_size_that_was_asked_for():
    for seed, size_px in enumerate([SIZE, (31, 17), (4, 9)]):
        scene = drawn.draw_scene(seed, size_px)
        assert scene.shape == (size_px[1], size_px[0], 3) and scene.dtype == np.float32
        assert 0 <= scene.min() <= scene.max() <= 1


def test_a_seed_gives_the_same_bytes_in_another_process_and_after_other_scenes():
    code = "import sys; from sidlib.sample.drawn import *; sys.stdout.buffer.write(draw_scene(7, (64, 48)).tobytes())"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    drawn.draw_scene(8, (64, 48))
    for rng in (7, np.random.default_rng(7)):
        assert drawn.draw_scene(rng, (64, 48)).tobytes() == elsewhere


def test_the_amplitude_spectrum_falls_like_that_of_photographs(scenes):
    grey = scenes.mean(axis=-1)[:, :, :86]
    window = np.outer(np.hanning(86), np.hanning(86))
    power = np.abs(np.fft.fft2((grey - grey.mean((1, 2), keepdims=True)) * window)) ** 2
    power /= np.maximum(power.sum((1, 2), keepdims=True), 1e-9)  # each scene counts alike; some are one flat colour
    power = power.mean(0)
    frequency = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(86), np.fft.fftfreq(86))) * 86).astype(int)
    radial = np.bincount(frequency.ravel(), power.ravel()) / np.bincount(frequency.ravel())
    band = np.arange(3, 30)
    slope = np.polyfit(np.log(band), np.log(radial[band]) / 2, 1)[0]
    assert -1.5 < slope < -0.8


def test_edges_are_one_pixel_wide(photographs):
    grey = np.stack([drawn.draw_scene(seed, (256, 256), photographs).mean(axis=-1) for seed in range(20)])
    steps = np.abs(np.diff(grey, axis=2))
    around = np.abs(grey[:, :, 4:] - grey[:, :, :-4])[:, :, 1:]
    largest = np.argsort(steps[:, :, 3:-1].ravel())[-5000:]
    share = steps[:, :, 3:-1].ravel()[largest] / np.maximum(around.ravel()[largest], 1e-3)
    assert np.median(share) > 0.7


def test_colours_are_from_all_of_the_gamut_and_some_areas_are_flat_and_of_these_some_dark_some_saturated(scenes):
    hsv = rgb2hsv(scenes)
    for hue in HUES:
        assert has_hue(hsv, hue).mean() > 0.008
        assert has_hue(hsv[hsv[..., 2] > 0.8], hue).mean() > 0.02  # of the bright ones
    assert ((hsv[..., 1] < 0.06) & (hsv[..., 2] > 0.1)).mean() > 0.05  # grey
    assert (scenes.max(axis=-1) < 0.06).mean() > 0.03  # all but black
    assert (scenes.min(axis=-1) > 0.92).mean() > 0.005  # all but white
    blocks = scenes[:, :80].reshape(-1, 10, 8, 16, 8, 3).swapaxes(2, 3).reshape(-1, 64, 3)
    flat = blocks[np.ptp(blocks, axis=1).max(axis=-1) < 2 / 255].mean(axis=1)
    assert 0.08 < len(flat) / len(blocks) < 0.3
    assert (flat.max(axis=-1) < 0.2).mean() > 0.2
    shares = [has_hue(rgb2hsv(flat), hue).mean() for hue in HUES]
    assert min(shares) > 0.001 and sum(shares) > 0.04


def test_half_of_the_colours_come_from_the_photographs():
    photograph = np.full((10, 10, 3), (200, 100, 40), np.uint8)
    scenes = np.stack([drawn.draw_scene(seed, SIZE, [photograph]) for seed in range(100)])
    lit = scenes[scenes[..., 0] > 0.001]
    expected = decode_srgb(photograph[0, 0] / 255) / decode_srgb(200 / 255)  # light changes all three alike
    assert 0.35 < np.all(np.abs(lit / lit[:, :1] - expected) < 0.01, axis=1).mean() < 0.6


def test_without_photographs_the_colours_are_those_of_the_train_split(monkeypatch):
    opened = []
    monkeypatch.setattr(drawn, "load_photograph", lambda name: opened.append(name) or load_photograph(name))
    drawn.draw_scene(0, SIZE)
    assert {PHOTOGRAPHS[name] for name in opened} == {"train"}
