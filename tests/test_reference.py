"""What is committed as a result is of the code, the weights and the tables that are committed beside it."""

import base64
import json

import nbformat
import pytest

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


def test_each_committed_figure_is_an_output_of_a_committed_notebook():
    shown = {base64.b64encode(file.read_bytes()).decode() for file in paths.REFERENCE.glob("figures/*.png")}
    of_notebooks = set()
    for notebook in (paths.ROOT / "notebooks").glob("0*.ipynb"):
        for cell in nbformat.read(notebook, as_version=4).cells:
            for output in cell.get("outputs", []):
                of_notebooks.add("".join(output.get("data", {}).get("image/png", "")).replace("\n", ""))
    panel = base64.b64encode((paths.REFERENCE / "figures" / "panel.png").read_bytes()).decode()
    assert shown - of_notebooks == {panel}
