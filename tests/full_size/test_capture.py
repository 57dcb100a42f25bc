"""What a capture's own counts tell before it is restored: defects, white and black levels, light."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sidlib import camera
from sidlib.full_size import levels
from sidlib.full_size.capture import examine
from sidlib.full_size.checks import SONY, photograph
from sidlib.full_size.defects import mend_defects
from sidlib.full_size.noise import estimate_noise, find_noise
from sidlib.full_size.restore import find_stops
from sidlib.rawfile import RawError
from sidlib.sample.photographs import load_photograph


def take(name="coffee", white_e=30, box=np.s_[:300, :400]):
    linear = camera.decode_srgb(np.asarray(load_photograph(name))[box] / 255)
    return photograph(linear, SONY, white_e, np.random.default_rng(0))


def mend(counts, noise):
    return mend_defects(counts, np.full(4, 512.0), noise)


@pytest.mark.parametrize("value", [0, 16383])
def test_dead_and_saturated_pixels_are_replaced_by_what_is_around(value):
    mosaic, noise = take()
    broken, hit = mosaic.counts.copy(), np.random.default_rng(0).random(mosaic.counts.shape) < 1e-3
    broken[hit] = value
    mended, (pixels, *_) = mend(broken, noise)
    off = np.abs(mended[hit].astype(float) - mosaic.counts[hit])
    assert np.percentile(off, 90) < 40 and pixels < 1.4 * hit.sum()


@pytest.mark.parametrize(("where", "found"), [(np.s_[:, 101], (1, 0)), (np.s_[:200, 102], (1, 0)), (np.s_[50], (0, 1))])
@pytest.mark.parametrize("value", [0, 16383])
def test_columns_and_rows_are_found_and_replaced(where, found, value):
    mosaic, noise = take()
    broken = mosaic.counts.copy()
    broken[where] = value
    mended, (_, *lines) = mend(broken, noise)
    assert tuple(lines) == found
    assert np.abs(mended[where].astype(float) - mosaic.counts[where]).mean() < 20


@pytest.mark.parametrize("name", ["astronaut", "coffee", "china"])
@pytest.mark.parametrize("white_e", [30, 300, 7500])
def test_a_capture_without_defects_stays_and_nothing_is_said(name, white_e):
    mosaic, _ = take(name, white_e, np.s_[:426])
    mended, found = mend(mosaic.counts, find_noise(mosaic)[0])
    assert (mended != mosaic.counts).mean() < 2e-5 and not any(found)


@pytest.mark.parametrize("times", [5, 100])
def test_stars_and_lamps_keep_their_light(times):
    rng, sky = np.random.default_rng(1), np.zeros((300, 400))
    sky[tuple(rng.integers(15, 285, (2, 150)))] = times
    lit = gaussian_filter(sky, 0.7)
    lit[100:104, 200:204] = times  # a lamp
    electrons = 30 * camera.mosaic(camera.unprocess(np.full((300, 400, 3), 0.003), SONY.white_balance) + lit[..., None])
    counts = np.rint(512 + camera.add_noise(electrons, 2.0, 5.0, rng)).clip(0, 16383).astype(np.uint16)
    mended, _ = mend(counts, photograph(np.zeros((8, 8, 3)), SONY, 30, rng)[1])
    assert (counts.astype(float) - mended).sum() < 0.1 * 2 * 30 * lit.sum()


@pytest.mark.parametrize("white", [700, 3000])
def test_where_counts_pile_up_is_the_white_level_whatever_the_file_states(white):
    mosaic, noise = take(white_e=300 if white == 700 else 4000)
    assert levels.find_white(replace(mosaic, counts=mosaic.counts.clip(0, white)), noise) == white


@pytest.mark.parametrize("white_e", [3, 300, 3000])
def test_a_capture_without_clipped_pixels_keeps_the_white_that_it_states(white_e):
    assert levels.find_white(*take("astronaut", white_e)) == 16383


def test_clusters_of_pixels_that_are_stuck_at_one_count_are_no_white_level():
    mosaic, noise = take("china", 30)
    counts, rng = mosaic.counts.copy(), np.random.default_rng(0)
    for row, column in zip(rng.integers(0, 298, 60), rng.integers(0, 398, 60), strict=True):
        counts[row : row + 2, column : column + 2] = 3512
    assert levels.find_white(replace(mosaic, counts=counts), noise) == mosaic.white


def test_stars_in_every_block_are_not_taken_for_noise():
    rng, stars = np.random.default_rng(2), np.zeros((300, 400))
    np.add.at(stars, tuple(rng.integers(0, stars.shape, (2400, 2)).T), 10 ** rng.uniform(-1, 2.2, 2400))
    light = gaussian_filter(stars, 0.7)[..., None] * np.ones(3)
    mosaic, noise = photograph(0.02 + light, SONY, 40, rng)
    gain, read_dn, _ = estimate_noise(mosaic)
    assert noise.gain_dn / 2.5 < gain < 2.5 * noise.gain_dn and read_dn == pytest.approx(noise.read_dn, rel=0.5)


@pytest.mark.parametrize("white_e", [3, 100])
@pytest.mark.parametrize("off", [6, 40, np.array([6, 20, 10, 40]), 512])
def test_a_black_level_above_the_darkest_parts_is_lowered_to_them_and_a_true_one_stays(white_e, off):
    mosaic, noise = take("astronaut", white_e, np.s_[:500, :500])
    counts = mosaic.counts.copy()
    assert (levels.lower_black(mosaic) == 512).all()
    rows = np.random.default_rng(1).normal(0, noise.read_dn / 2, (len(counts), 1))
    stated = replace(mosaic, counts=counts, black=512.0 + off * np.ones(4))
    counts[np.random.default_rng(0).random(counts.shape) < 1e-3], counts[:, 101] = 0, 0  # dead
    assert (levels.lower_black(replace(mosaic, counts=np.rint(counts + rows).clip(0).astype(np.uint16))) == 512).all()
    assert levels.lower_black(stated) == pytest.approx(512, abs=1)


@pytest.mark.parametrize("floor", [0, 512])
@pytest.mark.parametrize("white_e", [1e-6, 5, 30])
def test_black_that_was_cut_off_is_restored_in_the_mean(floor, white_e):
    mosaic, noise = take(white_e=white_e)
    shifted = mosaic.counts.astype(int) - 512 + floor
    cut = replace(mosaic, counts=shifted.clip(floor).astype(np.uint16), black=np.full(4, float(floor)))
    whole = levels.restore_cut(cut, noise)
    error = whole.counts.mean() - whole.black[0] - (shifted.mean() - floor)
    assert cut.counts.mean() - shifted.mean() > 0.5 and abs(error) < 0.15
    assert levels.restore_cut(mosaic, noise) is mosaic
    assert estimate_noise(cut)[1] == pytest.approx(noise.read_dn, rel=0.3)


@pytest.mark.parametrize(
    ("low", "high", "reason"),
    [
        (15800, 15801, "alike"),
        (15799, 15802, "clipped"),
        (0, 3, "none of its pixels is above its black level, 512"),
    ],
)
def test_a_frame_without_a_picture_is_refused(low, high, reason):
    counts = np.random.default_rng(0).integers(low, high, (20, 20)).astype(np.uint16)  # too small to tell another black
    with pytest.raises(RawError, match=reason):
        examine(SONY.describe(counts))


@pytest.mark.parametrize("stated", [552, 1024])
def test_a_black_level_that_is_stated_too_high_costs_nothing_and_is_said(stated):
    mosaic, true = take("china", 30, np.s_[:300, :400])
    lit = [np.full(400, stated)] * 4  # masked pixels that agree with it
    examined, noise, (remark, *_) = examine(replace(mosaic, black=np.full(4, float(stated))), masked=lit)
    assert examined.black + noise.black_dn == pytest.approx(512, abs=3)  # its darkest parts have light
    assert noise[:2] == pytest.approx(true[:2], rel=0.2)
    assert "its black level" in remark and f"not {stated}" in remark


@pytest.mark.parametrize("iso", [800, 3200, 12800])
def test_the_calibrated_camera_keeps_its_black_level(iso):
    counts = camera.expose(np.zeros((400, 600)), 300, iso, np.random.default_rng(0))
    examined, noise, remarks = examine(SONY.describe(counts), camera.MODEL, iso)
    assert examined.black.tolist() == [512] * 4 and noise.source == "calibration" and remarks == ()


def test_whatever_is_found_is_said():
    mosaic, _ = take("china", 300, np.s_[:300, :400])
    counts = mosaic.counts.clip(512, 900)
    counts[np.random.default_rng(0).random(counts.shape) < 1e-3] = 900
    counts[:, 101] = 900
    examined, noise, remarks = examine(replace(mosaic, counts=counts), profile=(0.1, 0.1))
    said = " ".join(remarks)
    for part in ("hot or dead pixels and 1 column", "white level, not 16383", "black was cut off", "not believed"):
        assert part in said
    assert noise.source == "estimate" and examined.white - examined.black[0] == pytest.approx(900 - 512, abs=2)


@pytest.mark.parametrize("name", ["china", "coffee", "astronaut", "flower"])
@pytest.mark.parametrize("white_e", [5, 100])
@pytest.mark.parametrize("lamp_px", [0, 4, 12])
def test_the_brightness_is_within_about_a_stop_with_and_without_lamps_and_defects(name, white_e, lamp_px):
    mosaic, noise = take(name, white_e, np.s_[:420, :500])
    rng, counts = np.random.default_rng(2), mosaic.counts.copy()
    for top, left in rng.integers(20, 400, (8, 2)):
        counts[top : top + lamp_px, left : left + lamp_px] = 16383
    counts[rng.random(counts.shape) < 1e-4], counts[:, 101] = 16383, 16383
    stops = find_stops(examine(replace(mosaic, counts=counts))[0], noise)
    assert abs(stops - np.log2(SONY.find_gain(white_e))) < 1.3


def test_a_frame_without_light_stays_dark():
    mosaic, noise = take(white_e=1e-6)
    assert find_stops(mosaic, noise) == 0
