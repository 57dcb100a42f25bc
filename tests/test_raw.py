import numpy as np
import pytest

from sidlib import raw
from tests.test_cameras import XTRANS

PATTERNS = ["RGGB", "BGGR", "GRBG", "GBRG", XTRANS, "W"]


def reduce(counts, pattern, scale):
    """Camera RGB of counts through a pattern, black 0 and white 1000."""
    black = np.zeros(len(pattern))
    return raw.reduce_mosaic(raw.Mosaic(counts, pattern, black, 1000.0, np.ones(3), np.eye(3), 0), scale)


def lay_colours(pattern, shape):
    """The colour of each pixel, a letter each."""
    side = round(len(pattern) ** 0.5)
    rows, columns = np.indices(shape)
    return np.array(list(pattern))[rows % side * side + columns % side]


@pytest.mark.parametrize("shape", [(20, 20), (21, 23), (13, 17), (22, 28)])
def test_flat_colours_stay_what_they_are_in_each_pattern_and_whatever_its_size(shape):
    levels = {"R": 100, "G": 200, "B": 300, "W": 700}
    for pattern in PATTERNS:
        counts = np.vectorize(levels.get)(lay_colours(pattern, shape)).astype(np.uint16)
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
            weights = np.outer(window, window) * (lay_colours(pattern, counts.shape) == colour)[block]
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
