import pytest

from sidlib import paths


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


def test_results_that_are_not_a_data_sets_are_left_alone():
    with pytest.raises(ValueError, match="Received: 'reference'"):
        paths.results_folder("reference")


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
