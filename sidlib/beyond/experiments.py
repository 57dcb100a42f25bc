"""Experiments beyond the course's: other inputs and networks, other losses and schedules, endless training pairs."""

import math
from dataclasses import dataclass

from sidlib.backend import keras
from sidlib.beyond import stream
from sidlib.beyond.models import build_model
from sidlib.dataset import make_dataset
from sidlib.losses import LOSSES
from sidlib.models import draw_weights
from sidlib.training import Experiment

ops = keras.ops


@keras.saving.register_keras_serializable("sidlib")
def log_mse_loss(truth, output):
    """Return 10 · log₁₀(MSE + 1) of each picture, (batch,) float32: the PSNR but for its sign and a constant.

    What counts is by which factor an error falls. So pictures with little noise count as much as those with much, where
    the MAE of a batch is that of its noisiest pictures.
    """
    return 10 / math.log(10) * ops.log(ops.mean(ops.square(truth - output), axis=(1, 2, 3)) + 1)


@dataclass(frozen=True, kw_only=True)
class OpenExperiment(Experiment):
    """An Experiment with what the course left open.

    Attributes:
        label: its name, which the seed is added to where it is not 0.
        source: what of a short exposure the model sees, one of dataset.SOURCES.
        unit, linear, residual: see models.build_model.
        cosine: the learning rate falls to zero along half a cosine.
        updates: in an epoch, each on pictures of their own, see stream.make_stream; 0 for the pairs themselves.
        drawn, jitter: of these the share of drawn scenes, and whether brightness and colours are varied.
        clip_norm: longer gradients of a weight are shortened to this length; 0 for never.
    """

    label: str
    source: str = "dark8"
    unit: bool = False
    linear: bool = False
    residual: bool = False
    cosine: bool = False
    clip_norm: float = 0.0
    updates: int = 0
    drawn: float = 0.6
    jitter: bool = True

    losses = LOSSES | {"log_mse": log_mse_loss}

    @property
    def name(self):
        return f"{self.label}-seed{self.seed}" if self.seed else self.label

    def build_model(self):
        model = build_model(self.model, self.activation, self.source, self.unit, self.linear, self.residual)
        return draw_weights(model, self.seed)

    def build_optimizer(self, updates):
        rate = self.learning_rate
        if self.cosine:
            rate = keras.optimizers.schedules.CosineDecay(rate, updates)
        return keras.optimizers.Adam(rate, clipnorm=self.clip_norm or None)

    def count_updates(self, pairs):
        return self.updates or super().count_updates(pairs)

    def make_dataset(self, pairs, epochs):
        if self.updates:
            return stream.make_stream(pairs, self, range(epochs.start * self.updates, epochs.stop * self.updates))
        return make_dataset(pairs, self.batch_size, self.augment, True, self.seed, epochs, self.source)
