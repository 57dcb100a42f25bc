from dataclasses import replace

import numpy as np
import pytest
import tifffile

from sidlib import camera, raw, sample
from sidlib.sample import dng


@pytest.fixture(scope="module")
def scene():
    return replace(sample.plan_scenes(sample.PHOTOGRAPHS)[0], iso=25600, f_number=5.6)


def write_counts(path, scene):
    counts = np.random.default_rng(0).integers(300, 16384, (106, 160)).astype(np.uint16)
    dng.write_dng(path, counts, 0.033, scene)
    return counts


def test_a_written_file_is_read_back_pixel_for_pixel_with_its_metadata_and_is_told_from_others(scene, tmp_path):
    counts = write_counts(tmp_path / "a.dng", scene)
    mosaic = raw.read_mosaic(tmp_path / "a.dng")
    np.testing.assert_array_equal(mosaic.counts, counts)
    assert (mosaic.pattern, mosaic.white, mosaic.black.tolist()) == ("RGGB", camera.WHITE, [camera.BLACK] * 4)
    assert mosaic.flip == 0
    np.testing.assert_allclose(mosaic.white_balance, scene.white_balance, rtol=1e-5)
    np.testing.assert_allclose(mosaic.ccm, camera.CCM, atol=1e-5)
    exposure = raw.read_exposure(tmp_path / "a.dng")
    assert exposure == {"exposure_s": pytest.approx(1 / 30, rel=1e-5), "iso": 25600, "f_number": 5.6}
    (tmp_path / "b.dng").write_bytes(b"my own capture")
    assert dng.is_simulated(tmp_path / "a.dng") and not dng.is_simulated(tmp_path / "b.dng")


def test_it_has_the_tags_that_strict_readers_ask_for(scene, tmp_path):
    write_counts(tmp_path / "a.dng", scene)
    with tifffile.TiffFile(tmp_path / "a.dng") as file:
        tags = {tag.code: tag.value for tag in file.pages[0].tags}
    exif = tags[34665]
    assert (exif["ExposureTime"], exif["FNumber"], exif["ISOSpeedRatings"]) == ((1, 30), (28, 5), scene.iso)
    required = {254: 0, 259: 1, 262: 32803, 271: "SONY", 272: "ILCE-7SM2", 274: 1, 277: 1}
    required |= {50706: (1, 4, 0, 0), 50707: (1, 1, 0, 0), 50708: "Sony ILCE-7SM2"}  # versions, camera
    required |= {50710: (0, 1, 2), 50711: 1, 50714: 512, 50717: 16383}  # colours, layout, black, white
    required |= {50720: (160, 106), 50727: (1, 1) * 3, 50778: 21, 50829: (0, 0, 106, 160)}  # crop, gains, D65, area
    assert {code: tuple(tags[code]) if isinstance(tags[code], bytes) else tags[code] for code in required} == required
