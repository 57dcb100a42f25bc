"""The notebooks, top to bottom in fast mode, and what is committed of them."""

import os
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from sidlib import paths
from tests.test_cameras import XTRANS, lay, write_raw

NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("0*.ipynb"))
names = [path.stem for path in NOTEBOOKS]


@pytest.fixture(scope="module", autouse=True)
def begin_anew():
    shutil.rmtree(paths.results_folder("sample", fast=True), ignore_errors=True)


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


def write_pairs(folder, pattern):
    """Write a data set of one pair a split: no burst, upright and lying, and with whatever pattern the sensor has."""
    scene = np.clip(np.random.default_rng(0).random((520, 600, 3)), 0.2, 0.8)  # LibRaw wants as much of X-Trans
    scene = scene if pattern == XTRANS else scene[:214, :320]
    for digit, orientation in zip("012", (1, 6, 8), strict=True):
        for part, light, exposure in (("short", 0.01, (1, 10)), ("long", 1, (10, 1))):
            file = folder / part / f"{digit}0001_00_{exposure[0] / exposure[1]:g}s.dng"
            file.parent.mkdir(parents=True, exist_ok=True)
            tags = [("Orientation", "H", 1, orientation), ("ExposureTime", "2I", 1, exposure)]
            write_raw(file, lay(light * scene, pattern), pattern, tags=tags)
    return folder


@pytest.mark.notebooks
@pytest.mark.parametrize("pattern", [XTRANS, "W"], ids=["X-Trans", "monochrome"])
def test_the_course_goes_through_with_data_of_any_kind(pattern, tmp_path, monkeypatch):
    folder = write_pairs(tmp_path / f"any {pattern}", pattern)
    whole = nbformat.v4.new_notebook()
    for notebook in NOTEBOOKS[:5]:
        whole.cells.extend(nbformat.read(notebook, as_version=4).cells)
    monkeypatch.setenv("SID_DATASET", str(folder))
    monkeypatch.setenv("SID_FAST", "1")
    monkeypatch.delenv("MPLBACKEND")
    place = {"metadata": {"path": str(paths.ROOT / "notebooks")}}
    try:
        NotebookClient(whole, kernel_name="python3", resources=place).execute()
    finally:
        shutil.rmtree(paths.results_folder(folder, fast=True), ignore_errors=True)


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
