import os
import shutil
import time

import numpy as np
import pytest
import safetensors.numpy
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


def read_made(pairs):
    """The bytes of all PNG and Signal files: {path: bytes}."""
    columns = ("short_png", "long_png", "short_signal", "long_signal")
    return {path: path.read_bytes() for column in columns for path in pairs[column]}


def locate_both(capture):
    return preprocess.locate_png(capture), preprocess.locate_signal(capture)


@pytest.mark.parametrize("kind", ["short", "long"])
@pytest.mark.parametrize("age_s", [-5e7, -1, 0.001, 1, 5e7])
def test_what_was_made_from_a_file_that_has_changed_is_made_anew(pairs, kind, age_s):
    developed = preprocess.develop_pairs(pairs)
    before = read_made(developed)
    changed, other = developed[kind].iloc[0], developed[kind].iloc[-1]
    assert changed.stat().st_size == other.stat().st_size
    time_ns = changed.stat().st_mtime_ns - int(age_s * 1e9)
    changed.write_bytes(other.read_bytes())
    os.utime(changed, ns=(time_ns, time_ns))
    after = read_made(preprocess.develop_pairs(catalog.load_pairs(pairs.short[0].parent.parent)))
    for old, new in zip(locate_both(other), locate_both(changed), strict=True):
        if new.suffix == ".png":
            assert after[new] == before[old]
        else:
            np.testing.assert_array_equal(
                preprocess.load_signal(new).camera_rgb, preprocess.load_signal(old).camera_rgb
            )
    assert {path for path in after if after[path] != before[path]} == set(locate_both(changed))


def flip_byte(path):
    content = bytearray(path.read_bytes())
    content[-30] ^= 255
    path.write_bytes(content)


DAMAGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "text": lambda path: path.write_text("no picture"),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "a byte differs": flip_byte,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("place", [0, 1], ids=["PNG", "Signal"])
def test_a_made_file_that_is_not_as_it_was_written_is_made_anew(pairs, damage, place):
    before = read_made(preprocess.develop_pairs(pairs))
    for capture in (pairs.short[0], pairs.long[0]):
        damage(locate_both(capture)[place])
    assert read_made(preprocess.develop_pairs(pairs)) == before


@pytest.mark.parametrize("size_kept", [False, True])
def test_a_disk_that_lost_what_was_written_last_is_noticed(pairs, size_kept):
    before = read_made(preprocess.develop_pairs(pairs))
    for path in locate_both(pairs.short[0])[1 if size_kept else 0 :]:
        state = path.stat()
        path.write_bytes(bytes(state.st_size) if size_kept else b"")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert read_made(preprocess.develop_pairs(pairs)) == before


@pytest.mark.parametrize("place", [0, 1], ids=["PNG", "Signal"])
def test_a_png_and_a_signal_of_different_versions_are_made_anew(pairs, place):
    developed = preprocess.develop_pairs(pairs)
    capture = pairs.long[0]
    old = locate_both(capture)[place]
    kept = shutil.copy2(old, old.with_name("kept"))
    capture.write_bytes(pairs.long.iloc[-1].read_bytes())
    before = read_made(preprocess.develop_pairs(developed))
    os.replace(kept, old)
    assert read_made(preprocess.develop_pairs(pairs)) == before


def test_files_of_a_version_that_kept_less_of_a_capture_are_made_anew(pairs):
    before = read_made(preprocess.develop_pairs(pairs))
    signal = preprocess.locate_signal(pairs.short[0])
    arrays, state = safetensors.numpy.load_file(signal), signal.stat()
    safetensors.numpy.save_file(arrays, signal)
    os.utime(signal, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(raw.RawError, match=f"{signal.name}: damaged"):
        preprocess.load_signal(signal)
    assert read_made(preprocess.develop_pairs(pairs)) == before


def test_a_development_that_ends_between_png_and_signal_is_done_again(pairs, monkeypatch):
    before = read_made(preprocess.develop_pairs(pairs))
    capture, replaced = pairs.short[0], []
    content = capture.read_bytes()

    def replace_one(source, target, replace=os.replace):
        if replaced:
            raise KeyboardInterrupt
        replaced.append(target)
        replace(source, target)

    capture.write_bytes(pairs.short.iloc[-1].read_bytes())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", replace_one)
        preprocess.develop_file(capture)
    capture.write_bytes(content)
    after = read_made(preprocess.develop_pairs(pairs))
    assert {path for path in after if after[path] != before[path]} <= {preprocess.locate_signal(capture)}  # its time
    np.testing.assert_array_equal(np.asarray(Image.open(replaced[0])), draw_kept(capture))


def test_what_is_being_written_bears_its_own_time(pairs, monkeypatch):
    """By its time it is told from what a killed process left."""
    capture, times = pairs.short[0], []
    os.utime(capture, (0, 0))

    def replace(source, target, replace=os.replace):
        times.append(source.stat().st_mtime)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace)
    preprocess.develop_file(capture)
    assert len(times) == 2 and min(times) > time.time() - 600
    assert preprocess.locate_signal(capture).stat().st_mtime == 0


def draw_kept(capture):
    signal = preprocess.load_signal(preprocess.locate_signal(capture))
    return raw.quantize(raw.render(signal.camera_rgb, signal.white_balance, signal.to_srgb))


def test_the_same_captures_give_the_same_bytes(pairs):
    first = read_made(preprocess.develop_pairs(pairs))
    for path in first:
        path.unlink()
    assert read_made(preprocess.develop_pairs(pairs)) == first


def test_the_signal_that_is_kept_is_the_one_that_was_read(pairs, monkeypatch):
    signal = raw.read_signal(pairs.short[0])
    for turned in (signal.camera_rgb, signal.camera_rgb.swapaxes(0, 1)[:, ::-1]):
        expected = signal._replace(camera_rgb=turned, camera="Société Ω 1")
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
