"""The training of a network for full size: hours on two cores, which may be interrupted and gone on with."""

import hashlib
from dataclasses import dataclass, replace

from sidlib import paths
from sidlib.backend import keras
from sidlib.beyond.experiments import OpenExperiment, log_mse_loss
from sidlib.beyond.full_size.network import NETWORKS, build_trainer, take_network
from sidlib.beyond.full_size.stream import make_stream
from sidlib.sample.photographs import PHOTOGRAPHS, hash_photograph, load_photograph
from sidlib.training import train_run

ops = keras.ops

VALIDATION = 96  # patches
COARSE_SQUARES = 16  # side in squares of 2 × 2 pixels, which coarse_log_mse_loss averages over


@keras.saving.register_keras_serializable("sidlib")
def coarse_log_mse_loss(truth, output):
    """Return log_mse_loss, and a quarter of that of means over 32 × 32 pixels: (batch,) float32.

    Each of the four places of a square is averaged on its own, so that a faint grid counts, or a tint of a whole area,
    which the noise of single pixels hides.
    """
    return log_mse_loss(truth, output) + log_mse_loss(_average(truth), _average(output)) / 4


def _average(picture):
    side = 2 * COARSE_SQUARES
    height, width = picture.shape[1:3]
    squares = ops.reshape(picture, (-1, height // side, COARSE_SQUARES, 2, width // side, COARSE_SQUARES, 2, 3))
    return ops.reshape(ops.mean(squares, axis=(2, 5)), (-1, height // side, width // side, 12))


@dataclass(frozen=True, kw_only=True)
class FullSizeExperiment(OpenExperiment):
    """An OpenExperiment on patches at the sensor's own pitch; its model is one of network.NETWORKS.

    Its loss is one of the rendered picture, see coarse_log_mse_loss and experiments.log_mse_loss: the PSNR that is
    reported, so that a patch of little light, which stays noisy whatever is done, does not outweigh all others.
    """

    losses = OpenExperiment.losses | {"coarse_log_mse": coarse_log_mse_loss}

    def build_model(self):
        keras.utils.set_random_seed(self.seed)
        return build_trainer(NETWORKS[self.model]())

    def make_dataset(self, pairs, epochs):
        each = self.updates * self.batch_size
        return make_stream(self, range(epochs.start * each, epochs.stop * each))


FULL_SIZE = FullSizeExperiment(
    "residual_unet",
    "relu",
    "coarse_log_mse",
    augment=True,
    label="full-size",
    epochs=112,
    batch_size=8,
    updates=250,
    drawn=0.7,
    cosine=True,
    clip_norm=1.0,
    patience=112,
    monitor="val_loss",
)
PAPER = replace(FULL_SIZE, model="paper_unet", label="full-size-paper", epochs=32)  # for about as long


def train_full_size(folder=None, experiment=FULL_SIZE, on_epoch=None):
    """Train a FullSizeExperiment, or load it where that was done; go on where it was interrupted, see training.train.

    It is validated on the photograph of split val and scenes that are drawn for it. Its network alone, without what
    trained it, goes to results/sample/<experiment>.keras.

    Args:
        folder: results folder; None for results/sample.
    Returns:
        the network with the lowest validation loss, and the history.
    """
    known = {"photographs": _checksum(), "val_patches": VALIDATION}

    def validate(model):
        return make_stream(experiment, range(VALIDATION), "val").cache()

    return train_network(experiment, folder or paths.results_folder("sample"), known, None, validate, on_epoch)


def train_network(experiment, folder, *of_run):
    """Train a FullSizeExperiment, and write its network alone to <folder>/<experiment>.keras.

    Args:
        experiment, folder, of_run: the arguments of training.train_run.
    Returns:
        the network with the lowest validation loss, and the history.
    """
    model, history = train_run(experiment, folder, *of_run)
    network = take_network(model)
    with paths.write_whole(folder / f"{experiment.name}.keras") as path:
        network.save(path)
    return network, history


def _checksum():
    hashes = [hash_photograph(load_photograph(name)) for name, split in PHOTOGRAPHS.items() if split != "test"]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
