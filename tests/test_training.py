import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor

from sidlib import paths, training, workers
from sidlib.backend import keras
from sidlib.dataset import make_dataset
from sidlib.experiment import Experiment

EXPERIMENT = Experiment("cnn", "relu", "mae", augment=True, epochs=3, batch_size=4, crop_px=(24, 16), updates=2)
OTHER = replace(EXPERIMENT, loss="mse")
LOSSES = ["loss", "mae", "val_loss", "val_mae"]
pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def undisturbed(tiny_pairs, tmp_path_factory):
    """The folder and the history of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    _, history = training.train(EXPERIMENT, tiny_pairs, folder)
    return folder / EXPERIMENT.name, history


def assert_same_training(folder, undisturbed):
    """The run in folder ended as if nothing had happened."""
    expected_run, expected = undisturbed
    run = folder / EXPERIMENT.name
    pd.testing.assert_frame_equal(training.read_history(run)[["epoch", *LOSSES]], expected[["epoch", *LOSSES]])
    best, expected_best = (keras.saving.load_model(of / "best.keras").get_weights() for of in (run, expected_run))
    for weights, expected_weights in zip(best, expected_best, strict=True):
        np.testing.assert_allclose(weights, expected_weights, rtol=1e-4, atol=1e-6)
    assert training.is_finished(run)


def interrupt_after(epochs):
    def interrupt(history):
        if len(history) == epochs:
            raise KeyboardInterrupt

    return interrupt


@pytest.fixture(scope="module")
def of_two_epochs(tiny_pairs, tmp_path_factory):
    """The folder of a training that was killed in its second epoch, before it removed older checkpoints."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.SaveEpochs, "remove_checkpoints", lambda *_, **__: None)
        training.train(EXPERIMENT, tiny_pairs, folder, on_epoch=interrupt_after(2))
    return folder / EXPERIMENT.name


@pytest.fixture
def interrupted(of_two_epochs, tmp_path):
    """A copy of it."""
    return shutil.copytree(of_two_epochs, tmp_path / EXPERIMENT.name)


@pytest.fixture
def finished(undisturbed, tmp_path):
    """A copy of the undisturbed training."""
    return shutil.copytree(undisturbed[0], tmp_path / EXPERIMENT.name)


def test_a_run_leaves_its_settings_its_history_and_the_weights_of_the_lowest_validation_loss(undisturbed, tiny_pairs):
    run, history = undisturbed
    assert set(read_all(run)) == {"best.keras", "config.json", "history.csv"}
    assert list(history.columns) == ["epoch", *LOSSES, "seconds"] and history.epoch.tolist() == [1, 2, 3]
    assert history.loss.is_monotonic_decreasing and history.val_loss.iloc[-1] < 0.95 * history.val_loss.iloc[0]
    expected = asdict(EXPERIMENT) | {"crop_px": [24, 16], "dataset": "tiny", "train_pairs": 6, "val_pairs": 2}
    assert json.loads((run / "config.json").read_text()).items() >= expected.items()
    model = keras.saving.load_model(run / "best.keras")
    validation = make_dataset(tiny_pairs[tiny_pairs.split == "val"], batch_size=4)
    assert model.evaluate(validation, verbose=0)[0] == pytest.approx(history.val_loss.min(), rel=1e-4)


def test_a_finished_run_is_loaded_and_not_trained_again(undisturbed, tiny_pairs, monkeypatch):
    run, history = undisturbed
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("it was trained again"))
    _, again = training.train(EXPERIMENT, tiny_pairs, run.parent)
    pd.testing.assert_frame_equal(again, history)


@pytest.mark.parametrize("write", [2, 7])  # config, checkpoint-0; per epoch best, history, checkpoint
def test_an_interruption_at_any_write_changes_nothing(write, undisturbed, tiny_pairs, tmp_path, monkeypatch):
    whole, count = paths.write_atomically, iter(range(1, 100))

    def write_or_die(path):
        if next(count) == write:
            raise KeyboardInterrupt
        return whole(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(paths, "write_atomically", write_or_die)
        training.train(EXPERIMENT, tiny_pairs, tmp_path)
    training.train(EXPERIMENT, tiny_pairs, tmp_path)
    assert_same_training(tmp_path, undisturbed)


@pytest.mark.parametrize(("name", "kept"), [("checkpoint-2.keras", 1), ("history.csv", 0)])
def test_the_newest_checkpoint_that_is_whole_counts(name, kept, interrupted, undisturbed, tiny_pairs, caplog):
    before = training.read_history(interrupted).seconds
    os.truncate(interrupted / name, 70)
    training.train(EXPERIMENT, tiny_pairs, interrupted.parent)
    assert f"{interrupted / name} " in caplog.text
    assert "This training goes on from an older checkpoint" in caplog.text
    assert_same_training(interrupted.parent, undisturbed)
    pd.testing.assert_series_equal(training.read_history(interrupted).seconds[:kept], before[:kept])


def test_a_file_of_no_bytes_in_a_finished_run_is_named_with_what_to_do(finished, tiny_pairs):
    for name in ("history.csv", "best.keras", "config.json"):
        (finished / name).write_bytes(b"")
        with pytest.raises(ValueError, match=f"{name} cannot be read .*: move {finished} away to train anew"):
            training.train(EXPERIMENT, tiny_pairs, finished.parent)


def test_early_stopping_counts_across_an_interruption(tiny_pairs, tmp_path):
    still = replace(EXPERIMENT, learning_rate=0.0, augment=False, epochs=9, patience=2)
    with pytest.raises(KeyboardInterrupt):
        training.train(still, tiny_pairs, tmp_path, on_epoch=interrupt_after(2))
    _, history = training.train(still, tiny_pairs, tmp_path)
    # Rounding makes equal epochs differ in the last digit, so the best is not always the first.
    assert len(history) - 1 - history.loss.argmin() == 2
    assert len(history) < 9


def test_a_loss_that_is_not_a_number_names_experiment_and_epoch(tiny_pairs, tmp_path, monkeypatch):
    wild = replace(EXPERIMENT, learning_rate=float("inf"), updates=1)  # of one update the loss is finite
    with pytest.raises(FloatingPointError, match=f"{wild.name}: the val_loss became nan in epoch 1"):
        training.train(wild, tiny_pairs, tmp_path)
    wild = replace(wild, updates=2)
    monkeypatch.setattr(workers, "share", lambda function, items, *_, **__: map(function, items))
    with pytest.raises(FloatingPointError, match=f"{wild.name}: the loss became nan in epoch 1"):
        training.train_all([wild], tiny_pairs, tmp_path)  # its progress line ends, too
    assert not list(tmp_path.rglob("history.csv"))


def read_all(folder):
    return {file.name: file.read_bytes() for file in folder.glob("[!.]*.*")}


def test_a_run_on_other_pictures_is_kept_aside_and_trained_anew(finished, tiny_pairs, caplog):
    before, others = read_all(finished), tiny_pairs.copy()
    others.loc[others.index[others.split == "val"][0], "ratio"] = 77
    _, history = training.train(EXPERIMENT, others, finished.parent)
    (earlier,) = finished.glob("earlier-*")
    assert read_all(earlier) == before and f"moved to {earlier}: training starts anew" in caplog.text
    assert len(history) == 3 and {*read_all(finished)} == {"best.keras", "config.json", "history.csv"}
    assert json.loads((finished / "config.json").read_text())["pairs"] not in before["config.json"].decode()
    caplog.clear()
    training.train(EXPERIMENT, others, finished.parent)  # it is not done again
    assert not caplog.text


def test_a_move_that_is_cut_off_leaves_no_finished_run_and_the_next_one_ends_it(finished, monkeypatch):
    run, before, move, moves = training.SaveEpochs(finished.parent, EXPERIMENT), read_all(finished), Path.rename, []
    with monkeypatch.context() as patch, pytest.raises(IndexError):
        patch.setattr(Path, "rename", lambda *files: moves.append(move(*files)) or moves[-2])  # the first one dies
        run.keep_config({"pairs": "others"})
    assert not training.is_finished(finished)
    run.keep_config({"pairs": "others"})
    (finished / "best.keras").write_text("weights of others")
    run.keep_config({"pairs": "one"})
    earlier = [read_all(folder) for folder in finished.glob("earlier-*")]
    assert len(earlier) == 2 and before in earlier


def test_a_run_that_is_not_there_or_not_ended_is_named_with_what_makes_it(interrupted):
    for experiment in (EXPERIMENT, OTHER):
        with pytest.raises(FileNotFoundError, match=f"{experiment.name} holds no finished training: training.train"):
            training.load_run(experiment, interrupted.parent)


def test_who_comes_second_waits_and_does_not_train_again(undisturbed, tiny_pairs, tmp_path, caplog):
    run = tmp_path / EXPERIMENT.name
    with ThreadPoolExecutor() as pool:
        with paths.lock(run / ".lock"):
            second = pool.submit(training.train, EXPERIMENT, tiny_pairs, tmp_path)
            while str(run) not in caplog.text:
                time.sleep(0.01)
            shutil.copytree(undisturbed[0], run, dirs_exist_ok=True)  # the first one ends
        _, history = second.result(timeout=60)
    pd.testing.assert_frame_equal(history, undisturbed[1])


SIDE_BY_SIDE = [replace(EXPERIMENT, epochs=5, patience=5, seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def side_by_side(tiny_pairs, tmp_path_factory):
    """The folder of two trainings side by side that nothing interrupted, their histories and what was printed."""
    folder = tmp_path_factory.mktemp("side_by_side")
    with redirect_stdout(io.StringIO()) as printed, joblib.parallel_config("loky"):
        histories = training.train_all(SIDE_BY_SIDE, tiny_pairs, folder)
    yield folder, histories, printed.getvalue()
    get_reusable_executor().shutdown(kill_workers=True)  # at the end of all tests it takes seconds


def test_trainings_side_by_side_have_a_progress_line_each(side_by_side):
    _, histories, printed = side_by_side
    assert list(histories) == SIDE_BY_SIDE and all(len(history) == 5 for history in histories.values())
    lines = [line.rsplit("\r", 1)[-1] for line in printed.strip().split("\n")]
    for experiment, line in zip(SIDE_BY_SIDE, lines, strict=True):
        assert line.startswith(f"{experiment.name}: 100%") and "5/5" in line and "val_loss=" in line


def test_trainings_side_by_side_that_are_killed_end_with_the_same_bytes(side_by_side, tiny_pairs, tmp_path):
    undisturbed, expected, _ = side_by_side
    folder, deadline = tmp_path / "killed", time.monotonic() + 120
    (tmp_path / "pairs.pickle").write_bytes(pickle.dumps(tiny_pairs))
    script = (
        "import pathlib, pickle, sys; from sidlib import training; from tests.test_training import SIDE_BY_SIDE;"
        "training.train_all(SIDE_BY_SIDE, pickle.load(open(sys.argv[1], 'rb')), pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, tmp_path / "pairs.pickle", folder]
    options = {"cwd": paths.ROOT, "start_new_session": True, "stdout": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=os.environ | {"LOKY_MAX_CPU_COUNT": "1"}, **options)  # another number
    while not any(len(pd.read_csv(file)) >= 2 for file in folder.glob("*/history.csv")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert any(folder.glob("*/checkpoint-*.keras"))
    reached = {file.parent: training.read_history(file.parent) for file in folder.glob("*/history.csv")}
    with joblib.parallel_config("loky"):
        resumed = training.train_all(SIDE_BY_SIDE, tiny_pairs, folder)
    for experiment, history in resumed.items():
        pd.testing.assert_frame_equal(history[LOSSES], expected[experiment][LOSSES], check_exact=True)
        models = [training.load_run(experiment, of)[0] for of in (folder, undisturbed)]
        for weights, others in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_array_equal(weights, others)
    for run, before in reached.items():  # `seconds` tells that whole epochs were not done again
        pd.testing.assert_frame_equal(training.read_history(run)[: len(before) - 1], before[:-1])


def test_only_what_is_not_current_is_trained_side_by_side(finished, tiny_pairs, monkeypatch):
    asked = []
    monkeypatch.setattr(workers, "share", lambda function, items, *_, **__: asked.append(items) or [])
    with pytest.raises(FileNotFoundError, match=OTHER.name):
        training.train_all([EXPERIMENT, OTHER], tiny_pairs, finished.parent)
    with pytest.raises(FileNotFoundError, match=EXPERIMENT.name):
        training.train_all([EXPERIMENT], tiny_pairs[1:], finished.parent)
    assert asked == [[OTHER], [EXPERIMENT]] and any(finished.glob("earlier-*/best.keras"))
