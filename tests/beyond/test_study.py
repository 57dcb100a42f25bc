import shutil
from dataclasses import replace
from itertools import pairwise
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from sidlib import brightness, evaluation, paths, preprocess, sample, training
from sidlib.backend import keras
from sidlib.beyond import evidence, study
from sidlib.beyond.experiments import InputExperiment, StreamExperiment
from sidlib.experiment import COURSE_EXPERIMENTS, Experiment
from sidlib.models import source_of

FEW = ["input as it is", "amplified"]
FIRST = Experiment("cnn", "relu", "mae", augment=False, epochs=1, batch_size=6)
BEST = StreamExperiment(label="best", model="cnn", epochs=1, updates=1, batch_size=2)


def test_the_full_budget_is_the_decks_number_of_updates():
    deck = 20 * -(-1865 // 10)
    scenes = sample.plan_scenes(sample.PHOTOGRAPHS)
    an_epoch = sum(len(scene.short_s) for scene in scenes if scene.number[0] == "0") // 10
    for experiment, course in zip(study.FULL_BUDGET, COURSE_EXPERIMENTS, strict=True):
        assert deck <= experiment.epochs * an_epoch < deck + an_epoch
        assert replace(experiment, epochs=20, patience=5) == course


def test_what_is_compared_has_three_seeds():
    listed = study.list_experiments()
    assert len(listed) == len(set(listed))
    for experiment in (*COURSE_EXPERIMENTS, study.BEST, *study.ABLATION.values()):
        assert {e.seed for e in listed if replace(e, seed=0) == experiment} >= {0, 1, 2}


def test_each_step_of_the_ablation_and_each_arm_changes_one_thing():
    def count_changes(one, other):
        return sum(vars(one)[field] != value for field, value in vars(other).items() if field != "label")

    course, *steps = study.ABLATION.values()
    assert course == COURSE_EXPERIMENTS[1]  # see test_experiments
    steps = [InputExperiment(label="course", source="dark8"), *steps]
    assert [count_changes(before, after) for before, after in pairwise(steps)] == [1] * 5
    assert count_changes(study.BEST, study.SHORT) == 1
    for arm in {*study.ARMS.values()} - {study.SHORT}:
        assert count_changes(arm, study.SHORT) == 1


def test_experiments_have_names_of_their_own():
    names = [experiment.name for experiment in study.list_experiments()]
    assert len(names) == len(set(names)) and max(map(len, names)) <= 50 and "best" in names


@pytest.fixture
def few_baselines(monkeypatch):
    monkeypatch.setattr(study, "find_baselines", lambda pairs: FEW)


@pytest.fixture(scope="module")
def run(tiny_pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    experiments = [FIRST, replace(FIRST, seed=1), replace(FIRST, loss="mse")]
    return folder, experiments, study.run_study(tiny_pairs, folder, experiments)


def test_a_study_has_a_row_per_experiment_and_seed(run):
    folder, experiments, table = run
    read, scores = study.load_study(folder)
    pd.testing.assert_frame_equal(read, table)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "study.csv"), table, check_dtype=False)
    trained = read[read.epochs.notna()]
    assert trained.epochs.tolist() == [1] * 3
    assert trained.experiment.tolist() == [experiments[0].name] * 2 + [experiments[2].name]
    assert trained.seed.tolist() == [0, 1, 0]
    _, history = training.load_run(experiments[0], folder)
    assert trained.val_mae.iloc[0] == pytest.approx(history.val_mae.iloc[0], abs=1e-4)
    assert "stabilised, non-local means" in set(read.experiment) - set(trained.experiment)
    assert len(scores) == 4 * len(read) and set(scores.photograph) == {"china", "flower"}


@pytest.mark.parametrize("missing", [[], ["input as it is"]])
def test_a_study_goes_on_where_it_stood(missing, run, tiny_pairs, tmp_path, monkeypatch):
    folder, experiments, table = run
    rows = pd.read_csv(folder / "study_scores.csv", dtype={"scene": str})
    rows[~rows.experiment.isin(missing)].to_csv(tmp_path / "study_scores.csv", index=False)
    scored, score = [], study.score_named
    monkeypatch.setattr(study, "score_named", lambda name, pairs: scored.append(name) or score(name, pairs))
    monkeypatch.setattr(study, "train", lambda *_: pytest.fail("it was trained again"))
    again = study.run_study(tiny_pairs, tmp_path, experiments)
    assert scored == missing
    order = ["experiment", "seed"]
    pd.testing.assert_frame_equal(*(each.sort_values(order, ignore_index=True) for each in (again, table)))


def change_signal(pairs, folder):
    signal = preprocess.load_signal(pairs.short_signal[0])
    arrays = signal._replace(camera_rgb=signal.camera_rgb * 2)._asdict()
    preprocess.save_arrays(folder / "other", {name: arrays[name] for name in signal._fields[:3]}, "", camera="")
    return pairs.assign(short_signal=pairs.short_signal.where(pairs.index > 0, folder / "other"))


CHANGES = {
    "pairs": lambda pairs, _: pairs[pairs.frame == 0],
    "ratio": lambda pairs, _: pairs.assign(ratio=pairs.ratio / 10),
    "iso": lambda pairs, _: pairs.assign(iso=pairs.iso * 2),
    "split": lambda pairs, _: pairs.assign(split=pairs.split.replace({"train": "val", "val": "train"})),
    "signal": change_signal,
}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_of_other_captures_are_made_anew(change, run, tiny_pairs, tmp_path, few_baselines):
    shutil.copy(run[0] / "study_scores.csv", tmp_path)
    changed = CHANGES[change](tiny_pairs, tmp_path)
    found, fresh = (study.run_study(changed, folder, []) for folder in (tmp_path, tmp_path / "fresh"))
    pd.testing.assert_frame_equal(found, fresh)
    _, scores = study.load_study(tmp_path)
    assert scores.experiment.unique().tolist() == FEW and len(scores) == 2 * (changed.split == "test").sum()


@pytest.mark.parametrize(("name", "made_anew"), [("baselines", 2), ("training", 0), ("evaluation", 2)])
def test_rows_of_other_code_are_made_anew(name, made_anew, tiny_pairs, tmp_path, few_baselines, monkeypatch):
    study.run_study(tiny_pairs, tmp_path, [])
    scored, score = [], study.score_named
    monkeypatch.setattr(study, "score_named", lambda name, pairs: scored.append(name) or score(name, pairs))
    monkeypatch.setattr(getattr(study, name), "VERSION", 99)
    study.run_study(tiny_pairs, tmp_path, [])
    assert len(scored) == made_anew


def test_each_photograph_is_left_out_once_and_finished_ones_are_kept(tiny_pairs, tmp_path, monkeypatch):
    shown = tiny_pairs.scene.map({"00001": "cat", "00002": "drawn", "20001": "drawn", "10001": "dog", "10002": "dog"})
    pairs, folds = tiny_pairs.assign(photograph=shown), {}
    monkeypatch.setattr(study, "SHORT", replace(BEST, label="short"))

    def train(experiment, fold, folder):
        folds[experiment.label] = fold
        if "without-dog" in folds and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return training.train(experiment, fold, folder)

    interrupted = []
    monkeypatch.setattr(study, "train", train)
    with pytest.raises(KeyboardInterrupt):
        study.leave_one_out(pairs, tmp_path)
    assert not (tmp_path / "leave_one_out.csv").exists() and folds.pop("without-cat") is not None
    table = study.leave_one_out(pairs, tmp_path)
    [(label, fold)] = folds.items()
    assert label == "without-dog" and set(fold.split[shown == "dog"]) == {"test"}
    assert "test" not in set(fold.split[shown != "dog"]) and set(shown[fold.split == "val"]) == {"drawn"}
    assert table.groupby("photograph").method.nunique().tolist() == [table.method.nunique()] * 2
    assert table[table.method == "short"].pairs.tolist() == [3, 4]
    pd.testing.assert_frame_equal(study.load_left_out(tmp_path), table.reset_index(drop=True))


def test_the_best_model_is_kept_without_its_optimizer(tiny_pairs, tmp_path, monkeypatch, few_baselines):
    monkeypatch.setattr(study, "BEST", BEST)
    study.run_study(tiny_pairs, tmp_path, [BEST])
    kept = keras.saving.load_model(tmp_path / "best.keras")
    trained, _ = training.train(BEST, tiny_pairs, tmp_path)
    for weights, expected in zip(kept.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)
    assert source_of(kept) == "signed" and getattr(kept, "optimizer", None) is None


def test_a_study_that_was_interrupted_does_not_stand_for_the_whole(tiny_pairs, tmp_path, monkeypatch, few_baselines):
    monkeypatch.setattr(study, "BEST", FIRST)
    assert study.find_study(tmp_path) == paths.REFERENCE
    study.run_study(tiny_pairs, tmp_path, [FIRST])
    assert study.find_study(tmp_path) == tmp_path
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(study, "score_named", mock.Mock(side_effect=KeyboardInterrupt))
        study.run_study(tiny_pairs.assign(ratio=100.0), tmp_path, [])
    assert study.find_study(tmp_path) == paths.REFERENCE


def test_the_committed_study_is_of_the_experiments_that_are_listed():
    runs, scores = study.load_study(paths.REFERENCE)
    trained = runs[runs.epochs.notna()]
    listed = [(study.name_of(experiment), experiment.seed) for experiment in study.list_experiments()]
    found = list(zip(trained.experiment, trained.seed, strict=True))
    assert sorted(found) == sorted(listed)
    learned_nothing = set(runs.experiment[runs.epochs.isna()])
    assert learned_nothing == study.baselines.list_baselines(1).keys()
    assert {"short"} | learned_nothing == set(study.load_left_out(paths.REFERENCE).method)
    pd.testing.assert_frame_equal(pd.read_csv(paths.REFERENCE / "study.csv"), runs, check_dtype=False)


def test_rows_are_picked_by_experiment_whatever_the_seed_and_labelled(run):
    _, experiments, runs = run
    picked = study.pick(runs, {"squares": experiments[2], "absolutes": experiments[1]})
    assert picked.label.tolist() == ["squares", "absolutes", "absolutes"]
    assert picked.seed.tolist() == [0, 0, 1]


def test_another_camera_without_iso_goes_through_the_study_and_06(own_pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "BEST", BEST)
    step = InputExperiment(label="cnn-signed", source="signed", epochs=1)
    table = study.run_study(own_pairs, tmp_path, [BEST, step])
    assert study.find_study(tmp_path) == tmp_path and np.isfinite(table.mae).all()
    assert table.experiment.tolist()[-2:] == ["best", "cnn-signed"] and "amplified" in set(table.experiment)
    _, scores = study.load_study(tmp_path)
    ours, rival = (evidence.average_photographs(study.pick(scores, {"": name})) for name in (BEST, "amplified"))
    assert evidence.compare_photographs(ours, rival)["photographs"] == 1
    test = own_pairs[own_pairs.split == "test"]
    estimated = [brightness.estimate_ratio(preprocess.load_signal(path)) for path in test.short_signal]
    of_best = evaluation.score_model(study.load_best(tmp_path), test.assign(ratio=estimated))
    assert np.isfinite(of_best.mae).all()


def test_make_study_is_of_the_data_set_that_is_named(own_pairs, monkeypatch):
    ran, folder = [], own_pairs.short[0].parent.parent
    monkeypatch.setenv("SID_DATASET", str(folder))
    monkeypatch.setattr(study, "run_study", lambda pairs, results: ran.append((len(pairs), results)))
    monkeypatch.setattr(study, "leave_one_out", lambda *_: pytest.fail("for the sample alone"))
    study.main()
    assert ran == [(3, paths.RESULTS / "own")]
