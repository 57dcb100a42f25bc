import os

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

from sidlib import catalog, paths, preprocess, report
from sidlib.beyond import study
from sidlib.experiment import list_course_experiments


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout whose name has a space, as the current folder; a data set in data/, and one elsewhere."""
    root = tmp_path / "a check out"
    for folder in (root / "data" / "ann's data", root / "own data"):
        for kind in ("short", "long"):
            (folder / kind).mkdir(parents=True)
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setattr(paths, "DATA", root / "data")
    monkeypatch.setattr(paths, "RESULTS", root / "results")
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("ann's data/", "{}/data/ann's data"),
        ("own data", "{}/own data"),
        ("{}/own data/", "{}/own data"),
        ("", "sample"),  # it need not be there, since it is made on the way
        ("{}/data/sample/", "sample"),
    ],
)
def test_kernels_find_the_data_set_from_their_own_folder_however_it_is_given(project, monkeypatch, given, named):
    monkeypatch.setenv("SID_DATASET", given.format(project))
    monkeypatch.setattr(report, "write_report", lambda notebooks, folder: None)
    report.main()
    assert os.environ["SID_DATASET"] == named.format(project)


def test_what_cannot_work_is_refused_before_anything_runs(project, monkeypatch):
    monkeypatch.setattr(report, "write_report", None)
    for dataset, reason in {"Sonny": "No data set", "reference": "another name"}.items():
        monkeypatch.setenv("SID_DATASET", dataset)
        with pytest.raises(SystemExit, match=reason):
            report.main()


def test_links_lead_from_page_to_page_and_to_the_readme(project):
    folder = project / "results" / "fast" / "x" / "report"
    given = "← [03](03_models.ipynb) · [README](../README.md#data) · [panel](panel.ipynb)"
    readme = os.path.join("..", "..", "..", "..", "README.md")
    expected = f"← [03](03_models.html) · [README]({readme}#data) · [panel](panel.ipynb)"
    assert report.point_links(given, folder) == expected


def test_the_human_check_is_left_as_a_page_with_the_trained_models_and_the_best_one(tiny_pairs, tmp_path, monkeypatch):
    made = {}
    assert report.write_check(tmp_path / "night", tmp_path, fast=True) is None  # nothing was trained
    half, experiment, *_ = list_course_experiments(fast=True)
    for of in (half, experiment):
        (tmp_path / of.name).mkdir()
        of.build_model().save(tmp_path / of.name / "best.keras")
    (tmp_path / half.name / "checkpoint-3.keras").touch()  # its training has not ended
    monkeypatch.setattr(study, "load_networks", lambda folder: {"better model": lambda x: x})
    monkeypatch.setattr(catalog, "load_pairs", lambda folder, needed: folder)
    monkeypatch.setattr(preprocess, "develop_pairs", lambda folder: made.setdefault(folder, tiny_pairs))
    night = tmp_path / "far" / "night"
    assert report.write_check(night, tmp_path, fast=True) == tmp_path / "human_check.html"
    page = (tmp_path / "human_check.html").read_text("utf-8")
    assert list(made) == [night] and "<title>The human check: night</title>" in page
    assert f'"{experiment.title}", "better model", "truth"]' in page and half.title not in page


def test_figures_of_a_page_have_their_alternative_texts():
    def output(metadata):
        return nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="}, metadata=metadata)

    texts = [{"image/png": {"alt": 'A "dark" picture'}}, {}]
    cell = nbformat.v4.new_code_cell("", outputs=[output(text) for text in texts])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    page = report.describe_figures(HTMLExporter().from_notebook_node(notebook)[0], notebook)
    alts = [image["alt"] for image in BeautifulSoup(page, "html.parser").select("img")]
    assert alts == ['A "dark" picture', ""]
