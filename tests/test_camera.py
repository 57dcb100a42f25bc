import numpy as np
import pytest
from scipy.stats import tukeylambda
from skimage.measure import block_reduce

from sidlib import brightness, camera, raw, sample

SHAPE = (400, 500)
SPAN = camera.WHITE - camera.BLACK


def expose(signal, ratio, iso):
    return camera.expose(np.full(SHAPE, float(signal)), ratio, iso, np.random.default_rng(0)).astype(float)


def make_signal(camera_rgb, name):
    return raw.Signal(np.full((2, 3, 3), camera_rgb, np.float32), np.ones(3), camera.CCM, name)


@pytest.mark.parametrize(("iso", "ratio"), [(100, 1), (2000, 100), (25600, 1)])
def test_mean_and_variance_are_those_of_the_calibration(iso, ratio):
    signal, noise = 4000, camera.load_noise_table().loc[iso]
    counts = expose(signal, ratio, iso)
    mean = camera.BLACK + signal / ratio + noise.black_error_dn
    variance = noise.gain_dn_per_e * signal / ratio + noise.read_sigma_dn**2 + noise.row_sigma_dn**2 + 1 / 12
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / counts.size) + 3 * noise.row_sigma_dn / 20)
    assert counts.var() == pytest.approx(variance, rel=0.05)


def test_counts_stop_at_saturation_and_noise_below_black_is_kept():
    assert expose(10**6, 1, 100).max() == camera.WHITE
    assert 0 <= expose(0, 1, 25600).min() < camera.BLACK - 50


@pytest.mark.parametrize("tail", [None, -0.09, 1e-6, 0.15])
def test_noise_has_the_standard_deviations_that_were_asked_for(tail):
    counts = camera.add_noise(np.zeros(SHAPE), 2.0, 3.0, np.random.default_rng(0), tail)
    assert counts.mean() == pytest.approx(0, abs=0.05) and counts.std() == pytest.approx(3, rel=0.02)
    counts = camera.add_noise(np.full(SHAPE, 50.0), 2.0, 3.0, np.random.default_rng(0), tail, row_dn=4.0)
    assert counts.mean() == pytest.approx(100, abs=1)
    assert counts.mean(axis=1).std() == pytest.approx(4, rel=0.15)
    assert (counts - counts.mean(axis=1, keepdims=True)).var() == pytest.approx(2 * 100 + 9, rel=0.02)


def test_the_read_noise_follows_scipys_tukey_lambda():
    for shape in [*camera.load_noise_table().tukey_lambda, -0.1]:
        std = tukeylambda.std(shape)
        assert camera.tukey_std(shape) == pytest.approx(std, rel=1e-9)
        counts = camera.add_noise(np.zeros((1, 1000)), 1.0, std, np.random.default_rng(0), shape)
        uniform = np.random.default_rng(0).random((1, 1000))  # the same draws: no light takes none
        np.testing.assert_allclose(counts, tukeylambda.ppf(uniform, shape), rtol=1e-6, atol=1e-9)
    assert camera.tukey_std(0.0) == pytest.approx(tukeylambda.std(0), rel=1e-3)


def test_the_matrix_is_that_of_the_camera_and_grey_stays_grey():
    expected = [[1.97123, -0.67892, -0.29231], [-0.29105, 1.74840, -0.45735], [0.02051, -0.53804, 1.51752]]
    np.testing.assert_allclose(camera.CCM, expected, atol=1e-4)
    np.testing.assert_allclose(camera.CCM.sum(axis=1), 1)


def reduce(counts):
    mosaic = raw.Mosaic(counts, "RGGB", np.full(4, 512.0), float(camera.WHITE), np.ones(3), np.eye(3), 0)
    return raw.reduce_mosaic(mosaic, 10)[1:-1, 1:-1]


@pytest.mark.parametrize("signal", [0.0, 0.2])
def test_the_stated_noise_of_each_colour_is_that_of_reduced_captures_and_of_reduced_pictures(signal):
    table = camera.load_noise_table()
    iso, ratio, rng = (table.row_sigma_dn / table.read_sigma_dn).idxmax(), 100, np.random.default_rng(0)
    gain, variance = camera.reduced_noise(iso)
    expected = gain * signal / ratio + variance
    captures = reduce(camera.expose(np.full((8000, 300), signal * SPAN), ratio, iso, rng))
    drawn = camera.expose_reduced(np.full((2000, 30, 3), signal), ratio, iso, rng)
    np.testing.assert_allclose(captures.var(axis=(0, 1)), expected, rtol=0.04)
    np.testing.assert_allclose(drawn.var(axis=(0, 1)), expected, rtol=0.04)
    error = 4 * np.sqrt(expected.max() / len(captures))  # rows are the independent draws of the row noise
    np.testing.assert_allclose(drawn.mean((0, 1)), captures.mean((0, 1)), atol=error)
    np.testing.assert_allclose(drawn.mean(1).std(0), captures.mean(1).std(0), rtol=0.15)  # along rows


def test_the_calibrated_camera_alone_is_found_at_the_isos_of_the_table_and_loses_its_black_level_error():
    dark = camera.load_noise_table().black_error_dn[160] / SPAN
    for known in (camera.MODEL, "SONY ILCE-7SM2", "sony ilce-7sm2"):
        assert camera.find_calibration(known, 160.0).equals(camera.load_noise_table().loc[160])
        assert camera.find_calibration(known, 0) is camera.find_calibration(known, 161) is None
        np.testing.assert_allclose(camera.correct_black(make_signal(dark, known), 160), 0, atol=1e-9)
        np.testing.assert_array_equal(camera.correct_black(make_signal(dark, known), 161), np.float32(dark))
    for unknown in ("SONY ILCE-7S", "", "ILCE-7SM2", "Canon EOS R5"):
        assert camera.find_calibration(unknown, 160) is None
        np.testing.assert_array_equal(camera.correct_black(make_signal(dark, unknown), 160), np.float32(dark))


def test_rendering_undoes_unprocessing_in_double_precision():
    linear = np.random.default_rng(0).uniform(0.3, 0.6, (4, 6, 3)).astype(np.float32)
    gains = (2.1, 1.0, 1.7)
    camera_rgb = camera.unprocess(linear, gains)
    assert camera_rgb.dtype == np.float64  # with less, the same seed gives other files
    np.testing.assert_allclose(camera.render(camera_rgb, np.array(gains), camera.CCM), linear, atol=1e-6)


def test_a_colour_is_rendered_to_the_same_bits_whatever_is_beside_it():
    picture = np.random.default_rng(0).random((67, 43, 3)).astype(np.float32)
    gains = np.array([2.1, 1.0, 1.7])
    for process in (lambda part: camera.render(part, gains, camera.CCM), lambda part: camera.unprocess(part, gains)):
        whole = process(picture)
        for part in (np.s_[5:6, 7:8], np.s_[:, 3], np.s_[20:41, ::3]):
            np.testing.assert_array_equal(process(picture[part]), whole[part])


def test_a_large_capture_has_the_noise_of_each_of_its_strips(monkeypatch):
    signal = np.repeat([0.0, 4000.0], 50)[:, None] * np.ones(400)
    whole = camera.expose(signal, 1, 1600, np.random.default_rng(0))
    monkeypatch.setattr(camera, "STRIP_PX", 30)
    strips = camera.expose(signal, 1, 1600, np.random.default_rng(0))
    assert strips.shape == whole.shape and strips.dtype == whole.dtype == np.uint16
    for half in (np.s_[:50], np.s_[50:]):
        assert strips[half].std() == pytest.approx(whole[half].std(), rel=0.05)
        assert strips[half].mean() == pytest.approx(whole[half].mean(), abs=2)


def test_white_balance_and_clip_come_in_their_order_and_darkened_highlights_stay_neutral():
    camera_rgb, gains = np.array([[[0.25, 0.5, 0.5], [0.9, 0.9, 0.9]]], np.float32), np.array([2.0, 1.0, 1.5])
    linear = camera.render(camera_rgb, gains, np.eye(3))
    np.testing.assert_allclose(linear, [[[0.5, 0.5, 0.75], [1, 0.9, 1]]], rtol=1e-6)
    np.testing.assert_allclose(camera.render(np.ones((1, 1, 3)), gains, np.eye(3), gain=0.5), 0.5)


def test_the_srgb_curve_has_its_known_values_and_an_inverse():
    encoded = camera.encode_srgb(np.array([-1, 0, 0.001, 0.5, 1, 2]))
    np.testing.assert_allclose(encoded, [0, 0, 0.01292, 0.735357, 1, 1], atol=1e-6)
    values = np.linspace(0, 1, 256)
    np.testing.assert_allclose(camera.encode_srgb(camera.decode_srgb(values)), values, atol=1e-6)


@pytest.mark.parametrize("pattern", camera.ORDERS)
@pytest.mark.parametrize("size", [(6, 8), (7, 9)])
def test_each_order_and_size_becomes_rggb_and_is_found_again(pattern, size):
    picture = np.broadcast_to([ord(colour) for colour in "RGB"], (*size, 3))
    letters = camera.mosaic(picture, pattern)
    aligned, inner = camera.align(letters, pattern, margin=4, multiple=16)
    assert aligned.shape[0] % 16 == aligned.shape[1] % 16 == 0
    np.testing.assert_array_equal(aligned[inner], letters)
    assert min(*(each.start for each in inner), *(np.array(aligned.shape) - [each.stop for each in inner])) >= 4
    packed = camera.pack(aligned)
    for plane, colour in zip(np.moveaxis(packed, -1, 0), "RGGB", strict=True):
        assert (plane == ord(colour)).all()
    np.testing.assert_array_equal(camera.unpack(packed), aligned)
    assert camera.align_levels([ord(letter) for letter in pattern], pattern).tolist() == [ord(c) for c in "RGGB"]


@pytest.mark.parametrize(("gain", "read"), [(0.1, 0.5), (2.0, 3.0), (24.0, 26.0)])
def test_stabilised_noise_has_a_deviation_of_one_from_black_to_bright_and_is_not_cut_off(gain, read):
    for electrons in (0, 1, 10, 1000):
        counts = camera.add_noise(np.full((1, 100_000), electrons), gain, read, np.random.default_rng(0))
        stable = camera.stabilise(counts, gain, read)
        assert stable.dtype == np.float32
        assert stable.std() == pytest.approx(1, abs=0.12)
        assert electrons or stable.min() < -3


def test_stabilising_is_smooth_rising_and_inverted_exactly():
    counts = np.linspace(-40, 4000, 100_001)
    stable = camera.stabilise(counts, 2.0, 3.0)
    assert (np.diff(stable) > 0).all() and stable[np.abs(counts).argmin()] == pytest.approx(0, abs=0.02)
    slopes = np.diff(stable) / np.diff(counts)
    assert np.abs(np.diff(slopes)).max() < 0.01
    np.testing.assert_allclose(camera.destabilise(stable, 2.0, 3.0), counts, rtol=1e-4, atol=1e-4)


def make_even(level):
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
    plain, of_lit, of_window = (brightness.estimate_ratio(make_even(each)) for each in (room, lit, window))
    assert abs(np.log2(of_lit / plain)) < 0.4 and abs(np.log2(of_window / plain)) < 0.1
    assert brightness.estimate_ratio(make_even(1)) == 1  # clipped


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
    assert brightness.is_dark(make_even(noise), read, 0.001)
    lit = noise + np.linspace(0, 0.02, 120, dtype=np.float32)[:, None]
    assert not brightness.is_dark(make_even(lit), read, 0.001)


def test_the_estimate_makes_captures_as_bright_as_usual_but_neither_darkens_nor_amplifies_more_than_the_paper():
    levels = np.array([0.1, 0.01, 0.002, 0.9, 0.0, -0.1])
    ratios = [brightness.estimate_ratio(make_even(level)) for level in levels]
    np.testing.assert_allclose(ratios[:3], brightness.BRIGHT / levels[:3])
    assert ratios[3:] == [1, 300, 300]
    assert brightness.exposure_ratio(np.array([0.1, 0.01]), 10).tolist() == [100, 300]
