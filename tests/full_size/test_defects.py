import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sidlib import camera
from sidlib.full_size.checks import SONY, photograph
from sidlib.full_size.defects import mend_defects
from sidlib.full_size.noise import find_noise
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
