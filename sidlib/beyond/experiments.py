"""Experiments beyond the course's: its CNN on other inputs, and trainings on endless pairs."""

import math
from dataclasses import dataclass

from sidlib.backend import keras
from sidlib.beyond.models import build_model
from sidlib.beyond.stream import make_stream
from sidlib.experiment import PairTraining, Training
from sidlib.models import draw_weights

ops = keras.ops


@keras.saving.register_keras_serializable("sidlib")
def log_mse_loss(truth, output):
    """Return 10 · log₁₀(MSE + 1) of each picture, (batch,) float32: the negative PSNR but for a constant.

    So a picture with little noise counts as much as one with much, which has nearly all of a batch's MAE.
    """
    return 10 / math.log(10) * ops.log(ops.mean(ops.square(truth - output), axis=(1, 2, 3)) + 1)


@dataclass(frozen=True, kw_only=True)
class Labelled(Training):
    """A training named by its label, with the seed added if that is not 0."""

    label: str

    @property
    def name(self):
        return f"{self.label}-seed{self.seed}" if self.seed else self.label


@dataclass(frozen=True, kw_only=True)
class InputExperiment(Labelled, PairTraining):
    """The training of the course's CNN, with leaky ReLU and MAE, on another input; see models.build_model."""

    source: str
    residual: bool = False
    augment: bool = True  # flip the pairs at random
    loss_function = "mae"

    def build_model(self):
        return draw_weights(build_model("cnn", self.source, residual=self.residual), self.seed)

    def make_dataset(self, pairs, epochs):
        return super().make_dataset(pairs, epochs, self.source)


@dataclass(frozen=True, kw_only=True)
class StreamTraining(Training):
    """A training on an endless stream, whose learning rate falls to 0 along half a cosine."""

    updates: int = 250  # per epoch, each on new pictures

    def build_optimizer(self, updates):
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, updates)
        return keras.optimizers.Adam(rate, clipnorm=1.0)  # longer gradients are clipped

    def count_updates(self, pairs):
        return self.updates


@dataclass(frozen=True, kw_only=True)
class StreamExperiment(Labelled, StreamTraining):
    """A training of models.build_model on stream.make_stream's endless pairs; the defaults are the best model's."""

    model: str = "rcan"
    source: str = "signed"
    unit: bool = True
    linear: bool = True
    residual: bool = True
    loss: str = "log_mse"  # or one of Keras by its name
    drawn: float = 0.6  # share of drawn scenes
    jitter: bool = True  # vary brightness and colours
    epochs: int = 80
    batch_size: int = 4
    learning_rate: float = 0.002
    patience: int = 80

    @property
    def loss_function(self):
        return log_mse_loss if self.loss == "log_mse" else self.loss

    def build_model(self):
        return draw_weights(build_model(self.model, self.source, self.unit, self.linear, self.residual), self.seed)

    def make_dataset(self, pairs, epochs):
        return make_stream(pairs, self, range(epochs.start * self.updates, epochs.stop * self.updates))
