import shutil

import numpy as np
import pytest
from PIL import Image

from sidlib import catalog, preprocess, raw


@pytest.fixture
def pairs(tiny_folder, tmp_path):
    """The pairs of a copy of the tiny data set that is not developed yet."""
    return catalog.load_pairs(
        shutil.copytree(tiny_folder, tmp_path / "copy", ignore=shutil.ignore_patterns("png", "signal"))
    )


def list_pngs(pairs):
    folder = pairs.short[0].parent.parent / "png"
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_every_capture_becomes_its_png(pairs):
    developed = preprocess.develop_pairs(pairs)
    assert len(list_pngs(pairs)) == len(pairs) + pairs.scene.nunique()
    for row in developed.itertuples():
        np.testing.assert_array_equal(np.asarray(Image.open(row.short_png)), raw.develop(row.short))
        np.testing.assert_array_equal(np.asarray(Image.open(row.long_png)), raw.develop(row.long))


def test_the_signal_that_is_kept_is_the_one_that_was_read(pairs, monkeypatch):
    signal = raw.read_signal(pairs.short[0])
    for turned in (signal.camera_rgb, signal.camera_rgb.swapaxes(0, 1)[:, ::-1]):
        expected = signal._replace(camera_rgb=turned)
        monkeypatch.setattr(preprocess, "read_signal", lambda _, expected=expected: expected)
        assert preprocess.develop_file(pairs.short[0]) is None
        kept = preprocess.load_signal(preprocess.locate_signal(pairs.short[0]))
        for array, expected_array in zip(kept, expected, strict=True):
            np.testing.assert_array_equal(array, expected_array)


def test_a_second_call_writes_nothing(pairs):
    preprocess.develop_pairs(pairs)
    before = list_pngs(pairs)
    preprocess.develop_pairs(pairs)
    assert list_pngs(pairs) == before


def test_an_interrupted_tree_is_completed_and_what_was_there_is_kept(pairs):
    first = list_pngs(preprocess.develop_pairs(pairs))
    lost = list(first)[::2]
    contents = {path: path.read_bytes() for path in first}
    for path in lost:
        path.unlink()
    again = list_pngs(preprocess.develop_pairs(pairs))
    assert {path: path.read_bytes() for path in again} == contents
    assert all(again[path] == first[path] for path in first if path not in lost)


def test_a_file_that_cannot_be_read_is_named_and_the_rest_goes_on(pairs, caplog):
    short, long = pairs.short[0], pairs[pairs.split == "val"].long.iloc[0]
    short.write_bytes(short.read_bytes()[:4000])
    long.write_text("no photograph")
    developed = preprocess.develop_pairs(pairs)
    assert len(developed) == len(pairs) - 1 - 2  # one short, and the long of two
    assert {problem["file"] for problem in developed.attrs["problems"]} == {str(short), str(long)}
    assert str(short) in caplog.text and "cut off" in caplog.text and "LibRaw" in caplog.text
    assert not preprocess.locate_png(short).exists()


def test_a_png_that_cannot_be_written_leaves_no_half_file(pairs, monkeypatch):
    def write_half(image, path, **options):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", write_half)
    with pytest.raises(OSError, match="No space left"):
        preprocess.develop_file(pairs.short[0])
    assert list_pngs(pairs) == {}
