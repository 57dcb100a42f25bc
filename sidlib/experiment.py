"""Experiments: everything that is varied in a training, and nothing else."""

from dataclasses import dataclass, fields, replace

from sidlib.backend import keras
from sidlib.dataset import count_batches, make_dataset
from sidlib.losses import LOSSES
from sidlib.models import build_model, draw_weights

TITLES = {"cnn": "CNN", "dense_cnn": "dense CNN", "unet": "U-Net", "relu": "ReLU", "leaky_relu": "leaky ReLU"}


@dataclass(frozen=True, kw_only=True)
class Training:
    """The course's settings of any training. A child adds name, loss_function, build_model and make_dataset."""

    epochs: int = 20  # at most
    batch_size: int = 10  # pairs per update
    learning_rate: float = 0.001  # of Adam
    patience: int = 5  # epochs without a lower `monitor` after which the training stops
    monitor: str = "loss"  # of training, or "val_loss"
    seed: int = 0  # of every random draw

    def __post_init__(self):
        self._check("monitor", ("loss", "val_loss"))

    def _check(self, name, options):
        if getattr(self, name) not in options:
            raise ValueError(f"{name} must be one of {', '.join(options)}. Received: {getattr(self, name)!r}")

    def build_optimizer(self, updates):
        """Return the optimizer for a training of so many updates, if no early stopping ends it."""
        return keras.optimizers.Adam(self.learning_rate)


@dataclass(frozen=True, kw_only=True)
class PairTraining(Training):
    """The settings of a training on pairs; the defaults are the course's. A child adds `augment`, see make_dataset."""

    crop_px: tuple | None = (24, 16)  # width and height of the random crops that training sees; None: whole pictures
    updates: int = 187  # per epoch of crops, as many as the deck's 1865 pairs made; of whole pictures each is seen once

    def count_updates(self, pairs):
        """Return the number of updates per epoch on training pairs."""
        return self.updates if self.crop_px else count_batches(pairs, self.batch_size)

    def make_dataset(self, pairs, epochs, source="dark8"):
        """Return the pipeline of training pairs over a range of epochs."""
        crops = source, self.crop_px, self.updates
        return make_dataset(pairs, self.batch_size, self.augment, True, self.seed, epochs, *crops)


@dataclass(frozen=True)
class Experiment(PairTraining):
    """One setting of the course: a model, its activation (see models), a loss (see losses), and flips of the pairs."""

    model: str
    activation: str
    loss: str
    augment: bool

    def __post_init__(self):
        super().__post_init__()
        self._check("loss", LOSSES)

    @property
    def name(self):
        """What is varied, then what differs from the defaults: "unet-relu-mae-flips-epochs50"."""
        parts = [self.model, self.activation, self.loss, "flips" if self.augment else "noflips"]
        parts += [value if name == "monitor" else f"{name}{value}" for name, value in self._changes()]
        return "-".join(parts)

    @property
    def title(self):
        """The name for people: "U-Net, leaky ReLU, MAE, no flips, 50 epochs"."""
        words = [TITLES[self.model], TITLES[self.activation], self.loss.upper()]
        words.append("flips" if self.augment else "no flips")
        for name, value in self._changes():
            words.append(f"{value} epochs" if name == "epochs" else f"{name.replace('_', ' ')} {value}")
        return ", ".join(words)

    def _changes(self):
        settings = [(field.name, getattr(self, field.name)) for field in fields(PairTraining)]
        texts = {"crop_px": "x".join(map(str, self.crop_px or ["none"]))}
        return [(name, texts.get(name, value)) for name, value in settings if value != getattr(PairTraining, name)]

    @property
    def loss_function(self):
        return LOSSES[self.loss]

    def build_model(self):
        """Return the untrained model, with first weights drawn from the seed."""
        return draw_weights(build_model(self.model, self.activation), self.seed)


COURSE_EXPERIMENTS = (
    Experiment("cnn", "relu", "mae", augment=True),
    Experiment("cnn", "leaky_relu", "mae", augment=True),
    Experiment("dense_cnn", "leaky_relu", "mae", augment=True),
    Experiment("dense_cnn", "leaky_relu", "mse", augment=True),
    Experiment("unet", "leaky_relu", "mse", augment=True),
    Experiment("unet", "leaky_relu", "mse", augment=False),
)
LONG_EXPERIMENT = Experiment("unet", "leaky_relu", "mae", augment=False, epochs=50)


def list_course_experiments(fast=False):
    """Return the course's experiments, the long one last; in fast mode each has two epochs of three updates."""
    experiments = [*COURSE_EXPERIMENTS, LONG_EXPERIMENT]
    return [replace(experiment, epochs=2, updates=3) for experiment in experiments] if fast else experiments
