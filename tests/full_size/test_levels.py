from dataclasses import replace

import numpy as np
import pytest

from sidlib.full_size import levels
from sidlib.full_size.noise import estimate_noise
from tests.full_size.test_defects import take


@pytest.mark.parametrize("white", [700, 3000])
def test_where_counts_pile_up_is_the_white_level_whatever_the_file_states(white):
    mosaic, noise = take(white_e=300 if white == 700 else 4000)
    assert levels.find_white(replace(mosaic, counts=mosaic.counts.clip(0, white)), noise) == white


@pytest.mark.parametrize("white_e", [3, 300, 3000])
def test_a_capture_without_clipped_pixels_keeps_the_white_that_it_states(white_e):
    assert levels.find_white(*take("astronaut", white_e)) == 16383


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
