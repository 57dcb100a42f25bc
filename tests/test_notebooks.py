"""The notebooks, top to bottom in fast mode, and what is committed of them and as results."""

import json
import os
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from sidlib import catalog, paths, sample
from sidlib.experiment import Experiment
from tests import reference
from tests.test_cameras import XTRANS, lay, write_raw

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


def write_pairs(folder):
    """Write one pair per split, each of another camera without calibration, upright and not."""
    scene = np.clip(np.random.default_rng(0).random((520, 600, 3)), 0.2, 0.8)  # LibRaw wants as much of X-Trans
    for digit, orientation, pattern in zip("012", (1, 6, 8), (XTRANS, "RGGB", "W"), strict=True):
        seen = scene if pattern == XTRANS else scene[:214, :320]
        for part, light, exposure in (("short", 0.01, (1, 10)), ("long", 1, (10, 1))):
            file = folder / part / f"{digit}0001_00_{exposure[0] / exposure[1]:g}s.dng"
            file.parent.mkdir(parents=True, exist_ok=True)
            tags = [("Orientation", "H", 1, orientation), ("ExposureTime", "2I", 1, exposure), ("Make", "s", 0, "Own")]
            write_raw(file, lay(light * seen, pattern), pattern, tags=tags)
    return folder


@pytest.mark.notebooks
def test_cameras_without_calibration_go_through_the_course_and_beyond(tmp_path, monkeypatch):
    whole = nbformat.v4.new_notebook()
    for notebook in sorted((paths.ROOT / "notebooks").glob("0[12456]*.ipynb")):  # 03 reads no data
        whole.cells.extend(nbformat.read(notebook, as_version=4).cells)
    monkeypatch.setenv("SID_DATASET", str(write_pairs(tmp_path / "my cameras")))
    monkeypatch.setenv("SID_FAST", "1")
    monkeypatch.delenv("MPLBACKEND")
    place = {"metadata": {"path": str(paths.ROOT / "notebooks")}}
    NotebookClient(whole, kernel_name="python3", resources=place).execute()


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


PAGES = ["README.md", "data/README.md", "data/OWN_PAIR.md", "sidlib/beyond/README.md"]


def read(page):
    return (paths.ROOT / page).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page):
    for link in re.findall(r"\]\(([^)]+)\)", read(page)):
        if not link.startswith("https://"):
            name, _, anchor = link.partition("#")
            file = (paths.ROOT / page).parent / name
            assert file.exists(), link
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.M) if anchor else []
            assert not anchor or anchor in [heading.lower().replace(" ", "-") for heading in headings], link
    assert not re.findall("«.*?»", read(page))  # which waits to be filled in


def test_the_first_page_is_read_in_three_minutes():
    assert len(re.findall(r"\S*\w\S*", re.sub(r"\]\([^)]*\)", "]", read("README.md")))) <= 700


def test_the_pictures_sizes_are_those_of_the_code():
    width, height = Experiment.crop_px
    assert f"crops of {width} × {height} pixels" in read("README.md")
    assert f"crops of {width} × {height} pixels" in read("data/README.md")
    test_px = [-(-side // 10) for side in sample.SENSOR_PX["test"]]
    assert "424 × 284" in read("README.md") and test_px == [424, 284]


def test_the_table_of_the_sample_is_that_of_the_code():
    for split in catalog.SPLITS.values():
        crops, drawn, frames = sample.SCENES[split], sample.DRAWN[split], sample.FRAMES[split]
        shown = sum(of == split for of in sample.PHOTOGRAPHS.values())
        pairs, (width, height) = (crops + drawn) * frames, sample.SENSOR_PX[split]
        row = f"| {split} | {crops}, of {shown} | {drawn} | {frames} | {pairs} | {width} × {height} |"
        assert row in read("data/README.md")


def test_a_pair_named_as_the_page_says_is_a_test_pair_that_comes_first(tmp_path):
    names = re.findall(r"data/mine/((?:long|short)/\S+)\n", read("data/OWN_PAIR.md"))
    found = [catalog._NAME.fullmatch(name.split("/")[1]) for name in names]
    assert len(names) == 2 and {catalog.SPLITS[match["scene"][0]] for match in found} == {"test"}
    assert {match["scene"] for match in found} == {"10000"}  # the sample's scenes begin at 10001
