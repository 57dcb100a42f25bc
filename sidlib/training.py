"""Trainings that can be interrupted and resumed to the same bytes, one in this process or several side by side."""

import dataclasses
import io
import json
import logging
import sys
import threading
import time
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress

import numpy as np
import pandas as pd
from tqdm import tqdm

from sidlib import paths, workers
from sidlib.backend import keras
from sidlib.catalog import pick_splits
from sidlib.dataset import fingerprint_pairs, make_dataset
from sidlib.models import source_of

_log = logging.getLogger(__name__)

VERSION = 1  # raise it when the same settings and pictures train otherwise than before


def train(experiment, pairs, folder, on_epoch=None):
    """Train an experiment on the pairs of split train; resume an interrupted training, load a finished one.

    Everything goes to <folder>/<experiment>: config.json, history.csv (a row per epoch), best.keras (the lowest
    validation loss) and, until the training ends, checkpoint-<epochs done>.keras. The files of a run on other pictures
    or settings are moved to a folder earlier-… in there.

    Args:
        experiment: a child of experiment.Training. folder: results folder. on_epoch: function of the history so far.
    Returns:
        the model with the lowest validation loss, and the history: epoch, loss, mae, val_loss, val_mae, seconds.
    Raises:
        FloatingPointError: a loss is NaN or infinite. ValueError: a split has no pairs, or a file is damaged.
    """
    training_pairs, validation_pairs = pick_splits(pairs, "train", "val")

    def make_validation(model):
        return make_dataset(validation_pairs, batch_size=1, source=source_of(model))  # whole pictures take memory

    key = _make_key(training_pairs, validation_pairs)
    return train_run(experiment, folder, key, training_pairs, make_validation, on_epoch)


def _make_key(training_pairs, validation_pairs):
    """What tells the pictures of a training from others: a dict for config.json."""
    return {
        "dataset": training_pairs.dataset.iloc[0],
        "train_pairs": len(training_pairs),
        "val_pairs": len(validation_pairs),
        "pairs": fingerprint_pairs(pd.concat([training_pairs, validation_pairs])),
    }


def train_all(experiments, pairs, folder):
    """Train experiments side by side, see workers.share, each as train does; return {experiment: history}."""
    warnings.filterwarnings("ignore", "A worker stopped while")  # joblib restarts one that holds much memory
    folder, ended, key = folder.absolute(), threading.Event(), _make_key(*pick_splits(pairs, "train", "val"))
    for run in (SaveEpochs(folder, experiment) for experiment in experiments):
        with paths.lock(run.folder / ".lock"):
            run.keep_config(key)
    missing = [experiment for experiment in experiments if not is_finished(folder / experiment.name)]

    def work(experiment):
        with redirect_stdout(io.StringIO()):
            train(experiment, pairs, folder)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(_watch, missing, folder, ended, sys.stdout)
        try:
            longest_first = sorted(missing, key=lambda experiment: -experiment.epochs)
            list(workers.share(work, longest_first, "Training", "experiment", alone=True))
        finally:
            ended.set()
    return {experiment: read_history(find_run(experiment, folder)) for experiment in experiments}


def _watch(experiments, folder, ended, stdout):
    """Show a progress line per training, one after the other, from the histories that other processes write."""
    shown = "{l_bar}{bar}| {n_fmt}/{total_fmt}{postfix}"
    for experiment in experiments:
        run, over = folder / experiment.name, False
        with tqdm(total=experiment.epochs, desc=experiment.name, file=stdout, bar_format=shown) as line:
            while not over:
                over = ended.wait(0.5) or is_finished(run)
                with suppress(OSError, ValueError):  # there is no history yet
                    history = read_history(run)
                    ReportEpochs(line).on_epoch_end(len(history) - 1, history.iloc[-1])


def train_run(experiment, folder, key, training_pairs, make_validation, on_epoch=None):
    """Train an experiment on any pictures, as train does; `key` is a dict that tells these pictures from others.

    Its methods take training_pairs as `pairs`; make_validation is a function from the model to a tf.data.Dataset.
    """
    run = SaveEpochs(folder, experiment, on_epoch)
    with paths.lock(run.folder / ".lock"):  # a second process waits, and finds a finished run
        paths.clear_leftovers(run.folder)
        run.keep_config(key)
        if is_finished(run.folder):
            return load_run(experiment, folder)
        updates = experiment.count_updates(training_pairs)
        model = run.resume(updates=experiment.epochs * updates)
        done = len(run.history)
        epochs = range(done, done if has_stalled(run.history, experiment) else experiment.epochs)
        with tqdm(total=experiment.epochs, initial=done, desc=experiment.name, unit="epoch", file=sys.stdout) as line:
            model.fit(
                experiment.make_dataset(training_pairs, epochs),
                validation_data=make_validation(model),
                initial_epoch=epochs.start,
                epochs=epochs.stop,
                steps_per_epoch=updates,
                callbacks=[ReportEpochs(line), run, StopEarly(run)],
                shuffle=False,  # the pipeline shuffles
                verbose=0,
            )
        run.remove_checkpoints()
    return load_run(experiment, folder)


def has_stalled(history, experiment):
    """Return whether the last `patience` epochs of a history brought no lower `monitor`."""
    epochs = len(history)
    return epochs > experiment.patience and epochs - 1 - np.argmin(history[experiment.monitor]) >= experiment.patience


def is_finished(run):
    """Return whether the training in a run's folder has ended: best weights, and no checkpoint beside them."""
    return [file.name for file in run.glob("[!.]*.keras")] == ["best.keras"]


def find_run(experiment, folder):
    """Return the folder of an experiment's finished training; raise a FileNotFoundError if there is none."""
    run = folder / experiment.name
    if not is_finished(run):
        raise FileNotFoundError(f"{run} holds no finished training: training.train makes it, see 04_training.ipynb")
    return run


def load_run(experiment, folder):
    """Return the best model and the history of find_run; raise a ValueError that names a damaged file."""
    run = find_run(experiment, folder)
    return read_file(keras.saving.load_model, run / "best.keras"), read_history(run)


def read_history(run):
    """Return the history in a run's folder, to the last bit as it was written."""
    return read_file(pd.read_csv, run / "history.csv")


def read_file(read, file):
    """Return what a function reads from a file of a run; raise a ValueError that names a damaged file."""
    try:
        return read(file)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:  # the file is not whole
        raise ValueError(f"{file} cannot be read ({error}): move {file.parent} away to train anew") from error


class ReportEpochs(keras.callbacks.Callback):
    """The course's first callback: reports the number of the epoch and the losses, as one progress line."""

    def __init__(self, line):
        super().__init__()
        self.line = line

    def on_epoch_end(self, epoch, logs=None):
        self.line.set_postfix(loss=f"{logs['loss']:.4g}", val_loss=f"{logs['val_loss']:.4g}", refresh=False)
        self.line.update(epoch + 1 - self.line.n)


class SaveEpochs(keras.callbacks.Callback):
    """The course's second callback: saves best.keras, history.csv and the checkpoint of each epoch, in this order.

    After an interruption the first two may be an epoch ahead; that epoch is done again, to the same bytes.
    """

    def __init__(self, folder, experiment, on_epoch=None):
        super().__init__()
        self.folder, self.experiment, self.on_epoch = folder / experiment.name, experiment, on_epoch
        self.history = pd.DataFrame()

    def keep_config(self, key):
        """Write settings and key to config.json; first move the files of a run of others to a folder earlier-…."""
        file, config = self.folder / "config.json", dataclasses.asdict(self.experiment) | key | {"version": VERSION}
        config = json.loads(json.dumps(config))  # tuples become lists
        if file.is_file() and read_file(lambda file: json.loads(file.read_text()), file) == config:
            return
        # best.keras first, so that a move that is cut off leaves no finished run; config.json, which names it, last
        old = sorted(self.folder.glob("[!.]*"), key=lambda path: (path == file, path))
        if old := [path for path in old if not path.name.startswith("earlier-")]:
            earlier = self.folder / f"earlier-{paths.fingerprint(paths.file_state(old[-1]))[:8]}"
            earlier.mkdir(exist_ok=True)
            for path in old:
                path.rename(earlier / path.name)
            _log.warning("A run of other pictures or settings was moved to %s: training starts anew", earlier)
        with paths.write_atomically(file) as path:
            path.write_text(json.dumps(config, indent=2) + "\n")

    def resume(self, updates):
        """Return the model of the newest checkpoint that is whole, or a new one; `history` becomes its history."""
        checkpoints = {int(file.stem.split("-")[1]): file for file in self.folder.glob("checkpoint-*.keras")}
        for done, file in sorted(checkpoints.items(), reverse=True):
            try:
                self.history = read_history(self.folder).dropna()[:done] if done else pd.DataFrame()
                if len(self.history) < done:
                    raise ValueError(f"{self.folder / 'history.csv'} is not whole")
                return read_file(keras.saving.load_model, file)
            except ValueError as error:
                _log.warning("%s. This training goes on from an older checkpoint, or from the start", error)
        model, self.history = self.experiment.build_model(), pd.DataFrame()
        optimizer, loss = self.experiment.build_optimizer(updates), self.experiment.loss_function
        of_epoch = updates // self.experiment.epochs
        steps = max(count for count in range(1, 17) if of_epoch % count == 0)  # in one call: 5 to 10 % faster
        model.compile(optimizer, loss, metrics=["mae"], steps_per_execution=steps)
        model.optimizer.build(model.trainable_variables)
        self._save_checkpoint(model)
        return model

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        for name in ("loss", "val_loss"):
            if not np.isfinite(logs[name]):
                raise FloatingPointError(f"{self.experiment.name}: the {name} became {logs[name]} in epoch {epoch + 1}")
        row = {"epoch": epoch + 1, **logs, "seconds": round(time.perf_counter() - self.started, 2)}
        self.history = pd.DataFrame([*self.history.to_dict("records"), row])
        if np.argmin(self.history.val_loss) == epoch:
            self._save(self.model, "best.keras")
        with paths.write_atomically(self.folder / "history.csv") as path:
            self.history.to_csv(path, index=False)
        self._save_checkpoint(self.model)
        if self.on_epoch:
            self.on_epoch(self.history)

    def _save_checkpoint(self, model):
        self._save(model, name := f"checkpoint-{len(self.history)}.keras")
        self.remove_checkpoints(but=name)

    def _save(self, model, name):
        with paths.write_atomically(self.folder / name) as path:
            model.save(path)

    def remove_checkpoints(self, but=None):
        for file in self.folder.glob("checkpoint-*.keras"):
            if file.name != but:
                file.unlink()


class StopEarly(keras.callbacks.Callback):
    """The course's third callback: stops after `patience` epochs without a lower loss, resumed or not."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = has_stalled(self.run.history, self.run.experiment)
