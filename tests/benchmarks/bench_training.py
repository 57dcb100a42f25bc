"""What a training costs: the best model beside the course's dense CNN, in turns; make bench keeps training.csv."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd

from sidlib import catalog, models, preprocess, sample, training
from sidlib.beyond import stream, study
from sidlib.experiment import COURSE_EXPERIMENTS
from tests.benchmarks.conftest import keep_table

COMPARED = {"dense CNN": COURSE_EXPERIMENTS[2], "best": study.BEST}
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
