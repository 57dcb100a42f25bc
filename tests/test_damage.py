"""Files that are damaged, disks that are full, and processes that are killed."""

import ctypes
import errno
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import rawpy
import tifffile
from PIL import Image

from sidlib import catalog, paths, preprocess, raw, rawfile

DEVELOP_ALL = (
    "import sys; from sidlib import catalog, preprocess; preprocess.develop_pairs(catalog.load_pairs(sys.argv[1]))"
)


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny data set that is not developed yet."""
    return shutil.copytree(tiny_folder, tmp_path / "copy", ignore=shutil.ignore_patterns("png", "signal"))


def run_python(script, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        **{"cwd": paths.ROOT, "text": True, "capture_output": True} | options,
    )


def read_developed(folder):
    """Return what develop_pairs left in a data set, half files included: {path: bytes}."""
    paths_left = [path for part in ("png", "signal") for path in (folder / part).rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in paths_left}


def write_compressed_arw(path):
    """Write a file with Sony's own compression, a byte a pixel, whose missing rows LibRaw fills in silence."""
    pixels = np.random.default_rng(0).integers(0, 256, (216, 320), np.uint8)
    tags = [(271, "s", 0, "SONY", True), (272, "s", 0, "ILCE-7SM2", True)]
    tags += [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True)]
    tifffile.imwrite(path, pixels, photometric="cfa", metadata=None, extratags=tags)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["Compression"].overwrite(32767)


def test_a_compressed_file_of_sony_is_cut_off_where_it_says_it_goes_on(tmp_path):
    path = tmp_path / "whole.ARW"
    write_compressed_arw(path)
    assert raw.develop(path).shape == (22, 32, 3)
    content = path.read_bytes()
    start = len(content) - 216 * 320
    for length in (start - 1, start, start + 1, start + 7000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(raw.RawError, match=r"whole\.ARW: the file is cut off"):
            raw.read_exposure(path)
    for length in (10, 40, 100, start // 2):
        path.write_bytes(content[:length])
        with pytest.raises(raw.RawError, match=r"whole\.ARW: (not a RAW|cut off)"):
            raw.read_exposure(path)


@pytest.mark.parametrize("nonsense", [0xFFFFFFFF, 0xFFFFFF00, 0x80000000, 10**8, 0])
def test_what_previews_announce_is_no_evidence_of_a_cut_file(nonsense, tmp_path):
    """A small picture first, in the main chain, and the raw pixels in a SubIFD, as DNG and NEF files have them."""
    whole, path = tmp_path / "whole.dng", tmp_path / "a.dng"
    counts = np.random.default_rng(0).integers(600, 9000, (216, 320)).astype(np.uint16)
    version, black, white = (
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50714, "H", 1, 512, True),
        (50717, "H", 1, 16383, True),
    )
    cfa = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True), black, white]
    with tifffile.TiffWriter(whole) as tiff:
        options = {"metadata": None, "photometric": "rgb", "subfiletype": 1}
        tiff.write(np.zeros((22, 32, 3), np.uint8), subifds=1, extratags=[version], **options)
        tiff.write(counts, photometric="cfa", metadata=None, extratags=cfa)
        tiff.write(np.zeros((22, 32, 3), np.uint8), **options)
    expected = raw.develop(whole)
    for tag in ("StripOffsets", "StripByteCounts"):
        shutil.copy(whole, path)
        with tifffile.TiffFile(path, mode="r+") as tiff:
            for page in tiff.pages:
                page.tags[tag].overwrite(nonsense)
        np.testing.assert_array_equal(raw.develop(path), expected)
        with tifffile.TiffFile(path) as tiff:
            start, length = tiff.pages[0].pages[0].dataoffsets[0], tiff.pages[0].pages[0].databytecounts[0]
        for cut in (start + 1, start + length // 2, start + length - 1):
            path.write_bytes(whole.read_bytes()[:cut])
            with pytest.raises(raw.RawError, match=r"a\.dng: the file is cut off"):
                raw.develop(path)


def test_a_header_that_goes_round_in_circles_ends(tmp_path):
    path = tmp_path / "whole.ARW"
    write_compressed_arw(path)
    with tifffile.TiffFile(path) as tiff:
        first = tiff.pages[0].offset
    content = bytearray(path.read_bytes())
    end = first + 2 + 12 * struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, end, first)
    path.write_bytes(content)
    assert raw.develop(path).shape == (22, 32, 3)


@pytest.mark.parametrize("marked", ["cfa", "canon", "by its size"])
def test_a_file_cut_within_its_raw_pixels_is_named_however_they_are_marked(marked, tmp_path):
    """Small pictures first and raw pixels last, as CR2 and ORF files have them."""
    path, pixels = tmp_path / "a.CR2", np.random.default_rng(0).integers(1, 9000, (216, 320)).astype(np.uint16)
    canon = [(50752, "H", 3, (1, 160, 160), True)] if marked == "canon" else ()
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.zeros((22, 32, 3), np.uint8), metadata=None, photometric="rgb")
        raw_pixels = pixels[:10, :10] if marked == "canon" else pixels  # Canon does not say how large they are
        tiff.write(raw_pixels, metadata=None, photometric="cfa" if marked == "cfa" else "minisblack", extratags=canon)
    with tifffile.TiffFile(path) as tiff:
        start, length = tiff.pages[1].dataoffsets[0], tiff.pages[1].databytecounts[0]
    content = path.read_bytes()
    for cut in (start + 1, start + length // 2, start + length - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(raw.RawError, match=r"a\.CR2: the file is cut off"):
            raw.develop(path)


def write_rw2(path, offset, byte_count):
    """Write a Panasonic file whose pixels are at the place of its own tag 0x118: 10 pixels of 12 bits in 16 bytes."""
    width, height, start = 620, 440, 2048
    fields = {2: width, 3: height, 4: 4, 5: 4, 6: height - 4, 7: width - 4, 8: 1, 9: 1, 10: 12, 11: 34316}
    fields |= {14: 4095, 15: 4095, 16: 4095, 0x17: 400, 0x1C: 128, 0x1D: 128, 0x1E: 128, 0x24: 500, 0x25: 256}
    fields |= {0x26: 400, 0x2D: 5, 0x10F: b"Panasonic\0", 0x110: b"DC-GH5S\0", 0x111: offset, 0x112: 1, 0x116: height}
    fields |= {0x117: byte_count, 0x118: start}
    entries, texts = struct.pack("<HHI4s", 1, 7, 4, b"0310"), b""
    place = 8 + 2 + 12 * (1 + len(fields)) + 4
    for tag, value in fields.items():
        if isinstance(value, bytes):
            entries += struct.pack("<HHII", tag, 2, len(value), place + len(texts))
            texts += value
        else:
            entries += struct.pack("<HHII", tag, 4 if tag >= 0x111 and tag != 0x112 else 3, 1, value)
    header = struct.pack("<4sIH", b"IIU\0", 8, 1 + len(fields)) + entries + bytes(4) + texts
    pixels = np.random.default_rng(0).integers(0, 256, -(-width // 10 * 16 * height // 0x4000) * 0x4000, np.uint8)
    path.write_bytes(header.ljust(start, b"\0") + pixels.tobytes())


@pytest.mark.parametrize("offset", [0xFFFFFFFF, 0, 2048])
@pytest.mark.parametrize("byte_count", [0xFFFFFFFF, 0, 12])
def test_a_panasonic_file_has_its_pixels_where_its_own_tag_says(offset, byte_count, tmp_path):
    path = tmp_path / "a.RW2"
    write_rw2(path, offset, byte_count)
    assert raw.read_signal(path).camera == "Panasonic DC-GH5S"
    content = path.read_bytes()
    for length in (2048, 3000, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(raw.RawError, match=r"a\.RW2: the file is cut off"):
            raw.develop(path)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (rawpy.LibRawIOError(b"Input/output error"), r"cut off or damaged \(Input/output error\)"),
        (rawpy.LibRawDataError("Data error"), r"cut off or damaged \(Data error\)"),
        (rawpy.LibRawUnsufficientMemoryError(b"Out of memory"), "cut off or damaged"),
        (rawpy.LibRawFileUnsupportedError(b"Unsupported"), r"not a RAW file that LibRaw can read \(Unsupported\)"),
    ],
)
@pytest.mark.parametrize("step", ["open", "unpack"])
def test_what_libraw_finds_is_told_from_what_it_does_not_know(error, reason, step, tiny_folder, monkeypatch):
    def refuse(*_):
        raise error

    if step == "open":
        monkeypatch.setattr(rawpy, "imread", refuse)
    path = next((tiny_folder / "long").iterdir())
    with pytest.raises(raw.RawError, match=rf"\.dng: {reason}"), raw.open_raw(path):
        refuse()  # as LibRaw does when pixels are asked for


def damage_files(good, folder):
    """Write every kind of damaged file into a folder; return their names."""
    content = good.read_bytes()
    end = len(content) - 100  # the last bytes are metadata
    cuts = sorted(random.Random(0).sample(range(1, end), 20))
    contents = {f"cut{cut}.ARW": content[:cut] for cut in cuts}
    contents |= {"empty.ARW": b"", "text.ARW": b"no photograph\n" * 1000}
    contents["header.ARW"] = content[:4] + b"\xff" * 200 + content[204:]
    contents |= {"absurd.ARW": content, "pattern.ARW": content}
    for name, damaged in contents.items():
        (folder / name).write_bytes(damaged)
    with tifffile.TiffFile(folder / "absurd.ARW", mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength"):
            tiff.pages[0].tags[tag].overwrite(65_000)
    with tifffile.TiffFile(folder / "pattern.ARW", mode="r+") as tiff:
        tiff.pages[0].tags["CFAPattern"].overwrite((0, 1, 1, 0))  # no blue
    Image.fromarray(np.zeros((80, 120, 3), np.uint8)).save(folder / "jpeg.jpg")
    (folder / "jpeg.jpg").rename(folder / "jpeg.ARW")
    (folder / "folder.ARW").mkdir()
    return [*contents, "jpeg.ARW", "folder.ARW", "gone.ARW"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads its peak of memory from /proc")
def test_no_damaged_file_ends_as_a_png_or_costs_much(tiny_folder, tmp_path):
    (tmp_path / "short").mkdir()
    names = damage_files(next((tiny_folder / "long").iterdir()), tmp_path / "short")
    script = (
        "import json, pathlib, re, sys, time; from sidlib import preprocess; rows = {}\n"
        "for path in map(pathlib.Path, sys.argv[1:]):\n"
        "    start = time.monotonic(); reason = preprocess.develop_file(path)\n"
        "    rows[path.name] = reason, time.monotonic() - start\n"
        # Not getrusage: its peak is inherited from the process that started this one.
        r"print(json.dumps([rows, int(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1])]))"
    )
    run = run_python(script, *(tmp_path / "short" / name for name in names))
    assert run.returncode == 0, run.stderr
    rows, kilobytes = json.loads(run.stdout)
    assert [name for name, (reason, _) in rows.items() if not reason] == []
    assert max(seconds for _, seconds in rows.values()) < 10
    assert kilobytes < 1_000_000
    assert not list(tmp_path.rglob("*.png"))


def test_a_file_without_permission_is_named(tiny_folder, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))  # root may read everything, others not

    monkeypatch.setattr(rawfile, "open", refuse, raising=False)
    path = next((tiny_folder / "short").iterdir())
    assert "Permission denied" in preprocess.develop_file(path)


def test_a_disk_that_takes_no_more_is_said_and_leaves_nothing_half_written(folder):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1100, 1100)); "
    catalog.load_pairs(folder)  # so that exposures.csv is there
    run = run_python(limit + DEVELOP_ALL, folder)
    assert run.returncode != 0
    assert any(line.startswith("OSError") and str(folder) in line for line in run.stderr.splitlines())
    for path in read_developed(folder):  # what was small enough
        assert path.suffix == ".png" and not path.name.startswith(".")
        Image.open(folder / path).load()


def give_up_root():
    """Make the kernel ask for permissions of files as it does for everybody but root: prctl(PR_CAPBSET_DROP, …)."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # CAP_DAC_OVERRIDE


@pytest.mark.skipif(sys.platform != "linux", reason="gives up the rights of root")
def test_a_data_set_that_cannot_be_written_is_developed_elsewhere_once(folder, tmp_path):
    project = tmp_path / "project"  # one of its own, for its results
    shutil.copytree(paths.ROOT / "sidlib", project / "sidlib")
    script = (
        "import sys; from sidlib import catalog, preprocess\n"
        "pairs = preprocess.develop_pairs(catalog.load_pairs(sys.argv[1])); assert len(pairs) == 12, pairs\n"
        "for column in ('short_png', 'long_png', 'short_signal', 'long_signal'): print(*pairs[column], sep='\\n')"
    )
    before = sorted(folder.rglob("*"))
    folder.chmod(0o555)
    runs = [run_python(script, folder, cwd=project, preexec_fn=give_up_root) for _ in range(2)]
    folder.chmod(0o755)
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert "cannot be written: what is made from it goes to" in runs[0].stderr
    assert "Developing" in runs[0].stdout and "Developing" not in runs[1].stdout
    assert sorted(folder.rglob("*")) == before
    made = [path for path in (project / "results" / "made").rglob("*") if path.is_file()]
    assert sum(path.suffix in (".png", ".safetensors") for path in made) == 34
    assert all(os.path.isfile(path) for path in runs[1].stdout.splitlines())


def test_a_tree_whose_making_was_killed_again_and_again_ends_as_if_undisturbed(folder):
    captures = sorted((folder / "short").iterdir())
    for number in range(10, 100):  # more frames, so that there is time to kill
        shutil.copy(captures[0], captures[0].with_name(f"00001_{number}_0.1s.dng"))
    preprocess.develop_pairs(catalog.load_pairs(folder))
    expected = read_developed(folder)
    shutil.rmtree(folder / "png")
    shutil.rmtree(folder / "signal")
    for seed in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", DEVELOP_ALL, folder],
            cwd=paths.ROOT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline, enough = time.monotonic() + 30, 15 * (seed + 1)
        while (
            len(list((folder / "png").rglob("*.png"))) < enough
            and process.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        whole = {path: content for path, content in read_developed(folder).items() if not path.name.startswith(".")}
        assert all(content == expected[path] for path, content in whole.items())
    assert len(whole) < len(expected)
    for left in folder.rglob(".*.*.*"):
        os.utime(left, (0, 0))  # long ago
    preprocess.develop_pairs(catalog.load_pairs(folder))
    assert read_developed(folder) == expected
