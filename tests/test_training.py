import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sidlib import paths, training, workers
from sidlib.backend import keras
from sidlib.dataset import make_dataset
from sidlib.experiment import Experiment

EXPERIMENT = Experiment("cnn", "relu", "mae", augment=True, epochs=3, batch_size=4)
OTHER = replace(EXPERIMENT, loss="mse")
LOSSES = ["loss", "mae", "val_loss", "val_mae"]


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


@pytest.fixture
def interrupted(tiny_pairs, tmp_path):
    """The folder of a training that was interrupted after two epochs."""
    with pytest.raises(KeyboardInterrupt):
        training.train(EXPERIMENT, tiny_pairs, tmp_path, on_epoch=interrupt_after(2))
    return tmp_path / EXPERIMENT.name


def test_a_run_leaves_its_settings_its_history_and_its_best_weights(undisturbed):
    run, history = undisturbed
    left = sorted(path.name for path in run.iterdir() if not path.name.startswith("."))
    assert left == ["best.keras", "config.json", "history.csv"]
    assert list(history.columns) == ["epoch", *LOSSES, "seconds"] and history.epoch.tolist() == [1, 2, 3]
    assert history.loss.is_monotonic_decreasing and history.val_loss.iloc[-1] < 0.95 * history.val_loss.iloc[0]
    config = json.loads((run / "config.json").read_text())
    assert config.items() >= {**asdict(EXPERIMENT), "dataset": "tiny", "train_pairs": 6, "val_pairs": 2}.items()


def test_the_best_weights_are_those_of_the_lowest_validation_loss(undisturbed, tiny_pairs):
    run, history = undisturbed
    model = keras.saving.load_model(run / "best.keras")
    validation = make_dataset(tiny_pairs[tiny_pairs.split == "val"], batch_size=4)
    assert model.evaluate(validation, verbose=0)[0] == pytest.approx(history.val_loss.min(), rel=1e-4)


def test_a_finished_run_is_loaded_and_not_trained_again(undisturbed, tiny_pairs, monkeypatch):
    run, history = undisturbed
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("it was trained again"))
    _, again = training.train(EXPERIMENT, tiny_pairs, run.parent)
    pd.testing.assert_frame_equal(again, history)


@pytest.mark.parametrize("write", [2, 4, 6, 8, 11])  # config, checkpoint-0; per epoch best, history, checkpoint
def test_an_interruption_at_any_write_changes_nothing(write, undisturbed, tiny_pairs, tmp_path, monkeypatch):
    whole, count = paths.write_atomically, iter(range(1, 100))

    def write_or_die(path):
        if next(count) == write:
            raise KeyboardInterrupt
        return whole(path)

    monkeypatch.setattr(paths, "write_atomically", write_or_die)
    with pytest.raises(KeyboardInterrupt):
        training.train(EXPERIMENT, tiny_pairs, tmp_path)
    monkeypatch.setattr(paths, "write_atomically", whole)
    training.train(EXPERIMENT, tiny_pairs, tmp_path)
    assert_same_training(tmp_path, undisturbed)


@pytest.mark.parametrize(
    ("name", "bytes_left"), [("checkpoint-2.keras", 2000), ("history.csv", 0), ("history.csv", 70)]
)
def test_a_damaged_file_is_named_and_the_training_begins_anew(
    name, bytes_left, interrupted, undisturbed, tiny_pairs, caplog
):
    file = interrupted / name
    file.write_bytes(file.read_bytes()[:bytes_left])
    training.train(EXPERIMENT, tiny_pairs, interrupted.parent)
    assert (
        str(file) in caplog.text and "This training goes on from an older checkpoint, or from the start" in caplog.text
    )
    assert_same_training(interrupted.parent, undisturbed)


def test_of_two_checkpoints_the_newest_that_is_whole_counts(undisturbed, tiny_pairs, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # killed between writing the one and removing the other
        training.train(EXPERIMENT, tiny_pairs, tmp_path, on_epoch=interrupt_after(2))
    run = training.SaveEpochs(tmp_path, EXPERIMENT)
    assert len(list(run.folder.glob("checkpoint-*.keras"))) == 3 and run.resume(updates=6) and len(run.history) == 2
    (run.folder / "checkpoint-2.keras").write_bytes(b"")
    assert run.resume(updates=6) and len(run.history) == 1 and "checkpoint-2.keras cannot be read" in caplog.text
    training.train(EXPERIMENT, tiny_pairs, tmp_path)
    assert_same_training(tmp_path, undisturbed)


@pytest.mark.parametrize("name", ["config.json", "history.csv", "best.keras"])
def test_a_file_of_no_bytes_in_a_finished_run_is_named_with_what_to_do(name, undisturbed, tiny_pairs, tmp_path):
    run = shutil.copytree(undisturbed[0], tmp_path / EXPERIMENT.name)
    (run / name).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{name} cannot be read .*: move {run} away to train anew"):
        training.train(EXPERIMENT, tiny_pairs, tmp_path)


@pytest.mark.parametrize("monitor", ["loss", "val_loss"])
@pytest.mark.parametrize(
    ("losses", "stalled"),
    [
        ([3, 2, 1], False),
        ([1, 2], False),
        ([1, 2, 2, 2], True),
        ([3, 1, 1, 1], False),
        ([3, 1, 1, 1, 1], True),
        ([], 0),
    ],
)
def test_a_training_has_stalled_after_three_epochs_without_a_lower_loss(losses, stalled, monitor):
    history = pd.DataFrame({"loss": range(9), "val_loss": range(9)})[: len(losses)].assign(**{monitor: losses})
    assert training.has_stalled(history, replace(EXPERIMENT, patience=3, monitor=monitor)) == stalled


def test_early_stopping_counts_across_an_interruption(tiny_pairs, tmp_path):
    still = replace(EXPERIMENT, learning_rate=0.0, augment=False, epochs=9, patience=2)
    with pytest.raises(KeyboardInterrupt):
        training.train(still, tiny_pairs, tmp_path, on_epoch=interrupt_after(2))
    _, history = training.train(still, tiny_pairs, tmp_path)
    # Rounding makes equal epochs differ in the last digit, so the best is not always the first.
    assert len(history) - 1 - history.loss.argmin() == 2
    assert len(history) < 9


@pytest.mark.parametrize(("batch_size", "name"), [(4, "loss"), (6, "val_loss")])  # of one update the loss is finite
def test_a_loss_that_is_not_a_number_names_experiment_and_epoch(batch_size, name, tiny_pairs, tmp_path):
    wild = replace(EXPERIMENT, learning_rate=float("inf"), batch_size=batch_size)
    with pytest.raises(FloatingPointError, match=f"{wild.name}: the {name} became nan in epoch 1"):
        training.train(wild, tiny_pairs, tmp_path)
    assert not list(tmp_path.rglob("history.csv"))


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("column", ["ratio", "iso", "long_png", "short_signal"])
def test_a_run_on_other_pairs_is_not_taken_for_this_one(column, split, undisturbed, tiny_pairs):
    run, _ = undisturbed
    others, kept = tiny_pairs.copy(), json.loads((run / "config.json").read_text())["pairs"]
    row, other = others.index[others.split == split][0], others.index[others.split == "test"][0]
    others.loc[row, column] = 77 if column in ("ratio", "iso") else others.loc[other, column]
    with pytest.raises(ValueError, match=rf"another run, with pairs '{kept}' \(Received: '\w+'\)\. Move it away"):
        training.train(EXPERIMENT, others, run.parent)
    with pytest.raises(ValueError, match=rf"train_pairs 6 \(Received: 5\), pairs '{kept}' \(Received: '\w+'\)"):
        training.train(EXPERIMENT, tiny_pairs[1:], run.parent)


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


@pytest.mark.parametrize("cores", ["1", "2"])
def test_trainings_side_by_side_have_a_progress_line_each(
    cores, tiny_pairs, tmp_path, capsys, undisturbed, monkeypatch
):
    for name in ("LOKY_MAX_CPU_COUNT", *workers.THREADS):
        monkeypatch.setenv(name, cores if name.startswith("LOKY") else "1")
    histories = training.train_all([EXPERIMENT, OTHER], tiny_pairs, tmp_path)
    assert list(histories) == [EXPERIMENT, OTHER]
    np.testing.assert_allclose(histories[EXPERIMENT][LOSSES], undisturbed[1][LOSSES], rtol=1e-3)
    lines = [line.rsplit("\r", 1)[-1] for line in capsys.readouterr().out.strip().split("\n")]
    for experiment, line in zip((EXPERIMENT, OTHER), lines, strict=True):
        assert line.startswith(f"{experiment.name}: 100%") and "3/3" in line and "val_loss=" in line


SIDE_BY_SIDE = [replace(EXPERIMENT, epochs=10, patience=10, seed=seed) for seed in (0, 1)]


def await_epochs(epochs, folder):
    """Wait until a training in the folder has so many epochs."""
    deadline = time.monotonic() + 120
    while not any(len(pd.read_csv(file)) >= epochs for file in folder.glob("*/history.csv")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_trainings_side_by_side_that_are_killed_and_interrupted_end_with_the_same_bytes(tiny_pairs, tmp_path):
    expected = training.train_all(SIDE_BY_SIDE, tiny_pairs, tmp_path / "undisturbed")
    folder = tmp_path / "disturbed"
    (tmp_path / "pairs.pickle").write_bytes(pickle.dumps(tiny_pairs))
    script = (
        "import pathlib, pickle, sys; from sidlib import training; from tests.test_training import SIDE_BY_SIDE;"
        "training.train_all(SIDE_BY_SIDE, pickle.load(open(sys.argv[1], 'rb')), pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, tmp_path / "pairs.pickle", folder]
    process = subprocess.Popen(command, cwd=paths.ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    await_epochs(2, folder)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reached = {file.parent: training.read_history(file.parent) for file in folder.glob("*/history.csv")}
    with ThreadPoolExecutor() as pool, pytest.raises(KeyboardInterrupt):
        pool.submit(lambda: (await_epochs(6, folder), os.kill(os.getpid(), signal.SIGINT)))
        training.train_all(SIDE_BY_SIDE, tiny_pairs, folder)
    assert any(folder.glob("*/checkpoint-*.keras"))
    for experiment, history in training.train_all(SIDE_BY_SIDE, tiny_pairs, folder).items():
        pd.testing.assert_frame_equal(history[LOSSES], expected[experiment][LOSSES], check_exact=True)
        models = [training.load_run(experiment, of)[0] for of in (folder, tmp_path / "undisturbed")]
        for weights, others in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_array_equal(weights, others)
    for run, before in reached.items():  # `seconds` tells that whole epochs were not done again
        pd.testing.assert_frame_equal(training.read_history(run)[: len(before) - 1], before[:-1])


def test_an_error_of_a_training_side_by_side_arrives_with_its_type(tiny_pairs, tmp_path):
    wild = replace(EXPERIMENT, learning_rate=float("inf"))
    with pytest.raises(FloatingPointError, match=f"{wild.name}: the loss became nan in epoch 1"):
        training.train_all([wild, EXPERIMENT], tiny_pairs, tmp_path)


def test_a_finished_run_on_other_pairs_is_refused_before_others_are_trained(undisturbed, tiny_pairs):
    with pytest.raises(ValueError, match="another run"):
        training.train_all([OTHER, EXPERIMENT], tiny_pairs[1:], undisturbed[0].parent)
    assert not (undisturbed[0].parent / OTHER.name).exists()
