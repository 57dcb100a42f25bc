import errno
import os
import subprocess
import sys
from dataclasses import dataclass

import filelock
import numpy as np
import pytest

from sidlib import paths


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in an empty folder, which is the current one."""
    (tmp_path / "data").mkdir()
    for name, folder in {"ROOT": "", "DATA": "data", "RESULTS": "results"}.items():
        monkeypatch.setattr(paths, name, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_dataset(folder):
    for kind in ("short", "long"):
        (folder / kind).mkdir(parents=True)
    return folder


def test_a_data_set_has_one_folder_and_one_results_folder_however_it_is_reached(project, monkeypatch):
    name = "Über-Nacht #1 [100%] & 'co'"
    folder = make_dataset(project / "data" / name)
    (project / "disk").symlink_to(project / "data")
    monkeypatch.setenv("HOME", str(project / "data"))
    for dataset in [name, f"{name}/", folder, f"./data/{name}/", f"~/{name}", f"disk/{name}"]:
        assert paths.dataset_folder(dataset) == folder
    assert paths.results_folder(folder) == project / "results" / name
    assert paths.results_folder(folder, fast=True) == project / "results" / "fast" / name
    (project / "notebooks").mkdir()
    monkeypatch.chdir(project / "notebooks")  # where a notebook runs that `make run` starts
    assert paths.dataset_folder(f"data/{name}") == paths.dataset_folder(f"../data/{name}") == folder
    monkeypatch.chdir(folder)
    assert paths.dataset_folder(".") == folder


def test_a_name_means_the_data_set_or_link_in_data_and_a_path_what_lies_there(project, monkeypatch):
    disk = make_dataset(project / "disk" / "sid_2018")
    (project / "data" / "Sony").symlink_to(disk)
    (project / "data" / "circle").symlink_to("circle")
    for dataset in ("Sony", disk, "disk/sid_2018/"):
        assert paths.dataset_folder(dataset) == project / "data" / "Sony"
    assert paths.dataset_folder("dark") == project / "data" / "dark"  # it may be made later
    other = make_dataset(project / "elsewhere" / "dark")
    monkeypatch.chdir(other.parent)
    assert paths.dataset_folder("dark") == other
    make_dataset(project / "data" / "dark")
    assert paths.dataset_folder("./dark") == other
    assert paths.dataset_folder("dark") == project / "data" / "dark"


def test_files_made_from_data_sets_that_cannot_be_written_lie_in_folders_of_their_own(project, monkeypatch):
    folder = make_dataset(project / "lab" / "dark")
    (project / "data" / "link").symlink_to(folder)
    monkeypatch.setattr(os, "access", lambda *_: False)
    elsewhere = paths.derived_folder(folder)
    assert elsewhere.is_relative_to(project / "results" / "made")
    assert paths.derived_folder(project / "data" / "link") == elsewhere
    assert paths.derived_folder(make_dataset(project / "lab of others" / "dark")) != elsewhere


def test_results_that_are_not_a_data_sets_are_left_alone(project):
    for name in ("reference", "benchmarks", "fast", "made", "elsewhere/sample"):
        with pytest.raises(ValueError, match="another name. Received: "):
            paths.results_folder(project / "data" / name)
    assert paths.results_folder(project / "data" / "sample") == project / "results" / "sample"


def test_sid_results_moves_all_results_but_the_reference(tmp_path):
    script = "from sidlib import paths; print(paths.RESULTS, paths.REFERENCE)"
    environment = os.environ | {"SID_RESULTS": "mine", "PYTHONPATH": str(paths.ROOT)}
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.stdout.split() == [str(tmp_path / "mine"), str(paths.ROOT / "results" / "reference")]
    assert paths.ROOT not in paths.RESULTS.parents  # of the tests themselves


@dataclass
class Setting:
    epochs: int


def test_a_fingerprint_tells_all_parts_from_others_and_depends_on_values_alone():
    parts = ["a", "b", ("a", "b"), 1, 1.5, None, "", b"", b"a", {"a": 1}, {"a": 2}, Setting(1), Setting(2)]
    assert len({paths.fingerprint(part) for part in parts}) == len(parts)
    assert paths.fingerprint("a", "b") != paths.fingerprint("ab")
    assert paths.fingerprint({"a": 1, "b": [2]}) == paths.fingerprint({"b": (np.int64(2),), "a": np.uint8(1)})
    assert paths.fingerprint(np.float64(0.1), np.arange(2)) == paths.fingerprint(0.1, [0, 1])
    assert paths.fingerprint("night", 20) == "0c563dd3ca09ca1c"  # in every process, on every machine


def test_a_write_that_fails_leaves_the_old_file_and_no_other_and_of_two_writers_the_last_one_wins(tmp_path):
    file = tmp_path / "new" / "scores.csv"
    with paths.write_atomically(file) as first, paths.write_atomically(file) as second:
        first.write_text("first")
        second.write_text("second")
    with pytest.raises(OSError, match=r"disk full.*scores\.csv"), paths.write_atomically(file) as path:
        path.write_text("ne")
        raise OSError(errno.ENOSPC, "disk full")
    assert file.read_text() == "first" and list(file.parent.iterdir()) == [file]


def test_the_content_is_on_the_disk_before_the_name_and_then_the_name(tmp_path, monkeypatch):
    calls = []

    def fsync(descriptor, fsync=os.fsync):
        calls.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *files, replace=os.replace: (calls.append("replace"), replace(*files)))
    with paths.write_atomically(tmp_path / "best.keras") as path:
        path.write_text("weights")
    assert calls == [path.name, "replace", tmp_path.name]


def test_what_a_killed_process_left_goes_but_nothing_that_is_being_written_or_a_users(tmp_path, monkeypatch):
    names = {".x.1234567890123456789.png", ".x.partial-1234.png", "x.partial-0123456789abcdef.png"}
    for name in names:
        (tmp_path / name).touch()
    with paths.write_atomically(tmp_path / "alive.png") as alive:  # by any process, on any host
        alive.write_text("whole")
        left = alive.with_name(alive.name.replace("alive", "killed"))
        left.write_text("half")
        paths.clear_leftovers(tmp_path)
        assert left.exists()  # it may be of another host that still writes it
    monkeypatch.setattr(paths, "LEFTOVER_S", -1)
    paths.clear_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"alive.png", *names}
    monkeypatch.setattr(paths.Path, "rglob", lambda *_: [left])  # another process has just completed it
    paths.clear_leftovers(tmp_path)


def test_a_disk_without_locks_is_named_with_what_to_do(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    refused = pytest.raises(OSError, match=r"No locks available: .*mounted with locks.*x\.lock")
    with refused, paths.lock(tmp_path / "x.lock"):
        pass
