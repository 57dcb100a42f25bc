"""Files that are damaged, disks that are full, and processes that are killed."""

import ctypes
import errno
import json
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
from PIL import Image

from sidlib import catalog, paths, preprocess, raw

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
    for share in (0.99, 0.5, 0.1):
        path.write_bytes(content[: len(content) - int((1 - share) * 216 * 320)])
        with pytest.raises(raw.RawError, match=r"whole\.ARW: the file is cut off"):
            raw.read_exposure(path)


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

    monkeypatch.setattr(raw, "open", refuse, raising=False)
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
