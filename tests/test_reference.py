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


def test_each_committed_figure_is_described_as_one_that_a_committed_notebook_shows():
    notebooks = [nbformat.read(notebook, as_version=4) for notebook in (paths.ROOT / "notebooks").glob("0*.ipynb")]
    outputs = [output for notebook in notebooks for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = {output.get("metadata", {}).get("image/png", {}).get("alt") for output in outputs}
    figures = {file.name: Image.open(file).text.get("Description") for file in paths.REFERENCE.glob("figures/*.png")}
    assert figures.pop("panel.png") is None  # a screenshot
    assert {name for name, text in figures.items() if text not in shown} == set()
