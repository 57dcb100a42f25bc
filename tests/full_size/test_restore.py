from dataclasses import replace

import numpy as np
import pytest
from skimage.measure import block_reduce

from sidlib import camera, paths, raw
from sidlib.backend import keras
from sidlib.full_size import network, restore, tiles
from sidlib.rawfile import RawError
from sidlib.sample import load_photograph
from tests.full_size.conftest import DEMOSAIC
from tests.test_cameras import WHITE_BALANCE, XTRANS, lay, write_raw


@pytest.fixture(scope="module")
def scene():
    """A lit scene in camera RGB, before white balance: float (200, 300, 3)."""
    pixels = np.asarray(load_photograph("coffee").resize((300, 200)), np.float32) / 255
    return camera.unprocess(camera.decode_srgb(0.3 + 0.4 * pixels), WHITE_BALANCE)


def assert_looks_developed(picture, path, stops=0):
    """In linear light and reduced as raw.develop reduces, within what noise-free demosaicing may differ."""
    expected = np.clip(raw.develop_linear(path, 10, 2**stops), 0, 1)
    rows, columns = (side // 10 for side in picture.shape[:2])
    linear = camera.decode_srgb(picture[: rows * 10, : columns * 10] / 65535)
    found = block_reduce(linear, (10, 10, 1), np.mean)
    inner = (slice(1, rows - 1), slice(1, columns - 1))
    assert np.abs(found - expected[:rows, :columns])[inner].max() < 0.03
    np.testing.assert_allclose(found[inner].mean((0, 1)), expected[inner].mean((0, 1)), rtol=0.01)


@pytest.mark.parametrize("pattern", camera.ORDERS)
@pytest.mark.parametrize(
    ("size", "orientation", "black", "white"),
    [((191, 297), 1, 2048, 65535), *(((200, 300), turned, 0, 1023) for turned in (3, 5, 6, 8))],
)
def test_each_order_size_and_bit_depth_comes_out_upright_in_its_colours(
    pattern, size, orientation, black, white, scene, tmp_path
):
    black = [black, black + 2, black + 4, black + 6]
    counts = np.pad(lay(scene[: size[0], : size[1]], pattern, black, white), ((8, 0), (6, 0)), constant_values=black[0])
    tags = [("ActiveArea", "I", 4, (8, 6, *counts.shape)), ("Orientation", "H", 1, orientation)]
    path = write_raw(tmp_path / "a.dng", counts, pattern, black, white=white, tags=tags)
    restoration = restore.restore_capture(path, DEMOSAIC)
    for stops in (0, -1.5):
        picture = restoration.render(stops)
        assert picture.shape == ((*size[::-1], 3) if orientation > 4 else (*size, 3)) and picture.dtype == np.uint16
        assert_looks_developed(picture, path, stops)


def test_a_part_is_that_of_the_whole_and_half_its_size_is_its_mean_in_linear_light(scene, tmp_path):
    turned = ("Orientation", "H", 1, 6)
    path = write_raw(tmp_path / "a.dng", lay(scene[:199, :297] / 8, "RGGB"), tags=[turned])
    restoration = restore.restore_capture(path, DEMOSAIC)
    whole, half = restoration.render(2), restoration.halve().render(2)
    assert whole.shape == (297, 199, 3) and half.shape == (149, 100, 3)
    part = np.s_[100:290, 7:8]
    np.testing.assert_allclose(restoration.render(2, part), whole[part], atol=1)  # of 65535: BLAS rounds by shape
    linear = camera.decode_srgb(np.pad(whole, [(0, 1), (0, 1), (0, 0)], "edge") / 65535)
    np.testing.assert_allclose(camera.decode_srgb(half / 65535), block_reduce(linear, (2, 2, 1), np.mean), atol=2e-3)


@pytest.mark.parametrize("pattern", camera.ORDERS)
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_of_the_noise_as_much_is_left_as_is_asked_for(pattern, orientation, scene, tmp_path):
    size = (199, 298)
    light = np.random.default_rng(0).poisson(lay(scene[: size[0], : size[1]] / 20, pattern, 0).astype(float) / 8) * 8
    tags = [("Orientation", "H", 1, orientation), ("NoiseProfile", "d", 2, (8 / 15871, (9 / 15871) ** 2))]
    path = write_raw(tmp_path / "a.dng", (light + 512).astype(np.uint16), pattern, tags=tags)
    demosaic = restore.restore_capture(path, DEMOSAIC)  # leaves all of the noise
    smooth = replace(demosaic, stable=np.zeros_like(demosaic.stable), gains=np.ones(3, np.float32))
    noisy = smooth.mix(strength=0)
    off = np.abs(noisy - demosaic.upright)[2:-2, 2:-2]
    assert np.mean(off > 0.1) < 1e-4  # but above the network's cap
    np.testing.assert_allclose(smooth.mix(strength=0.75), noisy / 4, atol=1e-5)
    part = np.s_[33:100, 7:8]
    np.testing.assert_array_equal(smooth.mix(part, 0.5), smooth.mix(strength=0.5)[part])
    np.testing.assert_array_equal(demosaic.render(5, strength=1.0), demosaic.render(5))
    whole = np.concatenate([light for _, light in smooth.map_strips(lambda light: light, strength=0.5)])
    half = np.concatenate([light for _, light in smooth.halve(0.5).map_strips(lambda light: light)])
    whole = np.pad(whole, [(0, side % 2) for side in whole.shape[:2]] + [(0, 0)], "edge")
    np.testing.assert_allclose(half, block_reduce(whole, (2, 2, 1), np.mean), atol=1e-4)


@pytest.mark.usefixtures("eager")
def test_no_seam_shows_between_tiles_and_their_progress_is_told(scene, tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    model, told = network.build_residual_unet((4, 4, 4, 4)), []
    last = model.get_layer("square_conv")
    last.set_weights([np.random.default_rng(0).normal(0, 0.03, last.kernel.shape), np.zeros(16)])
    path = write_raw(tmp_path / "a.dng", lay(scene / 20, "GRBG"))
    whole = restore.restore_capture(path, model).stable.astype(float)
    monkeypatch.setattr(tiles, "TILE_PX", 160)
    tiled = restore.restore_capture(path, model, lambda *done: told.append(done)).stable.astype(float)
    assert np.abs(whole - restore.restore_capture(path, DEMOSAIC).stable).max() > 1
    assert np.abs(tiled - whole).max() < 0.13  # two steps of float16 above 64
    assert told == [(done, 4) for done in range(5)]


@pytest.mark.parametrize(
    ("pattern", "reason"), [(XTRANS, "another pattern"), ("W", "monochrome"), ("RGB", "its pixels have all three")]
)
def test_what_has_no_bayer_pattern_is_said_to_be_unsupported(pattern, reason, scene, tmp_path):
    path = write_raw(tmp_path / "a.dng", lay(np.tile(scene, (3, 2, 1)), pattern), pattern)
    with pytest.raises(RawError, match=f"a.dng: full size needs a Bayer pattern, and .*{reason}") as error:
        restore.restore_capture(path, DEMOSAIC)
    assert "sensor" not in str(error.value)  # a linear DNG says nothing of its sensor


def test_the_noise_is_told_by_the_calibration_or_the_file_or_the_mosaic(photograph_scenes, scene, tmp_path):
    rng = np.random.default_rng(0)
    counts = camera.expose(15871.0 * lay(scene, "RGGB", 0, 1000) / 1000, 100, 2000, rng)
    known = camera.load_noise_table().loc[2000]
    profile = [known.gain_dn_per_e / 15871, (known.read_sigma_dn / 15871) ** 2]
    for tags, source in (([], "estimate"), ([("NoiseProfile", "d", 2, profile)], "NoiseProfile")):
        noise = restore.read_capture(write_raw(tmp_path / "a.dng", counts, tags=tags))[1]
        assert noise.source == source
    assert noise.gain_dn == pytest.approx(known.gain_dn_per_e)
    _, noise, info = restore.read_capture(photograph_scenes("00009").short[0])  # at ISO 160
    assert noise.source == "calibration" and info.model == camera.MODEL_TAG and info.exposure.iso_speed == 160


def test_masked_pixels_are_those_that_the_file_names(scene, tmp_path):
    rng = np.random.default_rng(0)
    counts = np.pad(lay(scene, "RGGB"), ((8, 0), (8, 0)), constant_values=516)
    counts[4:8], counts[:, 4:8] = 900, 900
    counts = np.rint(rng.normal(counts, 6)).astype(np.uint16)
    active, (height, width) = ("ActiveArea", "I", 4, (8, 8, *counts.shape)), counts.shape
    masked = ("MaskedAreas", "I", 8, (0, 0, 4, width, 8, 0, height, 4))
    for tags, black in (([active, masked], 516), ([active], 512)):
        mosaic, noise, _ = restore.read_capture(write_raw(tmp_path / "a.dng", counts, tags=tags))
        assert mosaic.black.mean() + noise.black_dn == pytest.approx(black, abs=0.5)


def test_the_network_that_was_trained_here_goes_before_the_one_that_comes_along(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    monkeypatch.setattr(paths, "REFERENCE", tmp_path / "reference")
    restore.load_network.cache_clear()
    with pytest.raises(FileNotFoundError, match="make full-size"):
        restore.load_network()
    for folder, filters in (("reference", (4, 8)), ("sample", (4, 4))):
        file = tmp_path / folder / "full-size.keras"
        file.parent.mkdir()
        network.build_residual_unet(filters).save(file)
        restore.load_network.cache_clear()
        assert restore.load_network().get_layer("a_decoder1_narrow").input.shape[-1] == 2 * filters[1]
    restore.load_network.cache_clear()
