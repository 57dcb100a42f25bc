"""What `make run` does: the notebooks top to bottom, a report with every figure, and the human check as a page.

The notebooks stay as they are.
"""

import logging
import os
import re
import sys
from dataclasses import replace
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


def write_check(dataset, results, fast):
    """Write human_check.html in a results folder: what its trained models, and the best one, make of test pictures.

    Returns:
        its path, or None where nothing was trained.
    """
    if not any(results.glob("*/best.keras")):
        return None
    from sidlib import catalog, human_check, preprocess, training  # TensorFlow: not before the notebooks have ended
    from sidlib.beyond import study

    experiments = [*training.COURSE_EXPERIMENTS, training.LONG_EXPERIMENT]
    experiments = [replace(experiment, epochs=2) for experiment in experiments] if fast else experiments
    models = human_check.load_models(experiments, results) | {"best": study.load_best(results)}
    pairs = preprocess.develop_pairs(catalog.load_pairs(dataset, needed=["test"]))
    path = results / "human_check.html"
    human_check.save_page(models, pairs, path, title=f"The human check: {Path(dataset).name}")
    return path


def main():
    try:
        dataset = name_dataset(os.environ.get("SID_DATASET") or "sample")
        fast = os.environ.get("SID_FAST") == "1"
        results = paths.results_folder(dataset, fast)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    os.environ["SID_DATASET"] = dataset
    try:
        write_report(sorted((paths.ROOT / "notebooks").glob("0*.ipynb")), results / "report")
    except CellExecutionError as error:
        sys.exit(str(error))
    pages = [results / "report" / "05_evaluation.html", write_check(dataset, results, fast)]
    pages = " and ".join(os.path.relpath(page) for page in pages if page)
    _log.info("Done. The table is %s. Open %s", os.path.relpath(results / "summary.csv"), pages)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("traitlets").setLevel(logging.ERROR)  # nbconvert's, as in the Makefile
    _log.setLevel(logging.INFO)
    main()
