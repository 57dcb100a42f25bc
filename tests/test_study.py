from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sidlib import catalog, study, training
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
    steps = list(study.ABLATION.values())
    for before, after in zip(steps, steps[1:], strict=False):
        assert sum(value != vars(after)[field] for field, value in vars(before).items()) == 1
    for variant in list(study.VARIANTS.values())[1:]:
        assert sum(value != vars(variant)[field] for field, value in vars(study.BEST).items()) == 1


@pytest.fixture(scope="module")
def run(tiny_pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    first = Experiment("cnn", "relu", "mae", augment=False, epochs=1, batch_size=6)
    experiments = [first, replace(first, seed=1), replace(first, loss="mse")]
    return folder, experiments, study.run_study(tiny_pairs, folder, experiments)


def test_a_study_has_a_row_an_experiment_and_seed(run):
    folder, experiments, table = run
    read, scores = study.load_study(folder)
    assert read.experiment.tolist() == [experiments[0].name] * 2 + [experiments[2].name]
    assert read.seed.tolist() == [0, 1, 0]
    assert len(scores) == 3 * 4
    assert scores.groupby(["experiment", "seed"]).mae.mean().to_list() == pytest.approx(
        read.sort_values(["experiment", "seed"]).mae.to_list(), abs=1e-2
    )


def test_a_study_goes_on_where_it_stood(run, tiny_pairs, monkeypatch):
    folder, experiments, table = run
    monkeypatch.setattr(training, "build_model", lambda *_: pytest.fail("it was trained again"))
    pd.testing.assert_frame_equal(study.run_study(tiny_pairs, folder, experiments), table)


def test_scenes_are_averaged_over_frames_and_seeds(run):
    folder, experiments, _ = run
    _, scores = study.load_study(folder)
    means = study.average_scenes(scores, experiments[1])
    assert len(means) == 2
    assert means.mean() == pytest.approx(scores[scores.experiment == experiments[0].name].mae.mean())


def test_a_difference_is_told_only_where_scenes_agree():
    scenes = [f"{number:05d}" for number in range(20)]
    base = pd.Series(np.random.default_rng(0).uniform(10, 50, 20), scenes)
    noise = np.random.default_rng(1).normal(0, 1, 20)
    assert study.compare_scenes(base - 2 + noise, base)["verdict"] == "lower"
    assert study.compare_scenes(base + 2 + noise, base)["verdict"] == "higher"
    assert study.compare_scenes(base + noise - noise.mean(), base)["verdict"] == "cannot be told"
    found = study.compare_scenes((base - 2 + noise)[::-1], base)  # paired by scene, not by place
    assert found["low"] < found["difference"] < found["high"] and found["high"] - found["low"] < 2
    with pytest.raises(ValueError, match="00019"):
        study.compare_scenes(base, base[:-1])


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(1, 2, (60, 18))
    scenes = pd.Series(0.0, [str(number) for number in range(18)])
    found = [study.compare_scenes(scenes + draw, scenes) for draw in draws]
    assert np.mean([f["low"] <= 1 <= f["high"] for f in found]) > 0.8


def test_the_protocols_are_the_published_pairs():
    index = catalog.load_index()
    counts = {protocol: len(study.select_protocol(index, protocol)) for protocol in study.PROTOCOLS}
    assert counts == {"all": 598, "aligned": 562, "first": 93, "first aligned": 88}
    with pytest.raises(ValueError, match="Received: 'some'"):
        study.select_protocol(index, "some")
