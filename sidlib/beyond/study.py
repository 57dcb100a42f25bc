"""The study: the experiments that are compared, and one table of their scores that can be interrupted and resumed."""

import os
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd

from sidlib import catalog, evaluation, paths, preprocess, sample, training, workers
from sidlib.backend import keras
from sidlib.beyond import baselines
from sidlib.beyond.experiments import InputExperiment, StreamExperiment
from sidlib.dataset import fingerprint_pairs
from sidlib.evaluation import METRICS, ScoreTable
from sidlib.experiment import COURSE_EXPERIMENTS, list_course_experiments
from sidlib.preprocess import load_signal

SEEDS = (0, 1, 2)
SSIM = replace(COURSE_EXPERIMENTS[1], loss="ssim")  # which the deck dropped, since it became NaN
ABLATION = {  # each step adds one change to the step before
    "dark, 8 bit": COURSE_EXPERIMENTS[1],
    "told the ratio": InputExperiment(label="cnn-rounded8", source="rounded8"),
    "amplified before rounding": InputExperiment(label="cnn-amplified8", source="amplified8"),
    "16 bit": InputExperiment(label="cnn-amplified16", source="amplified16"),
    "black level corrected": InputExperiment(label="cnn-corrected16", source="corrected16"),
    "not clipped at black": InputExperiment(label="cnn-signed", source="signed"),
    "residual": InputExperiment(label="cnn-residual", source="signed", residual=True),
}
BEST = StreamExperiment(label="best")
SHORT = replace(BEST, epochs=8)  # 2000 updates instead of 20,000
STAIRCASE = {  # from the course's input to the best model: names of baselines, and experiments
    "input as it is": "input as it is",
    "× usual ratio": "dark, 8 bit, × usual ratio",
    "× true ratio": "dark, 8 bit, × ratio",
    "the deck's CNN": ABLATION["dark, 8 bit"],
    "told the ratio": ABLATION["told the ratio"],
    "not rounded to 8 bits": ABLATION["16 bit"],
    "black level corrected": ABLATION["black level corrected"],
    "better model": BEST,
}
# With which other step a step of STAIRCASE is compared: the one before, but the deck's CNN is not told the true ratio
COMPARED = {step: before for before, step in pairwise(STAIRCASE)} | {"the deck's CNN": "× usual ratio"}


def list_experiments():
    """Return all experiments of the study, with each of SEEDS; SSIM with seed 0."""
    compared = [BEST, *list_course_experiments(), *ABLATION.values()]
    seeded = [replace(experiment, seed=seed) for seed in SEEDS for experiment in compared]
    return list(dict.fromkeys([*seeded, SSIM]))


def run_study(pairs, folder, experiments):
    """Train and score experiments and all baselines, and return the means of load_study; call it again to go on.

    The results folder gets study_scores.csv, a row per test picture; at the end their means as study.csv, and the
    trained networks of STAIRCASE, last of them best.keras, which says that the study is whole.
    """
    folder, items = folder.absolute(), [*baselines.find_baselines(pairs), *experiments]  # a worker stands elsewhere
    keys, table = _make_keys(pairs, items), ScoreTable(folder / "study_scores.csv")
    table.prune(list(keys.values()))
    kept = table.keys()
    if missing := [item for item in items if keys[item] not in kept]:
        (folder / "best.keras").unlink(missing_ok=True)
    score = partial(score_item, pairs=pairs, folder=folder)
    for item, rows in workers.share(score, missing, "Scoring", "experiment", alone=True):
        table.add(keys[item], rows)
    means, _ = load_study(folder)
    with paths.write_atomically(folder / "study.csv") as path:
        means.to_csv(path, index=False)
    for experiment in [item for item in STAIRCASE.values() if item in experiments]:
        trained = folder / experiment.name / "best.keras"
        network = keras.saving.load_model(trained, compile=False)  # without the optimizer, a third of the bytes
        with paths.write_atomically(folder / f"{experiment.name}.keras") as path:
            network.save(path)
    return means


def _make_keys(pairs, items):
    """Return {item: key of its scores} for names of baselines and for experiments."""
    seen = paths.fingerprint(fingerprint_pairs(pairs), pairs.split.tolist())
    versions = {item: (baselines if isinstance(item, str) else training).VERSION for item in items}
    return {item: paths.fingerprint(seen, item, version, evaluation.VERSION) for item, version in versions.items()}


def score_item(item, pairs, folder):
    """Return the rows of study_scores.csv for the name of a baseline, or for an experiment."""
    if isinstance(item, str):
        val_scores, scores = baselines.score_named(item, pairs)
        epochs, val_mae = np.nan, val_scores.mae.mean()
    else:
        _, history = training.train(item, pairs, folder)
        scores = evaluation.score_experiment(item, pairs, folder)
        epochs, val_mae = len(history), history.val_mae[history.val_loss.idxmin()]
    known = {"experiment": name_of(item), "seed": getattr(item, "seed", 0), "dataset": pairs.dataset.iloc[0]}
    return scores.assign(**known, photograph=pairs.photograph, epochs=epochs, val_mae=val_mae).round(4)


def leave_one_out(pairs, folder):
    """Train SHORT once per photograph of the embedded sample, on others, and score it and the baselines on it.

    The other photographs of val choose the epoch of the weights, and the strength of the denoiser.
    leave_one_out.csv has a row per photograph and method: the number of pairs and the means of METRICS over them.
    """
    score = partial(score_left_out, pairs=pairs, folder=folder.absolute())
    photographs = sorted({*pairs.photograph} - {"drawn"})
    rows = dict(workers.share(score, photographs, "Leaving one out", "photograph", alone=True))
    with paths.write_atomically(folder / "leave_one_out.csv") as path:
        pd.concat([rows[photograph] for photograph in photographs]).to_csv(path, index=False)


def score_left_out(photograph, pairs, folder):
    """Return the rows of leave_one_out.csv for one photograph; a table in the training's folder keeps them."""
    split = pairs.split.where(pairs.split == "val", "train").mask(pairs.photograph == photograph, "test")
    fold, experiment = pairs.assign(split=split), replace(SHORT, label=f"without-{photograph}")
    table = ScoreTable(folder / experiment.name / "left_out.csv")
    key = paths.fingerprint(_make_keys(fold, [experiment])[experiment], baselines.VERSION)
    if table.rows(key).empty:
        scores = {name: baselines.score_named(name, fold)[1] for name in baselines.find_baselines(fold)}
        training.train(experiment, fold, folder)
        scores["short"] = evaluation.score_experiment(experiment, fold, folder)
        rows = evaluation.average_scores(scores).rename_axis("method").reset_index().round(4)
        table.add(key, rows.assign(photograph=photograph, pairs=sum(split == "test")))
    return table.rows(key)[["photograph", "method", "pairs", *METRICS]]


def name_of(item):
    """Return the name of an experiment whatever its seed, or of a baseline, which is the name itself."""
    return item if isinstance(item, str) else replace(item, seed=0).name


def find_study(folder):
    """Return the results folder if it holds a whole study, else results/reference with the sample's."""
    is_whole = all((folder / file).is_file() for file in ("study_scores.csv", "best.keras"))
    return folder if is_whole else paths.REFERENCE


def load_study(folder):
    """Return the means of each training and baseline, and the scores of each test picture.

    Columns of both: experiment, seed, dataset, epochs (NA for a baseline), val_mae (of the weights that were kept) and
    evaluation.METRICS; the second also has scene, frame, ratio, iso and photograph.
    """
    scores = pd.read_csv(folder / "study_scores.csv", dtype={"scene": str, "epochs": "Int64"}).drop(columns="key")
    known = ["experiment", "seed", "dataset", "epochs", "val_mae"]
    return scores.groupby(known, sort=False, dropna=False)[METRICS].mean().round(4).reset_index(), scores


def load_best(folder):
    """Return the trained BEST of find_study."""
    return keras.saving.load_model(find_study(folder) / "best.keras")


def load_networks(folder):
    """Return the networks of STAIRCASE of find_study: {step: Keras model}."""
    folder, experiments = find_study(folder), {step: of for step, of in STAIRCASE.items() if not isinstance(of, str)}
    return {step: keras.saving.load_model(folder / f"{of.name}.keras") for step, of in experiments.items()}


def show_staircase(pair, folder, usual_ratio):
    """Return what each step of STAIRCASE makes of a row of preprocess.develop_pairs: {step: (height, width, 3)}."""
    signal, networks, pictures = load_signal(pair.short_signal), load_networks(folder), {}
    for step, item in STAIRCASE.items():
        if network := networks.get(step):
            _, pictures[step], _ = next(evaluation.predict(network, pair.to_frame().T))
        else:
            [baseline] = baselines.list_baselines(usual_ratio)[item]
            pictures[step] = baseline(signal, pair.ratio, pair.iso)
    return pictures


def pick(table, named):
    """Return a load_study table's rows for {label: experiment of any seed, or baseline's name}, with a column label."""
    return pd.concat([table[table.experiment == name_of(item)].assign(label=label) for label, item in named.items()])


def main():
    """Run the study of the data set that SID_DATASET names; of the sample, leave_one_out as well."""
    folder = paths.dataset_folder(os.environ.get("SID_DATASET") or "sample")
    if is_sample := folder == paths.DATA / "sample":
        sample.build_sample()
    pairs, results = preprocess.develop_pairs(catalog.load_pairs(folder)), paths.results_folder(folder)
    run_study(pairs, results, list_experiments())
    if is_sample:
        leave_one_out(pairs, results)


if __name__ == "__main__":
    from sidlib.beyond import study  # other processes know its functions by this name

    study.main()
