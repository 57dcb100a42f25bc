"""What is trained and how: an Experiment, the course's experiments, and a training that can be interrupted."""

import dataclasses
import json
import sys
import time
import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from sidlib import paths
from sidlib.backend import keras
from sidlib.dataset import make_dataset
from sidlib.losses import LOSSES
from sidlib.models import build_model


@dataclass(frozen=True)
class Experiment:
    """One setting of everything that is varied. The defaults are the course's fixed parameters.

    Attributes:
        model: one of models.MODELS.
        activation: "relu" or "leaky_relu".
        loss: one of losses.LOSSES.
        augment: flip the training pairs.
        epochs: at most so many; early stopping may end the training before.
        batch_size: pairs a step.
        learning_rate: of Adam.
        patience: epochs without a lower training loss after which the training stops.
        seed: of the initial weights, the order of the pairs, the flips and fresh noise.
        source: what of a short exposure the model sees, see dataset.SOURCES.
        unit, linear, residual: see models.build_model.
        fresh: new noise in each epoch, see dataset.make_dataset.
        cosine: the learning rate falls to zero along half a cosine.
        clip_norm: longer gradients of a weight are shortened to this length; 0 for never.
        average: validate and keep the exponential moving average of the weights (momentum 0.99), not the last ones.
    """

    model: str
    activation: str
    loss: str
    augment: bool
    epochs: int = 20
    batch_size: int = 10
    learning_rate: float = 0.001
    patience: int = 5
    seed: int = 0
    source: str = "dark8"
    unit: bool = False
    linear: bool = False
    residual: bool = False
    fresh: bool = False
    cosine: bool = False
    clip_norm: float = 0.0
    average: bool = False

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}. Received: {self.loss!r}")

    @property
    def name(self):
        """What is varied, then whatever differs from the course's fixed parameters: "unet-relu-mae-flips-epochs50"."""
        parts = [self.model, self.activation, self.loss, "flips" if self.augment else "noflips"]
        for field in dataclasses.fields(self)[4:]:
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(field.name if value is True else value if field.type is str else f"{field.name}{value:g}")
        return "-".join(parts)

    def build_model(self):
        """Return the model to train, with first weights drawn from the seed."""
        keras.utils.set_random_seed(self.seed)
        return build_model(self.model, self.activation, self.source, self.unit, self.linear, self.residual)


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
    lowest validation loss) and, until the training has ended, last.keras.

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
    training, validation = (pairs[pairs.split == split] for split in ("train", "val"))
    if training.empty or validation.empty:
        raise ValueError(
            f"Training needs pairs of the splits train and val. Received: {dict(pairs.split.value_counts())}"
        )
    run = Run(folder or paths.results_folder(pairs.dataset.iloc[0]), experiment, training, validation)
    if not is_finished(run.folder):
        model, history = run.resume()
        first = len(history)
        epochs = range(first, first if has_stalled(history, experiment.patience) else experiment.epochs)
        with tqdm(
            total=experiment.epochs, initial=first, desc=experiment.name, unit="epoch", file=sys.stdout
        ) as progress:
            model.fit(
                make_dataset(
                    training,
                    experiment.batch_size,
                    experiment.augment,
                    True,
                    experiment.seed,
                    epochs,
                    experiment.source,
                    experiment.fresh,
                ),
                validation_data=make_dataset(validation, experiment.batch_size, source=experiment.source),
                initial_epoch=epochs.start,
                epochs=epochs.stop,
                steps_per_epoch=run.steps,
                callbacks=[
                    *([keras.callbacks.SwapEMAWeights()] if experiment.average else []),
                    ReportEpochs(progress),
                    SaveEpochs(run, history, on_epoch),
                    StopEarly(run),
                ],
                shuffle=False,  # the pipeline shuffles
                verbose=0,
            )
        run.last.unlink()
    return keras.saving.load_model(run.best), run.read_history()


def has_stalled(history, patience):
    """Return whether the last `patience` epochs of a history brought no lower training loss."""
    return len(history) > patience and len(history) - 1 - np.argmin(history.loss) >= patience


def is_finished(run):
    """Return whether the training in a run's folder has ended: its best weights are there, and none to go on with."""
    return (run / "best.keras").is_file() and not (run / "last.keras").is_file()


class Run:
    """The folder of one experiment's training: results/<data set>/<experiment>.

    last.keras is written first and last: before the first epoch, and in each epoch after best.keras and history.csv. So
    whenever a training is interrupted, last.keras holds whole epochs, and what the other two hold beyond them is made
    again alike. It goes when the training has ended.
    """

    def __init__(self, folder, experiment, training, validation):
        self.experiment = experiment
        self.steps = -(-len(training) // experiment.batch_size)  # batches an epoch, the last one may be smaller
        self.folder = folder / experiment.name
        self.config, self.history = self.folder / "config.json", self.folder / "history.csv"
        self.best, self.last = self.folder / "best.keras", self.folder / "last.keras"
        paths.clear_leftovers(self.folder)
        self._keep_config(training, validation)

    def read_history(self):
        return pd.read_csv(self.history)

    def resume(self):
        """Return the model to go on with and the history of the epochs that it has behind it."""
        if self.last.is_file():
            model = keras.saving.load_model(self.last)
            done = int(model.optimizer.iterations) // self.steps
            return model, self.read_history()[:done] if done else pd.DataFrame()
        e = self.experiment
        model = e.build_model()
        rate = keras.optimizers.schedules.CosineDecay(e.learning_rate, e.epochs * self.steps)
        optimizer = keras.optimizers.Adam(
            rate if e.cosine else e.learning_rate, clipnorm=e.clip_norm or None, use_ema=e.average, ema_momentum=0.99
        )
        model.compile(optimizer, LOSSES[e.loss], metrics=["mae"])
        model.optimizer.build(model.trainable_variables)
        self.save_last(model)
        return model, pd.DataFrame()

    def save_epoch(self, model, history):
        """Write what a finished epoch adds: best.keras if it is the best so far, history.csv, last.keras."""
        if np.argmin(history.val_loss) == len(history) - 1:
            last = model.get_weights()
            if self.experiment.average:
                model.optimizer.finalize_variable_values(model.trainable_variables)
            self._save(model, self.best)
            model.set_weights(last)
        with paths.write_whole(self.history) as path:
            history.to_csv(path, index=False)
        self.save_last(model)

    def save_last(self, model):
        self._save(model, self.last)

    def _save(self, model, to):
        with paths.write_whole(to) as path:
            model.save(path)

    def _keep_config(self, training, validation):
        """Write config.json, or make sure that the one there is of the same experiment and the same pairs.

        Pairs are told by the names and the lengths of their PNGs, which differ where the pictures do.
        """
        pictures = pd.concat([pairs[kind] for pairs in (training, validation) for kind in ("short_png", "long_png")])
        known = "\n".join(f"{path.name} {path.stat().st_size}" for path in pictures)
        config = dataclasses.asdict(self.experiment) | {
            "dataset": training.dataset.iloc[0],
            "train_pairs": len(training),
            "val_pairs": len(validation),
            "pairs_crc32": zlib.crc32(known.encode()),
        }
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
    """The course's third callback: stop after `patience` epochs without a lower training loss.

    It looks into history.csv, so that an interruption does not start the count again, as it does in Keras's own.
    """

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = has_stalled(self.run.read_history(), self.run.experiment.patience)
