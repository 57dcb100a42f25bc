"""Developed pairs to a tf.data pipeline that reads a picture when it is needed; what a model sees; the four flips."""

import zlib

import numpy as np
from PIL import Image

from sidlib.backend import tf
from sidlib.preprocess import load_signal
from sidlib.raw import quantize, render

SOURCES = {}  # what of a short exposure a model can be shown, by name: see register_source


def register_source(name):
    """Return a decorator that makes a function known as what a model can see of a short exposure.

    The function takes a raw.Signal, the exposure ratio and the ISO and returns float32 (height, width, 3), black 0 and
    white 255.
    """

    def register(show):
        SOURCES[name] = show
        return show

    return register


@register_source("dark8")
def show_dark(signal, ratio, iso):
    """Return the course's input: the short exposure as it is, developed to 8 bits."""
    return quantize(render(signal.camera_rgb, signal.white_balance, signal.to_srgb)).astype(np.float32)


def check_source(name):
    """Return the name of a source if there is one of this name, else raise a ValueError."""
    if name not in SOURCES:
        known = ", ".join(SOURCES)
        raise ValueError(f"source must be one of {known} (sidlib.beyond.sources has more). Received: {name!r}")
    return name


def make_dataset(pairs, batch_size=10, augment=False, shuffle=False, seed=0, epochs=range(1), source="dark8"):
    """Return the pipeline of (short, long) pictures.

    Order and flips of an epoch are drawn from the seed and the epoch's number alone, so that a training that
    was interrupted goes on with exactly the pictures that would have come. A batch holds pictures of one size; those of
    another size wait for a batch of their own, and the last batches of an epoch may be smaller: see count_batches.

    Args:
        pairs: DataFrame of preprocess.develop_pairs.
        batch_size: pairs a batch.
        augment: flip each pair horizontally with probability ½ and vertically with probability ½.
        shuffle: another order in every epoch.
        seed: of order and flips.
        epochs: range of the epochs to run through, one after the other.
        source: what of the short exposure is shown, one of SOURCES.
    Returns:
        tf.data.Dataset of two float32 tensors in 0…255, shape (batch, height, width, 3) each.
    Raises:
        ValueError: there are no pairs, the pictures of a pair differ in size, or there is no such source.
    """
    check_source(source)
    count, steps = len(pairs), count_batches(pairs, batch_size)
    files = tf.constant(pairs[["short_png", "long_png"]].astype(str).to_numpy())
    rows = pairs.to_dict("records")

    def show(place):
        pair = rows[place]
        return SOURCES[source](load_signal(pair["short_signal"]), pair["ratio"], pair["iso"])

    def read_short(place):
        if source == "dark8":  # the PNG is just this
            return read_picture(files[place, 0])
        return tf.ensure_shape(tf.numpy_function(show, (place,), tf.float32), (None, None, 3))

    def run_through(epoch):
        draws = tf.random.stateless_uniform((count, 3), (seed, epoch))  # order, horizontal flip, vertical flip
        order = tf.argsort(draws[:, 0]) if shuffle else tf.range(count)
        flips = (draws[:, 1:] < 0.5) & augment

        def read_pair(place, flips):
            return flip(read_short(place), flips), flip(read_picture(files[place, 1]), flips)

        places = tf.data.Dataset.from_tensor_slices((order, flips))
        return _batch_by_size(places.map(read_pair, num_parallel_calls=tf.data.AUTOTUNE), batch_size)

    batches = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(run_through)
    return batches.apply(tf.data.experimental.assert_cardinality(len(epochs) * steps)).prefetch(tf.data.AUTOTUNE)


def _batch_by_size(pictures, batch_size):
    """Batches of pictures that share their size: where tf.data batches, it compares only the number of values."""

    def size_key(short, long):
        height, width = tf.unstack(tf.cast(tf.shape(long)[:2], tf.int64))
        return height * 2**32 + width

    return pictures.group_by_window(size_key, lambda _, window: window.batch(batch_size), batch_size)


def count_batches(pairs, batch_size):
    """Return how many batches of make_dataset an epoch has.

    Raises:
        ValueError: there are no pairs, or the pictures of a pair differ in size.
    """
    if pairs.empty:
        raise ValueError("At least one pair is needed. Received: none")
    sizes = pairs[["short_png", "long_png"]].map(lambda file: Image.open(file).size)
    for row in sizes[sizes.short_png != sizes.long_png].itertuples():
        raise ValueError(
            f"The pictures of a pair must be of one size. Received: {row.short_png} in "
            f"{pairs.short_png[row.Index]} and {row.long_png} in {pairs.long_png[row.Index]}"
        )
    return int(np.ceil(sizes.long_png.value_counts() / batch_size).sum())


def checksum(pairs):
    """Return a number that tells the developed pictures of pairs from others: by names and by pixels, in this order.

    A PNG ends with a checksum of all its pixels (zlib's Adler-32), so that its last bytes are enough.
    """
    known = 0
    for file in pairs[["short_png", "long_png"]].to_numpy().ravel():
        with open(file, "rb") as png:
            png.seek(-20, 2)
            known = zlib.crc32(file.name.encode() + png.read(), known)
    return known


def read_picture(file):
    """Return a PNG as float32 in 0…255, shape (height, width, 3)."""
    return tf.cast(tf.io.decode_png(tf.io.read_file(file), channels=3), tf.float32)


def flip(picture, flips):
    """Return a picture (height, width, 3) mirrored horizontally where flips[0], vertically where flips[1]."""
    picture = tf.where(flips[0], tf.reverse(picture, [1]), picture)
    return tf.where(flips[1], tf.reverse(picture, [0]), picture)
