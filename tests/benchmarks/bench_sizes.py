"""What the same number of training pixels teaches in a few large crops and in many small ones, in one run.

Each training has the course's 20 epochs in batches of ten. `make bench` writes the table to
results/benchmarks/sizes.csv.
"""

from dataclasses import replace

import pandas as pd

from sidlib import catalog, evaluation, preprocess, sample, training
from sidlib.experiment import COURSE_EXPERIMENTS, LONG_EXPERIMENT
from tests.benchmarks.conftest import keep_table

CROPS = {(48, 32): 62, (40, 26): 91, (28, 18): 187}  # width, height: updates per epoch
EXPERIMENTS = COURSE_EXPERIMENTS[1], COURSE_EXPERIMENTS[3], replace(LONG_EXPERIMENT, epochs=20)


def bench_sizes(tmp_path):
    pairs, rows = preprocess.develop_pairs(catalog.load_pairs(sample.build_sample())), []
    for crop_px, updates in CROPS.items():
        for experiment in EXPERIMENTS:
            of_size = replace(experiment, crop_px=crop_px, updates=updates)
            _, history = training.train(of_size, pairs, tmp_path)
            scores = evaluation.score_experiment(of_size, pairs, tmp_path)
            row = {"experiment": experiment.title, "crop": "{} × {}".format(*crop_px)}
            row |= {"updates": len(history) * updates, "seconds": history.seconds.sum()}
            row |= {"val_mae": history.val_mae[history.val_loss.idxmin()], "test_mae": scores.mae.mean()}
            rows.append(row)
    keep_table(pd.DataFrame(rows).set_index("experiment"), "sizes", 2)
