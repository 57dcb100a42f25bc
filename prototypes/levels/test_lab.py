"""What a capture's defects, levels, noise, brightness and trust must be, on scenes with a known truth."""

from dataclasses import replace

import numpy as np
import pytest
from sidlib.beyond.full_size.noise import Noise
from sidlib.raw import RawError, Signal, reduce_mosaic

import bench
import brightness
import defects
import levels
import noises
import pipeline
import trust
from bench import PLAIN, capture, digitise, electrons_of, expose, make_mosaic, scene

TRUE = Noise(2.0, 5.01, 0.0, "calibration")


def mend(counts):
    return defects.mend_defects(counts, np.full(4, 512.0), TRUE)


@pytest.mark.parametrize("value", [0, 16383])
def test_dead_and_saturated_pixels_are_found_and_replaced_by_what_is_around(value):
    mosaic, rng = capture("coffee", white_e=30), np.random.default_rng(0)
    broken, hit = mosaic.counts.copy(), rng.random(mosaic.counts.shape) < 1e-3
    broken[hit] = value
    mended, (pixels, *_) = mend(broken)
    off = np.abs(mended[hit].astype(float) - mosaic.counts[hit])
    assert np.percentile(off, 90) < 40 and pixels < 1.4 * hit.sum()


@pytest.mark.parametrize(("where", "found"), [(np.s_[:, 101], (1, 0)), (np.s_[:200, 102], (1, 0)), (np.s_[50], (0, 1))])
@pytest.mark.parametrize("value", [0, 16383])
def test_columns_and_rows_are_found_and_replaced(where, found, value):
    mosaic = capture("coffee", white_e=30)
    broken = mosaic.counts.copy()
    broken[where] = value
    mended, (_, *lines) = mend(broken)
    assert tuple(lines) == found
    assert np.abs(mended[where].astype(float) - mosaic.counts[where]).mean() < 20


def test_a_capture_without_defects_stays_but_for_a_few_pixels_in_a_thousand():
    for name, white_e in (("astronaut", 30), ("coffee", 300)):
        mosaic = capture(name, white_e=white_e)
        mended, (_, *lines) = mend(mosaic.counts)
        assert (mended != mosaic.counts).mean() < 2e-3 and not any(lines)


@pytest.mark.parametrize("times", [5, 100])
def test_stars_keep_nine_tenths_of_their_light(times):
    dark = np.full((300, 400, 3), 0.003)
    stars = bench.add_spots(dark, [(*at, 0, times, 0.7) for at in np.random.default_rng(1).uniform(15, 285, (150, 2))])
    light = electrons_of(stars, PLAIN, 30)
    counts = digitise(expose(light, PLAIN, np.random.default_rng(2)), PLAIN)
    mended, _ = mend(counts)
    all_light = 2.0 * (light - electrons_of(dark, PLAIN, 30)).sum()
    assert (counts.astype(float) - mended).sum() < 0.1 * all_light


def test_a_lamp_tells_the_white_level_whatever_the_file_states():
    of = PLAIN._replace(gain_dn=0.5, black=128, white=4095)
    light = electrons_of(bench.add_spots(scene("coffee"), [(200, 300, 80, 1000, 1)]), of, 30)
    mosaic = make_mosaic(digitise(expose(light, of, np.random.default_rng(0)), of), of, white=16383)
    assert levels.find_white(mosaic, Noise(0.5, 1.3, 0, "")) == 4095


def test_a_capture_without_clipped_pixels_keeps_the_white_that_it_states():
    for white_e in (3, 300, 3000):
        assert levels.find_white(capture("astronaut", white_e=white_e), TRUE) == 16383


@pytest.mark.parametrize("floor", [0, 512])
@pytest.mark.parametrize("white_e", [5, 30])
def test_black_that_was_cut_off_is_made_up_for_in_the_mean(floor, white_e):
    counts = expose(electrons_of(scene("coffee"), PLAIN, white_e), PLAIN, np.random.default_rng(0)) - 512 + floor
    of = PLAIN._replace(black=floor)
    cut = make_mosaic(np.maximum(digitise(counts, of), floor), of)
    whole = levels.restore_cut(cut, TRUE)
    error = whole.counts.mean() - whole.black[0] - (counts.mean() - floor)
    assert cut.counts.mean() - counts.mean() > 0.5 and abs(error) < 0.15


def test_the_noise_is_estimated_through_lossy_compression_and_cut_off_black():
    for name in ("china", "astronaut"):
        mosaic = capture(name, white_e=150)
        for tried in (mosaic, replace(mosaic, counts=squeeze(mosaic.counts))):
            gain, read = noises.estimate_noise(tried)
            assert 1.5 < gain < 2.7 and 3.5 < read < 12
        counts = np.maximum(capture(name, white_e=12).counts, 512)
        assert 4 < noises.estimate_noise(replace(mosaic, counts=counts))[1] < 6.5


def squeeze(counts):
    """Wavelet coefficients of each CFA position, quantised at twice the noise of the middle tones."""
    pywt, squeezed = pytest.importorskip("pywt"), counts.astype(float)
    for row, column in np.ndindex(2, 2):
        plane = squeezed[row::2, column::2]
        low, *fine = pywt.wavedec2(plane, "bior4.4", level=4)
        fine = [tuple(np.round(part / 20) * 20 for part in level) for level in fine]
        squeezed[row::2, column::2] = pywt.waverec2([low, *fine], "bior4.4")[: len(plane), : plane.shape[1]]
    return np.rint(squeezed).clip(0, 16383).astype(np.uint16)


@pytest.mark.parametrize(("scale", "offset"), [(1 / 64, 1 / 4096), (10, 10), (2, 2), (1, 0), (8000, 0)])
def test_a_false_noise_profile_is_refused_and_a_right_one_is_taken(scale, offset):
    mosaic, span, remarks = capture("coffee", white_e=30), 16383 - 512, []
    right = np.array([2 / span, 5.01**2 / span**2])
    assert noises.find_noise(mosaic, profile=right, remarks=remarks).source == "NoiseProfile" and not remarks
    noise = noises.find_noise(mosaic, profile=right * [scale, offset], remarks=remarks)
    assert noise.source == "estimate" and len(remarks) == 1 and 1.5 < noise.gain_dn < 2.5


@pytest.mark.parametrize("value", [0, 15800, 16383])
def test_a_frame_of_one_value_is_refused(value):
    with pytest.raises(RawError, match="alike"):
        pipeline.prepare(make_mosaic(np.full((200, 300), value, np.uint16), PLAIN))


def test_a_frame_that_is_clipped_is_refused_and_a_tiny_one_has_its_noise_estimated():
    rng = np.random.default_rng(0)
    with pytest.raises(RawError, match="clipped"):
        pipeline.prepare(make_mosaic(rng.integers(15799, 15802, (200, 300)).astype(np.uint16), PLAIN))
    tiny = make_mosaic(np.rint(rng.normal(512, 5, (22, 22))).astype(np.uint16), PLAIN)
    assert 3 < noises.estimate_noise(tiny)[1] < 7 and pipeline.find_stops(tiny, TRUE) == 0


@pytest.mark.parametrize("name", ["china", "coffee", "astronaut", "flower"])
@pytest.mark.parametrize("white_e", [5, 100])
@pytest.mark.parametrize("lamp_px", [0, 4, 12])
def test_the_brightness_is_within_about_a_stop_with_and_without_lamps(name, white_e, lamp_px):
    rng = np.random.default_rng(2)
    spots = bench.random_spots(rng, scene(name).shape, 8, lamp_px, 300) if lamp_px else ()
    mosaic = capture(name, white_e=white_e, spots=spots)
    assert abs(pipeline.find_stops(mosaic, TRUE) - bench.stops_of(PLAIN, white_e)) < 1.3


def test_a_frame_without_light_stays_dark():
    assert pipeline.find_stops(capture("coffee", white_e=1e-6), TRUE) == 0


def test_hot_pixels_and_lines_do_not_move_the_ratio():
    mosaic = capture("coffee", white_e=30)
    broken = mosaic.counts.copy()
    broken[np.random.default_rng(0).random(broken.shape) < 1e-3], broken[:, 101] = 16383, 16383
    ratios = [
        brightness.find_bright(Signal(reduce_mosaic(each, 10), each.white_balance, each.to_srgb))
        for each in (mosaic, replace(mosaic, counts=broken))
    ]
    assert abs(np.log2(ratios[1] / ratios[0])) < 0.2


def test_grey_world_makes_a_grey_scene_grey():
    grey = np.full((160, 160, 3), 0.18)
    mosaic = make_mosaic(
        digitise(expose(electrons_of(grey, PLAIN, 3000), PLAIN, np.random.default_rng(0)), PLAIN), PLAIN
    )
    assert np.allclose(levels.grey_world(mosaic), PLAIN.white_balance, rtol=0.02)


def test_what_was_taken_is_trusted_if_it_is_noise_and_not_if_its_size_is_wrong():
    flat = np.full((256, 256, 3), 10.0, np.float32)  # a stable picture
    noise, rng = Noise(2.0, 5.0, 0.0, ""), np.random.default_rng(0)
    from sidlib.beyond.full_size.stable import destabilise

    for size, sentences in ((1, 0), (1.3, 1), (0.7, 1)):
        counts = destabilise(flat[..., 0] + size * rng.normal(size=(256, 256)), 2.0, 5.0) + 512
        found = trust.measure_trust(flat, counts, np.full(4, 512.0), noise)
        assert np.allclose(found.spread, size, atol=0.1) and len(trust.remark_trust(found)) == sentences
