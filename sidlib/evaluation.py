"""How close a model's output is to the truth: scores a picture, and a summary an experiment."""

import weakref

import numpy as np
import pandas as pd
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sidlib import paths
from sidlib.backend import keras, tf
from sidlib.dataset import checksum, make_dataset
from sidlib.losses import WINDOW_PX
from sidlib.models import source_of
from sidlib.training import COURSE_EXPERIMENTS, find_run

COURSE_RESULTS = pd.DataFrame(  # the deck's: of the test split of the real SID Sony
    {
        "course_mae": [34.754, 34.882, 35.540, 34.337, 35.793, 36.911],
        "course_mse": [2057.030, 2071.059, 2189.077, 1921.527, 2102.753, 2179.050],
    },
    index=[experiment.name for experiment in COURSE_EXPERIMENTS],
)
METRICS = ["mae", "mse", "psnr_db", "ssim"]


def show_input(pictures):
    """The model that does nothing: what comes in goes out. Every score begins with its row."""
    return pictures


def predict(model, pairs):
    """Yield (short, output, truth) of each pair, float32 (height, width, 3) in 0…255, in the order of pairs.

    The short exposure is shown as the model was trained to see it, see models.source_of.

    Args:
        model: a Keras model, or any function from a batch of pictures to a batch of pictures.
    """
    for short, truth in make_dataset(pairs, batch_size=1, source=source_of(model)):
        yield short[0].numpy(), run(model, short)[0], truth[0].numpy()


def run(model, pictures):
    """Return what a model makes of a batch of pictures: a float32 array, whatever type the model computes in.

    Keras models are compiled, with TensorFlow once for all sizes. Other functions are called as they are.
    """
    if isinstance(model, keras.Model) and keras.backend.backend() != "tensorflow":
        return np.asarray(model.predict_on_batch(np.asarray(pictures)), np.float32)
    if isinstance(model, keras.Model):
        if model not in _compiled:
            known, shape = weakref.ref(model), model.inputs[0].shape
            _compiled[model] = tf.function(lambda batch: known()(batch), input_signature=[tf.TensorSpec(shape)])
        model = _compiled[model]
    return np.asarray(model(pictures), np.float32)


_compiled = weakref.WeakKeyDictionary()  # an entry goes with its model


def score_picture(output, truth):
    """Return how close an output is to the truth: a dict of mae, mse, psnr_db and ssim.

    Args:
        output, truth: (height, width, 3), values in 0…255 of any type, not rounded. All scores are over all three
            colours, with a range of 255; SSIM is that of Wang et al. (2004): 11 × 11 Gaussian window, σ 1.5, and NaN
            where that does not fit. The PSNR of several pictures is the mean of theirs, not that of their mean MSE,
            which is lower.
    Raises:
        ValueError: the two differ in shape, or the truth is in 0…1, where a range of 255 would add 48 dB.
    """
    output, truth = np.asarray(output, np.float64), np.asarray(truth, np.float64)
    if output.shape != truth.shape:
        raise ValueError(f"Output and truth must be of one shape. Received: {output.shape} and {truth.shape}")
    if 0 < truth.max() <= 1 and (truth % 1).any():  # levels of a dark place are whole
        raise ValueError(f"Values must be in 0…255. Received: a truth whose highest value is {truth.max():g}")
    error = output - truth
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    fits = min(truth.shape[:2]) >= WINDOW_PX
    ssim = structural_similarity(truth, output, data_range=255, channel_axis=-1, **options) if fits else np.nan
    return {
        "mae": np.abs(error).mean(),
        "mse": np.square(error).mean(),
        "psnr_db": peak_signal_noise_ratio(truth, output, data_range=255) if error.any() else np.inf,
        "ssim": ssim,
    }


def score_model(model, pairs):
    """Return the scores of a model: a DataFrame, a row a picture, indexed like pairs.

    Columns: scene, frame, ratio, iso, mae, mse, psnr_db, ssim; see score_picture.
    """
    return score_outputs(((output, truth) for _, output, truth in predict(model, pairs)), pairs)


def score_outputs(outputs, pairs):
    """Return the scores of pictures, (output, truth) of each pair: a DataFrame as that of score_model."""
    scores = [score_picture(output, truth) for output, truth in outputs]
    return pairs[["scene", "frame", "ratio", "iso"]].join(pd.DataFrame(scores, index=pairs.index))


def score_experiment(experiment, pairs, folder=None):
    """Return the test scores of a trained experiment, kept in its folder as scores.csv for the same test pictures.

    Raises:
        FileNotFoundError: the experiment is not trained yet, see training.find_run.
    """
    run = find_run(experiment, folder or paths.results_folder(pairs.dataset.iloc[0]))
    file, test = run / "scores.csv", pairs[pairs.split == "test"]
    pictures = checksum(test)
    if file.is_file():
        kept = pd.read_csv(file, dtype={"scene": str})
        if "pictures" in kept and kept.pictures.tolist() == [pictures] * len(test):
            return kept.drop(columns="pictures").set_index(test.index)
    scores = score_model(keras.saving.load_model(run / "best.keras"), test)
    with paths.write_whole(file) as path:
        scores.assign(pictures=pictures).to_csv(path, index=False)
    return scores


def average_scores(scores):
    """Return the mean of each metric over the pictures: a DataFrame, a row for each of {name: table of score_model}."""
    return pd.DataFrame({name: of_pictures[METRICS].mean() for name, of_pictures in scores.items()}).T


def summarize(experiments, pairs, folder=None):
    """Score trained experiments on the test split and write summary.csv: means over the pictures, the deck's beside.

    Args:
        experiments: Experiments that are trained.
        pairs: DataFrame of preprocess.develop_pairs.
        folder: results folder of the data set; None for results/<data set>.
    Returns:
        DataFrame, first the input as it is, then a row an experiment: experiment, dataset, split, pictures, epochs,
        mae, mse, psnr_db (the mean of the pictures' PSNR), ssim, course_mae, course_mse (the deck's, on the real SID).
    Raises:
        FileNotFoundError: an experiment is not trained yet, see training.find_run.
    """
    folder = folder or paths.results_folder(pairs.dataset.iloc[0])
    test = pairs[pairs.split == "test"]
    scores = {e.name: score_experiment(e, pairs, folder) for e in experiments}
    epochs = {e.name: len(pd.read_csv(find_run(e, folder) / "history.csv")) for e in experiments}
    summary = average_scores({"input as it is": score_model(show_input, test)} | scores).join(COURSE_RESULTS)
    known = {"dataset": pairs.dataset.iloc[0], "split": "test", "pictures": len(test)}
    summary = summary.assign(**known, epochs=pd.Series(epochs, dtype="Int64"))
    columns = ["dataset", "split", "pictures", "epochs", *METRICS, *COURSE_RESULTS]
    summary = summary[columns].rename_axis("experiment").reset_index()
    with paths.write_whole(folder / "summary.csv") as path:
        summary.round(4).to_csv(path, index=False)
    return summary
