from dataclasses import replace
from itertools import pairwise
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from sidlib import brightness, evaluation, paths, preprocess, training
from sidlib.beyond import baselines, evidence, study
from sidlib.beyond.experiments import InputExperiment, StreamExperiment
from sidlib.dataset import read_picture
from sidlib.experiment import COURSE_EXPERIMENTS, Experiment, list_course_experiments
from tests.flat_colours import FLAT_COLOURS, score_flat

FEW = ["input as it is", "amplified"]
FIRST = Experiment("cnn", "relu", "mae", augment=False, epochs=1, batch_size=6, updates=1)
BEST = StreamExperiment(label="best", model="cnn", epochs=1, updates=1, batch_size=2)


def test_experiments_have_names_of_their_own_and_three_seeds_where_they_are_compared():
    listed = study.list_experiments()
    names = {experiment.name for experiment in listed}
    assert len(listed) == len(names) and max(map(len, names)) <= 50 and "best" in names
    for experiment in (*list_course_experiments(), study.BEST, *study.ABLATION.values()):
        assert {e.seed for e in listed if replace(e, seed=0) == experiment} >= {0, 1, 2}


def test_each_step_of_the_ablation_changes_one_thing():
    def count_changes(one, other):
        return sum(vars(one)[field] != value for field, value in vars(other).items() if field != "label")

    course, *steps = study.ABLATION.values()
    assert course == COURSE_EXPERIMENTS[1]  # see test_experiments
    steps = [InputExperiment(label="course", source="dark8"), *steps]
    assert [count_changes(before, after) for before, after in pairwise(steps)] == [1] * 6
    assert count_changes(study.BEST, study.SHORT) == 1


@pytest.fixture
def few_baselines(monkeypatch):
    """Two baselines; the fixture lists the names of those that are scored."""
    scored, score = [], baselines.score_named
    monkeypatch.setattr(baselines, "find_baselines", lambda pairs: FEW)
    monkeypatch.setattr(baselines, "score_named", lambda name, pairs: scored.append(name) or score(name, pairs))
    return scored


@pytest.fixture(scope="module")
def run(tiny_pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    experiments = [FIRST, replace(FIRST, seed=1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "STRENGTHS", (1.0,))
        return folder, experiments, study.run_study(tiny_pairs, folder, experiments)


def test_a_study_has_a_row_per_experiment_and_seed(run):
    folder, experiments, table = run
    read, scores = study.load_study(folder)
    pd.testing.assert_frame_equal(read, table)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "study.csv"), table, check_dtype=False)
    trained = read[read.epochs.notna()]
    assert trained[["experiment", "seed", "epochs"]].to_numpy().tolist() == [[FIRST.name, 0, 1], [FIRST.name, 1, 1]]
    _, history = training.load_run(experiments[0], folder)
    assert trained.val_mae.iloc[0] == pytest.approx(history.val_mae.iloc[0], abs=1e-4)
    assert "stabilised, non-local means" in set(read.experiment) - set(trained.experiment)
    assert len(scores) == 4 * len(read) and set(scores.photograph) == {"china", "flower"}
    picked = study.pick(read, {"no learning": "amplified", "a CNN": experiments[1]})  # whatever the seed
    assert picked.label.tolist() == ["no learning", "a CNN", "a CNN"] and picked.seed.tolist() == [0, 0, 1]


def test_a_study_goes_on_where_it_stood(run, tiny_pairs, tmp_path, few_baselines, monkeypatch):
    folder, experiments, table = run
    rows = pd.read_csv(folder / "study_scores.csv", dtype={"scene": str})
    rows[rows.experiment != "amplified"].to_csv(tmp_path / "study_scores.csv", index=False)
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("it was trained again"))
    again = study.run_study(tiny_pairs, tmp_path, experiments)
    assert few_baselines == ["amplified"]
    order, expected = {"by": ["experiment", "seed"], "ignore_index": True}, table.experiment.isin([*FEW, FIRST.name])
    pd.testing.assert_frame_equal(again.sort_values(**order), table[expected].sort_values(**order))


def test_rows_of_other_captures_or_code_are_made_anew(tiny_pairs, tmp_path, few_baselines, monkeypatch):
    changes = {  # see test_dataset for fingerprint_pairs
        "first": lambda: tiny_pairs,
        "pairs": lambda: tiny_pairs[tiny_pairs.frame == 0],
        "split": lambda: tiny_pairs.assign(split=tiny_pairs.split.replace({"train": "val", "val": "train"})),
        "baselines": lambda: monkeypatch.setattr(baselines, "VERSION", 99) or tiny_pairs,
        "evaluation": lambda: monkeypatch.setattr(evaluation, "VERSION", 99) or tiny_pairs,
    }
    for change, make in changes.items():
        pairs = make()
        for _ in range(2):  # the second time they are kept
            study.run_study(pairs, tmp_path, [])
        assert few_baselines == FEW, change
        few_baselines.clear()
        _, scores = study.load_study(tmp_path)
        assert scores.experiment.unique().tolist() == FEW and len(scores) == 2 * (pairs.split == "test").sum()


@pytest.mark.usefixtures("eager")
def test_each_photograph_is_left_out_once_and_finished_ones_are_kept(tiny_pairs, tmp_path, few_baselines, monkeypatch):
    shown = tiny_pairs.scene.map({"00001": "cat", "00002": "drawn", "20001": "drawn", "10001": "dog", "10002": "dog"})
    pairs, folds, interrupted, really_train = tiny_pairs.assign(photograph=shown), {}, [], training.train
    monkeypatch.setattr(study, "SHORT", replace(BEST, label="short"))

    def train(experiment, fold, folder):
        folds[experiment.label] = fold
        if "without-dog" in folds and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return really_train(experiment, fold, folder)

    monkeypatch.setattr(training, "train", train)
    with pytest.raises(KeyboardInterrupt):
        study.leave_one_out(pairs, tmp_path)
    assert not (tmp_path / "leave_one_out.csv").exists() and folds.pop("without-cat") is not None
    study.leave_one_out(pairs, tmp_path)
    table = pd.read_csv(tmp_path / "leave_one_out.csv")
    [(label, fold)] = folds.items()
    assert label == "without-dog" and set(fold.split[shown == "dog"]) == {"test"}
    assert "test" not in set(fold.split[shown != "dog"]) and set(shown[fold.split == "val"]) == {"drawn"}
    assert table.photograph.tolist() == ["cat"] * 3 + ["dog"] * 3 and table.method.tolist() == [*FEW, "short"] * 2
    assert table[table.method == "short"].pairs.tolist() == [3, 4]


@pytest.mark.usefixtures("eager")
def test_a_study_that_was_interrupted_does_not_stand_for_the_whole(tiny_pairs, tmp_path, monkeypatch, few_baselines):
    monkeypatch.setitem(study.STAIRCASE, "better model", BEST)
    assert study.find_study(tmp_path) == paths.REFERENCE
    study.run_study(tiny_pairs, tmp_path, [BEST])
    assert study.find_study(tmp_path) == tmp_path
    kept, (trained, _) = study.load_best(tmp_path), training.load_run(BEST, tmp_path)
    for weights, expected in zip(kept.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)
    assert getattr(kept, "optimizer", None) is None  # a third of the bytes
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(baselines, "score_named", mock.Mock(side_effect=KeyboardInterrupt))
        study.run_study(tiny_pairs.assign(ratio=100.0), tmp_path, [])
    assert study.find_study(tmp_path) == paths.REFERENCE


def test_the_committed_study_is_of_experiments_that_are_listed_and_of_the_whole_staircase():
    runs, _ = study.load_study(paths.REFERENCE)
    trained = runs[runs.epochs.notna()]
    listed = {(study.name_of(experiment), experiment.seed) for experiment in study.list_experiments()}
    found = [*zip(trained.experiment, trained.seed, strict=True)]
    assert {*found} <= listed and len({*found}) == len(found)
    assert {study.name_of(item) for item in study.STAIRCASE.values()} <= set(runs.experiment)
    assert set(runs.experiment[runs.epochs.isna()]) == baselines.list_baselines(1).keys()
    pd.testing.assert_frame_equal(pd.read_csv(paths.REFERENCE / "study.csv"), runs, check_dtype=False)


def test_each_step_of_the_staircase_is_shown_by_a_committed_network_or_a_baseline(tiny_pairs, tmp_path):
    pair = tiny_pairs[tiny_pairs.split == "test"].iloc[0]
    pictures = study.show_staircase(pair, tmp_path, 300.0)
    assert list(pictures) == list(study.STAIRCASE)
    assert all(picture.shape == (22, 32, 3) for picture in pictures.values())
    truth = read_picture(str(pair.long_png)).numpy()
    errors = {step: np.abs(picture - truth).mean() for step, picture in pictures.items()}
    assert errors["input as it is"] > errors["× true ratio"] > errors["better model"]
    as_learned = preprocess.load_signal(pair.short_signal), pair.ratio, pair.iso
    [baseline] = baselines.list_baselines(300.0)["dark, 8 bit, × ratio"]
    np.testing.assert_array_equal(pictures["× true ratio"], baseline(*as_learned))


def test_another_camera_without_iso_goes_through_the_study_and_06(own_pairs, tmp_path, monkeypatch):
    monkeypatch.setitem(study.STAIRCASE, "better model", BEST)
    step = InputExperiment(label="cnn-signed", source="signed", epochs=1, updates=1)
    table = study.run_study(own_pairs, tmp_path, [BEST, step])
    assert study.find_study(tmp_path) == tmp_path and np.isfinite(table.mae).all()
    assert table.experiment.tolist()[-2:] == ["best", "cnn-signed"] and "amplified" in set(table.experiment)
    test = own_pairs[own_pairs.split == "test"]
    estimated = [brightness.estimate_ratio(preprocess.load_signal(path)) for path in test.short_signal]
    of_best = evaluation.score_model(study.load_best(tmp_path), test.assign(ratio=estimated))
    assert np.isfinite(of_best.mae).all()


def test_make_study_is_of_the_data_set_that_is_named(own_pairs, monkeypatch):
    ran, folder = [], own_pairs.short[0].parent.parent
    monkeypatch.setenv("SID_DATASET", str(folder))
    monkeypatch.setattr(study, "run_study", lambda pairs, results, _: ran.append((len(pairs), results)))
    monkeypatch.setattr(study, "leave_one_out", lambda *_: pytest.fail("for the sample alone"))
    study.main()
    assert ran == [(3, paths.RESULTS / "own")]


def test_the_committed_model_leaves_flat_colours_flat_at_odd_sizes():
    best = study.load_best(paths.REFERENCE)
    for colour in FLAT_COLOURS.values():
        noisy = np.random.default_rng(0).normal(colour, 6, (1, 65, 97, 3)).clip(0, 255).astype(np.float32)
        found = score_flat(best.predict_on_batch(noisy)[0, 16:-16, 16:-16], colour)
        assert found["grid"] < 3 and found["off"] < 5


def test_frames_and_then_scenes_of_a_photograph_are_averaged_first():
    rows = [("a", "1", 1.0), ("a", "1", 3.0), ("a", "2", 5.0), ("a", "2", 7.0), ("b", "3", 9.0)]
    scores = pd.DataFrame(rows, columns=["photograph", "scene", "mae"]).assign(seed=0)
    assert evidence.average_photographs(scores)[0].to_dict() == {"a": 4, "b": 9}
    assert evidence.average_photographs(scores.assign(seed=[0, 1, 0, 1, 0])).columns.tolist() == [0, 1]


def test_a_difference_is_told_only_where_photographs_and_seeds_agree():
    photographs = [f"{number:02d}" for number in range(8)]
    base = pd.DataFrame({0: np.random.default_rng(0).uniform(10, 50, 8)}, photographs)
    noise = pd.DataFrame({0: np.random.default_rng(1).normal(0, 1, 8)}, photographs)
    noise -= noise.mean()
    seeds_apart = pd.concat([base - 5, base + 1], axis=1, keys=["a", "b"]) + noise[0].to_numpy()[:, None]
    unclear = {"equal": base + noise, "seeds apart": seeds_apart, "one photograph": (base - 2)[:1]}
    expected = dict.fromkeys(unclear, "cannot be told") | {"less": "lower", "more": "higher"}
    for kind, scores in (unclear | {"less": base - 2 + noise, "more": base + 2 + noise}).items():
        assert evidence.compare_photographs(scores, base[: len(scores)])["verdict"] == expected[kind], kind
    found = evidence.compare_photographs((base - 2 + noise)[::-1], base)  # paired by photograph, not by position
    assert found["low"] < found["difference"] < found["high"] and found["high"] - found["low"] < 2
    with pytest.raises(ValueError, match="'06', '07'"):
        evidence.compare_photographs(base, base[:-1])
