"""The training of a network for full size: an hour on two cores, which can be interrupted and resumed."""

from dataclasses import dataclass, replace
from functools import partial

from sidlib import paths
from sidlib.backend import keras
from sidlib.beyond.experiments import StreamTraining, log_mse_loss
from sidlib.full_size.network import NETWORKS, build_trainer
from sidlib.full_size.stream import make_stream
from sidlib.sample.photographs import PHOTOGRAPHS, hash_photograph, load_photograph
from sidlib.training import train_run

ops = keras.ops

VERSION = 2  # raise it when the same settings give other patches
VALIDATION = 96  # patches
COARSE_SQUARES = 16  # side in squares of 2 × 2 pixels of the blocks that coarse_log_mse_loss averages


@keras.saving.register_keras_serializable("sidlib")
def coarse_log_mse_loss(truth, output):
    """Return log_mse_loss plus a quarter of that of means over 32 × 32 pixels of each CFA position: (batch,) float32.

    So a faint checkerboard or the tint of a whole area counts, which the noise of single pixels hides.
    """
    means = [ops.average_pool(ops.space_to_depth(x, 2), COARSE_SQUARES, COARSE_SQUARES) for x in (truth, output)]
    return log_mse_loss(truth, output) + log_mse_loss(*means) / 4


@dataclass(frozen=True, kw_only=True)
class FullSize(StreamTraining):
    """A training on patches of stream.make_stream, with coarse_log_mse_loss of the rendered picture."""

    name: str  # of its folder and of the network's file
    network: str  # one of NETWORKS
    batch_size: int = 8
    monitor: str = "val_loss"
    loss_function = staticmethod(coarse_log_mse_loss)

    def build_model(self):
        keras.utils.set_random_seed(self.seed)
        return build_trainer(NETWORKS[self.network]())

    def make_dataset(self, pairs, epochs):
        patches = self.updates * self.batch_size
        return make_stream(self, range(epochs.start * patches, epochs.stop * patches))


FULL_SIZE = FullSize(name="full-size", network="residual_unet", epochs=112, patience=112)
PAPER = replace(FULL_SIZE, name="full-size-paper", network="paper_unet", epochs=32)  # for about as long


def train_full_size(folder, experiment=FULL_SIZE, on_epoch=None):
    """Train, resume or load a FullSize experiment as training.train does; return its network and the history."""
    photographs = [hash_photograph(load_photograph(name)) for name, split in PHOTOGRAPHS.items() if split != "test"]
    key = {"photographs": paths.fingerprint(photographs, VERSION), "val_patches": VALIDATION}
    patches = partial(make_stream, experiment, range(VALIDATION), "val")
    return train_network(experiment, folder, key, None, lambda model: patches().cache(), on_epoch)


def train_network(experiment, folder, *options):
    """Do training.train_run, write its network alone to <folder>/<experiment>.keras, and return it and the history."""
    trainer, history = train_run(experiment, folder, *options)
    network = next(layer for layer in trainer.layers if layer.name in NETWORKS)
    with paths.write_atomically(folder / f"{experiment.name}.keras") as path:
        network.save(path)
    return network, history


if __name__ == "__main__":
    from sidlib import catalog, sample
    from sidlib.full_size import evaluate

    for each in (FULL_SIZE, PAPER):
        train_full_size(paths.RESULTS / "sample", each)
    sharp = sample.build_sharp()
    evaluate.score_methods(catalog.load_pairs(sharp), paths.results_folder(sharp))
