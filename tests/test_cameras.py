"""RAW files of every kind, small ones written here, held against LibRaw's own development."""

import os

import numpy as np
import pytest
import rawpy
import tifffile
from skimage.measure import block_reduce
from skimage.metrics import peak_signal_noise_ratio

from sidlib import camera, raw, sample
from sidlib.rawfile import open_raw

WHITE_BALANCE = (2.0, 1.0, 1.5)
MATRIX = [part for value in camera.XYZ_TO_CAMERA.flat for part in (int(value), 10_000)]
LEVELS = [500, 520, 540, 560]  # black, for each position
NEUTRAL = ("AsShotNeutral", "2I", 3, (1, 2, 1, 1, 2, 3))
XTRANS = "GGRGGB" "GGBGGR" "BRGRBG" "GGBGGR" "GGRGGB" "RBGBRG"  # fmt: skip


@pytest.fixture(scope="module")
def large(scene):
    """The same scene with another below, since LibRaw wants at least 512 rows and columns of X-Trans."""
    return np.concatenate([scene, scene[::-1]])[:520]


@pytest.fixture(scope="module")
def scene():
    """An evenly lit, detailed scene in camera RGB, white-balanced light taken off: float (400, 600, 3) in 0…1."""
    pixels = np.asarray(sample.load_photograph("coffee").resize((600, 400)), np.float32) / 255
    camera_rgb = np.clip(camera.decode_srgb(0.3 + 0.4 * pixels) @ np.linalg.inv(camera.CCM).T, 0, 1)
    return camera_rgb / WHITE_BALANCE


def write_raw(path, counts, pattern="RGGB", black=512, white=16383, tags=(), neutral=True, matrix=MATRIX):
    """Write a DNG file through a pattern of colours, or "RGB" or "W"; a black level, one for each sample or place."""
    photometric = {"RGB": "linear_raw", "W": "minisblack"}.get(pattern, "cfa")
    side, black = round(len(pattern) ** 0.5), np.atleast_1d(black)
    rows = round(len(black) ** 0.5) if photometric != "linear_raw" else 1
    all_tags = [
        ("DNGVersion", "B", 4, (1, 4, 0, 0)),
        ("UniqueCameraModel", "s", 0, "Test camera"),
        ("WhiteLevel", "I", 1, white),
        *([("ColorMatrix1", "2i", 9, matrix), ("CalibrationIlluminant1", "H", 1, 21)] if matrix else []),
        ("BlackLevelRepeatDim", "H", 2, (rows, rows)),
        ("BlackLevel", "H", len(black), [int(level) for level in black]),
        *([NEUTRAL] if neutral else []),
        *tags,
    ]
    if photometric == "cfa":
        all_tags.append(("CFARepeatPatternDim", "H", 2, (side, side)))
        all_tags.append(("CFAPattern", "B", side * side, ["RGB".index(colour) for colour in pattern]))
    options = {"photometric": photometric, "metadata": None, "extratags": [(*tag, True) for tag in all_tags]}
    tifffile.imwrite(path, counts, **options)
    if pattern == "W":  # tifffile writes no linear raw of one sample
        overwrite(path, {"PhotometricInterpretation": 34892})
    return path


def overwrite(path, values, **options):
    """Write other values into tags of a TIFF file's first page."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for tag, value in values.items():
            tiff.pages[0].tags[tag].overwrite(value, **options)


def repeat(values, shape):
    """What lies at each pixel of a picture where the values of a square pattern, row by row, are repeated."""
    side = round(len(values) ** 0.5)
    rows, columns = np.indices(shape[:2])
    return np.array(values)[rows % side * side + columns % side]


def lay(scene, pattern, black=512, white=16383):
    """Raw counts of a scene for any pattern that write_raw takes, with a black level for all or for each place."""
    if pattern in ("RGB", "W"):
        counts = np.rint(black + scene * (np.float64(white) - black)).astype(np.uint16)
        return counts if pattern == "RGB" else counts[..., 1]
    colour = repeat(["RGB".index(name) for name in pattern], scene.shape)
    signal = np.take_along_axis(scene, colour[..., None], axis=2)[..., 0]
    black = repeat(np.broadcast_to(black, len(pattern)), scene.shape)
    return np.rint(black + signal * (white - black)).astype(np.uint16)


def assert_agrees_with_libraw(path):
    """Compare with LibRaw's own linear development at full size."""
    options = {"no_auto_bright": True, "adjust_maximum_thr": 0, "gamma": (1, 1), "output_bps": 16}
    with rawpy.imread(str(path)) as file:
        full = file.postprocess(use_camera_wb=True, **options) / 65535
    ours = np.clip(raw.develop_linear(path), 0, 1)
    assert ours.shape == (-(-full.shape[0] // 10), -(-full.shape[1] // 10), 3)
    rows, columns = (side // 10 * 10 for side in full.shape[:2])
    # Two blocks at each side are left out: there LibRaw has no neighbours to interpolate from.
    inner = np.s_[2 : rows // 10 - 2, 2 : columns // 10 - 2]
    libraw, ours = block_reduce(full[:rows, :columns], (10, 10, 1), np.mean)[inner], ours[inner]
    assert libraw.std() > 0.05
    assert peak_signal_noise_ratio(libraw, ours, data_range=1) > 45
    np.testing.assert_allclose(ours.mean((0, 1)) / libraw.mean((0, 1)), 1, atol=0.005)


KINDS = {"RGGB": (0, 1023, 399, 597), "BGGR": (64, 4095, 393, 600), "GRBG": (2048, 65535, 400, 591)}
KINDS |= {"GBRG": (512, 16383, 400, 600)}  # black, white, height, width
KINDS |= {XTRANS: (2048, 65535, 519, 541), "RGB": (512, 16383, 393, 591)}


@pytest.mark.parametrize("pattern", KINDS)
def test_each_pattern_bit_depth_and_odd_size(pattern, large, tmp_path):
    black, white, height, width = KINDS[pattern]
    (folder := tmp_path / "Nächte in 東京").mkdir()
    counts = lay(large[:height, :width], pattern, black, white)
    path = write_raw(folder / "ein Bild – é.dng", counts, pattern, black, white)
    mosaic = raw.read_mosaic(path)
    assert (mosaic.pattern, mosaic.black.tolist()) == (pattern, [black] * len(pattern))
    assert mosaic.counts.shape == counts.shape
    assert_agrees_with_libraw(path)


@pytest.mark.parametrize(("margin", "black"), [((7, 5), [512] * 4), ((8, 6), LEVELS), ((7, 6), LEVELS)])
def test_a_masked_border_is_left_out_and_each_position_keeps_its_black_level(margin, black, scene, tmp_path):
    visible = lay(scene, "RGGB", black)
    counts = np.pad(visible, [(margin[0], 0), (margin[1], 0)], constant_values=512)
    area = ("ActiveArea", "I", 4, (*margin, *counts.shape))
    path = write_raw(tmp_path / "a.dng", counts, black=black, tags=[area])
    found, begin = raw.read_mosaic(path), np.array(margin) % 2  # LibRaw leaves out one more row or column
    np.testing.assert_array_equal(found.counts, visible[begin[0] :, begin[1] :])
    np.testing.assert_array_equal(found.black.reshape(2, 2), np.roll(np.reshape(black, (2, 2)), -begin, (0, 1)))
    if black != LEVELS:  # LibRaw itself leaves the levels where they were
        assert_agrees_with_libraw(path)


@pytest.mark.parametrize(("pattern", "orientations"), [("RGGB", range(1, 9)), (XTRANS, [6]), ("RGB", [6])])
def test_each_orientation_of_each_kind_gives_the_same_upright_picture(pattern, orientations, large, tmp_path):
    upright = raw.develop_linear(write_raw(tmp_path / "0.dng", lay(large, pattern), pattern))
    for orientation in orientations:
        turned = large[::-1] if orientation in (3, 4, 7, 8) else large
        turned = turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
        turned = turned.swapaxes(0, 1) if orientation > 4 else turned
        tags = [("Orientation", "H", 1, orientation)]
        path = write_raw(tmp_path / f"{orientation}.dng", lay(turned, pattern), pattern, tags=tags)
        ours = raw.develop_linear(path)
        assert ours.shape == upright.shape
        assert np.sqrt(np.square(ours - upright).mean()) < 0.01, orientation
        assert_agrees_with_libraw(path)


@pytest.mark.parametrize("pattern", ["GBRG", XTRANS])
def test_without_white_balance_the_mean_is_taken_for_grey_as_libraw_does_and_that_is_said(
    pattern, large, tmp_path, caplog
):
    path = write_raw(tmp_path / "a.dng", lay(large, pattern), pattern, neutral=False)
    gains, means = raw.read_mosaic(path).white_balance, []
    for options in {"user_wb": [*gains, gains[1]]}, {"use_auto_wb": True}:
        with rawpy.imread(str(path)) as file:
            means.append(file.postprocess(**options, no_auto_bright=True).mean(axis=(0, 1)))
    np.testing.assert_allclose(*means, atol=2)
    assert "a.dng has no white balance: its mean is taken for grey" in caplog.text and "matrix" not in caplog.text


def test_steps_of_black_in_rows_and_columns_are_taken_off(scene, tmp_path):
    counts, rng = lay(scene, "RGGB"), np.random.default_rng(0)
    rows, columns = rng.integers(-20, 20, len(counts)), rng.integers(-20, 20, len(counts[0]))
    stepped = (counts + rows[:, None] + columns).astype(np.uint16)
    deltas = [
        ("BlackLevelDelta" + name, "2i", len(steps), [part for step in steps for part in (int(step), 1)])
        for name, steps in (("V", rows), ("H", columns))
    ]
    mosaic = raw.read_mosaic(write_raw(tmp_path / "a.dng", stepped, tags=deltas))
    np.testing.assert_allclose(mosaic.counts - mosaic.black.mean(), counts - 512.0, atol=2)


NONSENSE = {"none": (None, ()), "a zero": ([1, 1] * 9, (0, 2, 1, 1, 2, 3)), "by zero": ([1, 0] * 9, (1, 0, 1, 1, 2, 3))}


@pytest.mark.parametrize(("matrix", "gains"), NONSENSE.values(), ids=NONSENSE)
def test_a_matrix_or_a_white_balance_that_cannot_be_is_as_none_and_that_is_said(matrix, gains, scene, tmp_path, caplog):
    tags = [("AsShotNeutral", "2I", 3, gains)] if gains else []
    path = write_raw(tmp_path / "a.dng", lay(scene, "RGGB"), neutral=False, tags=tags, matrix=matrix)
    signal = raw.read_signal(path)
    np.testing.assert_array_equal(signal.ccm, np.eye(3))
    assert signal.white_balance.min() == 1 and np.isfinite(signal.white_balance).all()
    assert "a.dng has no colour matrix" in caplog.text
    assert gains or "a.dng has no white balance" in caplog.text


@pytest.mark.parametrize("pattern", [XTRANS, "RGB"])
def test_a_black_level_that_varies_over_a_pattern_or_by_colour_is_taken_off_where_it_is(pattern, large, tmp_path):
    black = np.random.default_rng(0).integers(200, 900, len(pattern))
    level = raw.read_signal(write_raw(tmp_path / "a.dng", lay(large, pattern, 512), pattern)).camera_rgb
    path = write_raw(tmp_path / "b.dng", lay(large, pattern, black), pattern, black)
    assert raw.read_mosaic(path).black.tolist() == black.tolist()
    # LibRaw takes the lowest black level off the white level, for all places alike: no reference here.
    np.testing.assert_allclose(raw.read_signal(path).camera_rgb, level, atol=1e-4)


def test_a_black_level_of_fractions_is_kept_and_one_of_more_than_the_pattern_is_averaged(scene, tmp_path):
    path = write_raw(tmp_path / "a.dng", lay(scene, "RGGB"), black=[500, 510, 520, 530] * 4)
    assert raw.read_mosaic(path).black.tolist() == [510, 520, 510, 520]
    path = write_raw(tmp_path / "b.dng", lay(scene, "RGGB"))
    for repeat in ((0, 0), (60_000, 60_000), (7,), (2, 2)):
        overwrite(path, {"BlackLevelRepeatDim": repeat})
        assert np.isfinite(raw.read_mosaic(path).black).all()
    overwrite(path, {"BlackLevel": (6310, 100, 6390, 100, 6350, 100, 6399, 100)}, dtype="2I")
    np.testing.assert_allclose(raw.read_mosaic(path).black, (63.1, 63.9, 63.5, 63.99))


def test_a_monochrome_or_demosaiced_file_is_averaged_in_blocks(scene, tmp_path, caplog):
    signal = raw.read_signal(write_raw(tmp_path / "a.dng", lay(scene, "RGB"), "RGB"))
    np.testing.assert_allclose(signal.camera_rgb, block_reduce(scene, (10, 10, 1), np.mean), atol=1e-4)
    path = write_raw(tmp_path / "b.dng", lay(scene, "W"), "W", neutral=False)
    assert raw.read_mosaic(path).pattern == "W"
    grey = raw.read_signal(path).camera_rgb
    np.testing.assert_allclose(grey[..., 0], block_reduce(scene[..., 1], (10, 10), np.mean), atol=1e-4)
    assert (np.ptp(raw.develop(path), axis=2) == 0).all() and not caplog.text


def test_a_table_that_makes_counts_linear_is_applied(scene, tmp_path):
    squeezed = np.rint(np.sqrt(lay(scene, "RGGB", 0, 65535).astype(float))).astype(np.uint16)
    table = ("LinearizationTable", "H", 256, [n * n for n in range(256)])
    path = write_raw(tmp_path / "a.dng", squeezed, black=0, white=65025, tags=[table])
    assert_agrees_with_libraw(path)


@pytest.mark.parametrize("pattern", ["RGGB", XTRANS, "RGB", "W"])
def test_noise_below_black_stays_negative_until_it_is_averaged(pattern, tmp_path):
    shape = (520, 600, 3) if pattern == "RGB" else (520, 600)
    noise = np.random.default_rng(0).normal(512, 20, shape)
    path = write_raw(tmp_path / "a.dng", np.rint(noise).astype(np.uint16), pattern)
    linear = raw.read_signal(path).camera_rgb * (16383 - 512)
    assert abs(linear.mean()) < 0.3
    assert linear.min() < 0


def test_what_is_no_photograph_is_named_with_the_reason(scene, tmp_path):
    floats, levels = {"pattern": "RGB", "black": 0, "white": 1}, {"black": 4000, "white": 4000}
    for reason, counts, options in (
        ("its pixels are floating point numbers", scene.astype(np.float32), floats),
        ("cut off or damaged", np.zeros((200, 300), np.uint16), {}),
        ("its white level, 4000, is not above its black level, 4000", lay(scene, "RGGB"), levels),
    ):
        with pytest.raises(raw.RawError, match=f"a.dng: {reason}"):
            raw.develop(write_raw(tmp_path / "a.dng", counts, **options))
    tags = [("DateTime", "s", 20, "9999:99:99 99:99:99")]
    with pytest.raises(raw.RawError, match="a.dng: its metadata has no possible date"):
        raw.read_exposure(write_raw(tmp_path / "a.dng", lay(scene, "RGGB"), tags=tags))


def test_the_camera_is_what_the_file_states_and_has_the_matrix_that_libraw_knows(scene, tmp_path):
    for make, model, camera_name in (("SONY", "ILCE-7SM2", "SONY ILCE-7SM2"), ("", "X", "X"), ("Leica ", " ", "Leica")):
        tags = [("Make", "s", 0, make), ("Model", "s", 0, model)]
        signal = raw.read_signal(write_raw(tmp_path / "b.dng", lay(scene, "RGGB"), tags=tags, matrix=None))
        assert signal.camera == camera_name
        known = camera.CCM if "ILCE" in camera_name else np.eye(3)  # LibRaw's, where the file states none
        np.testing.assert_allclose(signal.ccm, known, atol=1e-5)


def test_four_hundred_megapixels_are_no_reason_to_refuse_and_a_thousand_are(tmp_path):
    """Files with holes, which take no space on the disk; only their headers are read."""
    for side, name in ((20_000, "pixel_shift.dng"), (32_000, "damaged.dng")):
        path = write_raw(tmp_path / name, np.full((20, 30), 600, np.uint16))
        sides = dict.fromkeys(["ImageWidth", "ImageLength", "RowsPerStrip"], side)
        overwrite(path, sides | {"StripByteCounts": 2 * side**2}, dtype="I")
        os.truncate(path, path.stat().st_size + 2 * side**2)
    with open_raw(tmp_path / "pixel_shift.dng") as (file, _):
        assert file.sizes.raw_width * file.sizes.raw_height == 400_000_000
    with pytest.raises(raw.RawError, match="damaged.dng: its header says 32000 × 32000 pixels"):
        raw.read_exposure(tmp_path / "damaged.dng")


PATTERNS = ["RGGB", "BGGR", "GRBG", "GBRG", XTRANS, "W"]


def reduce(counts, pattern, scale):
    """Camera RGB of counts through a pattern, black 0 and white 1000."""
    black = np.zeros(len(pattern))
    return raw.reduce_mosaic(raw.Mosaic(counts, pattern, black, 1000.0, np.ones(3), np.eye(3), 0), scale)


@pytest.mark.parametrize("shape", [(20, 20), (21, 23), (13, 17), (22, 28)])
def test_flat_colours_stay_what_they_are_in_each_pattern_and_whatever_its_size(shape):
    levels = {"R": 100, "G": 200, "B": 300, "W": 700}
    for pattern in PATTERNS:
        counts = np.vectorize(levels.get)(repeat(list(pattern), shape)).astype(np.uint16)
        linear = reduce(counts, pattern, 10)
        assert linear.shape == (-(-shape[0] // 10), -(-shape[1] // 10), 3)
        expected = [0.7] * 3 if pattern == "W" else [0.1, 0.2, 0.3]
        np.testing.assert_allclose(linear, np.broadcast_to(expected, linear.shape), rtol=1e-6)


def test_a_ramp_has_no_coloured_fringes():
    ramp = np.add.outer(3.0 * np.arange(60), 7.0 * np.arange(80))
    inner = raw.bin_mosaic(ramp, 10)[0][:, 1:-1, 1:-1]
    np.testing.assert_allclose(inner, inner[:1].repeat(4, axis=0), rtol=1e-5)
    xtrans = 1000 * reduce(ramp, XTRANS, 10)[1:-1, 1:-1]  # a step of 70 from block to block
    np.testing.assert_allclose(xtrans, xtrans[..., :1].repeat(3, axis=-1), atol=0.3)


@pytest.mark.parametrize(("pattern", "scale"), [("GRBG", 2), ("RGGB", 10), (XTRANS, 2), (XTRANS, 6), (XTRANS, 10)])
def test_a_block_of_any_pattern_is_the_mean_of_its_colours(pattern, scale):
    """The window of one block, plainly: a row beside a border counts ¾ inside and ¼ outside."""
    counts = np.random.default_rng(0).integers(0, 1000, (60, 80)).astype(np.uint16)
    window = np.pad(np.ones(scale), 1)
    window[:2], window[-2:] = (0.25, 0.75), (0.75, 0.25)
    linear = reduce(counts, pattern, scale)
    for row, column in ((1, 2), (2, 1), (3, 4)):
        block = np.s_[row * scale - 1 : (row + 1) * scale + 1, column * scale - 1 : (column + 1) * scale + 1]
        for number, colour in enumerate("RGB"):
            weights = np.outer(window, window) * (repeat(list(pattern), counts.shape) == colour)[block]
            expected = (counts[block] * weights).sum() / weights.sum() / 1000
            assert linear[row, column, number] == pytest.approx(expected, rel=1e-5)


def test_an_odd_scale_and_a_block_that_lacks_a_colour_are_refused():
    with pytest.raises(ValueError, match="Received: 5"):
        raw.bin_mosaic(np.zeros((20, 20)), 5)
    with pytest.raises(ValueError, match="each block holds every colour. Received: 2"):
        reduce(np.zeros((64, 64), np.uint16), "R" + "G" * 14 + "B", 2)


def test_what_is_no_raw_file_is_named_with_the_reason(tmp_path, tiny_folder):
    whole = next((tiny_folder / "long").iterdir()).read_bytes()
    (tmp_path / "folder.ARW").mkdir()
    for name, content, reason in (
        ("empty.ARW", b"", "the file is empty, copy it anew"),
        ("text.ARW", b"no photograph", "not a RAW"),
        ("long.ARW", b"no photograph\n" * 1000, "not a RAW"),
        ("cut.dng", whole[:50_000], "cut off"),
        ("head.dng", whole[:200], "cut off or damaged"),
        ("folder.ARW", None, "Is a directory"),
        ("none.ARW", None, "No such file"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(raw.RawError, match=f"{name}: .*{reason}"):
            raw.develop(tmp_path / name)
