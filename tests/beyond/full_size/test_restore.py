import errno
import io
import shutil
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage.measure import block_reduce

from sidlib import paths, raw
from sidlib.backend import keras
from sidlib.beyond.full_size import network, restore, save, stable
from sidlib.beyond.full_size.noise import Noise
from sidlib.sample import camera, load_photograph
from tests.test_cameras import WHITE_BALANCE, XTRANS, lay, write_raw

DEMOSAIC = network.build_residual_unet((4, 8))  # untrained it corrects nothing


@pytest.fixture(scope="module")
def scene():
    """A lit scene in camera RGB, the light's colour on: float (200, 300, 3)."""
    pixels = np.asarray(load_photograph("coffee").resize((300, 200)), np.float32) / 255
    camera_rgb = np.clip(raw.decode_srgb(0.3 + 0.4 * pixels) @ np.linalg.inv(camera.TO_SRGB).T, 0, 1)
    return camera_rgb / WHITE_BALANCE


@pytest.fixture
def photo(scene, tmp_path):
    return write_raw(tmp_path / "my photo é.dng", lay(scene, "RGGB"), tags=[("Make", "s", 0, "Maker"), ORIENTATION])


@pytest.fixture
def trained(monkeypatch):
    monkeypatch.setattr(restore, "load_network", lambda: DEMOSAIC)


ORIENTATION = ("Orientation", "H", 1, 6)
DATE = datetime(2026, 1, 2)


def assert_looks_developed(picture, path, stops=0):
    """In linear light and reduced as raw.develop reduces, within what noise-free demosaicing may differ."""
    expected = np.clip(raw.develop_linear(path, 10, 2**stops), 0, 1)
    rows, columns = (side // 10 for side in picture.shape[:2])
    linear = raw.decode_srgb(picture[: rows * 10, : columns * 10] / 65535)
    found = block_reduce(linear, (10, 10, 1), np.mean)
    inner = (slice(1, rows - 1), slice(1, columns - 1))
    assert np.abs(found - expected[:rows, :columns])[inner].max() < 0.03
    np.testing.assert_allclose(found[inner].mean((0, 1)), expected[inner].mean((0, 1)), rtol=0.01)


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
@pytest.mark.parametrize("size", [(200, 300), (199, 300), (191, 297)])
def test_each_order_and_size_comes_out_whole_in_its_colours(pattern, size, scene, tmp_path):
    black = [500, 520, 540, 560]
    counts = lay(scene[: size[0], : size[1]], pattern, black)
    path = write_raw(tmp_path / "a.dng", counts, pattern, black)
    picture = restore.restore_capture(path, DEMOSAIC).render(0)
    assert picture.shape == (*size, 3) and picture.dtype == np.uint16
    assert_looks_developed(picture, path)


@pytest.mark.parametrize(("black", "white"), [(0, 1023), (64, 4095), (2048, 65535)])
def test_each_bit_depth_a_masked_border_and_another_brightness(black, white, scene, tmp_path):
    counts = np.pad(lay(scene, "RGGB", black, white), ((8, 0), (6, 0)), constant_values=black)
    area = ("ActiveArea", "I", 4, (8, 6, *counts.shape))
    path = write_raw(tmp_path / "a.dng", counts, black=black, white=white, tags=[area])
    restoration = restore.restore_capture(path, DEMOSAIC)
    for stops in (0, -1.5):
        assert_looks_developed(restoration.render(stops), path, stops)


def test_each_orientation_is_turned_upright(scene, tmp_path):
    for orientation in (1, 3, 5, 6, 8):
        path = write_raw(tmp_path / "a.dng", lay(scene, "RGGB"), tags=[("Orientation", "H", 1, orientation)])
        restoration = restore.restore_capture(path, DEMOSAIC)
        picture = restoration.render(0)
        assert picture.shape == restoration.shape == ((300, 200, 3) if orientation > 4 else (200, 300, 3))
        assert_looks_developed(picture, path)


def test_another_brightness_runs_no_network(photo, monkeypatch):
    restoration = restore.restore_capture(photo, DEMOSAIC)
    monkeypatch.setattr(restore, "run_tiles", None)
    dark, bright = restoration.render(-1), restoration.render()
    assert dark.mean() < bright.mean()


def test_a_part_is_that_of_the_whole_and_half_its_size_is_its_mean_in_linear_light(scene, tmp_path):
    turned = ("Orientation", "H", 1, 6)
    path = write_raw(tmp_path / "a.dng", lay(scene[:199, :297] / 8, "RGGB"), tags=[turned])
    restoration = restore.restore_capture(path, DEMOSAIC)
    whole, half = restoration.render(2), restoration.halve().render(2)
    assert whole.shape == (297, 199, 3) and half.shape == (149, 100, 3)
    part = np.s_[100:290, 7:8]
    np.testing.assert_allclose(restoration.render(2, part), whole[part], atol=1)  # of 65535: BLAS rounds by shape
    linear = raw.decode_srgb(np.pad(whole, [(0, 1), (0, 1), (0, 0)], "edge") / 65535)
    np.testing.assert_allclose(raw.decode_srgb(half / 65535), block_reduce(linear, (2, 2, 1), np.mean), atol=2e-3)


def test_each_tile_is_told_before_it_is_made(photo, monkeypatch):
    monkeypatch.setattr(restore, "TILE_PX", 160)
    told = []
    restore.restore_capture(photo, DEMOSAIC, on_tile=lambda *of: told.append(of))
    assert told == [(number, 4) for number in range(4)]


def test_brightness_is_estimated_as_long_exposures_have_it(scene, trained, tmp_path):
    stops = []
    for darker in (10, 40):
        path = write_raw(tmp_path / "a.dng", lay(scene / darker, "RGGB"))
        stops.append(restore.restore_capture(path).stops)
        picture = raw.decode_srgb(restore.restore(path) / 65535)
        assert np.percentile(picture, 99) == pytest.approx(restore.BRIGHT, rel=0.3)
    assert stops[1] - stops[0] == pytest.approx(2, abs=0.1)


def test_a_picture_gets_the_light_that_its_sensor_counted_as_far_as_black_is_known():
    rng = np.random.default_rng(0)
    counts = 512 + rng.normal([6, 3], 3, (256, 128, 2)).reshape(256, 256)
    found = stable.stabilise(np.full((*counts.shape, 3), 0.8 * np.array([6, 4.5, 3])), 2.0, 3.0)
    black = np.full(4, 512.0)
    gains = {
        source: restore.match_light(found, counts, black, Noise(2.0, 3.0, 0.0, source))
        for source in ("calibration", "estimate")
    }
    np.testing.assert_allclose(gains["calibration"], 1.25, rtol=0.02)
    assert (gains["estimate"] > 1.03).all() and (gains["estimate"] < gains["calibration"]).all()
    counts[rng.random(counts.shape) < 1e-3] = 16383  # hot pixels
    hot = restore.match_light(found, counts, black, Noise(2.0, 3.0, 0.0, "calibration"))
    np.testing.assert_allclose(hot, gains["calibration"], rtol=0.02)
    np.testing.assert_array_equal(restore.match_light(found, counts, black + 9, Noise(2.0, 3.0, 0.0, "calibration")), 0)
    nothing = np.full(counts.shape, 512 + 0.9 * 3 / 2**7.5)  # 0.9 standard errors of the 2¹⁵ pixels of green
    assert (restore.match_light(found / 100, nothing, black, Noise(2.0, 3.0, 0.0, "calibration")) < 0.1).all()


def test_no_seam_shows_between_tiles_and_all_is_covered(scene, tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    model = network.build_residual_unet((4, 4, 4, 4))
    model.get_layer("square_conv").set_weights([np.random.default_rng(0).normal(0, 0.3, (3, 3, 4, 12)), np.zeros(12)])
    path = write_raw(tmp_path / "a.dng", lay(scene / 20, "GRBG"))
    whole = restore.restore_capture(path, model).stable.astype(float)
    monkeypatch.setattr(restore, "TILE_PX", 96)
    tiled = restore.restore_capture(path, model).stable.astype(float)
    assert np.abs(whole - restore.restore_capture(path, DEMOSAIC).stable).max() > 1
    assert np.abs(tiled - whole).max() < 0.02
    for length in (32, 96, 128, 992):
        tiles = restore._place_tiles(length)
        assert {place for tile in tiles for place in range(tile.start, tile.stop)} == set(range(length))
        assert len({tile.stop - tile.start for tile in tiles}) == 1 and all(tile.start % 32 == 0 for tile in tiles)


def test_a_grid_is_smoothed_and_a_picture_kept():
    rng, places = np.random.default_rng(0), np.indices((128, 192))
    slope = np.repeat((places[0] / 40 + places[1] / 60)[..., None], 3, axis=2)  # in the middle 5
    grid = np.tile(rng.uniform(-0.15, 0.15, (2, 2, 3)), (64, 96, 1))
    grid[:, 96:] *= -1  # another elsewhere
    lines = np.zeros_like(slope)
    lines[:, 21], lines[70] = 3, -3

    def smooth(picture):
        stable = picture.astype(np.float16)
        restore.smooth_grid(stable)
        return stable.astype(float)

    def find_grid(picture):
        squares = (picture - slope).reshape(4, 16, 2, 6, 16, 2, 3).mean(axis=(1, 4))
        return np.abs(squares - squares.mean(axis=(1, 3), keepdims=True)).max()

    assert find_grid(slope + grid) > 0.1 and find_grid(smooth(slope + grid)) < 0.005
    assert np.abs(smooth(slope) - slope).max() < 0.005  # float16, and the border
    assert np.abs(smooth(slope + lines) - slope - lines).max() < 0.03
    assert abs(smooth(slope + grid).mean() - (slope + grid).mean()) < 1e-3


@pytest.mark.parametrize(
    ("pattern", "reason"), [(XTRANS, "another than Bayer's"), ("W", "no colours"), ("RGB", "all colours at each pixel")]
)
def test_what_has_no_bayer_pattern_is_said_to_be_unsupported(pattern, reason, scene, tmp_path):
    path = write_raw(tmp_path / "a.dng", lay(np.tile(scene, (3, 2, 1)), pattern), pattern)
    with pytest.raises(raw.RawError, match=f"a.dng: not supported at full size, its sensor has {reason}"):
        restore.restore_capture(path, DEMOSAIC)


def test_the_noise_is_told_by_the_calibration_or_the_file_or_the_mosaic(scene, tmp_path):
    rng = np.random.default_rng(0)
    counts = camera.expose(15871.0 * lay(scene, "RGGB", 0, 1000) / 1000, 100, 2000, rng)
    profile = [2e-4, 3e-7]
    for tags, source in (([], "estimate"), ([("NoiseProfile", "d", 2, profile)], "NoiseProfile")):
        noise = restore.read_capture(write_raw(tmp_path / "a.dng", counts, tags=tags))[1]
        assert noise.source == source
    assert noise.gain_dn == pytest.approx(2e-4 * 15871)


def test_a_masked_border_beside_the_picture_may_see_light(scene, tmp_path):
    rng = np.random.default_rng(0)
    counts = np.pad(lay(scene, "RGGB"), ((8, 0), (8, 0)), constant_values=516)
    counts[4:8], counts[:, 4:8] = 900, 900
    counts = np.rint(rng.normal(counts, 6)).astype(np.uint16)
    area = ("ActiveArea", "I", 4, (8, 8, *counts.shape))
    path = write_raw(tmp_path / "a.dng", counts, tags=[area])
    assert restore.read_capture(path)[1].black_dn == pytest.approx(4, abs=0.5)


def test_a_sample_file_has_the_calibrated_noise(tiny_folder):
    path = sorted((tiny_folder / "short").glob("*.dng"))[0]
    _, noise, shot = restore.read_capture(path)
    assert noise.source == "calibration" and shot.model == camera.MODEL_TAG and shot.other.iso_speed > 0


def test_png_and_jpeg_are_saved_with_exif_and_profile(photo, trained, monkeypatch):
    restore.main([str(photo), "--stops", "0"])
    png, jpeg = files = save.name_pictures(photo)
    assert [file.name for file in files] == ["my photo é restored.png", "my photo é restored.jpg"]
    expected = restore.restore(photo, 0)
    decoded = restore.keras.ops.convert_to_numpy(_decode_png(png))
    np.testing.assert_array_equal(decoded, expected)
    with Image.open(jpeg) as image:
        assert np.abs(np.asarray(image) - expected / 257).mean() < 2
    for file in files:
        with Image.open(file) as image:
            exif = image.getexif()
            assert image.size == (200, 300) and exif[271] == "Maker" and exif[274] == 1
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            assert "sRGB" in ImageCms.getProfileDescription(profile)
    restore.main([str(photo), "--stops", "-1"])  # its own files it writes again
    assert _decode_png(png).numpy().mean() < expected.mean()
    monkeypatch.setattr(save, "LARGE_PX", 1000)
    restore.main([str(photo)])
    assert Image.open(jpeg).size == (100, 150)


def _decode_png(file):
    from sidlib.backend import tf

    return tf.io.decode_png(tf.io.read_file(str(file)), dtype=tf.uint16)


def test_exif_holds_how_it_was_exposed(tiny_folder, tmp_path):
    path = sorted((tiny_folder / "short").glob("*.dng"))[0]
    shot = restore.read_capture(path)[2]
    details = save.make_exif(shot).get_ifd(save.EXIF_IFD)
    known = raw.read_exposure(path)
    assert float(details[33434]) == pytest.approx(known["exposure_s"]) and details[34855] == known["iso"]
    assert 37386 not in details and 36867 not in details  # the file has neither focal length nor date
    assert save.make_exif(replace(shot, other=None)).get_ifd(save.EXIF_IFD) == {}


@pytest.mark.parametrize("taken", [0, 1])
def test_a_file_of_others_is_never_overwritten(taken, photo, trained):
    file = save.name_pictures(photo)[taken]
    Image.new("RGB", (9, 9)).save(file)
    before = file.read_bytes()
    with pytest.raises(SystemExit, match="was not restored from this my photo é.dng: move it away"):
        restore.main([str(photo)])
    assert file.read_bytes() == before and len(list(photo.parent.iterdir())) == 2


def test_the_picture_of_another_file_of_the_same_name_is_never_overwritten(photo, scene, trained):
    restore.main([str(photo)])
    write_raw(photo, lay(scene / 2, "RGGB"))  # of another card
    with pytest.raises(SystemExit, match="was not restored from this my photo é.dng"):
        restore.main([str(photo)])


def test_exif_leaves_out_what_is_no_number():
    other = SimpleNamespace(shutter_speed=np.inf, aperture=2.8, focal_length=np.nan, iso_speed=np.inf, timestamp=DATE)
    details = save.make_exif(save.Shot("a.arw", other=other)).get_ifd(save.EXIF_IFD)
    assert set(details) == {33437, 36867}


def test_nothing_half_written_stays_where_the_disk_is_full(photo, trained, monkeypatch):
    def fill(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill)
    with pytest.raises(SystemExit, match="No space left on device: '.*restored.jpg'"):
        restore.main([str(photo)])
    assert [file.name for file in photo.parent.iterdir()] == [photo.name]


def test_what_cannot_be_read_is_named_in_a_line(photo, trained, tmp_path):
    (tmp_path / "text.arw").write_text("no photograph" * 99)
    cut = tmp_path / "cut.dng"
    shutil.copy(photo, cut)
    with open(cut, "r+b") as file:
        file.truncate(50_000)
    for name, reason in (("text.arw", "not a RAW file"), ("cut.dng", "cut off"), ("none.nef", "No such file")):
        with pytest.raises(SystemExit, match=f"{name}: .*{reason}"):
            restore.main([str(tmp_path / name)])


@pytest.mark.parametrize("stops", ["nan", "inf", "2000", "bright"])
def test_stops_that_no_picture_has_are_refused_before_anything_is_done(photo, stops, capsys):
    with pytest.raises(SystemExit):
        restore.main([str(photo), "--stops", stops])
    assert "--stops" in capsys.readouterr().err
    assert [file.name for file in photo.parent.iterdir()] == [photo.name]


def test_the_network_that_was_trained_here_goes_before_the_one_that_comes_along(monkeypatch, tmp_path):
    restore.load_network.cache_clear()
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="make full-size"):
        restore.load_network()
    for folder, filters in (("reference", (4, 8)), ("sample", (4, 4))):
        file = tmp_path / folder / "full-size.keras"
        file.parent.mkdir()
        network.build_residual_unet(filters).save(file)
        restore.load_network.cache_clear()
        assert restore.load_network().get_layer("decoder1_narrow").input.shape[-1] == filters[1]
    restore.load_network.cache_clear()
