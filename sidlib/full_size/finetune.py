"""The network for full size, trained further on pairs of a data set; the truth is LibRaw's picture of the long one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import safetensors

from sidlib import camera, paths, preprocess, workers
from sidlib.backend import keras
from sidlib.beyond.experiments import StreamTraining, log_mse_loss
from sidlib.catalog import pick_splits
from sidlib.full_size.capture import read_capture
from sidlib.full_size.evaluate import SRGB, develop_truth
from sidlib.full_size.experiment import train_network
from sidlib.full_size.network import build_trainer, find_cap, join_rendering
from sidlib.full_size.restore import find_network
from sidlib.full_size.stream import PATCH_PX, batch_patches

VERSION = 2  # raise it when the same captures give other truths or patches
PATCHES = 4  # per file that is opened
VALIDATION = 24  # files


@dataclass(frozen=True, kw_only=True)
class FineTuning(StreamTraining):
    """A training that starts from find_network, on patches of pairs, see stream_pairs."""

    name: str = "full-size-tuned"
    batch_size: int = 8
    learning_rate: float = 0.0002
    patience: int = 20
    monitor: str = "val_loss"
    loss_function = staticmethod(log_mse_loss)

    def build_model(self):
        return build_trainer(keras.saving.load_model(find_network(), compile=False))

    def make_dataset(self, pairs, epochs):
        files = self.updates * self.batch_size // PATCHES
        return stream_pairs(pairs, range(epochs.start * files, epochs.stop * files), self)


FINE_TUNING = FineTuning()


def tune(pairs, folder, experiment=FINE_TUNING, on_epoch=None):
    """Train the network for full size further on pairs, as training.train does; return it and the history.

    LibRaw's picture of each long exposure, which has a Bayer pattern, is kept in the data set: 72 MB at 12 megapixels.
    """
    both = pick_splits(pairs, "train", "val")
    base = paths.fingerprint(find_network().read_bytes())  # raises before all are developed
    training, validation = map(develop_truths, both)
    used = pd.concat(both).itertuples()
    captures = [(paths.file_state(pair.short), paths.file_state(pair.long), pair.ratio) for pair in used]
    key = {"captures": paths.fingerprint(len(training), captures, VERSION), "network": base}
    patches = stream_pairs(validation, range(VALIDATION), experiment).cache()
    return train_network(experiment, folder, key, training, lambda model: patches, on_epoch)


def develop_truths(pairs):
    """Return pairs with a column `truth`: the file of LibRaw's sRGB picture of the long exposure, uint16 (H, W, 3)."""
    truths = dict(workers.share(_develop, pairs.long.unique(), "Developing", "picture"))
    return pairs.assign(truth=pairs.long.map(truths))


def _develop(long):
    """The file of a long exposure's picture, which is made unless it is there."""
    file = paths.derived_folder(long.parents[1]) / "full" / f"{long.stem}.safetensors"
    key = paths.fingerprint(paths.file_state(long), SRGB, VERSION)
    if not preprocess.is_current(file, key):
        preprocess.save_arrays(file, {"truth": develop_truth(long, **SRGB)}, key)
    return file


def stream_pairs(pairs, numbers, experiment):
    """Return the pipeline of PATCHES patches of a random pair per number: ((packed, rendering), truth), in batches."""
    rows = list(pairs.itertuples())

    def make_patches(number):
        rng = np.random.default_rng((experiment.seed, number))
        return read_pair(rows[rng.integers(len(rows))], rng)

    return batch_patches(make_patches, PATCHES, numbers, experiment.batch_size)


def read_pair(pair, rng):
    """Return PATCHES random patches of a pair: packed, rendering and truth, see stream.expose.

    Raises:
        ValueError: its pictures are smaller than a patch, or of two sizes.
    """
    mosaic, noise, _ = read_capture(pair.short)
    truth = safetensors.safe_open(pair.truth, "numpy").get_slice("truth")  # only the patches are read
    sizes = mosaic.counts.shape, tuple(truth.get_shape()[:2])
    if sizes[0] != sizes[1] or min(sizes[0]) <= PATCH_PX:
        raise ValueError(f"{pair.short}: it and its long exposure need one size, above {PATCH_PX}. Received: {sizes}")
    counts, inner = camera.align(mosaic.counts, mosaic.pattern)
    black = camera.align_levels(mosaic.black, mosaic.pattern) + noise.black_dn
    to_white = mosaic.white_balance * noise.gain_dn * pair.ratio / (mosaic.white - mosaic.black.mean())
    rendering = join_rendering(noise.read_dn / noise.gain_dn, to_white, mosaic.ccm)
    cap = find_cap(noise.gain_dn / to_white, noise.gain_dn, noise.read_dn)
    seen, shown = [], []
    for _ in range(PATCHES):
        top, left = (rng.integers(part.start + 1, part.stop - PATCH_PX + 1) // 2 * 2 for part in inner)
        packed = camera.pack(counts[top : top + PATCH_PX, left : left + PATCH_PX]) - black
        seen.append(np.minimum(camera.stabilise(packed, noise.gain_dn, noise.read_dn), cap))
        top, left = top - inner[0].start, left - inner[1].start
        shown.append(truth[top : top + PATCH_PX, left : left + PATCH_PX] / np.float32(257))
    return np.stack(seen), np.tile(rendering, (PATCHES, 1)), np.stack(shown)
