"""RAW files of every kind, small ones written here, held against LibRaw's own development."""

from types import SimpleNamespace

import numpy as np
import pytest
import rawpy
import tifffile
from skimage.measure import block_reduce
from skimage.metrics import peak_signal_noise_ratio

from sidlib import raw, sample
from sidlib.sample import camera

WHITE_BALANCE = (2.0, 1.0, 1.5)
MATRIX = [part for value in camera.XYZ_TO_CAMERA.flat for part in (int(value), 10_000)]
NEUTRAL = ("AsShotNeutral", "2I", 3, (1, 2, 1, 1, 2, 3))
XTRANS = "GGRGGB" "GGBGGR" "BRGRBG" "GGBGGR" "GGRGGB" "RBGBRG"  # fmt: skip


@pytest.fixture(scope="module")
def scene():
    """An evenly lit, detailed scene in camera RGB, white-balanced light taken off: float (400, 600, 3) in 0…1."""
    pixels = np.asarray(sample.load_photograph("coffee").resize((600, 400)), np.float32) / 255
    camera_rgb = np.clip(raw.decode_srgb(0.3 + 0.4 * pixels) @ np.linalg.inv(camera.TO_SRGB).T, 0, 1)
    return camera_rgb / WHITE_BALANCE


def lay_mosaic(scene, pattern, black, white):
    """Raw counts of a scene through a pattern of colours, with a black level for each place."""
    side = round(len(pattern) ** 0.5)
    rows, columns = np.indices(scene.shape[:2])
    place = rows % side * side + columns % side
    colour = np.array(["RGB".index(name) for name in pattern])[place]
    signal = np.take_along_axis(scene, colour[..., None], axis=2)[..., 0]
    black = np.broadcast_to(black, len(pattern))[place]
    return np.rint(black + signal * (white - black)).astype(np.uint16)


def write_raw(path, counts, pattern="RGGB", black=512, white=16383, tags=(), photometric="cfa", neutral=True):
    side = round(len(pattern) ** 0.5)
    black = np.atleast_1d(black)
    all_tags = [
        ("DNGVersion", "B", 4, (1, 4, 0, 0)),
        ("UniqueCameraModel", "s", 0, "Test camera"),
        ("WhiteLevel", "H", 1, white),
        ("ColorMatrix1", "2i", 9, MATRIX),
        ("CalibrationIlluminant1", "H", 1, 21),
        *([NEUTRAL] if neutral else []),
        *tags,
    ]
    if photometric == "cfa":
        all_tags += [
            ("CFARepeatPatternDim", "H", 2, (side, side)),
            ("CFAPattern", "B", side * side, ["RGB".index(colour) for colour in pattern]),
            ("BlackLevelRepeatDim", "H", 2, (2, 2) if len(black) == 4 else (1, 1)),
            ("BlackLevel", "H", len(black), [int(level) for level in black]),
        ]
    options = {"photometric": photometric, "metadata": None, "extratags": [(*tag, True) for tag in all_tags]}
    tifffile.imwrite(path, counts, **options)
    return path


def assert_agrees_with_libraw(path, use_camera_wb=True):
    with rawpy.imread(str(path)) as file:
        full = file.postprocess(no_auto_bright=True, use_camera_wb=use_camera_wb, gamma=(1, 1), output_bps=16) / 65535
    ours = np.clip(raw.develop_linear(path), 0, 1)
    assert ours.shape == (-(-full.shape[0] // 10), -(-full.shape[1] // 10), 3)
    rows, columns = (side // 10 * 10 for side in full.shape[:2])
    libraw = block_reduce(full[:rows, :columns], (10, 10, 1), np.mean)
    # Two blocks at each side are left out: there LibRaw has no neighbours to interpolate from.
    inner = (slice(2, rows // 10 - 2), slice(2, columns // 10 - 2))
    assert libraw[inner].std() > 0.05
    assert peak_signal_noise_ratio(libraw[inner], ours[: rows // 10, : columns // 10][inner], data_range=1) > 45
    shift = ours[: rows // 10, : columns // 10][inner].mean((0, 1)) / libraw[inner].mean((0, 1))
    np.testing.assert_allclose(shift, 1, atol=0.005)


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_each_bayer_order(pattern, scene, tmp_path):
    counts = lay_mosaic(scene, pattern, 512, 16383)
    path = write_raw(tmp_path / "a.dng", counts, pattern)
    assert raw.read_mosaic(path).pattern == pattern
    assert_agrees_with_libraw(path)


def test_a_black_level_for_each_place(scene, tmp_path):
    black = [500, 520, 540, 560]
    path = write_raw(tmp_path / "a.dng", lay_mosaic(scene, "GRBG", black, 16383), "GRBG", black)
    assert raw.read_mosaic(path).black.tolist() == black
    assert_agrees_with_libraw(path)


@pytest.mark.parametrize(("black", "white"), [(0, 1023), (64, 4095), (2048, 65535)])
def test_each_bit_depth(black, white, scene, tmp_path):
    path = write_raw(tmp_path / "a.dng", lay_mosaic(scene, "RGGB", black, white), black=black, white=white)
    assert_agrees_with_libraw(path)


@pytest.mark.parametrize("margin", [(8, 6), (7, 5), (8, 5)])
def test_a_masked_border_is_left_out(margin, scene, tmp_path):
    rows, columns = margin
    visible = lay_mosaic(scene, "RGGB", 512, 16383)
    counts = np.full((visible.shape[0] + rows, visible.shape[1] + columns), 512, np.uint16)
    counts[rows:, columns:] = visible
    area = ("ActiveArea", "I", 4, (rows, columns, *counts.shape))
    path = write_raw(tmp_path / "a.dng", counts, tags=[area])
    # LibRaw leaves out one more row or column where the border is odd; the pattern begins anew there.
    np.testing.assert_array_equal(raw.read_mosaic(path).counts, visible[rows % 2 :, columns % 2 :])
    assert_agrees_with_libraw(path)


@pytest.mark.parametrize("size", [(401 - 2, 597), (393, 600), (400, 591)])
def test_odd_sizes(size, scene, tmp_path):
    counts = lay_mosaic(scene[: size[0], : size[1]], "RGGB", 512, 16383)
    assert_agrees_with_libraw(write_raw(tmp_path / "a.dng", counts))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_orientation(orientation, scene, tmp_path):
    counts = lay_mosaic(scene[:300, :500], "RGGB", 512, 16383)
    assert_agrees_with_libraw(write_raw(tmp_path / "a.dng", counts, tags=[("Orientation", "H", 1, orientation)]))


def test_without_white_balance_daylight_is_taken_and_said(scene, tmp_path, caplog):
    path = write_raw(tmp_path / "a.dng", lay_mosaic(scene, "RGGB", 512, 16383), neutral=False)
    assert_agrees_with_libraw(path, use_camera_wb=False)
    assert "a.dng has no white balance: daylight is taken" in caplog.text


def test_an_x_trans_sensor(scene, tmp_path):
    large = np.tile(scene, (2, 1, 1))  # LibRaw wants at least 512 rows
    path = write_raw(tmp_path / "a.dng", lay_mosaic(large, XTRANS, 512, 16383), XTRANS)
    with pytest.raises(raw.RawError, match="no 2 × 2 Bayer pattern"):
        raw.read_mosaic(path)
    assert_agrees_with_libraw(path)


def test_a_demosaiced_file(scene, tmp_path):
    counts = np.rint(scene * 16383).astype(np.uint16)
    path = write_raw(tmp_path / "a.dng", counts, photometric="linear_raw", black=0)
    assert_agrees_with_libraw(path)
    twice = raw.develop_linear(path, gain=2)
    np.testing.assert_allclose(twice, 2 * raw.develop_linear(path), rtol=1e-5)


def test_levels_that_cannot_be_are_named(scene, tmp_path):
    path = write_raw(tmp_path / "a.dng", lay_mosaic(scene, "RGGB", 512, 16383), black=4000, white=4000)
    with pytest.raises(raw.RawError, match="a.dng: its white level, 4000, is not above its black level, 4000"):
        raw.develop(path)


def test_the_matrix_is_found_wherever_libraw_keeps_it():
    nothing, known = np.zeros((4, 3)), np.vstack([camera.XYZ_TO_CAMERA / 1e4, np.zeros(3)])
    from_table = raw._to_srgb(SimpleNamespace(color_matrix=nothing.T, rgb_xyz_matrix=known))
    np.testing.assert_allclose(from_table, camera.TO_SRGB)
    from_file = raw._to_srgb(SimpleNamespace(color_matrix=np.eye(3, 4) * 2, rgb_xyz_matrix=known))
    np.testing.assert_allclose(from_file, np.eye(3) * 2)
    unknown = raw._to_srgb(SimpleNamespace(color_matrix=nothing.T, rgb_xyz_matrix=nothing))
    np.testing.assert_allclose(unknown, np.eye(3))
