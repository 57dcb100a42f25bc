"""The human check: inputs, each model's output and the truth side by side, for a person to judge.

compare gives the static figure of one test picture. HumanCheck (panel.py) is the interactive panel: one viewer
(viewer.py; in the browser stage.js) with three modes: a comparison, blind votes (blind_vote.py, votes.py) and a RAW
file of your own (own_capture.py). save_page (page.*) writes the viewer as a file that needs no kernel. captures.py has
one short exposure and what models make of it.
"""

import numpy as np

from sidlib import plots
from sidlib.backend import keras
from sidlib.human_check.captures import choose_pair, collect_pictures, describe_scores
from sidlib.human_check.page import save_page
from sidlib.human_check.panel import HumanCheck
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
    """Return the trained models among experiments in a results folder: {title: model}; others are left out."""
    runs = {experiment.title: folder / experiment.name for experiment in experiments}
    return {title: keras.saving.load_model(run / "best.keras") for title, run in runs.items() if is_finished(run)}
