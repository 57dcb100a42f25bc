"""The network for full size, trained on with pairs of a data set; truth is LibRaw's picture of a long exposure."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import safetensors

from sidlib import paths, preprocess, workers
from sidlib.backend import keras, tf
from sidlib.beyond.full_size.evaluate import develop_truth
from sidlib.beyond.full_size.experiment import FullSizeExperiment, train_network
from sidlib.beyond.full_size.network import build_trainer, join_look
from sidlib.beyond.full_size.restore import find_network, load_network, read_capture
from sidlib.beyond.full_size.stable import align, align_levels, pack, stabilise
from sidlib.beyond.full_size.stream import PATCH_PX
from sidlib.catalog import pick_splits

# LibRaw's options: the curve of sRGB, rows as the sensor lay, and the sensor's white, whatever the brightest pixel
SRGB = {"gamma": (2.4, 12.92), "user_flip": 0, "adjust_maximum_thr": 0}
PATCHES = 4  # of each file that is opened
VALIDATION = 24  # files


@dataclass(frozen=True, kw_only=True)
class FineTuning(FullSizeExperiment):
    """A FullSizeExperiment that begins with the trained network, on patches of pairs."""

    def build_model(self):
        return build_trainer(keras.saving.load_model(find_base(), compile=False))

    def make_dataset(self, pairs, epochs):
        each = self.updates * self.batch_size // PATCHES
        return stream_pairs(pairs, range(epochs.start * each, epochs.stop * each), self)


FINE_TUNING = FineTuning(
    "residual_unet",
    "relu",
    "log_mse",
    augment=False,
    label="full-size-tuned",
    epochs=20,
    batch_size=8,
    updates=250,
    learning_rate=0.0002,
    cosine=True,
    clip_norm=1.0,
    patience=20,
    monitor="val_loss",
)


def tune(pairs, folder=None, experiment=FINE_TUNING, on_epoch=None):
    """Train the network for full size on with the pairs of split train, or go on with that, see training.train.

    LibRaw's development of each long exposure is kept beside the data set: 72 MB each at 12 megapixels. The network
    goes to results/<data set>/<experiment>.keras; restore.restore_capture takes it as `network`.

    Args:
        pairs: DataFrame of catalog.load_pairs, with the splits train and val, of captures with a Bayer pattern.
        folder: results folder; None for results/<data set>.
    Returns:
        the network with the lowest validation loss, and the history.
    Raises:
        ValueError: a split has no pairs, or the folder holds a run of the same name on other pairs, or that began with
            another network.
        FileNotFoundError: see find_base.
    """
    pick_splits(pairs, "train", "val")  # or its error, before all are developed
    base = find_base()
    training, validation = pick_splits(develop_truths(pairs), "train", "val")
    used = pd.concat([training, validation])
    known = {
        "dataset": pairs.dataset.iloc[0],
        "train_pairs": len(training),
        "val_pairs": len(validation),
        "captures": paths.checksum(*used.short, *used.long.unique()),
        "network": paths.checksum(base),
    }

    def validate(model):
        return stream_pairs(validation, range(VALIDATION), experiment).cache()

    folder = folder or paths.results_folder(pairs.dataset.iloc[0])
    return train_network(experiment, folder, known, training, validate, on_epoch)


def find_base():
    """Return the file of the network that is trained on.

    Raises:
        FileNotFoundError: see restore.load_network.
    """
    load_network()  # or its error
    return find_network("full-size")


def develop_truths(pairs):
    """Return pairs with a column `truth`: the file of LibRaw's sRGB picture of the long exposure, uint16 (H, W, 3)."""
    folder = paths.made_folder(paths.find_dataset(str(pairs.long.iloc[0].parent.parent))) / "full"
    truths = {long: folder / f"{long.stem}.safetensors" for long in pairs.long.unique()}
    missing = [(long, truth) for long, truth in truths.items() if not preprocess.is_current(truth, long)]
    for _ in workers.share(_develop, missing, "Developing", "picture"):
        pass
    return pairs.assign(truth=pairs.long.map(truths))


def _develop(files):
    long, truth = files
    state = long.stat()  # before it is read: what changes later shows
    preprocess.save_arrays(truth, {"truth": develop_truth(long, **SRGB)}, state)


def stream_pairs(pairs, numbers, experiment):
    """Return the pipeline of patches of random pairs, PATCHES for each number: ((packed, look), truth), in batches."""
    rows, side = list(pairs.itertuples()), PATCH_PX // 2

    def read_patches(number):
        rng = np.random.default_rng((experiment.seed, number))
        return read_pair(rows[rng.integers(len(rows))], rng)

    def read(number):
        packed, look, truth = tf.numpy_function(read_patches, [number], (tf.float32,) * 3)
        packed, look = tf.ensure_shape(packed, (PATCHES, side, side, 4)), tf.ensure_shape(look, (PATCHES, 13))
        return (packed, look), tf.ensure_shape(truth, (PATCHES, PATCH_PX, PATCH_PX, 3))

    patches = tf.data.Dataset.range(numbers.start, numbers.stop).map(read, num_parallel_calls=2).unbatch()
    return patches.batch(experiment.batch_size).prefetch(4)


def read_pair(pair, rng):
    """Return PATCHES random patches of a pair: packed, look and truth, see stream.expose.

    Raises:
        ValueError: its pictures are smaller than a patch, or one is larger than the other.
    """
    mosaic, noise, _ = read_capture(pair.short)
    counts, inner = align(mosaic.counts, mosaic.pattern)
    black = align_levels(mosaic.black, mosaic.pattern) + noise.black_dn
    truth = safetensors.safe_open(pair.truth, "numpy").get_slice("truth")  # parts are read as they are wanted
    if min(truth.get_shape()[:2]) < PATCH_PX + 1:
        raise ValueError(f"{pair.short}: smaller than a patch of {PATCH_PX} pixels")
    if tuple(truth.get_shape()[:2]) != mosaic.counts.shape:
        raise ValueError(f"{pair.short}: not of the size of its long exposure")
    to_white = mosaic.white_balance * noise.gain_dn * pair.ratio / (mosaic.white - mosaic.black.mean())
    look = join_look(noise.read_dn / noise.gain_dn, to_white, mosaic.to_srgb)
    seen, shown = [], []
    for _ in range(PATCHES):
        first = [rng.integers(part.start + 1, part.stop - PATCH_PX + 1) // 2 * 2 for part in inner]
        rows, columns = (slice(start, start + PATCH_PX) for start in first)
        seen.append(stabilise(pack(counts[rows, columns]) - black, noise.gain_dn, noise.read_dn))
        rows, columns = (slice(start, start + PATCH_PX) for start in np.subtract(first, [part.start for part in inner]))
        shown.append(truth[rows, columns] / np.float32(257))
    return np.stack(seen), np.tile(look, (PATCHES, 1)), np.stack(shown)
