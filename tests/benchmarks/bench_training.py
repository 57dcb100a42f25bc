"""What the best model costs beside the course's dense CNN, in training and at use, in turns in one run.

`make bench` writes the table to results/benchmarks/training.csv.
"""

import time
from dataclasses import replace

import numpy as np
import pandas as pd

from sidlib import catalog, evaluation, models, paths, preprocess, sample, training
from sidlib.beyond import stream, study

COMPARED = {"dense CNN": training.COURSE_EXPERIMENTS[2], "best": study.BEST}
ROUNDS, EPOCHS = 3, 3


def bench_training(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "POOL", 50)
    sample.build_sample()
    pairs = preprocess.develop_pairs(catalog.load_pairs())
    picture = np.random.default_rng(0).uniform(0, 255, (1, 86, 128, 3)).astype("float32")
    times = {name: {"update_s": [], "picture_s": []} for name in COMPARED}
    for number in range(ROUNDS):
        for name, experiment in COMPARED.items():
            few = {"updates": 40} if name == "best" else {}
            short = replace(experiment, epochs=EPOCHS, **few)
            model, history = training.train(short, pairs, tmp_path / str(number))
            updates = short.count_updates(pairs[pairs.split == "train"])
            times[name]["update_s"].extend(history.seconds[1:] / updates)  # in the first epoch the graph is made
            evaluation.run(model, picture)
            for _ in range(10):
                start = time.perf_counter()
                evaluation.run(model, picture)
                times[name]["picture_s"].append(time.perf_counter() - start)
    rows = []
    for name, experiment in COMPARED.items():
        layers = models.describe_layers(experiment.build_model(), 86, 128)[["parameters", "multiply_accumulates"]].sum()
        updates = experiment.epochs * experiment.count_updates(pairs[pairs.split == "train"])
        medians = {what: pd.Series(values).median() for what, values in times[name].items()}
        rows.append({"model": name, **layers, **medians, "updates": updates})
    table = pd.DataFrame(rows).set_index("model")
    table["training_minutes"] = table.updates * table.update_s / 60
    with paths.write_whole(paths.RESULTS / "benchmarks" / "training.csv") as path:
        table.round(4).to_csv(path)
    print("\n" + table.to_string())
    assert table.multiply_accumulates["best"] <= 0.71e9
