"""What is committed as a result is of the code, the weights and the tables that are committed beside it."""

import json

import nbformat
import pytest
from PIL import Image

from sidlib import paths
from tests import reference


@pytest.mark.parametrize("name", reference.MADE_FROM)
def test_what_is_committed_is_made_from_what_is_there(name):
    made_from = json.loads(reference.FILE.read_text())
    assert made_from[name] == reference.fingerprint_sources(name), f"{name} is stale: make it anew (make reference)"


def test_a_changed_version_weight_or_cell_makes_a_file_stale(tmp_path, monkeypatch):
    name, sources = "notebooks/a.ipynb", ["sidlib/code.py", "results/weights.keras"]
    for file, text in zip(sources, ("VERSION = 1\n", "weights"), strict=True):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(text)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_markdown_cell("a")])
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setitem(reference.MADE_FROM, name, sources)
    seen = set()
    for change in (
        lambda: None,
        lambda: (tmp_path / sources[0]).write_text("VERSION = 2\n"),
        lambda: (tmp_path / sources[1]).write_text("other weights"),
        lambda: notebook.cells[0].update(source="1 + 2"),
    ):
        change()
        nbformat.write(notebook, tmp_path / name)
        seen.add(reference.fingerprint_sources(name))
    assert len(seen) == 4
    notebook.cells[1].source = "Other prose needs no other run."
    nbformat.write(notebook, tmp_path / name)
    assert reference.fingerprint_sources(name) in seen


def test_each_committed_figure_is_described_as_one_that_a_committed_notebook_shows():
    shown = set()
    for notebook in (paths.ROOT / "notebooks").glob("0*.ipynb"):
        for cell in nbformat.read(notebook, as_version=4).cells:
            shown |= {
                output.metadata.get("image/png", {}).get("alt")
                for output in cell.get("outputs", [])
                if "metadata" in output
            }
    figures = {file.name: Image.open(file).text.get("Description") for file in paths.REFERENCE.glob("figures/*.png")}
    assert figures.pop("panel.png") is None  # a screenshot
    assert {name for name, text in figures.items() if text not in shown} == set()
