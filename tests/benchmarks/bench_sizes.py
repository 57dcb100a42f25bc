"""What the same number of training pixels teaches in a few large pictures and in many small ones, in one run.

Each training has the deck's 20 epochs in batches of ten; val and test are the sample's own. `make bench` writes the
table to results/benchmarks/sizes.csv.
"""

import shutil

import pandas as pd

from sidlib import catalog, dataset, evaluation, paths, preprocess, sample, training
from sidlib.experiment import COURSE_EXPERIMENTS
from tests.benchmarks.conftest import keep_table

SENSORS_PX = ((1280, 854), (640, 428), (320, 214))  # width, height; a quarter of the pixels, four times the scenes
EXPERIMENTS = COURSE_EXPERIMENTS[1], COURSE_EXPERIMENTS[3]


def bench_sizes(tmp_path, monkeypatch):
    for table in ("sid_sony.csv", "sony_a7s2_noise.csv"):
        shutil.copy(paths.DATA / table, tmp_path)
    monkeypatch.setattr(paths, "DATA", tmp_path)
    rows = []
    for place, sensor_px in enumerate(SENSORS_PX):
        for name in ("SCENES", "DRAWN"):
            monkeypatch.setattr(sample, name, getattr(sample, name) | {"train": 8 * 4**place})
        monkeypatch.setattr(sample, "SENSOR_PX", sample.SENSOR_PX | {"train": sensor_px})
        pairs = preprocess.develop_pairs(catalog.load_pairs(sample.build_sample()))
        for experiment in EXPERIMENTS:
            _, history = training.train(experiment, pairs, tmp_path / str(place))
            scores = evaluation.score_experiment(experiment, pairs, tmp_path / str(place))
            train = pairs[pairs.split == "train"]
            row = {"experiment": experiment.title, "train_pairs": len(train)}
            row |= {"updates": len(history) * dataset.count_batches(train, 10), "seconds": history.seconds.sum()}
            row |= {"val_mae": history.val_mae[history.val_loss.idxmin()], "test_mae": scores.mae.mean()}
            rows.append(row)
    keep_table(pd.DataFrame(rows).set_index("experiment"), "sizes", 2)
