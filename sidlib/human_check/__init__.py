"""The human check: inputs, each model's output and the truth side by side, for a person to judge.

compare           the static figure, of one test picture
HumanCheck        the panel, panel.py: one viewer (viewer.py, view.py; in a browser stage.*) and three modes over it
    comparison    models on any test picture, with their names and scores
    blind_vote    which is best, when nobody says whose it is; votes.py keeps and counts
    own_capture   a RAW file of one's own; uploads.py puts its pieces together, large.py shows it at full size
save_page         the viewer as a file that needs no kernel: page.py and page.html
captures.py       one short exposure, and what models make of it
"""

import numpy as np

from sidlib import plots
from sidlib.backend import keras
from sidlib.human_check.captures import choose_pair, collect_pictures
from sidlib.human_check.page import save_page
from sidlib.human_check.panel import HumanCheck
from sidlib.human_check.view import describe_scores
from sidlib.training import is_finished

__all__ = ["HumanCheck", "choose_pair", "collect_pictures", "compare", "load_models", "save_page"]


def compare(models, pairs, number=0):
    """Return the static human check: a Figure of the inputs, each model's output and the truth, with their scores.

    Args:
        models: {name: model}.
        pairs: DataFrame of preprocess.develop_pairs.
        number: which test pair; by default always the same.
    """
    pictures = collect_pictures(models, choose_pair(pairs, number))
    captions = {name: describe_scores(picture, pictures["truth"]) for name, picture in pictures.items()}
    captions["truth"] = "long exposure"
    titles = [f"{name}\n{text}" for name, text in captions.items()]
    return plots.show_pictures([np.nan_to_num(picture) for picture in pictures.values()], titles)


def load_models(experiments, folder):
    """Return the trained models among experiments in a results folder: {name: model}; others are left out."""
    runs = {experiment.name: folder / experiment.name for experiment in experiments}
    return {name: keras.saving.load_model(run / "best.keras") for name, run in runs.items() if is_finished(run)}
