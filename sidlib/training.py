"""What is trained and how: an Experiment, the course's experiments, and a training that can be interrupted."""

import dataclasses
import json
import logging
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from tqdm import tqdm

from sidlib import paths
from sidlib.backend import every_device, keras
from sidlib.catalog import pick_splits
from sidlib.dataset import checksum, count_batches, make_dataset
from sidlib.losses import LOSSES
from sidlib.models import build_model, draw_weights, source_of

_log = logging.getLogger(__name__)

TITLES = {"cnn": "CNN", "dense_cnn": "dense CNN", "unet": "U-Net", "relu": "ReLU", "leaky_relu": "leaky ReLU"}


@dataclass(frozen=True)
class Experiment:
    """One setting of everything that is varied. The defaults are the course's fixed parameters.

    Attributes:
        model: one of models.MODELS.
        activation: "relu" or "leaky_relu".
        loss: one of losses.LOSSES.
        augment: flip the training pairs.
        epochs: at most so many; early stopping may end the training before.
        batch_size: pairs an update.
        learning_rate: of Adam.
        patience: epochs without a lower `monitor` after which the training stops.
        monitor: "loss" (of training) or "val_loss".
        seed: of the initial weights, the order of the pairs and the flips.
    """

    model: str
    activation: str
    loss: str
    augment: bool
    epochs: int = 20
    batch_size: int = 10
    learning_rate: float = 0.001
    patience: int = 5
    monitor: str = "loss"
    seed: int = 0

    losses = LOSSES  # no annotation, no field: what a loss can be

    def __post_init__(self):
        for name, known in (("loss", self.losses), ("monitor", ("loss", "val_loss"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}. Received: {getattr(self, name)!r}")

    @property
    def name(self):
        """What is varied, then whatever differs from the course's fixed parameters: "unet-relu-mae-flips-epochs50"."""
        parts = [self.model, self.activation, self.loss, "flips" if self.augment else "noflips"]
        for field in dataclasses.fields(self)[4:]:
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(value if isinstance(value, str) else f"{field.name}{value:g}")
        return "-".join(parts)

    @property
    def title(self):
        """The name for people: "U-Net, leaky ReLU, MAE, no flips, 50 epochs"."""
        setting = [TITLES.get(value, value) for value in (self.model, self.activation)]
        setting += [self.loss.upper(), "flips" if self.augment else "no flips"]
        for field in dataclasses.fields(self)[4:]:
            value, words = getattr(self, field.name), field.name.replace("_", " ")
            if value != field.default:
                setting.append(f"{value} {words}" if words == "epochs" else f"{words} {value}")
        return ", ".join(setting)

    def build_model(self):
        """Return the model to train, with first weights drawn from the seed."""
        return draw_weights(build_model(self.model, self.activation), self.seed)

    def build_optimizer(self, updates):
        """Return the optimizer.

        Args:
            updates: how many there will be if no early stopping ends them.
        """
        return keras.optimizers.Adam(self.learning_rate)

    def count_updates(self, pairs):
        """Return how many updates an epoch on training pairs has."""
        return count_batches(pairs, self.batch_size)

    def make_dataset(self, pairs, epochs):
        """Return the pipeline of training pairs over a range of epochs."""
        return make_dataset(pairs, self.batch_size, self.augment, shuffle=True, seed=self.seed, epochs=epochs)


COURSE_EXPERIMENTS = (
    Experiment("cnn", "relu", "mae", augment=True),
    Experiment("cnn", "leaky_relu", "mae", augment=True),
    Experiment("dense_cnn", "leaky_relu", "mae", augment=True),
    Experiment("dense_cnn", "leaky_relu", "mse", augment=True),
    Experiment("unet", "leaky_relu", "mse", augment=True),
    Experiment("unet", "leaky_relu", "mse", augment=False),
)
LONG_EXPERIMENT = Experiment("unet", "leaky_relu", "mae", augment=False, epochs=50)


def train(experiment, pairs, folder=None, on_epoch=None):
    """Train an experiment on the pairs of split train, or load it where that was done; go on where it was interrupted.

    Everything goes to results/<data set>/<experiment>: config.json, history.csv (a row an epoch), best.keras (the
    lowest validation loss) and, until the training has ended, last-<epochs done>.keras. Where another process trains
    the same experiment in the same folder, this one says so and waits for it.

    Args:
        experiment: an Experiment.
        pairs: DataFrame of preprocess.develop_pairs, with the splits train and val.
        folder: results folder of the data set; None for results/<data set>.
        on_epoch: called with the history after each epoch, to draw it.
    Returns:
        the model with the lowest validation loss, and the history: epoch, loss, mae, val_loss, val_mae, seconds.
    Raises:
        FloatingPointError: the loss became NaN or infinite; names experiment and epoch.
        ValueError: a split has no pairs, or the folder holds a run of the same name on other pairs.
    """
    training, validation = pick_splits(pairs, "train", "val")
    known = {
        "dataset": training.dataset.iloc[0],
        "train_pairs": len(training),
        "val_pairs": len(validation),
        "pictures": checksum(pd.concat([training, validation])),
    }

    def validate(model):
        return make_dataset(validation, experiment.batch_size, source=source_of(model))

    folder = folder or paths.results_folder(pairs.dataset.iloc[0])
    return train_run(experiment, folder, known, training, validate, on_epoch)


def train_run(experiment, folder, known, training, make_validation, on_epoch=None):
    """Train an experiment in its folder of a results folder as train does, on any pictures.

    Args:
        known: dict of what tells the pictures from others.
        training: what experiment.make_dataset shows.
        make_validation: function of the model to the pipeline that validates it.
    Returns:
        see train.
    """
    run = Run(folder, experiment)
    with run.lock():
        run.keep_config(known)
        if not is_finished(run.folder):
            _fit(run, training, make_validation, on_epoch)
    return load_run(experiment, folder)


@every_device()
def _fit(run, training, make_validation, on_epoch):
    """Train from where the run stands to its end."""
    experiment = run.experiment
    updates = experiment.count_updates(training)
    model, history = run.resume(updates=experiment.epochs * updates)
    done = len(history)
    epochs = range(done, done if has_stalled(history, experiment) else experiment.epochs)
    with tqdm(total=experiment.epochs, initial=done, desc=experiment.name, unit="epoch", file=sys.stdout) as progress:
        model.fit(
            experiment.make_dataset(training, epochs),
            validation_data=make_validation(model),
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            steps_per_epoch=updates,
            callbacks=[ReportEpochs(progress), SaveEpochs(run, history, on_epoch), StopEarly(run)],
            shuffle=False,  # the pipeline shuffles
            verbose=0,
        )
    run.remove_lasts()


def has_stalled(history, experiment):
    """Return whether the last `patience` epochs of a history brought no lower `monitor`."""
    epochs = len(history)
    return epochs > experiment.patience and epochs - 1 - np.argmin(history[experiment.monitor]) >= experiment.patience


def is_finished(run):
    """Return whether the training in a run's folder has ended: its best weights are there, and none to go on with."""
    return (run / "best.keras").is_file() and not any(run.glob("last*.keras"))


def find_run(experiment, folder):
    """Return the folder of an experiment's finished training in a results folder.

    Raises:
        FileNotFoundError: the experiment was not trained there, or not to its end; says how to.
    """
    run = folder / experiment.name
    if not is_finished(run):
        raise FileNotFoundError(f"{run} holds no finished training: training.train makes it, see 04_training.ipynb")
    return run


def load_run(experiment, folder):
    """Return the model with the lowest validation loss and the history of find_run."""
    run = find_run(experiment, folder)
    return keras.saving.load_model(run / "best.keras"), pd.read_csv(run / "history.csv")


class Run:
    """The folder of one experiment's training: results/<data set>/<experiment>.

    last-<epochs done>.keras is written first and last: before the first epoch, and in each epoch after best.keras and
    history.csv. So whenever a training is interrupted, the one of the highest number holds whole epochs, and what the
    other two hold beyond them is made again alike. It goes when the training has ended.
    """

    def __init__(self, folder, experiment):
        self.experiment, self.folder = experiment, folder / experiment.name
        self.config, self.history = self.folder / "config.json", self.folder / "history.csv"
        self.best = self.folder / "best.keras"

    @contextmanager
    def lock(self):
        """Keep other processes from this folder; where one is at work in it, say so and wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _log.warning("%s: another process trains here, and this one waits for it", self.folder)
            lock.acquire()
        try:
            paths.clear_leftovers(self.folder)
            yield
        finally:
            lock.release()

    def read_history(self):
        return pd.read_csv(self.history)

    def find_last(self):
        """Return how many epochs are done, and the file to go on with; None and None before the first."""
        files = {int(file.stem.removeprefix("last-")): file for file in self.folder.glob("last-*.keras")}
        return max(files.items(), default=(None, None))

    def resume(self, updates):
        """Return the model to go on with and the history of the epochs that it has behind it.

        Args:
            updates: see Experiment.build_optimizer.
        """
        done, file = self.find_last()
        if file:
            return keras.saving.load_model(file), self.read_history()[:done] if done else pd.DataFrame()
        model = self.experiment.build_model()
        loss = self.experiment.losses[self.experiment.loss]
        model.compile(self.experiment.build_optimizer(updates), loss, metrics=["mae"])
        model.optimizer.build(model.trainable_variables)
        self.save_last(model, 0)
        return model, pd.DataFrame()

    def save_epoch(self, model, history):
        """Write what a finished epoch adds: best.keras if it is the best so far, history.csv, last-<epochs>.keras."""
        if np.argmin(history.val_loss) == len(history) - 1:
            self._save(model, self.best)
        with paths.write_whole(self.history) as path:
            history.to_csv(path, index=False)
        self.save_last(model, len(history))

    def save_last(self, model, done):
        """Write the model to go on with after so many epochs, then remove the one before."""
        file = self.folder / f"last-{done}.keras"
        self._save(model, file)
        self.remove_lasts(but=file)

    def remove_lasts(self, but=None):
        for file in self.folder.glob("last*.keras"):
            if file != but:
                file.unlink()

    def _save(self, model, to):
        with paths.write_whole(to) as path:
            model.save(path)

    def keep_config(self, pictures):
        """Write config.json, or make sure that the one there is of the same experiment and the same pictures.

        Args:
            pictures: dict of what tells them from others.
        """
        config = dataclasses.asdict(self.experiment) | pictures
        if not self.config.is_file():
            with paths.write_whole(self.config) as path:
                path.write_text(json.dumps(config, indent=2) + "\n")
        elif json.loads(self.config.read_text()) != config:
            raise ValueError(f"{self.folder} holds a run on other pairs or of another setting: move it away first")


class ReportEpochs(keras.callbacks.Callback):
    """The course's first callback: the number of the epoch, as one progress line with the losses."""

    def __init__(self, progress):
        super().__init__()
        self.progress = progress

    def on_epoch_end(self, epoch, logs=None):
        self.progress.set_postfix(loss=f"{logs['loss']:.4g}", val_loss=f"{logs['val_loss']:.4g}", refresh=False)
        self.progress.update()


class SaveEpochs(keras.callbacks.Callback):
    """The course's second callback: checkpoints from which the training goes on.

    Keras's BackupAndRestore is not used: it forgets the best score and writes its files in place.
    """

    def __init__(self, run, history, on_epoch=None):
        super().__init__()
        self.run, self.rows, self.on_epoch = run, history.to_dict("records"), on_epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        for name in ("loss", "val_loss"):
            if not np.isfinite(logs[name]):
                raise FloatingPointError(
                    f"{self.run.experiment.name}: the {name} became {logs[name]} in epoch {epoch + 1}"
                )
        self.rows.append({"epoch": epoch + 1, **logs, "seconds": round(time.perf_counter() - self.started, 2)})
        history = pd.DataFrame(self.rows)
        self.run.save_epoch(self.model, history)
        if self.on_epoch:
            self.on_epoch(history)


class StopEarly(keras.callbacks.Callback):
    """The course's third callback: stop after `patience` epochs without a lower loss, or validation loss.

    It looks into history.csv, so that an interruption does not start the count again, as it does in Keras's own.
    """

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = has_stalled(self.run.read_history(), self.run.experiment)
