import os
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from sidlib import catalog, paths, sample, training
from sidlib.backend import keras
from sidlib.beyond import study
from sidlib.beyond.experiments import OpenExperiment
from sidlib.models import source_of
from sidlib.training import Experiment


def test_the_full_budget_is_the_decks_number_of_updates():
    deck = 20 * -(-1865 // 10)
    scenes = sample.plan_scenes(sample.PHOTOGRAPHS)
    an_epoch = sum(len(scene.short_s) for scene in scenes if scene.number[0] == "0") // 10
    for experiment, course in zip(study.FULL_BUDGET, training.COURSE_EXPERIMENTS, strict=True):
        assert deck <= experiment.epochs * an_epoch < deck + an_epoch
        assert replace(experiment, epochs=20, patience=5) == course


def test_what_is_compared_has_three_seeds():
    listed = study.list_experiments()
    assert len(listed) == len(set(listed))
    for experiment in (*training.COURSE_EXPERIMENTS, study.BEST):
        assert {e.seed for e in listed if replace(e, seed=0) == experiment} >= {0, 1, 2}


def test_each_step_of_the_ablation_changes_one_thing():
    def count_changes(one, other):
        dark = {"source": "dark8", "unit": False, "linear": False, "residual": False}
        one, other = dark | vars(one), dark | vars(other)
        return sum(value != one.get(field, value) for field, value in other.items() if field != "label")

    assert [count_changes(before, after) for before, after in pairwise(study.ABLATION.values())] == [1] * 5
    assert count_changes(study.BEST, study.SHORT) == 1
    for arm in {*study.ARMS.values()} - {study.SHORT}:
        assert count_changes(arm, study.SHORT) == 1


def test_experiments_have_names_of_their_own():
    names = [experiment.name for experiment in study.list_experiments()]
    assert len(names) == len(set(names)) and max(map(len, names)) <= 50 and "best" in names


@pytest.fixture(scope="module")
def run(tiny_pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    first = Experiment("cnn", "relu", "mae", augment=False, epochs=1, batch_size=6)
    experiments = [first, replace(first, seed=1), replace(first, loss="mse")]
    return folder, experiments, study.run_study(tiny_pairs, folder, experiments)


def test_a_study_has_a_row_an_experiment_and_seed(run):
    folder, experiments, table = run
    read, scores = study.load_study(folder)
    trained = read[read.epochs.notna()]
    assert trained.epochs.tolist() == [1] * 3
    assert trained.experiment.tolist() == [experiments[0].name] * 2 + [experiments[2].name]
    assert trained.seed.tolist() == [0, 1, 0]
    assert "stabilised, total variation" in set(read.experiment) - set(trained.experiment)
    assert len(scores) == 4 * len(read)
    assert scores.groupby(["experiment", "seed"]).mae.mean().to_list() == pytest.approx(
        read.sort_values(["experiment", "seed"]).mae.to_list(), abs=1e-2
    )


def test_a_study_goes_on_where_it_stood(run, tiny_pairs, monkeypatch):
    folder, experiments, table = run
    monkeypatch.setattr(study, "train", lambda *_: pytest.fail("it was trained again"))
    monkeypatch.setattr(study, "score_named", lambda *_, **__: pytest.fail("it was scored again"))
    pd.testing.assert_frame_equal(study.run_study(tiny_pairs, folder, experiments), table, check_dtype=False)


def test_baselines_that_are_missing_are_scored_and_no_others(run, tiny_pairs, tmp_path, monkeypatch):
    folder, experiments, table = run
    for file in study.FILES:
        rows = pd.read_csv(folder / file)
        rows[rows.experiment != "input as it is"].to_csv(tmp_path / file, index=False)
    scored, score = [], study.score_named
    monkeypatch.setattr(study, "score_named", lambda name, pairs: scored.append(name) or score(name, pairs))
    again = study.run_study(tiny_pairs, tmp_path, experiments)
    assert scored == ["input as it is"]
    order = ["experiment", "seed"]
    pd.testing.assert_frame_equal(*(each.sort_values(order, ignore_index=True) for each in (again, table)))


def test_an_interruption_between_the_two_tables_loses_and_doubles_no_scores(run, tiny_pairs, tmp_path, monkeypatch):
    folder, _, _ = run
    _, scores = study.load_study(folder)
    test = tiny_pairs.index[tiny_pairs.split == "test"]
    of_test = scores[:4].set_index(test).drop(columns=["experiment", "seed", "photograph"])
    new = study.Study(tmp_path, tiny_pairs)

    def replace_one(source, target, replace=os.replace):
        if replaced:
            raise KeyboardInterrupt
        replaced.append(target)
        replace(source, target)

    for seed in (0, 1):
        replaced = []
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "replace", replace_one)
            new.add("cnn", seed, 1, 1.0, of_test)
        assert not new.holds("cnn", seed)
        new.add("cnn", seed, 1, 1.0, of_test)
        assert new.holds("cnn", seed)
    table, again = new.read()
    assert table.seed.tolist() == [0, 1] and again.seed.tolist() == [0] * 4 + [1] * 4


def test_tables_of_other_pictures_are_made_anew(run, tiny_pairs, tmp_path):
    folder, experiments, _ = run
    for file in ("study.csv", "study_scores.csv"):
        shutil.copy(folder / file, tmp_path)
    others = tiny_pairs[tiny_pairs.frame == 0]
    table = study.run_study(others, tmp_path, experiments[:1])
    assert table.pictures.nunique() == 1 and table.epochs.count() == 1
    _, scores = study.load_study(tmp_path)
    assert len(scores) == len(table) * (others.split == "test").sum()


def test_each_photograph_is_left_out_once(tiny_pairs, tmp_path, monkeypatch):
    shown = tiny_pairs.scene.map({"00001": "cat", "00002": "drawn", "20001": "drawn", "10001": "dog", "10002": "dog"})
    monkeypatch.setattr(study, "name_photographs", lambda pairs: shown[pairs.index])
    monkeypatch.setattr(study, "SHORT", replace(study.SHORT, model="cnn", epochs=1, updates=0))
    seen = {}

    def train(experiment, fold, folder):
        seen[experiment.label] = fold
        return training.train(experiment, fold, folder)

    monkeypatch.setattr(study, "train", train)
    table = study.leave_one_out(tiny_pairs, tmp_path)
    assert seen.keys() == {"without-cat", "without-dog"}
    for label, fold in seen.items():
        left_out = shown == label.removeprefix("without-")
        assert set(fold.split[left_out]) == {"test"} and "test" not in set(fold.split[~left_out])
        assert set(shown[fold.split == "val"]) == {"drawn"}
    assert table.groupby("photograph").method.nunique().tolist() == [table.method.nunique()] * 2
    assert table[table.method == "short"].pairs.tolist() == [3, 4]
    assert (tmp_path / "leave_one_out.csv").is_file()


def test_the_best_model_is_kept_without_its_optimizer(tiny_pairs, tmp_path, monkeypatch):
    options = {"augment": False, "epochs": 1, "batch_size": 6, "source": "amplified16"}
    best = OpenExperiment("rcan", "relu", "mae", **options, label="best")
    monkeypatch.setattr(study, "BEST", best)
    study.run_study(tiny_pairs, tmp_path, [best])
    kept = keras.saving.load_model(tmp_path / "best.keras")
    trained, _ = training.train(best, tiny_pairs, tmp_path)
    for weights, expected in zip(kept.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)
    assert source_of(kept) == "amplified16" and getattr(kept, "optimizer", None) is None


def test_a_study_that_was_interrupted_does_not_stand_for_the_whole(tiny_pairs, tmp_path, monkeypatch):
    course = replace(training.COURSE_EXPERIMENTS[0], epochs=1)
    best = replace(course, epochs=2)
    monkeypatch.setattr(study, "BEST", best)

    def interrupt(experiment, pairs, folder, score=study.train_and_score):
        if experiment == course:
            raise KeyboardInterrupt
        return score(experiment, pairs, folder)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(study, "train_and_score", interrupt)
        study.run_study(tiny_pairs, tmp_path, [best, course])
    assert study.find_study(tmp_path) == paths.RESULTS / "reference"
    study.run_study(tiny_pairs, tmp_path, [best, course])
    assert study.find_study(tmp_path) == tmp_path


def test_the_committed_study_stands_in_where_none_was_run(run, tmp_path):
    for file in (*study.FILES, "best.keras"):
        assert study.find_study(tmp_path) == paths.RESULTS / "reference"
        (tmp_path / file).touch()
    assert study.find_study(tmp_path) == tmp_path


def test_the_committed_study_is_of_the_experiments_that_are_listed():
    runs, scores = study.load_study(paths.RESULTS / "reference")
    trained = runs[runs.epochs.notna()]
    listed = [(study.name_of(experiment), experiment.seed) for experiment in study.list_experiments()]
    found = list(zip(trained.experiment, trained.seed, strict=True))
    assert sorted(found) == sorted(listed)
    means = scores.groupby(["experiment", "seed"]).mae.mean()
    np.testing.assert_allclose(means[found], trained.mae, atol=1e-2)


@pytest.mark.parametrize("size_px", [(96, 64), (127, 85)])
def test_the_committed_model_leaves_flat_colours_flat(size_px):
    found = study.measure_flat(study.load_best(paths.RESULTS / "reference"), size_px)
    assert set(found.index) == set(study.FLAT_COLOURS)
    assert found.grid.max() < 2 and found.off.max() < 5


def test_a_grid_and_a_wrong_colour_are_measured():
    def paint(pictures):
        painted = np.array(pictures)
        painted[:, ::2, ::2] += 12  # of one of four places: 3 in the mean
        return painted

    found = study.measure_flat(paint, noise=0)
    np.testing.assert_allclose(found.grid, 12)
    np.testing.assert_allclose(found.off, 3)


def test_rows_are_picked_by_experiment_whatever_the_seed_and_labelled(run):
    folder, experiments, _ = run
    runs, _ = study.load_study(folder)
    picked = study.pick(runs, {"squares": experiments[2], "absolutes": experiments[1]})
    assert picked.label.tolist() == ["squares", "absolutes", "absolutes"]
    assert picked.seed.tolist() == [0, 0, 1]


def test_frames_and_then_scenes_of_a_photograph_are_averaged_first():
    scores = pd.DataFrame(
        {
            "photograph": ["a", "a", "a", "a", "b"],
            "scene": ["1", "1", "2", "2", "3"],
            "seed": 0,
            "mae": [1.0, 3, 5, 7, 9],
        }
    )
    assert study.average_photographs(scores)[0].to_dict() == {"a": 4, "b": 9}
    assert study.average_photographs(scores.assign(seed=[0, 1, 0, 1, 0])).columns.tolist() == [0, 1]


def test_a_difference_is_told_only_where_photographs_and_seeds_agree():
    photographs = [f"{number:02d}" for number in range(8)]
    base = pd.DataFrame({0: np.random.default_rng(0).uniform(10, 50, 8)}, photographs)
    noise = pd.DataFrame({0: np.random.default_rng(1).normal(0, 1, 8)}, photographs)
    noise -= noise.mean()
    assert study.compare_photographs(base - 2 + noise, base)["verdict"] == "lower"
    assert study.compare_photographs(base + 2 + noise, base)["verdict"] == "higher"
    assert study.compare_photographs(base + noise, base)["verdict"] == "cannot be told"
    seeds_apart = pd.concat([base - 5, base + 1], axis=1, keys=["a", "b"])
    assert study.compare_photographs(seeds_apart + noise[0].to_numpy()[:, None], base)["verdict"] == "cannot be told"
    assert study.compare_photographs((base - 2)[:1], base[:1])["verdict"] == "cannot be told"  # one photograph
    found = study.compare_photographs((base - 2 + noise)[::-1], base)  # paired by photograph, not by place
    assert found["low"] < found["difference"] < found["high"] and found["high"] - found["low"] < 2
    with pytest.raises(ValueError, match="'06', '07'"):
        study.compare_photographs(base, base[:-1])


def test_the_protocols_are_the_published_pairs():
    index = catalog.load_index()
    counts = {protocol: len(study.select_protocol(index, protocol)) for protocol in study.PROTOCOLS}
    assert counts == {"all": 598, "aligned": 562, "first": 93, "first aligned": 88}
    with pytest.raises(ValueError, match="Received: 'some'"):
        study.select_protocol(index, "some")
