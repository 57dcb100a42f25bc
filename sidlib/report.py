"""The work of `make run`: run the notebooks, which stay as they are; write a report, and the human check as a page."""

import logging
import os
import re
import sys
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from traitlets.config import Config

from sidlib import paths

_log = logging.getLogger(__name__)


def write_report(notebooks, folder):
    """Execute notebooks in order, in kernels of this environment, and write each as a page when it has ended.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the pages before it are written.
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
                cell.source = point_links(cell.source, folder)
        html = describe_figures(HTMLExporter().from_notebook_node(pages, place)[0], pages)
        with paths.write_atomically(folder / f"{notebook.stem}.html") as path:
            Path(path).write_text(html, "utf-8")


def describe_figures(html, notebook):
    """Return the page of a notebook with the alternative texts of plots.save, which nbconvert leaves out."""
    page = BeautifulSoup(html, "html.parser")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    for image, figure in zip(page.select(".jp-RenderedImage img"), figures, strict=True):
        image["alt"] = figure.metadata.get("image/png", {}).get("alt", "")
    return str(page)


def point_links(markdown, folder):
    """Return a notebook's text with links that work in the report's folder: to the other pages, README and results."""
    root = os.path.relpath(paths.ROOT, folder)
    markdown = re.sub(r"\b(0\d_\w+)\.ipynb", r"\1.html", markdown)
    return re.sub(r"\.\./(README\.md|results/|data/)", lambda link: f"{root}/{link[1]}", markdown)


def write_check(dataset, results, fast):
    """Write human_check.html, see human_check, to a results folder; return its path, or None if nothing was trained."""
    if not any(results.glob("*/best.keras")):
        return None
    from sidlib import catalog, human_check, preprocess  # TensorFlow: not before the notebooks have ended
    from sidlib.beyond import study
    from sidlib.experiment import list_course_experiments

    models = human_check.load_models(list_course_experiments(fast), results) | study.load_networks(results)
    pairs = preprocess.develop_pairs(catalog.load_pairs(dataset, needed=["test"]))
    page = results / "human_check.html"
    human_check.save_page(models, pairs, page, title=f"The human check: {dataset.name}", max_bytes=100_000_000)
    return page


def main():
    fast = os.environ.get("SID_FAST") == "1"
    try:
        dataset = paths.dataset_folder(os.environ.get("SID_DATASET") or "sample")
        results, is_sample = paths.results_folder(dataset, fast), dataset == paths.DATA / "sample"
        if not is_sample and not (dataset / "short").is_dir():
            raise FileNotFoundError(f"No data set at {dataset}: it needs short/ and long/, see data/README.md")
        os.environ["SID_DATASET"] = "sample" if is_sample else str(dataset)  # kernels run in another folder
        write_report(sorted((paths.ROOT / "notebooks").glob("0*.ipynb")), results / "report")
    except (FileNotFoundError, ValueError, CellExecutionError) as error:
        sys.exit(str(error))
    pages = [results / "report" / "05_evaluation.html", write_check(dataset, results, fast)]
    pages = " and ".join(os.path.relpath(page) for page in pages if page)
    _log.info("Done. The table is %s. Open %s", os.path.relpath(results / "summary.csv"), pages)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("traitlets").setLevel(logging.ERROR)  # nbconvert's, as in the Makefile
    _log.setLevel(logging.INFO)
    main()
