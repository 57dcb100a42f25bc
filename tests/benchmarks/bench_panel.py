"""How soon the kernel answers the panel: with three models at 424 × 284, beside a change that makes them run; and with
a photograph restored at 12 megapixels.

`make bench` writes the table to results/benchmarks/panel.csv. What the browser does alone is counted in its frames, in
tests/human_check/test_viewer_in_browser.py.
"""

import statistics
import time

import numpy as np
import pandas as pd

from sidlib import catalog, human_check, paths, preprocess, sample, training
from sidlib.beyond.full_size.noise import Noise
from sidlib.beyond.full_size.restore import Restoration
from sidlib.beyond.full_size.save import Shot
from sidlib.human_check.captures import Capture, load_capture
from sidlib.human_check.large import Large
from sidlib.raw import Mosaic
from sidlib.sample import camera

SHAPE = (284, 424)
LARGE = (2832, 4240, 3)
ROUNDS = 7


def enlarge(picture):
    """The middle of a picture repeated to the real data set's size."""
    repeats = [-(-size // has) for size, has in zip(SHAPE, picture.shape[:2], strict=True)]
    return np.tile(picture, (*repeats, 1))[: SHAPE[0], : SHAPE[1]]


def make_restoration():
    """A capture of 12 megapixels as the network leaves it, of nothing but noise."""
    stable = np.random.default_rng(0).uniform(0, 40, LARGE).astype(np.float16)
    mosaic = Mosaic(None, "RGGB", np.full(4, 512.0), 16383.0, np.array([2.0, 1.0, 1.5]), camera.TO_SRGB, 0)
    return Restoration(stable, mosaic, Noise(3.0, 5.0, 0.0, "estimate"), 5.0, Shot("night.arw"), np.ones(3, np.float32))


def bench_changes(tmp_path):
    sample.build_sample()
    pairs = preprocess.develop_pairs(catalog.load_pairs())
    models = {experiment.name: experiment.build_model() for experiment in training.COURSE_EXPERIMENTS[1:4]}
    check = human_check.HumanCheck(models, pairs, folder=tmp_path)
    small = [load_capture(pair) for pair in pairs[pairs.split == "test"].head(ROUNDS + 1).itertuples()]
    captures = [
        Capture(
            capture.name,
            capture.signal._replace(camera_rgb=enlarge(capture.signal.camera_rgb)),
            capture.ratio,
            capture.iso,
            enlarge(capture.truth),
        )
        for capture in small
    ]
    check.comparison.load = captures.__getitem__
    check.viewer.render()
    stage = check.viewer.stage
    everything = list(check.viewer.titles)
    changes = {
        "a model more or less": lambda number: stage.set_trait("shown", everything[number % 2 :]),
        "scores of the visible part, zoomed": lambda number: stage.set_trait("zoom", 2 + number),
        "scores of the visible part, moved": lambda number: (
            stage.set_trait("zoom", 2),
            stage.set_trait("across", number / ROUNDS),
        ),
        "another picture, where models run": lambda number: stage.set_trait("choice", number + 1),
        "a picture seen before": lambda number: stage.set_trait("choice", number),
        "vote and reveal": lambda number: (stage.set_trait("mode", "Vote blind"), check.blind.vote("A")),
    }
    check.own.capture, check.own.large = captures[0], Large(make_restoration())

    def change_own(**view):
        stage.mode = "Your own capture"
        for name, value in view.items():
            stage.set_trait(name, value)

    changes |= {
        "brightness, 12 megapixels": lambda number: change_own(stops=0.5 + number),
        "brightness, 12 megapixels at 1:1": lambda number: change_own(zoom=4, stops=number),
        "visible part, 12 megapixels at 1:1": lambda number: change_own(zoom=4, across=number / ROUNDS),
        "visible part, 12 megapixels zoomed": lambda number: change_own(zoom=1.5 + number / 4),
    }
    rows = []
    for change, make in changes.items():
        seconds = []
        for number in range(ROUNDS):
            start = time.perf_counter()
            make(number)
            seconds.append(time.perf_counter() - start)
            if change == "vote and reveal":
                stage.mode = "Compare"
        rows.append({"change": change, "milliseconds": 1000 * statistics.median(seconds)})
        stage.zoom = 1
    table = pd.DataFrame(rows).set_index("change").round(0)
    with paths.write_whole(paths.RESULTS / "benchmarks" / "panel.csv") as path:
        table.to_csv(path)
    print("\n" + table.to_string())
    assert table.drop("another picture, where models run").milliseconds.max() < 200
