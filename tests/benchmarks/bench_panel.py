"""How soon the kernel answers the panel: with three models at 424 × 284, beside a change that makes them run; and with
a photograph restored at 12 megapixels.

`make bench` writes the table to results/benchmarks/panel.csv. What the browser does alone is counted in its frames, in
bench_viewer.py.
"""

import statistics
import time
from dataclasses import replace

import numpy as np
import pandas as pd

from sidlib import camera, catalog, human_check, preprocess, sample
from sidlib.experiment import COURSE_EXPERIMENTS
from sidlib.full_size.noise import Noise
from sidlib.full_size.restore import Restoration
from sidlib.full_size.save import CaptureInfo
from sidlib.human_check.captures import load_capture
from sidlib.human_check.own_capture import FullView
from sidlib.raw import Mosaic
from tests.benchmarks.conftest import keep_table

LARGE = (2832, 4240, 3)
ROUNDS = 7


def make_restoration():
    """A capture of 12 megapixels as the network leaves it, of nothing but noise."""
    stable = np.random.default_rng(0).uniform(0, 40, LARGE).astype(np.float16)
    mosaic = Mosaic(None, "RGGB", np.full(4, 512.0), 16383.0, np.array([2.0, 1.0, 1.5]), camera.CCM, 0)
    noise, info = Noise(3.0, 5.0, 0.0, "estimate"), CaptureInfo("night.arw")
    return Restoration(stable, mosaic, noise, 5.0, info, np.ones(3, np.float32), None)


def bench_changes(tmp_path):
    pairs = preprocess.develop_pairs(catalog.load_pairs(sample.build_sample()))
    models = {experiment.title: experiment.build_model() for experiment in COURSE_EXPERIMENTS[1:4]}
    check = human_check.HumanCheck(models, pairs, tmp_path)
    captures = [load_capture(pair) for pair in pairs[pairs.split == "test"].head(ROUNDS + 1).itertuples()]
    assert {capture.truth.shape for capture in captures} == {(284, 424, 3)}
    check.comparison.load = captures.__getitem__
    check.comparison.begin()
    viewer = check.viewer
    everything = viewer.offered
    changes = {
        "a model more or less": lambda number: viewer.set_trait("shown", everything[number % 2 :]),
        "scores of the visible part": lambda number: viewer.set_trait("zoom", 2 + number),
        "another picture, where models run": lambda number: viewer.set_trait("choice", number + 1),
        "a picture seen before": lambda number: viewer.set_trait("choice", number),
        "vote and reveal": lambda number: (viewer.set_trait("mode", "Vote blind"), check.blind.vote("A")),
    }
    check.own.capture, check.own.full_view = replace(captures[0], truth=None), FullView(make_restoration())

    def change_own(**view):
        viewer.mode = "Your own capture"
        for name, value in view.items():
            viewer.set_trait(name, value)

    changes |= {
        "brightness, 12 megapixels": lambda number: change_own(stops=0.5 + number),
        "brightness, 12 megapixels at 1:1": lambda number: change_own(zoom=4, stops=number),
        "visible part, 12 megapixels": lambda number: change_own(zoom=1.5 + number / 4),
    }
    rows = []
    for change, make in changes.items():
        seconds = []
        for number in range(ROUNDS):
            start = time.perf_counter()
            make(number)
            seconds.append(time.perf_counter() - start)
            if change == "vote and reveal":
                viewer.mode = "Compare"
        rows.append({"change": change, "milliseconds": 1000 * statistics.median(seconds)})
        viewer.zoom = 1
    table = pd.DataFrame(rows).set_index("change")
    keep_table(table, "panel", 0)
    assert table.drop("another picture, where models run").milliseconds.max() < 200
