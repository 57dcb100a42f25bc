"""Evidence: the experiments that are compared, their scores in two tables, and which differences are real."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from sidlib import paths
from sidlib.backend import keras
from sidlib.beyond.baselines import score_baselines
from sidlib.beyond.experiments import OpenExperiment
from sidlib.evaluation import METRICS, score_experiment
from sidlib.models import ACTIVATIONS, MODELS
from sidlib.training import COURSE_EXPERIMENTS, LONG_EXPERIMENT, Experiment, train

SEEDS = (0, 1, 2)
PROTOCOLS = ("all", "aligned", "first", "first aligned")
MISALIGNED = ("10034", "10045", "10172")  # the authors of SID ask to leave them out
GRID = tuple(
    Experiment(model, activation, loss, augment)
    for model, activation, loss, augment in product(MODELS, ACTIVATIONS, ("mae", "mse", "ssim"), (True, False))
)

_dark16 = OpenExperiment("cnn", "leaky_relu", "mae", augment=True, label="cnn-dark16", source="dark16")
ABLATION = {  # each step adds one change to the step before
    "dark, 8 bit": COURSE_EXPERIMENTS[1],
    "dark, 16 bit": _dark16,
    "amplified, 8 bit": replace(_dark16, label="cnn-amplified8", source="amplified8"),
    "amplified, 16 bit": replace(_dark16, label="cnn-amplified16", source="amplified16"),
    "values in 0…1": replace(_dark16, label="cnn-unit", source="amplified16", unit=True),
    "linear in training": replace(_dark16, label="cnn-linear", source="amplified16", unit=True, linear=True),
    "residual": replace(_dark16, label="cnn-residual", source="amplified16", unit=True, linear=True, residual=True),
}

START = OpenExperiment(  # what a better model starts from
    "rcan",
    "leaky_relu",
    "mae",
    augment=True,
    epochs=40,
    batch_size=2,
    patience=40,
    source="corrected16",
    unit=True,
    linear=True,
    residual=True,
    fresh=True,
    cosine=True,
    label="start",
)
BEST = replace(START, clip_norm=1.0, epochs=80, patience=80, label="best")
VARIANTS = {  # each differs in one thing from START, and the last from BEST
    "start": START,
    "without black correction": replace(START, label="start-amplified16", source="amplified16"),
    "without channel attention": replace(START, label="start-no-attention", model="rcan_no_attention"),
    "at full size inside": replace(START, label="start-full-size", model="rcan_full_size"),
    "without fresh noise": replace(START, label="start-no-fresh", fresh=False),
    "without cosine schedule": replace(START, label="start-no-cosine", cosine=False),
    "batches of ten": replace(START, label="start-batch10", batch_size=10),
    "with MAE and SSIM": replace(START, label="start-mae-ssim", loss="mae_ssim"),
    "with gradient clipping": replace(START, label="start-clip-norm", clip_norm=1.0),
    "best: clipping and 80 epochs": BEST,
    "best without fresh noise": replace(BEST, label="best-no-fresh", fresh=False),
}


def list_experiments():
    """Return every experiment of the study: those that are compared at each of SEEDS, the others at seed 0."""
    compared = dict.fromkeys([*COURSE_EXPERIMENTS, *ABLATION.values(), BEST])
    seeded = [replace(experiment, seed=seed) for seed in SEEDS for experiment in compared]
    return list(dict.fromkeys([*GRID, LONG_EXPERIMENT, *seeded, *VARIANTS.values()]))


def run_study(pairs, folder=None, experiments=None):
    """Train every experiment, then score all of them and what does not learn: hours on two cores.

    Interrupt it and call it again to go on. The test split is read when all trainings have ended.

    Writes to the folder: study.csv; study_scores.csv, the scores of every test picture; and the trained BEST as
    best.keras.

    Args:
        pairs: DataFrame of preprocess.develop_pairs.
        folder: results folder of the data set; None for results/<data set>.
        experiments: None for all of list_experiments.
    Returns:
        DataFrame, a row a baseline or experiment, as in study.csv: experiment, seed, dataset, epochs (empty for a
        baseline), val_mae (of the weights that were kept), and means over the test pictures: mae, mse, psnr_db, ssim.
    """
    folder = folder or paths.results_folder(pairs.dataset.iloc[0])
    rows, scores = [], []

    def add(experiment, seed, epochs, val_mae, of_test):
        known = {"experiment": experiment, "seed": seed, "dataset": pairs.dataset.iloc[0], "epochs": epochs}
        rows.append(known | {"val_mae": val_mae, **of_test[METRICS].mean()})
        scores.append(of_test.assign(experiment=experiment, seed=seed))

    experiments = list_experiments() if experiments is None else experiments
    histories = [train(experiment, pairs, folder)[1] for experiment in experiments]
    for name, (of_val, of_test) in score_baselines(pairs).items():
        add(name, 0, None, of_val.mae.mean(), of_test)
    for experiment, history in zip(experiments, histories, strict=True):
        val_mae = history.val_mae[history.val_loss.idxmin()]
        of_test = score_experiment(experiment, pairs, folder)
        add(name_of(experiment), experiment.seed, len(history), val_mae, of_test)
    if BEST in experiments:
        best = keras.saving.load_model(folder / BEST.name / "best.keras", compile=False)  # a third of the bytes
        with paths.write_whole(folder / "best.keras") as path:
            best.save(path)
    study = pd.DataFrame(rows).astype({"epochs": "Int64"})
    for name, table in (("study.csv", study.round(4)), ("study_scores.csv", pd.concat(scores).round(3))):
        with paths.write_whole(folder / name) as path:
            table.to_csv(path, index=False)
    return study


def name_of(experiment):
    """Return the name of an experiment whatever its seed; that of a baseline is the name itself."""
    return experiment if isinstance(experiment, str) else replace(experiment, seed=0).name


def find_study(folder):
    """Return the results folder that holds a study: the one given, or else results/reference with the sample's."""
    return folder if (folder / "study.csv").is_file() else paths.RESULTS / "reference"


def load_study(folder):
    """Return the tables study.csv and study_scores.csv of a results folder, as run_study wrote them.

    Raises:
        FileNotFoundError: it was not run there.
    """
    return pd.read_csv(folder / "study.csv"), pd.read_csv(folder / "study_scores.csv", dtype={"scene": str})


def load_best(folder):
    """Return the trained BEST of find_study: the one of a results folder, or else the sample's."""
    return keras.saving.load_model(find_study(folder) / "best.keras")


def pick(table, named):
    """Return the rows of a table of load_study that are of some experiments, in their order.

    Args:
        named: {label: Experiment, or name of a baseline}; the labels become the column `label`. An Experiment stands
            for all of its seeds.
    """
    rows = [table[table.experiment == name_of(experiment)].assign(label=label) for label, experiment in named.items()]
    return pd.concat(rows)


def average_scenes(scores, metric="mae"):
    """Return a metric of one experiment as DataFrame (scene, seed), the mean of each scene's frames.

    Frames of a scene share one truth, so a scene counts once.

    Args:
        scores: rows of study_scores.csv, or of evaluation.score_model, which has no seed.
    """
    if "seed" not in scores:
        scores = scores.assign(seed=0)
    return scores.pivot_table(metric, "scene", "seed")


def compare_scenes(first, second, alike=1.0):
    """Return by how much two experiments differ over the same scenes, with its 95 % bootstrap interval.

    Args:
        first, second: DataFrames of average_scenes.
        alike: a difference below this does not matter.
    Returns:
        dict: difference (mean of first − second over scenes and seeds), low and high (bias-corrected and accelerated
        interval over scenes, 9999 resamples), seeds (how many of each), and verdict: "lower"
        or "higher" where the interval says so and every seed of the one against every seed of the other, too; "alike"
        where the whole interval is within ± alike; else "cannot be told".
    Raises:
        ValueError: the scenes are not the same.
    """
    if set(first.index) != set(second.index):
        raise ValueError(f"Both need the same scenes. Received: {sorted(set(first.index) ^ set(second.index))} in one")
    differences = (first.mean(axis=1) - second.mean(axis=1)[first.index]).to_numpy()
    if (differences == differences[0]).all():
        low = high = differences[0]
    else:
        low, high = bootstrap((differences,), statistic=np.mean, rng=0).confidence_interval
    of_seeds = np.subtract.outer(first.mean().to_numpy(), second.mean().to_numpy())
    if high < 0 and (of_seeds < 0).all():
        verdict = "lower"
    elif low > 0 and (of_seeds > 0).all():
        verdict = "higher"
    else:
        verdict = "alike" if -alike < low and high < alike else "cannot be told"
    seeds = f"{first.shape[1]}, {second.shape[1]}"
    return {"difference": differences.mean(), "low": low, "high": high, "seeds": seeds, "verdict": verdict}


def select_protocol(pairs, protocol):
    """Return the test pairs of SID that published figures were measured on.

    Args:
        pairs: DataFrame with columns split, scene, short_s and frame, of load_index or load_pairs.
        protocol: "all" (598 of the real Sony set), "aligned" (562: without the three scenes whose truth is misaligned),
            "first" or "first aligned" (93 or 88: one frame a burst).
    Raises:
        ValueError: there is no such protocol.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}. Received: {protocol!r}")
    test = pairs[pairs.split == "test"]
    if "aligned" in protocol:
        test = test[~test.scene.isin(MISALIGNED)]
    if "first" in protocol:
        test = test[test.frame == test.groupby(["scene", "short_s"]).frame.transform("min")]
    return test
