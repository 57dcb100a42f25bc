from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import rawpy
import tifffile

from sidlib import raw, sample
from sidlib.sample import camera, dng


@pytest.fixture(scope="module")
def scenes():
    return sample.plan_scenes(sample.PHOTOGRAPHS)


def test_a_written_file_is_read_back_pixel_for_pixel_with_its_metadata(scenes, tmp_path):
    scene = replace(scenes[0], iso=25600, f_number=5.6)
    counts = np.random.default_rng(0).integers(0, 16384, (854, 1280)).astype(np.uint16)
    dng.write_dng(tmp_path / "a.dng", counts, 0.033, scene)
    with rawpy.imread(str(tmp_path / "a.dng")) as file:
        np.testing.assert_array_equal(file.raw_image, counts)
    mosaic = raw.read_mosaic(tmp_path / "a.dng")
    assert (mosaic.pattern, mosaic.white, mosaic.black.tolist()) == ("RGGB", camera.WHITE, [camera.BLACK] * 4)
    np.testing.assert_allclose(mosaic.white_balance, scene.white_balance, rtol=1e-5)
    np.testing.assert_allclose(mosaic.to_srgb, camera.TO_SRGB, atol=1e-5)
    exposure = raw.read_exposure(tmp_path / "a.dng")
    assert exposure == {"exposure_s": pytest.approx(1 / 30, rel=1e-5), "iso": 25600, "f_number": 5.6}


def test_another_reader_finds_the_same_exposure(scenes, tmp_path):
    dng.write_dng(tmp_path / "a.dng", np.zeros((10, 12), np.uint16), 0.04, scenes[0])
    with tifffile.TiffFile(tmp_path / "a.dng") as file:
        exif = file.pages[0].tags["ExifTag"].value
    assert (exif["ExposureTime"], exif["ISOSpeedRatings"]) == ((1, 25), scenes[0].iso)
    assert Fraction(*exif["FNumber"]) == Fraction(scenes[0].f_number).limit_denominator(10)


def write_counts(path, scene, shape=(106, 160), **mark):
    counts = np.random.default_rng(0).integers(300, 16384, shape).astype(np.uint16)
    dng.write_dng(path, counts, 0.1, scene, **mark)
    return counts


def test_it_has_the_tags_that_strict_readers_ask_for(scenes, tmp_path):
    write_counts(tmp_path / "a.dng", scenes[0])
    with tifffile.TiffFile(tmp_path / "a.dng") as file:
        tags = {tag.code: tag.value for tag in file.pages[0].tags}
    required = {254: 0, 259: 1, 262: 32803, 271: "SONY", 272: "ILCE-7SM2", 274: 1, 277: 1}
    assert {code: tags[code] for code in required} == required
    dng_tags = {
        "version": (50706, (1, 4, 0, 0)),
        "oldest reader": (50707, (1, 1, 0, 0)),
        "camera": (50708, "Sony ILCE-7SM2"),
        "plane colours": (50710, (0, 1, 2)),
        "layout": (50711, 1),
        "black": (50714, 512),
        "white": (50717, 16383),
        "crop": (50720, (160, 106)),
        "analog balance": (50727, (1, 1) * 3),
        "illuminant": (50778, 21),
        "active area": (50829, (0, 0, 106, 160)),
    }
    found = {name: tags[code] for name, (code, _) in dng_tags.items()}
    expected = {name: value for name, (_, value) in dng_tags.items()}
    assert {k: tuple(v) if isinstance(v, (bytes, tuple)) else v for k, v in found.items()} == expected


@pytest.mark.parametrize("shape", [(854, 1280), (106, 160), (855, 1281), (2832, 4240)])
def test_libraw_neither_crops_nor_changes_levels_now_that_it_knows_the_camera(scenes, tmp_path, shape):
    counts = write_counts(tmp_path / "a.dng", scenes[0], shape)
    with rawpy.imread(str(tmp_path / "a.dng")) as file:
        np.testing.assert_array_equal(file.raw_image_visible, counts)
        assert (file.sizes.height, file.sizes.width, file.sizes.flip) == (*shape, 0)
        assert (file.white_level, file.black_level_per_channel) == (camera.WHITE, [camera.BLACK] * 4)
        np.testing.assert_allclose(file.color_matrix[:, :3], camera.TO_SRGB, atol=1e-5)


def test_a_mark_is_found_again_and_a_foreign_file_has_none(scenes, tmp_path):
    path = tmp_path / "a.dng"
    assert dng.read_mark(path) == ("", "")
    write_counts(path, scenes[0])
    assert dng.read_mark(path) == ("", "")
    write_counts(path, scenes[0], name="short/a.dng", unique_id="0123456789abcdef" * 2)
    assert dng.read_mark(path) == ("short/a.dng", "0123456789abcdef" * 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert dng.read_mark(path) == ("short/a.dng", "")
