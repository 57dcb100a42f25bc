"""How close a model's output is to the truth: scores a picture, and a summary an experiment."""

import numpy as np
import pandas as pd
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sidlib import paths
from sidlib.dataset import make_dataset, source_of
from sidlib.training import COURSE_EXPERIMENTS, train

# The deck's figures, in the order of COURSE_EXPERIMENTS: test MAE and MSE on the real SID Sony.
COURSE_RESULTS = dict(
    zip(
        COURSE_EXPERIMENTS,
        [
            (34.754, 2057.030),
            (34.882, 2071.059),
            (35.540, 2189.077),
            (34.337, 1921.527),
            (35.793, 2102.753),
            (36.911, 2179.050),
        ],
        strict=True,
    )
)
METRICS = ["mae", "mse", "psnr_db", "ssim"]


def show_input(pictures):
    """The model that does nothing: what comes in goes out. Every score begins with its row."""
    return pictures


def predict(model, pairs):
    """Yield (short, output, truth) of each pair, float32 (height, width, 3) in 0…255, in the order of pairs.

    The short exposure is shown as the model was trained to see it, see dataset.source_of.

    Args:
        model: a Keras model, or any function from a batch of pictures to a batch of pictures.
    """
    for short, truth in make_dataset(pairs, batch_size=1, source=source_of(model)):
        yield short[0].numpy(), np.asarray(model(short))[0], truth[0].numpy()


def average_flips(model):
    """Return a function like the model that shows it each batch in all four flips and averages what it makes of them.

    Four times the cost. Source: the geometric self-ensemble of Lim et al. (EDSR, CVPR Workshops 2017).
    """

    def average(pictures):
        outputs = []
        for axes in ([], [1], [2], [1, 2]):
            outputs.append(np.flip(np.asarray(model(np.flip(pictures, axes))), axes))
        return np.mean(outputs, axis=0)

    average.source = source_of(model)
    return average


def score_picture(output, truth):
    """Return how close an output is to the truth: a dict of mae, mse, psnr_db and ssim.

    Args:
        output, truth: (height, width, 3), values in 0…255 of any type, not rounded. All scores are over all three
            colours, with a range of 255; SSIM is that of Wang et al. (2004): 11 × 11 Gaussian window, σ 1.5. The PSNR
            of several pictures is the mean of theirs, not that of their mean MSE, which is lower.
    Raises:
        ValueError: the two differ in shape, or the truth is in 0…1, where a range of 255 would add 48 dB.
    """
    output, truth = np.asarray(output, np.float64), np.asarray(truth, np.float64)
    if output.shape != truth.shape:
        raise ValueError(f"Output and truth must be of one shape. Received: {output.shape} and {truth.shape}")
    if 0 < truth.max() <= 1:
        raise ValueError(f"Values must be in 0…255. Received: a truth whose highest value is {truth.max():g}")
    error = output - truth
    ssim = structural_similarity(
        truth, output, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
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
    scores = [score_picture(output, truth) for _, output, truth in predict(model, pairs)]
    return pairs[["scene", "frame", "ratio", "iso"]].join(pd.DataFrame(scores, index=pairs.index))


def score_experiment(experiment, pairs, folder=None):
    """Return the test scores of a trained experiment, kept in its folder as scores.csv for the same test pictures."""
    folder = folder or paths.results_folder(pairs.dataset.iloc[0])
    file = folder / experiment.name / "scores.csv"
    test = pairs[pairs.split == "test"]
    if file.is_file():
        kept = pd.read_csv(file, dtype={"scene": str})
        pictures = ["scene", "frame", "iso"]
        if kept[pictures].to_numpy().tolist() == test[pictures].to_numpy().tolist():
            return kept.set_index(test.index)
    model, _ = train(experiment, pairs, folder)
    scores = score_model(model, test)
    with paths.write_whole(file) as path:
        scores.to_csv(path, index=False)
    return scores


def average_scores(scores):
    """Return the mean of each metric over the pictures: a DataFrame, a row for each of {name: table of score_model}."""
    return pd.DataFrame({name: of_pictures[METRICS].mean() for name, of_pictures in scores.items()}).T


def summarize(experiments, pairs, folder=None):
    """Score experiments on the test split and write summary.csv: means over the pictures beside the deck's figures.

    Args:
        experiments: Experiments; those that are not trained yet are trained.
        pairs: DataFrame of preprocess.develop_pairs.
        folder: results folder of the data set; None for results/<data set>.
    Returns:
        DataFrame, first the input as it is, then a row an experiment: experiment, dataset, split, pictures, epochs,
        mae, mse, psnr_db (the mean of the pictures' PSNR), ssim, course_mae, course_mse (the deck's, on the real SID).
    """
    folder = folder or paths.results_folder(pairs.dataset.iloc[0])
    test = pairs[pairs.split == "test"]
    rows = [{"experiment": "input as it is", **_average(score_model(show_input, test))}]
    for experiment in experiments:
        _, history = train(experiment, pairs, folder)
        course_mae, course_mse = COURSE_RESULTS.get(experiment, (np.nan, np.nan))
        means = _average(score_experiment(experiment, pairs, folder))
        rows.append(
            {
                "experiment": experiment.name,
                "epochs": len(history),
                **means,
                "course_mae": course_mae,
                "course_mse": course_mse,
            }
        )
    summary = pd.DataFrame(rows).assign(dataset=pairs.dataset.iloc[0], split="test")
    first = ["experiment", "dataset", "split", "pictures", "epochs", *METRICS]
    summary = summary.reindex(columns=[*first, "course_mae", "course_mse"]).astype({"epochs": "Int64"})
    with paths.write_whole(folder / "summary.csv") as path:
        summary.round(4).to_csv(path, index=False)
    return summary


def _average(scores):
    return {"pictures": len(scores), **scores[METRICS].mean()}
