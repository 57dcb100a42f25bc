"""Developed pairs to a tf.data pipeline that reads a picture when it is needed; what a model sees; the four flips."""

from functools import cache, partial
from typing import NamedTuple

import numpy as np

from sidlib import catalog
from sidlib.backend import keras, tf
from sidlib.preprocess import load_signal
from sidlib.raw import quantize, render
from sidlib.sample import camera


class Source(NamedTuple):
    """What of a short exposure a model sees.

    Attributes:
        amplified: multiplied by the exposure ratio before anything is rounded.
        bits: rounded to 2 ** bits levels.
        corrected: without the camera's known black level error, see camera.correct_black.
    """

    amplified: bool
    bits: int
    corrected: bool = False


SOURCES = {
    "dark8": Source(amplified=False, bits=8),  # the course's
    "dark16": Source(amplified=False, bits=16),
    "amplified8": Source(amplified=True, bits=8),
    "amplified16": Source(amplified=True, bits=16),
    "corrected16": Source(amplified=True, bits=16, corrected=True),
}


def make_dataset(
    pairs, batch_size=10, augment=False, shuffle=False, seed=0, epochs=range(1), source="dark8", fresh=False
):
    """Return the pipeline of (short, long) pictures.

    Order, flips and fresh noise of an epoch are drawn from the seed and the epoch's number alone, so that a training
    that was interrupted goes on with exactly the pictures that would have come.

    Args:
        pairs: DataFrame of preprocess.develop_pairs.
        batch_size: pairs a batch; the last one of an epoch may be smaller.
        augment: flip each pair horizontally with probability ½ and vertically with probability ½.
        shuffle: another order in every epoch.
        seed: of order, flips and noise.
        epochs: range of the epochs to run through, one after the other.
        source: what of the short exposure is shown, see SOURCES.
        fresh: instead of the recorded short exposure another one in each epoch, simulated from the long one at the ISO
            of a random scene of SID's train split.
    Returns:
        tf.data.Dataset of two float32 tensors in 0…255, shape (batch, height, width, 3) each.
    Raises:
        ValueError: there are no pairs, or there is no such source.
    """
    count = len(pairs)
    if not count:
        raise ValueError("make_dataset needs at least one pair. Received: none")
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}. Received: {source!r}")
    files = tf.constant(pairs[["short_png", "long_png"]].astype(str).to_numpy())
    rows = pairs.to_dict("records")

    def read_short(place, epoch):
        if source == "dark8" and not fresh:
            return read_picture(files[place, 0])
        draw = partial(_draw_short, rows, SOURCES[source], seed if fresh else None)
        return tf.ensure_shape(tf.numpy_function(draw, (place, epoch), tf.float32), (None, None, 3))

    def run_through(epoch):
        draws = tf.random.stateless_uniform((count, 3), (seed, epoch))  # order, horizontal flip, vertical flip
        order = tf.argsort(draws[:, 0]) if shuffle else tf.range(count)
        flips = (draws[:, 1:] < 0.5) & augment

        def read_pair(place, flips):
            return flip(read_short(place, epoch), flips), flip(read_picture(files[place, 1]), flips)

        places = tf.data.Dataset.from_tensor_slices((order, flips))
        return places.map(read_pair, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)

    steps = len(epochs) * int(np.ceil(count / batch_size))
    batches = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(run_through)
    return batches.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(tf.data.AUTOTUNE)


def _draw_short(rows, source, seed, place, epoch):
    """What a model sees of the pair rows[place]: its own capture, or with a seed the one of this epoch."""
    pair = rows[place]
    signal, iso = load_signal(pair["short_signal"]), pair["iso"]
    if seed is not None:
        rng = np.random.default_rng((seed, epoch, place))
        iso = rng.choice(_train_isos())
        long = load_signal(pair["long_signal"]).camera_rgb
        signal = signal._replace(camera_rgb=camera.expose_reduced(long, pair["ratio"], iso, rng))
    return show(signal, source, pair["ratio"], iso)


@cache
def _train_isos():
    """The ISO of each scene of SID's train split."""
    index = catalog.load_index()
    return index[index.split == "train"].drop_duplicates("scene").iso.to_numpy()


def show(signal, source, ratio, iso):
    """Return what a model sees of a Signal: float32 (h, w, 3) in 0…255, with fractions where it has more than 8 bits.

    Black is corrected for the camera of the calibration alone, which its colour matrix tells from others; not from its
    predecessor, the α7S, of which LibRaw has the same.

    Args:
        signal: see preprocess.load_signal.
        source: a Source.
        ratio, iso: of the capture.
    """
    camera_rgb = signal.camera_rgb
    if source.corrected and np.allclose(signal.to_srgb, camera.TO_SRGB, atol=1e-3):
        camera_rgb = camera.correct_black(camera_rgb, iso)
    linear = render(camera_rgb, signal.white_balance, signal.to_srgb, ratio if source.amplified else 1)
    return quantize(linear, source.bits).astype(np.float32) * np.float32(255 / (2**source.bits - 1))


def source_of(model):
    """Return the name of the Source that a model was trained on: that of a Keras model's input, or its `source`."""
    name = model.inputs[0].name if isinstance(model, keras.Model) else getattr(model, "source", None)
    return name if name in SOURCES else "dark8"


def measure_brightness(pairs):
    """Return how bright the long exposures of pairs are: the geometric mean of the scenes' mean signal in 0…1."""
    means = [load_signal(path).camera_rgb.mean() for path in pairs.long_signal.unique()]
    return float(np.exp(np.log(np.maximum(means, 1e-6)).mean()))


def estimate_ratio(signal, brightness):
    """Return the exposure ratio that would make a Signal as bright as long exposures are, 1 to catalog.MAX_RATIO.

    For captures that have no long exposure. It is wrong by as much as a scene is brighter or darker than usual.

    Args:
        brightness: see measure_brightness.
    """
    mean = max(float(signal.camera_rgb.mean()), 1e-6)
    return float(np.clip(brightness / mean, 1, catalog.MAX_RATIO))


def read_picture(file):
    """Return a PNG as float32 in 0…255, shape (height, width, 3)."""
    return tf.cast(tf.io.decode_png(tf.io.read_file(file), channels=3), tf.float32)


def flip(picture, flips):
    """Return a picture (height, width, 3) mirrored horizontally where flips[0], vertically where flips[1]."""
    picture = tf.where(flips[0], tf.reverse(picture, [1]), picture)
    return tf.where(flips[1], tf.reverse(picture, [0]), picture)
