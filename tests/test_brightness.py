import numpy as np
import pytest
from skimage.measure import block_reduce

from sidlib import brightness, camera, raw, sample


def make_signal(level):
    return raw.Signal(np.zeros((80, 120, 3), np.float32) + np.float32(level), np.ones(3), np.eye(3))


def test_the_usual_brightness_is_that_of_the_samples_train_and_val_photographs():
    levels = []
    for name in (name for name, split in sample.PHOTOGRAPHS.items() if split != "test"):
        camera_rgb = camera.unprocess(sample.decode_linear(sample.load_photograph(name)), np.array([2.0, 1, 1.6]))
        height, width = (side // 10 * 10 for side in camera_rgb.shape[:2])
        reduced = block_reduce(camera_rgb[:height, :width], (10, 10, 1), np.mean).astype(np.float32)
        levels.append(brightness.find_bright(raw.Signal(reduced, np.array([2.0, 1, 1.6]), camera.CCM)))
    assert np.exp(np.mean(np.log(levels))) == pytest.approx(brightness.BRIGHT, rel=0.02)


@pytest.mark.parametrize("share", [0.001, 0.02])
def test_lamps_and_hot_pixels_and_a_window_hardly_move_the_estimate(share):
    room = np.random.default_rng(0).uniform(0.001, 0.01, (80, 120, 1)).astype(np.float32)
    lit, window = room.copy(), room.copy()
    lit[np.random.default_rng(1).random(lit.shape[:2]) < share / 4] = 1
    lit[10:12, 20 : 20 + int(share * 2400)] = 1
    window[10:40, 20:80] = 1  # a fifth
    plain, of_lit, of_window = (brightness.estimate_ratio(make_signal(each)) for each in (room, lit, window))
    assert abs(np.log2(of_lit / plain)) < 0.4 and abs(np.log2(of_window / plain)) < 0.1
    assert brightness.estimate_ratio(make_signal(1)) == 1  # clipped


@pytest.mark.parametrize("times", [10, 100])
def test_lights_over_a_fifth_of_the_frame_do_not_darken_it_unless_nothing_else_is_there(times):
    room = np.random.default_rng(0).uniform(0.001, 0.01, (80, 120, 1)).astype(np.float32) * np.ones(3, np.float32)
    light = np.zeros_like(room)
    light[10:40, 20:80] = 0.009 * times  # a fire, or the moon
    ratios = [brightness.estimate_ratio(raw.Signal(each, np.ones(3), np.eye(3)), 1e4) for each in (room, room + light)]
    assert abs(np.log2(ratios[1] / ratios[0])) < 1
    noise = np.random.default_rng(0).normal(0, 1e-5, room.shape).astype(np.float32)
    alone = brightness.estimate_ratio(raw.Signal(noise + light, np.ones(3), np.eye(3)), 1e4)
    assert alone * 0.009 * times == pytest.approx(max(brightness.BRIGHT, 0.009 * times), rel=0.01)


def test_a_frame_of_noise_alone_is_dark_and_one_with_light_is_not():
    noise = np.random.default_rng(0).normal(0, 0.0007, (80, 120, 3)).astype(np.float32)
    read = 0.005  # of single pixels: those of a tenth are means
    assert brightness.is_dark(make_signal(noise), read, 0.001)
    lit = noise + np.linspace(0, 0.02, 120, dtype=np.float32)[:, None]
    assert not brightness.is_dark(make_signal(lit), read, 0.001)


def test_the_estimate_makes_captures_as_bright_as_usual_but_neither_darkens_nor_amplifies_more_than_the_paper():
    levels = np.array([0.1, 0.01, 0.002, 0.9, 0.0, -0.1])
    ratios = [brightness.estimate_ratio(make_signal(level)) for level in levels]
    np.testing.assert_allclose(ratios[:3], brightness.BRIGHT / levels[:3])
    assert ratios[3:] == [1, 300, 300]
    assert brightness.exposure_ratio(np.array([0.1, 0.01]), 10).tolist() == [100, 300]
