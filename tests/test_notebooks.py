"""The notebooks, top to bottom in fast mode, and what is committed of them."""

import os
import subprocess
import sys

import nbformat
import pytest

from sidlib import paths

NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("0*.ipynb"))
names = [path.stem for path in NOTEBOOKS]


@pytest.mark.notebooks
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=names)
def test_the_notebook_runs_top_to_bottom(notebook, tmp_path):
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--output-dir", tmp_path]
    environment = os.environ | {"SID_DATASET": "sample", "SID_FAST": "1"}
    del environment["MPLBACKEND"]  # conftest.py sets it; notebooks have their own
    run = subprocess.run([*command, notebook], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    shown = [output for cell in read_code(tmp_path / notebook.name) for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown), "it shows no figure"


def read_code(notebook):
    return [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("notebook", [*NOTEBOOKS, paths.ROOT / "notebooks" / "panel.ipynb"], ids=[*names, "panel"])
def test_what_is_committed_is_one_clean_run(notebook):
    cells = read_code(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    text = notebook.read_text("utf-8")
    assert str(paths.ROOT) not in text, "it holds a path of a machine"
    assert len(text) < 2_000_000


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=names)
def test_each_notebook_opens_and_closes_alike(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    opening, closing = cells[0].source, cells[-1].source
    assert opening.startswith(f"# {notebook.stem[:2]} · ")
    assert all(word in opening for word in ("**Reads**", "**Writes**", "**Time**", ".ipynb"))
    assert closing.startswith("## What") and "**Next**" in closing
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1 and "SID_DATASET" in tagged[0].source
