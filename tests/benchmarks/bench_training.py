"""What an epoch of the best model takes beside one of the course's dense CNN, in turns in one run.

`make bench` writes the table to results/benchmarks/training.csv.
"""

from dataclasses import replace

import pandas as pd

from sidlib import catalog, models, paths, preprocess, sample, training
from sidlib.beyond import study

COMPARED = {"dense CNN": training.COURSE_EXPERIMENTS[2], "best": study.BEST}
ROUNDS = 3


def bench_epochs(tmp_path):
    sample.build_sample()
    pairs = preprocess.develop_pairs(catalog.load_pairs())
    seconds = {name: [] for name in COMPARED}
    for number in range(ROUNDS):
        for name, experiment in COMPARED.items():
            _, history = training.train(replace(experiment, epochs=3), pairs, tmp_path / str(number))
            seconds[name].extend(history.seconds[1:])  # in the first epoch the graph is made
    rows = []
    for name, experiment in COMPARED.items():
        layers = models.describe_layers(experiment.build_model(), 86, 128)[["parameters", "multiply_accumulates"]].sum()
        rows.append({"model": name, **layers, "epoch_s": pd.Series(seconds[name]).median()})
    table = pd.DataFrame(rows).set_index("model")
    table["times_of_dense_cnn"] = table.epoch_s / table.epoch_s["dense CNN"]
    with paths.write_whole(paths.RESULTS / "benchmarks" / "training.csv") as path:
        table.round(3).to_csv(path)
    print("\n" + table.to_string())
    assert table.multiply_accumulates["best"] <= table.multiply_accumulates["dense CNN"]
