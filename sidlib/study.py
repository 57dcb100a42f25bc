"""Evidence: the experiments that are compared, their scores in two tables, and which differences are real."""

from dataclasses import replace
from itertools import product

import pandas as pd
from scipy.stats import bootstrap

from sidlib import paths
from sidlib.evaluation import score_experiment
from sidlib.models import ACTIVATIONS, COURSE_MODELS
from sidlib.training import COURSE_EXPERIMENTS, Experiment, train

SEEDS = (0, 1, 2)
PROTOCOLS = ("all", "aligned", "first", "first aligned")
MISALIGNED = ("10034", "10045", "10172")  # the authors of SID ask to leave them out
GRID = tuple(
    Experiment(model, activation, loss, augment)
    for model, activation, loss, augment in product(COURSE_MODELS, ACTIVATIONS, ("mae", "mse", "ssim"), (True, False))
)

_cnn = COURSE_EXPERIMENTS[1]
ABLATION = {  # each step adds one change to the step before
    "dark, 8 bit": _cnn,
    "dark, 16 bit": replace(_cnn, source="dark16"),
    "amplified, 8 bit": replace(_cnn, source="amplified8"),
    "amplified, 16 bit": replace(_cnn, source="amplified16"),
    "values in 0…1": replace(_cnn, source="amplified16", unit=True),
    "linear in training": replace(_cnn, source="amplified16", unit=True, linear=True),
    "residual": replace(_cnn, source="amplified16", unit=True, linear=True, residual=True),
}

BEST = Experiment(
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
)
VARIANTS = {  # each differs from BEST in one thing
    "BEST": BEST,
    "without fresh noise": replace(BEST, fresh=False),
    "without black correction": replace(BEST, source="amplified16"),
    "without cosine schedule": replace(BEST, cosine=False),
    "without channel attention": replace(BEST, model="rcan_no_attention"),
    "at full size inside": replace(BEST, model="rcan_full_size"),
    "batches of ten": replace(BEST, batch_size=10),
    "with MAE and SSIM": replace(BEST, loss="mae_ssim"),
    "with gradient clipping": replace(BEST, clip_norm=1.0),
    "with averaged weights": replace(BEST, average=True),
}


def list_experiments():
    """Return every experiment of the study: the grid at seed 0, and all that is compared at each of SEEDS."""
    compared = dict.fromkeys([*COURSE_EXPERIMENTS, *ABLATION.values(), BEST])
    seeded = [replace(experiment, seed=seed) for seed in SEEDS for experiment in compared]
    return list(dict.fromkeys([*GRID, *seeded, *VARIANTS.values()]))


def run_study(pairs, folder=None, experiments=None):
    """Train and score every experiment of the study: hours on two cores. Interrupt it and call it again to go on.

    Args:
        pairs: DataFrame of preprocess.develop_pairs.
        folder: results folder of the data set; None for results/<data set>.
        experiments: None for all of list_experiments.
    Returns:
        DataFrame, a row an experiment, as study.csv in the folder holds it: experiment, seed, dataset, epochs,
        epoch_s (median seconds an epoch), val_mae (lowest), and means over the test pictures: mae, mse, psnr_db, ssim.
        study_scores.csv holds the scores of every picture.
    """
    folder = folder or paths.results_folder(pairs.dataset.iloc[0])
    rows, scores = [], []
    for experiment in list_experiments() if experiments is None else experiments:
        _, history = train(experiment, pairs, folder)
        of_pictures = score_experiment(experiment, pairs, folder)
        known = {"experiment": name_of(experiment), "seed": experiment.seed}
        epochs = {
            "dataset": pairs.dataset.iloc[0],
            "epochs": len(history),
            "epoch_s": history.seconds.median(),
            "val_mae": history.val_mae.min(),
        }
        rows.append(known | epochs | of_pictures[["mae", "mse", "psnr_db", "ssim"]].mean().to_dict())
        scores.append(of_pictures.assign(**known))
    study = pd.DataFrame(rows)
    for name, table in (("study.csv", study.round(4)), ("study_scores.csv", pd.concat(scores).round(3))):
        with paths.write_whole(folder / name) as path:
            table.to_csv(path, index=False)
    return study


def name_of(experiment):
    """Return the name of an experiment whatever its seed."""
    return replace(experiment, seed=0).name


def load_study(folder):
    """Return the study in a results folder: the tables study.csv and study_scores.csv.

    Raises:
        FileNotFoundError: it was not run there.
    """
    return pd.read_csv(folder / "study.csv"), pd.read_csv(folder / "study_scores.csv", dtype={"scene": str})


def average_scenes(scores, experiment, metric="mae"):
    """Return a metric of an experiment per scene, over frames and seeds: the independent observations of a test split.

    Args:
        scores: the table study_scores.csv.
        experiment: an Experiment, of any seed.
    """
    return scores[scores.experiment == name_of(experiment)].groupby("scene")[metric].mean()


def compare_scenes(first, second, seed=0):
    """Return by how much two experiments differ over the same scenes, with its 95 % bootstrap interval.

    Args:
        first, second: Series of average_scenes, or any Series indexed by scene.
        seed: of the resampling.
    Returns:
        dict: difference (mean of first − second), low, high (bias-corrected and accelerated, 9999 resamples), and
        verdict: "lower", "higher", or "cannot be told" where the interval holds 0.
    Raises:
        ValueError: the scenes are not the same.
    """
    if set(first.index) != set(second.index):
        raise ValueError(f"Both need the same scenes. Received: {sorted(set(first.index) ^ set(second.index))} in one")
    differences = (first - second[first.index]).to_numpy()
    if (differences == differences[0]).all():
        low = high = differences[0]
    else:
        low, high = bootstrap((differences,), statistic=_mean, rng=seed).confidence_interval
    verdict = "lower" if high < 0 else "higher" if low > 0 else "cannot be told"
    return {"difference": differences.mean(), "low": low, "high": high, "verdict": verdict}


def _mean(values, axis):
    return values.mean(axis=axis)


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
