"""Files that are damaged, disks that are full, and processes that are killed."""

import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from sidlib import catalog, paths, preprocess, raw
from tests.test_cameras import overwrite

DEVELOP_ALL = (
    "import pathlib, sys; from sidlib import catalog, preprocess\n"
    "pairs = preprocess.develop_pairs(catalog.load_pairs(pathlib.Path(sys.argv[1]))); assert len(pairs) == 12, pairs\n"
    "for column in ('short_png', 'long_png', 'short_signal', 'long_signal'): print(*pairs[column], sep='\\n')"
)
RNG = np.random.default_rng(0)
CFA = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True)]


def run_python(script, *arguments, **options):
    command, alone = [sys.executable, "-c", script, *map(str, arguments)], os.environ | {"LOKY_MAX_CPU_COUNT": "1"}
    return subprocess.run(command, cwd=paths.ROOT, env=alone, text=True, capture_output=True, **options)


def read_developed(folder):
    """Return what develop_pairs left in a data set, half files included: {path: bytes}."""
    files = [path for part in ("png", "signal") for path in (folder / part).rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def check_cuts(path, whole, lengths):
    """Assert that a file is called cut off whose content ends after any of these lengths."""
    for length in lengths:
        path.write_bytes(whole[:length])
        with pytest.raises(raw.RawError, match=rf"{path.name}: the file is cut off"):
            raw.develop(path)


def find_pixels(page):
    """The first and the last length of a file that lacks pixels of a page."""
    return page.dataoffsets[0] + 1, page.dataoffsets[0] + page.databytecounts[0] - 1


def test_a_compressed_file_of_sony_is_cut_off_where_it_says_it_goes_on(tmp_path):
    """LibRaw fills missing rows of Sony's own compression, a byte per pixel, in silence."""
    path, pixels = tmp_path / "whole.ARW", RNG.integers(0, 256, (216, 320), np.uint8)
    tags = [(271, "s", 0, "SONY", True), (272, "s", 0, "ILCE-7SM2", True), *CFA]
    tifffile.imwrite(path, pixels, photometric="cfa", metadata=None, extratags=tags)
    overwrite(path, {"Compression": 32767})
    with tifffile.TiffFile(path) as tiff:
        first, last = find_pixels(tiff.pages[0])
    assert raw.develop(path).shape == (22, 32, 3)
    check_cuts(path, path.read_bytes(), (first - 2, first, first + 7000, last))


@pytest.mark.parametrize("nonsense", [0xFFFFFFFF, 0])
def test_what_previews_announce_is_no_evidence_of_a_cut_file(nonsense, tmp_path):
    """A small picture first, in the main chain, and the raw pixels in a SubIFD, as DNG and NEF files have them."""
    whole, path = tmp_path / "whole.dng", tmp_path / "a.dng"
    levels = [(50714, "H", 1, 512, True), (50717, "H", 1, 16383, True)]
    with tifffile.TiffWriter(whole) as tiff:
        options = {"metadata": None, "photometric": "rgb", "subfiletype": 1}
        version = (50706, "B", 4, (1, 4, 0, 0), True)
        tiff.write(np.zeros((22, 32, 3), np.uint8), subifds=1, extratags=[version], **options)
        counts = RNG.integers(600, 9000, (216, 320)).astype(np.uint16)
        tiff.write(counts, photometric="cfa", metadata=None, extratags=CFA + levels)
    for tag in ("StripOffsets", "StripByteCounts"):
        shutil.copy(whole, path)
        overwrite(path, {tag: nonsense})
        with tifffile.TiffFile(path) as tiff:
            pixels = find_pixels(tiff.pages[0].pages[0])
        np.testing.assert_array_equal(raw.develop(path), raw.develop(whole))
        check_cuts(path, whole.read_bytes(), pixels)


@pytest.mark.parametrize("marked", ["cfa", "canon", "by its size"])
def test_a_file_cut_within_its_raw_pixels_is_named_however_they_are_marked(marked, tmp_path):
    """Small pictures first and raw pixels last, as CR2 and ORF files have them."""
    path, pixels = tmp_path / "a.CR2", RNG.integers(1, 9000, (216, 320)).astype(np.uint16)
    canon = [(50752, "H", 3, (1, 160, 160), True)] if marked == "canon" else ()
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.zeros((22, 32, 3), np.uint8), metadata=None, photometric="rgb")
        raw_pixels = pixels[:10, :10] if marked == "canon" else pixels  # Canon does not say how large they are
        tiff.write(raw_pixels, metadata=None, photometric="cfa" if marked == "cfa" else "minisblack", extratags=canon)
    with tifffile.TiffFile(path) as tiff:
        check_cuts(path, path.read_bytes(), find_pixels(tiff.pages[1]))


def test_a_panasonic_file_has_its_pixels_where_its_own_tag_says(tmp_path):
    path, (width, height) = tmp_path / "a.RW2", (620, 440)
    fields = {2: width, 3: height, 4: 4, 5: 4, 6: height - 4, 7: width - 4, 9: 1, 10: 12, 11: 34316, 0x2D: 5, 0x118: 0}
    tags = [(1, "B", 4, b"0310", True), *((tag, "I", 1, value, True) for tag, value in fields.items())]
    tags += [(271, "s", 0, "Panasonic", True), (272, "s", 0, "DC-GH5S", True)]
    tifffile.imwrite(path, RNG.integers(0, 2**16, (height, width), np.uint16), metadata=None, extratags=tags)
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[0]
    overwrite(path, {0x118: start, "StripOffsets": 0xFFFFFFFF, "StripByteCounts": 0})
    with path.open("r+b") as file:
        file.seek(2)
        file.write(b"U")  # instead of TIFF's number
    assert raw.read_signal(path).camera == "Panasonic DC-GH5S"
    check_cuts(path, path.read_bytes(), (start, start + 1000, start + 150_000))


def test_no_damaged_file_ends_as_a_png(tiny_folder, tmp_path):
    content = next((tiny_folder / "long").iterdir()).read_bytes()
    cuts = random.Random(0).sample(range(1, len(content) - 100), 6)  # the last bytes are metadata
    contents = {f"cut{cut}.ARW": content[:cut] for cut in cuts}
    contents["header.ARW"] = content[:4] + b"\xff" * 200 + content[204:]
    contents |= {"absurd.ARW": content, "pattern.ARW": content}
    (tmp_path / "short").mkdir()
    for name, damaged in contents.items():
        (tmp_path / "short" / name).write_bytes(damaged)
    overwrite(tmp_path / "short" / "absurd.ARW", {"ImageWidth": 65_000, "ImageLength": 65_000})
    overwrite(tmp_path / "short" / "pattern.ARW", {"CFAPattern": (0, 1, 1, 0)})  # no blue
    assert all(preprocess.develop_file(tmp_path / "short" / name) for name in contents)
    assert list(tmp_path.rglob("*.png")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="gives up the rights of root")
def test_a_data_set_that_cannot_be_written_is_developed_elsewhere_once(folder, tmp_path, monkeypatch):
    def give_up_root():  # so that the kernel asks for permissions of files: prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)

    monkeypatch.setenv("SID_RESULTS", str(tmp_path / "results"))
    before = sorted(folder.rglob("*"))
    folder.chmod(0o555)
    run = run_python(f"{DEVELOP_ALL}\nprint('AGAIN')\n{DEVELOP_ALL}", folder, preexec_fn=give_up_root)
    folder.chmod(0o755)
    assert run.returncode == 0, run.stderr
    assert "cannot be written: what is made from it goes to" in run.stderr
    first, second = run.stdout.split("AGAIN")
    assert "Developing" in first and "Developing" not in second
    assert sorted(folder.rglob("*")) == before
    made = [path for path in (tmp_path / "results" / "made").rglob("*") if path.is_file()]
    assert sum(path.suffix in (".png", ".safetensors") for path in made) == 34
    assert all(os.path.isfile(path) for path in second.split())


def test_a_tree_whose_making_was_killed_ends_as_if_undisturbed(folder):
    captures = sorted((folder / "short").iterdir())
    for number in range(10, 40):  # more frames, so that there is time to kill
        shutil.copy2(captures[0], captures[0].with_name(f"00001_{number}_0.1s.dng"))
    command, silent = [sys.executable, "-c", DEVELOP_ALL, folder], subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=paths.ROOT, start_new_session=True, stdout=silent, stderr=silent)
    while len([*folder.glob("png/*/*.png")]) < 10 and process.poll() is None:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left = {path: content for path, content in read_developed(folder).items() if not path.name.startswith(".")}
    for file in folder.rglob(".*.partial-*"):
        os.utime(file, (0, 0))  # long ago
    preprocess.develop_pairs(catalog.load_pairs(folder))
    resumed = read_developed(folder)
    assert 0 < len(left) < len(resumed) and left.items() <= resumed.items()
    for part in ("png", "signal"):
        shutil.rmtree(folder / part)
    preprocess.develop_pairs(catalog.load_pairs(folder))
    assert read_developed(folder) == resumed
