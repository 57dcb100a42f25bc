import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sidlib import paths, training
from sidlib.backend import keras
from sidlib.dataset import make_dataset

EXPERIMENT = training.Experiment("cnn", "relu", "mae", augment=True, epochs=4, batch_size=4)


@pytest.fixture(scope="module")
def undisturbed(tiny_pairs, tmp_path_factory):
    """The folder and the history of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    _, history = training.train(EXPERIMENT, tiny_pairs, folder)
    return folder / EXPERIMENT.name, history


def assert_same_training(folder, undisturbed):
    """The run in folder ended as if nothing had happened."""
    expected_folder, expected = undisturbed
    history = pd.read_csv(folder / EXPERIMENT.name / "history.csv")
    assert history.epoch.tolist() == expected.epoch.tolist()
    losses = ["loss", "val_loss"]
    np.testing.assert_allclose(history[losses], expected[losses], rtol=1e-3)
    best, expected_best = (
        keras.saving.load_model(of / "best.keras").get_weights() for of in (folder / EXPERIMENT.name, expected_folder)
    )
    for weights, expected_weights in zip(best, expected_best, strict=True):
        np.testing.assert_allclose(weights, expected_weights, atol=1e-3)
    assert training.is_finished(folder / EXPERIMENT.name)


def test_the_courses_experiments_are_those_of_the_table():
    settings = [(e.model, e.activation, e.loss, e.augment) for e in training.COURSE_EXPERIMENTS]
    assert settings == [
        ("cnn", "relu", "mae", True),
        ("cnn", "leaky_relu", "mae", True),
        ("dense_cnn", "leaky_relu", "mae", True),
        ("dense_cnn", "leaky_relu", "mse", True),
        ("unet", "leaky_relu", "mse", True),
        ("unet", "leaky_relu", "mse", False),
    ]
    fixed = {(e.epochs, e.batch_size, e.learning_rate, e.patience) for e in training.COURSE_EXPERIMENTS}
    assert fixed == {(20, 10, 0.001, 5)}
    seventh = training.LONG_EXPERIMENT
    assert (seventh.model, seventh.loss, seventh.augment, seventh.epochs) == ("unet", "mae", False, 50)


def test_a_name_is_made_of_what_differs():
    first = training.COURSE_EXPERIMENTS[0]
    assert first.name == "cnn-relu-mae-flips"
    assert replace(first, seed=1, learning_rate=3e-4).name == "cnn-relu-mae-flips-learning_rate0.0003-seed1"
    assert training.LONG_EXPERIMENT.name == "unet-leaky_relu-mae-noflips-epochs50"


def test_a_title_says_the_same_in_words():
    assert training.LONG_EXPERIMENT.title == "U-Net, leaky ReLU, MAE, no flips, 50 epochs"
    other = replace(training.COURSE_EXPERIMENTS[0], learning_rate=3e-4, monitor="val_loss")
    assert other.title == "CNN, ReLU, MAE, flips, learning rate 0.0003, monitor val_loss"


@pytest.mark.parametrize("field", ["loss", "monitor"])
def test_an_unknown_loss_is_refused(field):
    with pytest.raises(ValueError, match=f"{field} must be one of .*Received: 'psnr'"):
        replace(EXPERIMENT, **{field: "psnr"})


def test_a_run_leaves_its_settings_its_history_and_its_best_weights(undisturbed):
    folder, history = undisturbed
    left = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    assert left == ["best.keras", "config.json", "history.csv"]
    assert history.epoch.tolist() == [1, 2, 3, 4]
    assert list(history.columns) == ["epoch", "loss", "mae", "val_loss", "val_mae", "seconds"]


def test_the_best_weights_are_those_of_the_lowest_validation_loss(undisturbed, tiny_pairs):
    folder, history = undisturbed
    model = keras.saving.load_model(folder / "best.keras")
    validation = make_dataset(tiny_pairs[tiny_pairs.split == "val"], batch_size=4)
    assert model.evaluate(validation, verbose=0)[0] == pytest.approx(history.val_loss.min(), rel=1e-4)


def test_training_learns_something(undisturbed):
    _, history = undisturbed
    assert history.loss.iloc[-1] < 0.95 * history.loss.iloc[0]


def test_a_finished_run_is_loaded_and_not_trained_again(undisturbed, tiny_pairs, monkeypatch):
    folder, history = undisturbed
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("it was trained again"))
    _, again = training.train(EXPERIMENT, tiny_pairs, folder.parent)
    pd.testing.assert_frame_equal(again, history)


@pytest.mark.parametrize("write", range(2, 14))
def test_an_interruption_at_any_write_changes_nothing(write, undisturbed, tiny_pairs, tmp_path, monkeypatch):
    whole, count = paths.write_whole, iter(range(1, 100))

    def write_or_die(path):
        if next(count) == write:
            raise KeyboardInterrupt
        return whole(path)

    monkeypatch.setattr(paths, "write_whole", write_or_die)
    with pytest.raises(KeyboardInterrupt):
        training.train(EXPERIMENT, tiny_pairs, tmp_path)
    monkeypatch.setattr(paths, "write_whole", whole)
    training.train(EXPERIMENT, tiny_pairs, tmp_path)
    assert_same_training(tmp_path, undisturbed)


def test_a_killed_training_goes_on(undisturbed, tiny_pairs, tmp_path):
    (tmp_path / "pairs.pickle").write_bytes(pickle.dumps(tiny_pairs))
    script = (
        "import pathlib, pickle, time; from sidlib import training; from tests.test_training import EXPERIMENT;"
        f"folder = pathlib.Path({str(tmp_path)!r}); pairs = pickle.loads((folder / 'pairs.pickle').read_bytes());"
        "training.train(EXPERIMENT, pairs, folder, on_epoch=lambda history: time.sleep(2))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=paths.ROOT, stdout=subprocess.DEVNULL)
    history = tmp_path / EXPERIMENT.name / "history.csv"
    deadline = time.monotonic() + 60
    while not (history.exists() and len(pd.read_csv(history)) >= 2) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert len(pd.read_csv(history)) < EXPERIMENT.epochs
    training.train(EXPERIMENT, tiny_pairs, tmp_path)
    assert_same_training(tmp_path, undisturbed)


@pytest.mark.parametrize(
    ("losses", "stalled"),
    [
        ([3, 2, 1], False),
        ([1, 2], False),
        ([1, 2, 2, 2], True),
        ([3, 1, 1, 1], False),
        ([3, 1, 1, 1, 1], True),
        ([], False),
    ],
)
@pytest.mark.parametrize("monitor", ["loss", "val_loss"])
def test_a_training_has_stalled_after_three_epochs_without_a_lower_loss(losses, stalled, monitor):
    history = pd.DataFrame({"loss": range(9), "val_loss": range(9)})[: len(losses)].assign(**{monitor: losses})
    assert training.has_stalled(history, replace(EXPERIMENT, patience=3, monitor=monitor)) == stalled


def test_early_stopping_counts_across_an_interruption(tiny_pairs, tmp_path):
    still = replace(EXPERIMENT, learning_rate=0.0, augment=False, epochs=9, patience=2)

    def interrupt(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(still, tiny_pairs, tmp_path, on_epoch=interrupt)
    _, history = training.train(still, tiny_pairs, tmp_path)
    # Rounding makes equal epochs differ in the last digit, so the best is not always the first.
    assert len(history) - 1 - history.loss.argmin() == 2
    assert len(history) < 9


def test_a_loss_that_is_not_a_number_names_experiment_and_epoch(tiny_pairs, tmp_path):
    wild = replace(EXPERIMENT, learning_rate=float("inf"))
    with pytest.raises(FloatingPointError, match=f"{wild.name}.*nan in epoch"):
        training.train(wild, tiny_pairs, tmp_path)
    assert all(np.isfinite(pd.read_csv(file).loss).all() for file in tmp_path.rglob("history.csv"))


def test_a_validation_loss_that_is_not_a_number_is_told_in_its_epoch(tiny_pairs, tmp_path):
    wild = replace(EXPERIMENT, learning_rate=float("inf"), batch_size=6)  # one step an epoch: its loss is still finite
    with pytest.raises(FloatingPointError, match=f"{wild.name}: the val_loss became nan in epoch 1"):
        training.train(wild, tiny_pairs, tmp_path)
    assert not list(tmp_path.rglob("history.csv"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_other_pictures_of_the_same_names_are_not_taken_for_these(undisturbed, tiny_pairs, tmp_path, split):
    folder, _ = undisturbed
    others = tiny_pairs.copy()
    row = others.index[others.split == split][0]
    png = tmp_path / others.long_png[row].name
    Image.fromarray(np.asarray(Image.open(others.long_png[row])) ^ 1).save(png)
    others.loc[row, "long_png"] = png
    with pytest.raises(ValueError, match="other pairs"):
        training.train(EXPERIMENT, others, folder.parent)


def test_a_run_on_other_pairs_is_not_taken_for_this_one(undisturbed, tiny_pairs):
    folder, _ = undisturbed
    with pytest.raises(ValueError, match="other pairs"):
        training.train(EXPERIMENT, tiny_pairs[1:], folder.parent)


def test_a_missing_split_is_named(tiny_pairs, tmp_path):
    with pytest.raises(ValueError, match="train and val"):
        training.train(EXPERIMENT, tiny_pairs[tiny_pairs.split != "val"], tmp_path)


def test_the_history_is_shown_after_each_epoch(tiny_pairs, tmp_path):
    lengths = []
    training.train(
        replace(EXPERIMENT, epochs=2), tiny_pairs, tmp_path, on_epoch=lambda history: lengths.append(len(history))
    )
    assert lengths == [1, 2]


def test_a_run_that_is_not_there_or_not_ended_is_named_with_what_makes_it(undisturbed, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{EXPERIMENT.name} holds no finished training: training.train"):
        training.load_run(EXPERIMENT, tmp_path)
    folder, _ = undisturbed
    copy = shutil.copytree(folder, tmp_path / EXPERIMENT.name)
    shutil.copy(copy / "best.keras", copy / "last-3.keras")
    with pytest.raises(FileNotFoundError, match="holds no finished training"):
        training.load_run(EXPERIMENT, tmp_path)


def test_of_two_models_to_go_on_with_the_later_one_counts(undisturbed, tiny_pairs, tmp_path, monkeypatch):
    def interrupt(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # killed between writing the one and removing the other
        training.train(EXPERIMENT, tiny_pairs, tmp_path, on_epoch=interrupt)
    assert len(list(tmp_path.rglob("last-*.keras"))) == 3 and training.Run(tmp_path, EXPERIMENT).find_last()[0] == 2
    training.train(EXPERIMENT, tiny_pairs, tmp_path)
    assert_same_training(tmp_path, undisturbed)


def test_who_comes_second_waits_and_does_not_train_again(undisturbed, tiny_pairs, tmp_path, caplog):
    with ThreadPoolExecutor() as pool:
        with training.Run(tmp_path, EXPERIMENT).lock():
            second = pool.submit(training.train, EXPERIMENT, tiny_pairs, tmp_path)
            while "another process trains here" not in caplog.text:
                time.sleep(0.01)
            shutil.copytree(undisturbed[0], tmp_path / EXPERIMENT.name, dirs_exist_ok=True)  # the first one ends
        _, history = second.result(timeout=60)
    pd.testing.assert_frame_equal(history, undisturbed[1])


def test_two_processes_train_an_experiment_once(tiny_pairs, tmp_path, undisturbed):
    (tmp_path / "pairs.pickle").write_bytes(pickle.dumps(tiny_pairs))
    script = (
        "import pathlib, pickle; from sidlib import training; from tests.test_training import EXPERIMENT;"
        f"folder = pathlib.Path({str(tmp_path)!r}); pairs = pickle.loads((folder / 'pairs.pickle').read_bytes());"
        "training.train(EXPERIMENT, pairs, folder, on_epoch=lambda history: print('epoch', flush=True))"
    )
    command = [sys.executable, "-c", script]
    both = [subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(output.count("epoch\n") for output in outputs) == [0, EXPERIMENT.epochs]
    assert_same_training(tmp_path, undisturbed)


def test_a_training_in_float16_goes_on_where_it_stood(tiny_pairs, tmp_path):
    def interrupt(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    keras.config.set_dtype_policy("mixed_float16")
    try:
        _, expected = training.train(EXPERIMENT, tiny_pairs, tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt):
            training.train(EXPERIMENT, tiny_pairs, tmp_path / "resumed", on_epoch=interrupt)
        model, history = training.train(EXPERIMENT, tiny_pairs, tmp_path / "resumed")
    finally:
        keras.config.set_dtype_policy("float32")
    assert history.epoch.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(history[["loss", "val_loss"]], expected[["loss", "val_loss"]], rtol=1e-2)
    assert model.compute_dtype == "float16" and model(np.full((1, 9, 9, 3), 200, "float32")).dtype == "float32"
