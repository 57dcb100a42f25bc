"""What `make run` does: the notebooks top to bottom, and a report with every figure. The notebooks stay as they are."""

import logging
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from traitlets.config import Config

from sidlib import paths

_log = logging.getLogger(__name__)


def name_dataset(dataset):
    """Return what the notebooks call a data set, wherever they stand: its name in data/, else its absolute path.

    Raises:
        FileNotFoundError: it is not there, and is not the sample, which is made on the way.
    """
    if str(paths.DATA / "sample") in (os.path.abspath(paths.DATA / dataset), os.path.abspath(dataset)):
        return "sample"
    folder = paths.find_dataset(dataset)
    return folder.name if folder.parent == paths.DATA else os.path.abspath(folder)


def write_report(notebooks, folder):
    """Execute notebooks in their order, in kernels of this environment, and write each as a page when it has ended.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the pages before are written.
    """
    for notebook in notebooks:
        _log.info("Running %s", os.path.relpath(notebook))
        pages = nbformat.read(notebook, as_version=4)
        encrypted = Config(KernelManager={"transport_encryption": "auto"})
        place = {"metadata": {"path": str(notebook.parent), "name": notebook.stem}}
        NotebookClient(pages, kernel_name="python3", config=encrypted, record_timing=False, resources=place).execute()
        pages, _ = CoalesceStreamsPreprocessor().preprocess(pages, {})
        for cell in pages.cells:
            if cell.cell_type == "markdown":
                cell.source = _point_links(cell.source, folder)
        html, _ = HTMLExporter().from_notebook_node(pages, place)
        with paths.write_whole(folder / f"{notebook.stem}.html") as path:
            Path(path).write_text(html, "utf-8")


def _point_links(markdown, folder):
    """Links of a notebook as they read from the report: to its neighbours' pages, and to the README."""
    readme = os.path.relpath(paths.ROOT / "README.md", folder)
    return re.sub(r"\b(0\d_\w+)\.ipynb", r"\1.html", markdown).replace("../README.md", readme)


def main():
    try:
        dataset = name_dataset(os.environ.get("SID_DATASET") or "sample")
        results = paths.results_folder(dataset, os.environ.get("SID_FAST") == "1")
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    os.environ["SID_DATASET"] = dataset
    try:
        write_report(sorted((paths.ROOT / "notebooks").glob("0*.ipynb")), results / "report")
    except CellExecutionError as error:
        sys.exit(str(error))
    here = os.path.relpath(results)
    _log.info("Done. Open %s/report/05_evaluation.html; the table is %s/summary.csv", here, here)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _log.setLevel(logging.INFO)
    main()
