import os
import time

import pytest

from sidlib import paths


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in an empty folder, where a user stands."""
    (tmp_path / "data").mkdir()
    for name, folder in {"ROOT": "", "DATA": "data", "RESULTS": "results"}.items():
        monkeypatch.setattr(paths, name, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_dataset(folder):
    for kind in ("short", "long"):
        (folder / kind).mkdir(parents=True)
    return folder


def test_a_data_set_that_is_not_there_is_named_with_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"build_sample.*Received: 'Sonny'"):
        paths.find_dataset("Sonny")
    (tmp_path / "short").mkdir()
    with pytest.raises(FileNotFoundError, match="long/ is not there"):
        paths.find_dataset(tmp_path)


def test_a_name_means_the_data_set_in_data_wherever_one_stands(tmp_path, monkeypatch):
    for folder in ("data/dark/short", "data/dark/long", "dark"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert paths.find_dataset("dark") == tmp_path / "data" / "dark"
    monkeypatch.chdir(tmp_path / "data" / "dark")
    assert paths.find_dataset(".") == tmp_path / "data" / "dark"
    assert paths.results_folder(".").name == "dark"


@pytest.mark.parametrize("name", ["my set", "Über-Nacht #1 (100%) & 'co'", "$HOME;x", "a.b.c", "-rf", "[x]*?"])
def test_a_data_set_has_one_name_and_one_results_folder_however_it_is_reached(project, monkeypatch, name):
    folder = make_dataset(project / "data" / name)
    (project / "link").symlink_to(folder)
    (project / "disk").symlink_to(project / "data")
    monkeypatch.setenv("HOME", str(project / "data"))
    given = [name, f"{name}/", folder, f"{folder}/", f"data/{name}", f"./data/{name}/", f"data/../data/{name}"]
    for dataset in [*given, f"~/{name}", "link", project / "link", f"disk/{name}"]:
        assert paths.find_dataset(dataset) == folder
        assert paths.results_folder(dataset) == project / "results" / name
    (project / "notebooks").mkdir()
    monkeypatch.chdir(project / "notebooks")  # where a notebook stands that `make run` starts
    assert paths.find_dataset(f"data/{name}") == folder


def test_a_link_in_data_gives_its_name_to_the_data_set_that_it_leads_to(project):
    disk = make_dataset(project / "disk" / "sid_2018")
    (project / "data" / "Sony").symlink_to(disk)
    for name in ("circle", "nowhere"):
        (project / "data" / name).symlink_to("circle" if name == "circle" else "gone")
    for dataset in ("Sony", "data/Sony", disk, "disk/sid_2018/"):
        assert paths.find_dataset(dataset) == project / "data" / "Sony"
        assert paths.results_folder(dataset, fast=True) == project / "results" / "fast" / "Sony"
    elsewhere = make_dataset(project / "disk" / "other")
    (project / "alias").symlink_to(elsewhere)
    assert paths.find_dataset("alias") == paths.find_dataset(elsewhere) == elsewhere
    with pytest.raises(FileNotFoundError, match="Received: 'circle'"):
        paths.find_dataset("circle")


def test_the_results_folder_is_the_same_before_a_data_set_is_made_and_after(project):
    before = paths.results_folder("mine"), paths.results_folder("data/mine/")
    make_dataset(project / "data" / "mine")
    assert {*before, paths.results_folder("mine")} == {project / "results" / "mine"}


def test_a_path_means_what_lies_there_though_data_holds_the_same_name(project, monkeypatch):
    make_dataset(project / "data" / "dark")
    other = make_dataset(project / "elsewhere" / "dark")
    monkeypatch.chdir(other.parent)
    assert paths.find_dataset("./dark") == other
    assert paths.find_dataset("dark/") == project / "data" / "dark"


def test_what_is_made_from_a_data_set_lies_in_it_unless_it_cannot_be_written(project, monkeypatch):
    folder = make_dataset(project / "lab" / "dark")
    (project / "data" / "link").symlink_to(folder)
    assert paths.made_folder(folder) == folder
    monkeypatch.setattr(os, "access", lambda *_: False)
    elsewhere = paths.made_folder(folder)
    assert elsewhere.is_relative_to(project / "results" / "made")
    assert paths.made_folder(project / "data" / "link") == elsewhere
    assert paths.made_folder(make_dataset(project / "lab of others" / "dark")) != elsewhere


def test_results_that_are_not_a_data_sets_are_left_alone(project):
    with pytest.raises(ValueError, match="Received: 'reference'"):
        paths.results_folder("reference")
    elsewhere = make_dataset(project.parent / "others" / "sample")  # not the embedded one
    with pytest.raises(ValueError, match="another name"):
        paths.results_folder(elsewhere)


def test_fast_results_never_mix_with_full_ones():
    assert paths.results_folder("sample") == paths.RESULTS / "sample"
    assert paths.results_folder("sample", fast=True) == paths.RESULTS / "fast" / "sample"


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("old")
    with pytest.raises(OSError, match="disk full"), paths.write_whole(file) as path:
        path.write_text("ne")
        raise OSError("disk full")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_ends_well_replaces_the_old_file(tmp_path):
    file = tmp_path / "new" / "scores.csv"
    for text in ("old", "new"):
        with paths.write_whole(file) as path:
            path.write_text(text)
    assert file.read_text() == "new"
    assert list(file.parent.iterdir()) == [file]


def test_what_a_killed_process_left_goes_and_what_is_being_written_stays(tmp_path, monkeypatch):
    now, day = time.time(), paths.LEFT_OVER_S + 1
    with paths.write_whole(tmp_path / "png" / "alive.png") as alive:  # by whichever process, on whichever host
        alive.write_text("whole")
        left = alive.with_name(".killed.1234567890123456789.png")
        left.write_text("half")
        paths.clear_leftovers(tmp_path)
        assert left.exists()  # it may be another host's, that is still at it
    monkeypatch.setattr(paths.time, "time", lambda: now + day)
    paths.clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.png")] == ["alive.png"]


def test_a_file_that_another_process_ends_well_meanwhile_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(paths.Path, "rglob", lambda *_: [tmp_path / ".renamed.1234567890123456789.png"])
    paths.clear_leftovers(tmp_path)


def test_a_process_leaves_its_own_file_alone_before_it_is_written_and_after(tmp_path):
    with paths.write_whole(tmp_path / "x.png") as path:
        paths.clear_leftovers(tmp_path)
        path.write_text("whole")
        paths.clear_leftovers(tmp_path)
    assert (tmp_path / "x.png").read_text() == "whole"


def test_writers_of_the_same_file_do_not_meet(tmp_path):
    file = tmp_path / "x.csv"
    with paths.write_whole(file) as first, paths.write_whole(file) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert file.read_text() == "first"
    assert list(tmp_path.iterdir()) == [file]


def test_nobody_elses_hidden_file_is_a_leftover(tmp_path, monkeypatch):
    names = [".gitignore", "._00001_00_0.1s.ARW", "._00001_00_10s.ARW", ".a.b.c", "x.1.png"]
    names += [".old.2019.jpg", ".IMG.20191231.jpg", "..a.png", ".a.b.", "..."]
    for name in names:
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / ".x.1.png")
    monkeypatch.setattr(paths, "LEFT_OVER_S", -1)  # all are old enough
    paths.clear_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(names) + 1
