from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from sidlib import catalog, paths, training
from sidlib.backend import keras
from sidlib.beyond import study
from sidlib.beyond.experiments import OpenExperiment
from sidlib.models import source_of
from sidlib.training import Experiment


def test_the_grid_is_the_decks_36_experiments():
    assert len(study.GRID) == len(set(study.GRID)) == 36
    assert set(training.COURSE_EXPERIMENTS) <= set(study.GRID)


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

    assert [count_changes(before, after) for before, after in pairwise(study.ABLATION.values())] == [1] * 6
    for variant in {*study.VARIANTS.values()} - {study.START, study.BEST}:
        assert min(count_changes(variant, of) for of in (study.START, study.BEST)) == 1


def test_experiments_have_names_of_their_own():
    names = [experiment.name for experiment in study.list_experiments()]
    assert len(names) == len(set(names)) and max(map(len, names)) < 45 and "best" in names


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
    assert trained.experiment.tolist() == [experiments[0].name] * 2 + [experiments[2].name]
    assert trained.seed.tolist() == [0, 1, 0]
    assert "amplified, total variation" in set(read.experiment) - set(trained.experiment)
    assert len(scores) == 4 * len(read)
    assert scores.groupby(["experiment", "seed"]).mae.mean().to_list() == pytest.approx(
        read.sort_values(["experiment", "seed"]).mae.to_list(), abs=1e-2
    )


def test_a_study_goes_on_where_it_stood(run, tiny_pairs, monkeypatch):
    folder, experiments, table = run
    monkeypatch.setattr(training, "build_model", lambda *_: pytest.fail("it was trained again"))
    pd.testing.assert_frame_equal(study.run_study(tiny_pairs, folder, experiments), table)


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


def test_the_committed_study_stands_in_where_none_was_run(run, tmp_path):
    assert study.find_study(run[0]) == run[0]
    assert study.find_study(tmp_path) == paths.RESULTS / "reference"


def test_the_committed_study_is_of_the_experiments_that_are_listed():
    runs, scores = study.load_study(paths.RESULTS / "reference")
    trained = runs[runs.epochs.notna()]
    listed = [(study.name_of(experiment), experiment.seed) for experiment in study.list_experiments()]
    assert list(zip(trained.experiment, trained.seed, strict=True)) == listed
    means = scores.groupby(["experiment", "seed"]).mae.mean()
    np.testing.assert_allclose(means[listed], trained.mae, atol=1e-2)


def test_rows_are_picked_by_experiment_whatever_the_seed_and_labelled(run):
    folder, experiments, _ = run
    runs, _ = study.load_study(folder)
    picked = study.pick(runs, {"squares": experiments[2], "absolutes": experiments[1]})
    assert picked.label.tolist() == ["squares", "absolutes", "absolutes"]
    assert picked.seed.tolist() == [0, 0, 1]


def test_frames_of_a_scene_are_averaged_first():
    scores = pd.DataFrame({"scene": ["a", "a", "a", "b"], "mae": [1.0, 2, 3, 10]})
    assert study.average_scenes(scores)[0].to_dict() == {"a": 2, "b": 10}
    assert study.average_scenes(scores.assign(seed=[0, 0, 1, 1])).columns.tolist() == [0, 1]


def test_a_difference_is_told_only_where_scenes_and_seeds_agree():
    scenes = [f"{number:05d}" for number in range(20)]
    base = pd.DataFrame({0: np.random.default_rng(0).uniform(10, 50, 20)}, scenes)
    noise = pd.DataFrame({0: np.random.default_rng(1).normal(0, 1, 20)}, scenes)
    noise -= noise.mean()
    assert study.compare_scenes(base - 2 + noise, base)["verdict"] == "lower"
    assert study.compare_scenes(base + 2 + noise, base)["verdict"] == "higher"
    assert study.compare_scenes(base + noise, base)["verdict"] == "alike"
    assert study.compare_scenes(base + 5 * noise, base)["verdict"] == "cannot be told"
    seeds_apart = pd.concat([base - 5, base + 1], axis=1, keys=["a", "b"])
    assert study.compare_scenes(seeds_apart + noise[0].to_numpy()[:, None], base)["verdict"] == "cannot be told"
    found = study.compare_scenes((base - 2 + noise)[::-1], base)  # paired by scene, not by place
    assert found["low"] < found["difference"] < found["high"] and found["high"] - found["low"] < 2
    with pytest.raises(ValueError, match="00019"):
        study.compare_scenes(base, base[:-1])


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(1, 2, (60, 18))
    scenes = pd.DataFrame(np.zeros((18, 1)), [str(number) for number in range(18)])
    found = [study.compare_scenes(scenes + draw[:, None], scenes) for draw in draws]
    assert np.mean([f["low"] <= 1 <= f["high"] for f in found]) > 0.8


def test_the_protocols_are_the_published_pairs():
    index = catalog.load_index()
    counts = {protocol: len(study.select_protocol(index, protocol)) for protocol in study.PROTOCOLS}
    assert counts == {"all": 598, "aligned": 562, "first": 93, "first aligned": 88}
    with pytest.raises(ValueError, match="Received: 'some'"):
        study.select_protocol(index, "some")
