"""Evidence: the experiments that are compared, their scores in two tables, and which differences are real."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from filelock import FileLock
from scipy.stats import bootstrap

from sidlib import paths, workers
from sidlib.backend import keras
from sidlib.beyond.baselines import find_baselines, score_baselines, score_named
from sidlib.beyond.experiments import OpenExperiment
from sidlib.dataset import checksum
from sidlib.evaluation import METRICS, run, score_experiment
from sidlib.sample import name_photographs
from sidlib.training import COURSE_EXPERIMENTS, LONG_EXPERIMENT, train

FILES = ("study.csv", "study_scores.csv")
LEFT_OUT = "leave_one_out.csv"
SEEDS = (0, 1, 2)
PROTOCOLS = ("all", "aligned", "first", "first aligned")
MISALIGNED = ("10034", "10045", "10172")  # the authors of SID ask to leave them out
FLAT_COLOURS = {
    "grey": (128, 128, 128),
    "blue": (20, 30, 220),
    "green": (30, 200, 40),
    "red": (220, 30, 20),
    "cyan": (20, 200, 200),
    "magenta": (200, 20, 200),
    "yellow": (220, 220, 20),
}
FULL_BUDGET = tuple(  # as many updates as the deck's 20 epochs of 1865 pairs were: 3740, or 30 epochs of the sample
    replace(experiment, epochs=30, patience=30) for experiment in COURSE_EXPERIMENTS
)

_dark16 = OpenExperiment("cnn", "leaky_relu", "mae", augment=True, label="cnn-dark16", source="dark16")
_signed = replace(_dark16, label="cnn-signed", source="signed")
ABLATION = {  # each step adds one change to the step before
    "dark, 8 bit": COURSE_EXPERIMENTS[1],
    "dark, 16 bit": _dark16,
    "amplified, 16 bit": replace(_dark16, label="cnn-amplified16", source="amplified16"),
    "black corrected": replace(_dark16, label="cnn-corrected16", source="corrected16"),
    "not cut off at black": _signed,
    "residual": replace(_signed, label="cnn-residual", residual=True),
}

BEST = OpenExperiment(
    "rcan",
    "leaky_relu",
    "log_mse",
    augment=True,
    epochs=80,
    updates=250,
    batch_size=4,
    learning_rate=0.002,
    patience=80,
    source="signed",
    unit=True,
    linear=True,
    residual=True,
    cosine=True,
    clip_norm=1.0,
    label="best",
)
SHORT = replace(BEST, epochs=8, label="short")  # what its parts are tried at: 2000 updates instead of 20 000
ARMS = {  # each differs in one thing from SHORT
    "short": SHORT,
    "noise cut off at black": replace(SHORT, label="short-corrected16", source="corrected16"),
    "and no black correction": replace(SHORT, label="short-amplified16", source="amplified16"),
    "MAE as its loss": replace(SHORT, label="short-mae", loss="mae"),
    "without drawn scenes": replace(SHORT, label="short-no-drawn", drawn=0.0),
    "drawn scenes alone": replace(SHORT, label="short-all-drawn", drawn=1.0),
    "without jitter": replace(SHORT, label="short-no-jitter", jitter=False),
    "without residual": replace(SHORT, label="short-no-residual", residual=False),
    "values in 0…255 inside": replace(SHORT, label="short-no-unit", unit=False),
    "clipped in training": replace(SHORT, label="short-clipped", linear=False),
}


def list_experiments():
    """Return every experiment of the study: those that are compared at each of SEEDS, the others at seed 0."""
    compared = dict.fromkeys([BEST, *COURSE_EXPERIMENTS, *ABLATION.values()])
    seeded = [replace(experiment, seed=seed) for seed in SEEDS for experiment in compared]
    return list(dict.fromkeys([*seeded, *FULL_BUDGET, *ARMS.values(), LONG_EXPERIMENT]))


def run_study(pairs, folder=None, experiments=None):
    """Train and score every experiment and what does not learn: hours on two cores, fewer over a cluster, see workers.

    Interrupt it and call it again to go on: what the tables of the folder hold for the same pictures is not done again.
    Nothing is chosen here; what the notebooks choose, they choose by val_mae.

    Writes to the folder: study.csv; study_scores.csv, the scores of every test picture; and the trained BEST as
    best.keras.

    Args:
        pairs: DataFrame of preprocess.develop_pairs.
        folder: results folder of the data set; None for results/<data set>.
        experiments: None for all of list_experiments.
    Returns:
        DataFrame, a row a baseline or experiment, as in study.csv: experiment, seed, dataset, pictures (their
        checksum), epochs (empty for a baseline), val_mae (of the weights that were kept), and means over the test
        pictures: mae, mse, psnr_db, ssim.
    """
    folder = (folder or paths.results_folder(pairs.dataset.iloc[0])).absolute()  # a worker stands elsewhere
    study = Study(folder, pairs)
    missing = [name for name in find_baselines(pairs) if not study.holds(name, 0)]
    score = partial(score_named, pairs=pairs)
    for name, (of_val, of_test) in workers.share(score, missing, "Scoring baselines", "baseline", alone=True):
        study.add(name, 0, None, of_val.mae.mean(), of_test)
    listed = list_experiments() if experiments is None else experiments
    missing = [experiment for experiment in listed if not study.holds(name_of(experiment), experiment.seed)]
    run_one = partial(train_and_score, pairs=pairs, folder=folder)
    for experiment, (history, of_test) in workers.share(run_one, missing, "Training", "experiment", alone=True):
        val_mae = history.val_mae[history.val_loss.idxmin()]
        study.add(name_of(experiment), experiment.seed, len(history), val_mae, of_test)
    if BEST in listed and (folder / BEST.name / "best.keras").is_file():  # at the end: it says that the study is whole
        best = keras.saving.load_model(folder / BEST.name / "best.keras", compile=False)  # a third of the bytes
        with paths.write_whole(folder / "best.keras") as path:
            best.save(path)
    return load_study(folder)[0]


def train_and_score(experiment, pairs, folder):
    """Return the history of an experiment's training and its scores on test; what is there is not done again."""
    _, history = train(experiment, pairs, folder)
    return history, score_experiment(experiment, pairs, folder)


class Study:
    """The tables of a study, as far as a folder holds them for the same pictures. A row is written when it is known."""

    def __init__(self, folder, pairs):
        self.folder, self.photographs = folder, name_photographs(pairs)
        self.known = {"dataset": pairs.dataset.iloc[0], "pictures": checksum(pairs)}

    def read(self):
        """Return both tables: what is there of other pictures is left out."""
        if not (self.folder / "study.csv").is_file():
            return [pd.DataFrame(columns=["experiment", "seed"])] * 2
        table, scores = load_study(self.folder)
        table = table[table.pictures == self.known["pictures"]]
        return table, scores[scores.experiment.isin(table.experiment)]

    def holds(self, name, seed):
        table, _ = self.read()
        return ((table.experiment == name) & (table.seed == seed)).any()

    def add(self, name, seed, epochs, val_mae, of_test):
        """Write an experiment's scores, and then its row, which says that they are there."""
        setting = {"experiment": name, "seed": seed}
        row = setting | self.known | {"epochs": epochs, "val_mae": val_mae, **of_test[METRICS].mean()}
        row = pd.DataFrame([row]).astype({"epochs": "Int64"}).round(4)
        scores = of_test.assign(**setting, photograph=self.photographs[of_test.index]).round(3)
        with FileLock(self.folder / ".study"):  # another process may add rows, too
            tables = list(zip(FILES, self.read(), (row, scores), strict=True))
            for file, known, new in reversed(tables):
                known = known[(known.experiment != name) | (known.seed != seed)]  # what an interruption left
                with paths.write_whole(self.folder / file) as path:
                    pd.concat([known, new] if len(known) else [new]).to_csv(path, index=False)


def leave_one_out(pairs, folder=None):
    """Train SHORT once for each photograph of the embedded sample, on all others, and score it on this one.

    The weights' epoch is chosen on the drawn scenes of val alone. Beside it stands what does not learn. Over a cluster
    each photograph is a task, see workers.

    Writes leave_one_out.csv to the folder, and returns it: a row a photograph and method with the means of evaluation's
    METRICS over the photograph's pairs, and their number as `pairs`.
    """
    folder = (folder or paths.results_folder(pairs.dataset.iloc[0])).absolute()
    shown = name_photographs(pairs)
    score = partial(score_left_out, pairs=pairs, shown=shown, folder=folder)
    photographs = sorted(set(shown) - {"drawn"})
    rows = dict(workers.share(score, photographs, "Leaving one out", "photograph", alone=True))
    table = pd.DataFrame([row for photograph in photographs for row in rows[photograph]])
    with paths.write_whole(folder / LEFT_OUT) as path:
        table.round(4).to_csv(path, index=False)
    return table


def score_left_out(photograph, pairs, shown, folder):
    """Return the rows of leave_one_out for one photograph, a list of dicts.

    Args:
        shown: Series of sample.name_photographs.
    """
    fold = pairs.assign(split=pairs.split.where(shown == "drawn", "train").mask(shown == photograph, "test"))
    _, of_short = train_and_score(replace(SHORT, label=f"without-{photograph}"), fold, folder)
    scores = {name: test for name, (_, test) in score_baselines(fold).items()} | {"short": of_short}
    known = {"photograph": photograph}
    return [known | {"method": name, "pairs": len(of), **of[METRICS].mean()} for name, of in scores.items()]


def name_of(experiment):
    """Return the name of an experiment whatever its seed; that of a baseline is the name itself."""
    return experiment if isinstance(experiment, str) else replace(experiment, seed=0).name


def find_study(folder):
    """Return the results folder that holds a study: the one given, or else results/reference with the sample's."""
    return folder if all((folder / file).is_file() for file in (*FILES, "best.keras")) else paths.RESULTS / "reference"


def load_study(folder):
    """Return the tables study.csv and study_scores.csv of a results folder, as run_study wrote them.

    Raises:
        FileNotFoundError: it was not run there.
    """
    table, scores = (pd.read_csv(folder / file, dtype={"scene": str}) for file in FILES)
    return table.astype({"epochs": "Int64"}), scores


def load_best(folder):
    """Return the trained BEST of find_study: the one of a results folder, or else the sample's."""
    return keras.saving.load_model(find_study(folder) / "best.keras")


def load_left_out(folder):
    """Return the table of leave_one_out: the one of a results folder, or else the sample's that comes along."""
    file = folder / LEFT_OUT
    return pd.read_csv(file if file.is_file() else paths.RESULTS / "reference" / LEFT_OUT)


def pick(table, named):
    """Return the rows of a table of load_study that are of some experiments, in their order.

    Args:
        named: {label: Experiment, or name of a baseline}; the labels become the column `label`. An Experiment stands
            for all of its seeds.
    """
    rows = [table[table.experiment == name_of(experiment)].assign(label=label) for label, experiment in named.items()]
    return pd.concat(rows)


def average_photographs(scores, metric="mae"):
    """Return a metric of one experiment as DataFrame (photograph, seed), the mean over each photograph's scenes.

    Scenes that are crops of one photograph are no independent trials, and frames of a scene share one truth.

    Args:
        scores: rows of study_scores.csv.
    """
    of_scenes = scores.groupby(["photograph", "scene", "seed"], as_index=False)[metric].mean()
    return of_scenes.pivot_table(metric, "photograph", "seed")


def compare_photographs(first, second):
    """Return by how much two experiments differ over the same photographs, with its 95 % bootstrap interval.

    Args:
        first, second: DataFrames of average_photographs.
    Returns:
        dict: difference (mean of first − second over photographs and seeds), low and high (percentile interval over
        photographs, 9999 resamples; of three photographs it is all but the range), photographs and seeds (how many),
        and verdict: "lower" or "higher" where the interval says so and every seed of the one against every seed of the
        other, too; else "cannot be told".
    Raises:
        ValueError: the photographs are not the same.
    """
    if set(first.index) != set(second.index):
        raise ValueError(f"Both need the same photographs. Received: {sorted(first.index)} and {sorted(second.index)}")
    differences = (first.mean(axis=1) - second.mean(axis=1)[first.index]).to_numpy()
    if len(differences) == 1:  # which says nothing about others
        low, high = -np.inf, np.inf
    elif (differences == differences[0]).all():
        low = high = differences[0]
    else:
        low, high = bootstrap((differences,), np.mean, method="percentile", rng=0).confidence_interval
    of_seeds = np.subtract.outer(first.mean().to_numpy(), second.mean().to_numpy())
    verdict = "cannot be told"
    if high < 0 and (of_seeds < 0).all():
        verdict = "lower"
    elif low > 0 and (of_seeds > 0).all():
        verdict = "higher"
    counts = {"photographs": len(differences), "seeds": f"{first.shape[1]}, {second.shape[1]}"}
    return {"difference": differences.mean(), "low": low, "high": high, **counts, "verdict": verdict}


def measure_flat(model, size_px=(96, 64), noise=6, seed=0):
    """Return what a model makes of flat colours with a little noise: a DataFrame, a row a colour, in levels of 255.

    Columns: grid, by how much the means of the four places of 2 × 2 pixels differ; off, by how much the mean is away
    from the colour; both of the colour channel in which it is most, without a border of 16 pixels.

    Args:
        size_px: width, height. noise: its standard deviation.
    """
    rows = {}
    for name, colour in FLAT_COLOURS.items():
        noisy = np.random.default_rng(seed).normal(colour, noise, (1, *size_px[::-1], 3)).clip(0, 255)
        rows[name] = score_flat(run(model, noisy.astype(np.float32))[0, 16:-16, 16:-16], colour)
    return pd.DataFrame(rows).T


def score_flat(output, colour):
    """Return grid and off of measure_flat, a dict, for a picture (height, width, 3) that should show one colour."""
    places = [output[row::2, column::2].mean(axis=(0, 1)) for row, column in np.ndindex(2, 2)]
    return {"grid": np.ptp(places, axis=0).max(), "off": np.abs(output.mean(axis=(0, 1)) - colour).max()}


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
