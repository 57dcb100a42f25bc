from dataclasses import replace

import numpy as np
import pytest

from sidlib import camera
from sidlib.full_size.capture import examine
from sidlib.full_size.checks import SONY
from sidlib.full_size.restore import find_stops
from sidlib.rawfile import RawError
from tests.full_size.test_defects import take


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
