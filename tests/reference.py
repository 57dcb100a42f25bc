"""The last step of `make reference`: the human check as a page, and what everything that is committed was made from.

`python -m tests.reference` writes human_check.html and made_from.json; call it only after all else was made anew.
"""

import hashlib
import json
import re

import nbformat

from sidlib import catalog, human_check, paths, preprocess
from sidlib.beyond import study

FILE = paths.REFERENCE / "made_from.json"
_SAMPLE = ["sidlib/sample/__init__.py", "sidlib/preprocess.py"]
_STUDY = [*_SAMPLE, "sidlib/training.py", "sidlib/evaluation.py", "sidlib/beyond/baselines.py"]
_FULL_SIZE = [*_SAMPLE, "sidlib/full_size/experiment.py", "sidlib/full_size/evaluate.py"]
_SCORES = [f"results/reference/{name}" for name in ("study_scores.csv", "leave_one_out.csv", "best.keras")]
_FULL_SIZE_SCORES = ["results/reference/full_size.csv", "results/reference/full-size.keras"]
MADE_FROM = {  # of a module, its VERSION counts; of any other file, its bytes
    "notebooks/01_data_analysis.ipynb": _SAMPLE,
    "notebooks/02_preprocessing.ipynb": _SAMPLE,
    "notebooks/03_models.ipynb": _SAMPLE,
    "notebooks/04_training.ipynb": _STUDY[:3],
    "notebooks/05_evaluation.ipynb": [*_STUDY, *_SCORES],
    "notebooks/06_beyond_the_course.ipynb": [*_STUDY, *_SCORES],
    "notebooks/07_full_size.ipynb": [*_FULL_SIZE, *_FULL_SIZE_SCORES],
    **dict.fromkeys(_SCORES, _STUDY),
    "results/reference/full_size.csv": [*_FULL_SIZE, "results/reference/full-size.keras"],
    "results/reference/human_check.html": [*_STUDY, *_SCORES],
    "results/reference/figures/panel.png": [*_STUDY, *_SCORES],
}


def fingerprint_sources(name):
    """Return the fingerprint of all that a file of MADE_FROM is made from; of a notebook, its own code as well."""
    parts = [_read_state(paths.ROOT / source) for source in MADE_FROM[name]]
    if name.endswith(".ipynb"):
        cells = nbformat.read(paths.ROOT / name, as_version=4).cells
        parts.append([cell.source for cell in cells if cell.cell_type == "code"])
    return paths.fingerprint(parts)


def _read_state(file):
    if file.suffix == ".py":
        return re.search(r"^VERSION = \d+", file.read_text("utf-8"), re.M)[0]
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main():
    pairs = preprocess.develop_pairs(catalog.load_pairs(paths.DATA / "sample", needed=["test"]))
    human_check.save_page(study.load_networks(paths.REFERENCE), pairs, paths.REFERENCE / "human_check.html")
    states = {name: fingerprint_sources(name) for name in MADE_FROM}
    with paths.write_atomically(FILE) as path:
        path.write_text(json.dumps(states, indent=1) + "\n")


if __name__ == "__main__":
    main()
