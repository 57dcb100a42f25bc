import numpy as np
import pytest
import rawpy
from skimage.measure import block_reduce
from skimage.metrics import peak_signal_noise_ratio

from sidlib import raw, sample
from sidlib.sample import camera


def interpolate(counts, offset, axis):
    """Fill the rows (or columns) between offset, offset + 2, … linearly; the plain way, to compare with."""
    counts = np.moveaxis(counts.astype(float), axis, 0)
    places = np.arange(offset, len(counts), 2)
    columns = [np.interp(np.arange(len(counts)), places, column) for column in counts[places].T]
    return np.moveaxis(np.stack(columns, axis=1), 0, axis)


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """The long exposure of a detailed photograph, evenly lit, 854 × 1280."""
    folder = tmp_path_factory.mktemp("raw")
    scene = next(s for s in sample.plan_scenes(sample.PHOTOGRAPHS) if s.photograph == "motorcycle")
    sample.photograph_scene(scene, folder)
    return next((folder / "long").iterdir())


def test_real_files_become_424_by_284():
    assert raw.bin_mosaic(np.zeros((2832, 4240), np.uint16), 10).shape == (284, 424, 4)


@pytest.mark.parametrize("scale", [2, 4, 10])
def test_inner_blocks_are_the_means_of_interpolated_planes(scale):
    counts = np.random.default_rng(0).integers(0, 16384, (60, 80)).astype(np.uint16)
    binned = raw.bin_mosaic(counts, scale)
    for place in range(4):
        row, column = divmod(place, 2)
        plane = interpolate(interpolate(counts, row, 0), column, 1)
        expected = block_reduce(plane, (scale, scale), np.mean)
        np.testing.assert_allclose(binned[1:-1, 1:-1, place], expected[1:-1, 1:-1], rtol=1e-5)


@pytest.mark.parametrize("shape", [(20, 20), (21, 20), (20, 23), (13, 17), (2, 2)])
def test_a_grey_mosaic_stays_grey_whatever_its_size(shape):
    binned = raw.bin_mosaic(np.full(shape, 700, np.uint16), 10)
    assert binned.shape == (-(-shape[0] // 10), -(-shape[1] // 10), 4)
    np.testing.assert_allclose(binned, 700)


def test_a_ramp_has_no_coloured_fringes():
    ramp = np.add.outer(3.0 * np.arange(60), 7.0 * np.arange(80))
    inner = raw.bin_mosaic(ramp, 10)[1:-1, 1:-1]
    np.testing.assert_allclose(inner, inner[..., :1].repeat(4, axis=-1), rtol=1e-5)


@pytest.mark.parametrize("scale", [0, 1, 5, -2])
def test_an_odd_scale_is_refused(scale):
    with pytest.raises(ValueError, match=f"Received: {scale}"):
        raw.bin_mosaic(np.zeros((20, 20)), scale)


def test_development_agrees_with_libraw(long_file):
    with rawpy.imread(str(long_file)) as file:
        full = file.postprocess(no_auto_bright=True, use_camera_wb=True, gamma=(1, 1), output_bps=16) / 65535
    libraw = block_reduce(full[:850], (10, 10, 1), np.mean)
    ours = np.clip(raw.develop_linear(long_file), 0, 1)[:85]
    assert peak_signal_noise_ratio(libraw, ours, data_range=1) > 45
    np.testing.assert_allclose(ours.mean((0, 1)), libraw.mean((0, 1)), rtol=0.005)


def test_the_dark_stays_dark_and_the_gain_makes_it_bright(tiny_pairs):
    pair = tiny_pairs[tiny_pairs.iso < 3200].iloc[0]
    short, long = raw.develop_linear(pair.short), raw.develop_linear(pair.long)
    assert raw.develop(pair.short).mean() < 10
    amplified = raw.develop_linear(pair.short, gain=pair.long_s / pair.short_s)
    assert amplified.mean() == pytest.approx(long.mean(), rel=0.25)
    np.testing.assert_allclose(raw.develop_linear(pair.short, gain=2), 2 * short, rtol=1e-4, atol=1e-6)


def test_noise_below_black_is_kept_until_the_end(tmp_path):
    counts = camera.expose(np.zeros((200, 300)), 1, 25600, np.random.default_rng(0))
    mosaic = raw.Mosaic(counts, "RGGB", np.full(4, 512.0), 16383.0, np.ones(3), np.eye(3), 0)
    reduced = raw.reduce_mosaic(mosaic, 10)
    assert reduced.min() < 0
    assert reduced.mean() * (16383 - 512) == pytest.approx(camera.load_noise_table().black_error_dn[25600], abs=0.6)


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_each_bayer_order_gives_the_same_colours(pattern):
    levels = {"R": 100, "G": 200, "B": 300}
    counts = np.tile(np.array([levels[colour] for colour in pattern]).reshape(2, 2), (10, 10)).astype(np.uint16)
    mosaic = raw.Mosaic(counts, pattern, np.zeros(4), 1000.0, np.ones(3), np.eye(3), 0)
    np.testing.assert_allclose(raw.reduce_mosaic(mosaic, 10), np.tile([0.1, 0.2, 0.3], (2, 2, 1)), rtol=1e-6)


def test_black_level_white_balance_and_clip_come_in_their_order():
    camera_rgb = np.array([[[0.25, 0.5, 0.5], [0.9, 0.9, 0.9]]], np.float32)
    linear = raw.render(camera_rgb, np.array([2.0, 1.0, 1.5]), np.eye(3))
    np.testing.assert_allclose(linear, [[[0.5, 0.5, 0.75], [1, 0.9, 1]]], rtol=1e-6)


def test_grey_stays_grey_through_the_camera_matrix():
    np.testing.assert_allclose(camera.TO_SRGB.sum(axis=1), 1)


def test_the_srgb_curve_has_its_known_values_and_an_inverse():
    np.testing.assert_allclose(
        raw.encode_srgb(np.array([-1, 0, 0.001, 0.5, 1, 2])), [0, 0, 0.01292, 0.735357, 1, 1], atol=1e-6
    )
    values = np.linspace(0, 1, 256)
    np.testing.assert_allclose(raw.encode_srgb(raw.decode_srgb(values)), values, atol=1e-6)


def test_what_is_no_raw_file_is_named_with_the_reason(tmp_path, long_file):
    contents = {"empty.ARW": b"", "text.ARW": b"no photograph", "cut.dng": long_file.read_bytes()[:50_000]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.ARW").mkdir()
    for name, reason in {
        "empty.ARW": "empty",
        "text.ARW": "not a RAW",
        "cut.dng": "cut off",
        "folder.ARW": "Is a directory",
        "none.ARW": "No such file",
    }.items():
        with pytest.raises(raw.RawError, match=f"{name}.*{reason}"):
            raw.develop(tmp_path / name)
