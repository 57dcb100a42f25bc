"""The notebooks, top to bottom in fast mode, and what is committed of them."""

import os
import re
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
    pages, solved = nbformat.read(notebook, as_version=4), tmp_path / notebook.name
    own = len(read_code(notebook))
    pages.cells += [nbformat.v4.new_code_cell(code) for code in find_solutions(pages)]
    nbformat.write(pages, solved)
    command = [sys.executable, "-m", "nbconvert", "--execute", "--inplace", "--to", "notebook", solved]
    environment = os.environ | {"SID_DATASET": "sample", "SID_FAST": "1"}
    del environment["MPLBACKEND"]  # conftest.py sets it; notebooks have their own
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    outputs = [output for cell in read_code(solved)[:own] for output in cell.outputs]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert figures and all(figure.metadata["image/png"]["alt"] for figure in figures), "a figure is not described"


def find_solutions(pages):
    """The code of the exercises' folded solutions."""
    folded = "".join(cell.source for cell in pages.cells if cell.cell_type == "markdown")
    return re.findall(r"<summary>Solution.*?```python\n(.*?)```", folded, re.DOTALL)


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
def test_each_notebook_opens_and_closes_alike_and_has_exercises_with_solutions(notebook):
    pages = nbformat.read(notebook, as_version=4)
    opening, closing = pages.cells[0].source, pages.cells[-1].source
    assert opening.startswith(f"# {notebook.stem[:2]} · ")
    assert all(word in opening for word in ("**Reads**", "**Writes**", "**Time**", ".ipynb"))
    assert "## What" in closing and "**Next**" in closing
    tagged = [cell for cell in pages.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1 and "SID_DATASET" in tagged[0].source
    assert len(find_solutions(pages)) >= 2
