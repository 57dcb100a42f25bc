"""What trainings cost: the best model beside the course's dense CNN, and seven trainings side by side or in turns.

Both are measured in turns in one run. `make bench` writes the tables to results/benchmarks/training.csv and
results/benchmarks/side_by_side.csv.
"""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd

from sidlib import catalog, models, paths, preprocess, sample, training
from sidlib.beyond import stream, study
from sidlib.experiment import COURSE_EXPERIMENTS, LONG_EXPERIMENT
from tests.benchmarks.conftest import keep_table

COMPARED = {"dense CNN": COURSE_EXPERIMENTS[2], "best": study.BEST}
SEVEN = [replace(experiment, epochs=2) for experiment in (*COURSE_EXPERIMENTS, LONG_EXPERIMENT)]
ROUNDS, EPOCHS = 3, 3


def load_pairs():
    return preprocess.develop_pairs(catalog.load_pairs(sample.build_sample()))


def bench_training(tmp_path, monkeypatch):
    pairs = load_pairs()
    monkeypatch.setattr(stream, "POOL", 50)
    picture = np.random.default_rng(0).uniform(0, 255, (1, 86, 128, 3)).astype("float32")
    times = {name: {"update_s": [], "picture_s": []} for name in COMPARED}
    for number in range(ROUNDS):
        for name, experiment in COMPARED.items():
            few = {"updates": 40} if name == "best" else {}
            short = replace(experiment, epochs=EPOCHS, **few)
            model, history = training.train(short, pairs, tmp_path / str(number))
            updates = short.count_updates(pairs[pairs.split == "train"])
            times[name]["update_s"].extend(history.seconds[1:] / updates)  # in the first epoch the graph is made
            model.predict_on_batch(picture)
            for _ in range(10):
                start = time.perf_counter()
                model.predict_on_batch(picture)
                times[name]["picture_s"].append(time.perf_counter() - start)
    rows = []
    for name, experiment in COMPARED.items():
        layers = models.describe_layers(experiment.build_model(), 86, 128)[["parameters", "multiply_accumulates"]].sum()
        updates = experiment.epochs * experiment.count_updates(pairs[pairs.split == "train"])
        medians = {what: pd.Series(values).median() for what, values in times[name].items()}
        rows.append({"model": name, **layers, **medians, "updates": updates})
    table = pd.DataFrame(rows).set_index("model")
    table["training_minutes"] = table.updates * table.update_s / 60
    keep_table(table, "training", 4)
    assert table.multiply_accumulates["best"] <= 0.71e9


WAYS = {  # each in a fresh process: TensorFlow's start and the graphs are counted
    "one after the other, all threads": "for experiment in SEVEN: training.train(experiment, pairs, folder)",
    "side by side, one thread each": "training.train_all(SEVEN, pairs, folder)",
}
SCRIPT = """
import pathlib, sys
from sidlib import training
from tests.benchmarks.bench_training import SEVEN, load_pairs
pairs, folder = load_pairs(), pathlib.Path(sys.argv[1])
"""


def bench_side_by_side(tmp_path):
    load_pairs()  # develops them
    seconds = {way: [] for way in WAYS}
    for number in range(2):
        for way, code in WAYS.items():
            start = time.perf_counter()
            command = [sys.executable, "-c", SCRIPT + code, tmp_path / f"{number} {way}"]
            subprocess.run(command, check=True, cwd=paths.ROOT, stdout=subprocess.DEVNULL)
            seconds[way].append(time.perf_counter() - start)
    table = pd.DataFrame({"seconds": pd.DataFrame(seconds).min()}).rename_axis("way")
    table["ratio"] = table.seconds / table.seconds.iloc[0]
    keep_table(table, "side_by_side", 3)
