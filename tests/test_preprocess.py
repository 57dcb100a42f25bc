import errno
import os

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from sidlib import camera, catalog, preprocess, raw


@pytest.fixture
def pairs(folder):
    return catalog.load_pairs(folder)


def read_made(pairs):
    """The bytes of all PNG and Signal files: {path: bytes}."""
    columns = ("short_png", "long_png", "short_signal", "long_signal")
    return {path: path.read_bytes() for column in columns for path in pairs[column]}


def list_times(pairs):
    return {path: path.stat().st_mtime_ns for path in read_made(pairs)}


def test_every_capture_becomes_its_png(pairs):
    developed = preprocess.develop_pairs(pairs)
    assert len(read_made(developed)) == 2 * (len(pairs) + pairs.scene.nunique())
    for row in developed.itertuples():
        for capture, png in ((row.short, row.short_png), (row.long, row.long_png)):
            np.testing.assert_array_equal(np.asarray(Image.open(png)), raw.develop(capture))


@pytest.mark.parametrize(("kind", "age_s"), [("short", -5e7), ("long", 0.001)])
def test_what_was_made_from_a_file_that_has_changed_is_made_anew(pairs, kind, age_s):
    developed = preprocess.develop_pairs(pairs)
    before = read_made(developed)
    changed, other = developed[kind].iloc[0], developed[kind].iloc[-1]
    assert changed.stat().st_size == other.stat().st_size
    time_ns = changed.stat().st_mtime_ns - int(age_s * 1e9)
    changed.write_bytes(other.read_bytes())
    os.utime(changed, ns=(time_ns, time_ns))
    after = read_made(preprocess.develop_pairs(catalog.load_pairs(pairs.short[0].parent.parent)))
    (png, signal), expected = preprocess.locate_developed(changed), preprocess.locate_developed(other)
    assert {path for path in after if after[path] != before[path]} == {png, signal}
    np.testing.assert_array_equal(*(np.asarray(Image.open(path)) for path in (png, expected[0])))
    np.testing.assert_array_equal(*(preprocess.load_signal(path).camera_rgb for path in (signal, expected[1])))


def strip_key(path):
    if path.suffix == ".png":
        Image.open(path).save(path)
    else:
        safetensors.numpy.save_file(safetensors.numpy.load_file(path), path)


def test_a_second_call_writes_nothing_and_what_is_lost_or_not_whole_is_made_anew(pairs):
    developed = preprocess.develop_pairs(pairs)
    first, contents = list_times(developed), read_made(developed)
    assert list_times(preprocess.develop_pairs(pairs)) == first
    damages = (
        lambda path: path.unlink(),
        lambda path: os.truncate(path, path.stat().st_size - 1),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        strip_key,
    )
    damaged = {
        path: damage
        for damage, capture in zip(damages, pairs.short, strict=False)
        for path in preprocess.locate_developed(capture)
    }
    for path, damage in damaged.items():
        damage(path)
    again = preprocess.develop_pairs(pairs)
    assert read_made(again) == contents
    assert {path for path, time in list_times(again).items() if time != first[path]} == damaged.keys()


def test_a_damaged_signal_is_named(pairs):
    signal = preprocess.develop_pairs(pairs).short_signal[0]
    os.truncate(signal, 100)
    for read in (preprocess.load_signal, preprocess.read_digest):
        with pytest.raises(raw.RawError, match=f"{signal.name}: damaged, preprocess.develop_pairs makes it anew"):
            read(signal)


def test_a_new_version_of_the_code_makes_all_anew(pairs, monkeypatch):
    before = read_made(preprocess.develop_pairs(pairs))
    monkeypatch.setattr(preprocess, "VERSION", -1)
    monkeypatch.setattr(preprocess, "quantize", lambda linear: 255 - camera.quantize(linear))
    after = read_made(preprocess.develop_pairs(pairs))
    assert all(after[path] != before[path] for path in before)
    assert read_made(preprocess.develop_pairs(pairs)) == after


def test_the_digest_of_a_signal_follows_its_arrays(pairs, tmp_path):
    signal = raw.read_signal(pairs.short[0])
    changed = signal.camera_rgb.copy()
    changed[0, 0, 0] += 1e-6
    digests = []
    for camera_rgb, key in ((signal.camera_rgb, "a"), (signal.camera_rgb, "b"), (changed, "a")):
        preprocess.save_arrays(tmp_path / "x.safetensors", {"camera_rgb": camera_rgb}, key)
        digests.append(preprocess.read_digest(tmp_path / "x.safetensors"))
    assert digests[0] == digests[1] != digests[2]


def test_the_signal_that_is_kept_is_the_one_that_was_read(pairs, monkeypatch):
    signal = raw.read_signal(pairs.short[0])
    for turned in (signal.camera_rgb, signal.camera_rgb.swapaxes(0, 1)[:, ::-1]):
        expected = signal._replace(camera_rgb=turned, camera="Société Ω 1")
        monkeypatch.setattr(preprocess, "read_signal", lambda _, expected=expected: expected)
        assert preprocess.develop_file(pairs.short[0]) is None
        kept = preprocess.load_signal(preprocess.locate_developed(pairs.short[0])[1])
        for array, expected_array in zip(kept, expected, strict=True):
            np.testing.assert_array_equal(array, expected_array)


def test_files_that_cannot_be_read_are_named_and_the_rest_goes_on_if_there_is_any(pairs, caplog):
    short, long = pairs.short[0], pairs[pairs.split == "val"].long.iloc[0]
    short.write_bytes(short.read_bytes()[:4000])
    long.write_text("no photograph")
    developed = preprocess.develop_pairs(pairs)
    assert len(developed) == len(pairs) - 1 - 2  # one short, and the long of two
    assert "2 files are left out" in caplog.text and str(short) in caplog.text and str(long) in caplog.text
    assert "cut off" in caplog.text and "LibRaw" in caplog.text
    assert not preprocess.locate_developed(short)[0].exists()
    for long in pairs.long.unique():
        long.write_bytes(b"no photograph")
    with pytest.raises(ValueError, match="No pair is left of 12: 6 files have a problem"):
        preprocess.develop_pairs(pairs)


def test_a_pair_of_two_sizes_is_named_and_the_rest_goes_on(pairs, monkeypatch, caplog):
    turned = pairs.short[1]
    signal = raw.read_signal(turned)
    rotated = signal._replace(camera_rgb=signal.camera_rgb.swapaxes(0, 1))
    monkeypatch.setattr(preprocess, "read_signal", lambda path: rotated if path == turned else raw.read_signal(path))
    developed = preprocess.develop_pairs(pairs)
    assert len(developed) == len(pairs) - 1 and turned not in set(developed.short)
    assert developed.index.tolist() == list(range(len(developed)))
    assert f"{turned} 22 × 32 pixels when developed, its long exposure 32 × 22" in caplog.text


def test_a_worker_that_does_not_see_the_data_set_is_an_error(pairs, monkeypatch):
    (gone := pairs.short[1]).unlink()  # nobody sees this one
    assert len(preprocess.develop_pairs(pairs)) == len(pairs) - 1
    reason = os.strerror(errno.ENOENT)
    monkeypatch.setattr(preprocess.workers, "share", lambda *_: [(gone, reason), (pairs.short[0], reason)])
    with pytest.raises(FileNotFoundError, match=f"{pairs.short[0].name} is not on a worker: mount .* at the same path"):
        preprocess.develop_pairs(pairs)
