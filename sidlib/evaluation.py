"""How close a model's output is to the truth: scores per picture, kept in tables, and a summary per experiment."""

import numpy as np
import pandas as pd
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sidlib import paths
from sidlib.backend import keras
from sidlib.dataset import fingerprint_pairs, make_dataset
from sidlib.experiment import COURSE_EXPERIMENTS
from sidlib.losses import WINDOW_PX
from sidlib.models import source_of
from sidlib.training import find_run, load_run, read_history

VERSION = 1  # raise it when the same outputs get other scores than before
METRICS = ["mae", "mse", "psnr_db", "ssim"]
COURSE_RESULTS = pd.DataFrame(  # the deck's, on the test split of the real SID Sony
    {
        "course_mae": [34.754, 34.882, 35.540, 34.337, 35.793, 36.911],
        "course_mse": [2057.030, 2071.059, 2189.077, 1921.527, 2102.753, 2179.050],
    },
    index=[experiment.name for experiment in COURSE_EXPERIMENTS],
)


def identity(pictures):
    """Return the pictures as they are: the model that every score is compared with."""
    return pictures


def predict(model, pairs):
    """Yield (short, output, truth) of each of preprocess.develop_pairs: float32 (height, width, 3) in 0…255.

    The model is a Keras model, or a function from a batch of pictures to a batch; see models.source_of for its input.
    """
    for short, truth in make_dataset(pairs, batch_size=1, source=source_of(model)).as_numpy_iterator():
        yield short[0], run_batch(model, short)[0], truth[0]


def run_batch(model, pictures):
    """Return the outputs of a Keras model, or of a function, for a batch of pictures: a float32 array."""
    run = model.predict_on_batch if isinstance(model, keras.Model) else model
    return np.asarray(run(pictures), np.float32)


def score_picture(output, truth):
    """Return how close an output is to the truth: a dict of METRICS, for a range of 255.

    Both are (height, width, 3), values in 0…255 of any type, not rounded; a truth in 0…1 is a ValueError. SSIM is that
    of losses.ssim_loss, and NaN if its window does not fit.
    """
    output, truth = np.asarray(output, np.float64), np.asarray(truth, np.float64)
    if output.shape != truth.shape:
        raise ValueError(f"Output and truth must be of one shape. Received: {output.shape} and {truth.shape}")
    if 0 < truth.max() <= 1 and (truth % 1).any():  # whole levels of 0 and 1 are a dark picture
        raise ValueError(f"Values must be in 0…255. Received: a truth whose highest value is {truth.max():g}")
    error = output - truth
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
    fits = min(truth.shape[:2]) >= WINDOW_PX
    return {
        "mae": np.abs(error).mean(),
        "mse": np.square(error).mean(),
        "psnr_db": peak_signal_noise_ratio(truth, output, data_range=255) if error.any() else np.inf,
        "ssim": structural_similarity(truth, output, data_range=255, **options) if fits else np.nan,
    }


def score_model(model, pairs):
    """Return the scores of a model: a DataFrame, a row per pair, with scene, frame, ratio, iso and METRICS."""
    return score_outputs(((output, truth) for _, output, truth in predict(model, pairs)), pairs)


def score_outputs(outputs, pairs):
    """Return the scores of (output, truth) of each pair: a DataFrame as that of score_model."""
    scores = [score_picture(output, truth) for output, truth in outputs]
    return pairs[["scene", "frame", "ratio", "iso"]].join(pd.DataFrame(scores, index=pairs.index))


def score_experiment(experiment, pairs, folder):
    """Return the test scores of an experiment that is trained in a results folder; scores.csv keeps them there."""
    run, test = find_run(experiment, folder), pairs[pairs.split == "test"]
    table = ScoreTable(run / "scores.csv")
    key = paths.fingerprint(VERSION, fingerprint_pairs(test), (run / "best.keras").read_bytes())
    if table.rows(key).empty:
        table.add(key, score_model(load_run(experiment, folder)[0], test))
        table.prune([key])
    return table.rows(key).set_index(test.index)


class ScoreTable:
    """A CSV file of scores that several processes may add to; a row's key tells what it was made from."""

    def __init__(self, file):
        self.file = file

    def keys(self):
        """Return the keys that have rows, a set."""
        return set(self._read().key)

    def rows(self, *keys):
        """Return the rows kept under keys, in their order and without the keys: a DataFrame, which may be empty."""
        table = self._read().set_index("key")
        return table.loc[[key for key in keys if key in table.index]].reset_index(drop=True)

    def add(self, key, rows):
        """Write rows under a key, in place of those that it had."""
        self._write(lambda kept: kept != key, rows.assign(key=key)[["key", *rows]])

    def prune(self, keys):
        """Remove the rows of all other keys."""
        self._write(lambda kept: kept.isin(keys))

    def _read(self):
        try:
            return pd.read_csv(self.file, dtype={"key": str, "scene": str})
        except FileNotFoundError:
            return pd.DataFrame(columns=["key"])
        except ValueError as error:
            raise ValueError(f"{self.file} is damaged: remove it to score anew ({error})") from error

    def _write(self, is_kept, *rows):
        with paths.lock(self.file.with_name(f".{self.file.stem}.lock")):
            table = self._read()
            parts = [part for part in (table[is_kept(table.key)], *rows) if len(part)] or [table[:0]]
            with paths.write_atomically(self.file) as path:
                pd.concat(parts).to_csv(path, index=False)


def average_scores(scores):
    """Return the mean of each metric over the pictures: a DataFrame, a row for each of {name: table of score_model}."""
    return pd.DataFrame({name: of_pictures[METRICS].mean() for name, of_pictures in scores.items()}).T


def summarize(experiments, pairs, folder):
    """Score trained experiments on the test split; return the summary that summary.csv keeps in their results folder.

    It has a row of the input as it is, then one per experiment. FileNotFoundError: an experiment is not trained yet.
    """
    test = pairs[pairs.split == "test"]
    scores = {experiment.name: score_experiment(experiment, pairs, folder) for experiment in experiments}
    epochs = {experiment.name: len(read_history(folder / experiment.name)) for experiment in experiments}
    summary = average_scores({"input as it is": score_model(identity, test)} | scores).join(COURSE_RESULTS)
    known = {"dataset": pairs.dataset.iloc[0], "split": "test", "pictures": len(test)}
    summary = summary.assign(**known, epochs=pd.Series(epochs, dtype="Int64"))
    summary = summary[[*known, "epochs", *METRICS, *COURSE_RESULTS]].rename_axis("experiment").reset_index()
    with paths.write_atomically(folder / "summary.csv") as path:
        summary.round(4).to_csv(path, index=False)
    return summary
