"""Developed pairs to a tf.data pipeline that reads each picture when it is needed, crops and flips it.

A picture is float32 in 0…255, shape (height, width, 3).
"""

from functools import cache

import numpy as np
from PIL import Image

from sidlib import paths
from sidlib.backend import tf
from sidlib.preprocess import load_signal, read_digest
from sidlib.sources import SOURCES, check_source


def make_dataset(
    pairs, batch_size=10, augment=False, shuffle=False, seed=0, epochs=range(1), source="dark8", crop_px=None, updates=1
):
    """Return the tf.data.Dataset of (short, long) batches, (batch, height, width, 3) each, pictures of one size.

    Order, crops and flips of an epoch depend only on the seed and the epoch's number.

    Args:
        augment: flip each pair horizontally with probability ½ and vertically with probability ½.
        shuffle: draw another order in every epoch. epochs: range of the epochs to run through.
        source: what the model sees of the short exposure, one of sources.SOURCES.
        crop_px: width and height of random crops; None for whole pictures.
        updates: batches of crops per epoch, which take pairs in turn; of whole pictures an epoch has each once.
    Raises:
        ValueError: there are no pairs, or no such source.
    """
    check_source(source)
    count = updates * batch_size if crop_px else len(pairs)
    steps = updates if crop_px else count_batches(pairs, batch_size)
    files = tf.constant(pairs[["short_png", "long_png"]].astype(str).to_numpy())
    rows = pairs.to_dict("records")

    def develop(number):
        pair = rows[number]
        return SOURCES[source](load_signal(pair["short_signal"]), pair["ratio"], pair["iso"])

    def read_short(number):
        if source == "dark8":  # the PNG has the same pixels
            return read_picture(files[number, 0])
        return tf.ensure_shape(tf.numpy_function(develop, (number,), tf.float32), (None, None, 3))

    def read_pair(number, flips, place):
        pair = flip(tf.concat([read_short(number), read_picture(files[number, 1])], axis=-1), flips)
        pair = tf.image.stateless_random_crop(pair, (*crop_px[::-1], 6), place) if crop_px else pair
        return pair[..., :3], pair[..., 3:]

    def size_key(short, long):  # tf.data's own batch only compares the number of values
        height, width = tf.unstack(tf.cast(tf.shape(long)[:2], tf.int64))
        return height * 2**32 + width

    def run_epoch(epoch):
        draws = tf.random.stateless_uniform((count, 3), (seed, epoch))  # order, horizontal flip, vertical flip
        places = tf.random.stateless_uniform((count, 2), (seed, epoch), None, None, tf.int32)  # seeds of crops
        order = (tf.argsort(draws[:, 0]) if shuffle else tf.range(count)) + tf.cast(epoch * count, tf.int32)
        numbers = tf.data.Dataset.from_tensor_slices((order % len(pairs), (draws[:, 1:] < 0.5) & augment, places))
        pictures = numbers.map(read_pair, num_parallel_calls=tf.data.AUTOTUNE)
        return pictures.group_by_window(size_key, lambda _, window: window.batch(batch_size), batch_size)

    batches = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(run_epoch)
    return batches.apply(tf.data.experimental.assert_cardinality(len(epochs) * steps)).prefetch(tf.data.AUTOTUNE)


def count_batches(pairs, batch_size):
    """Return the number of batches of whole pictures per epoch; raise a ValueError if there are no pairs."""
    if pairs.empty:
        raise ValueError("At least one pair is needed. Received: none")
    sizes = pairs.long_png.map(lambda file: Image.open(file).size)
    return int(np.ceil(sizes.value_counts() / batch_size).sum())


def fingerprint_pairs(pairs):
    """Return the fingerprint of all that a network sees of pairs, in this order: pixels, Signals, ratios and ISOs.

    No pixels are read: a PNG ends with their checksum (Adler-32), and a Signal's header has its digest.
    """
    readers = {"short_png": _read_end, "long_png": _read_end, "short_signal": read_digest, "long_signal": read_digest}
    seen = [pairs[column].map(cache(read)).tolist() for column, read in readers.items()]
    return paths.fingerprint(seen, *(pairs[column].tolist() for column in ("scene", "frame", "ratio", "iso")))


def _read_end(png):
    with open(png, "rb") as file:
        file.seek(-20, 2)
        return file.read()


def read_picture(file):
    """Return a PNG as a picture."""
    return tf.cast(tf.io.decode_png(tf.io.read_file(file), channels=3), tf.float32)


def flip(picture, flips):
    """Return a picture, mirrored horizontally if flips[0] and vertically if flips[1]."""
    picture = tf.where(flips[0], tf.reverse(picture, [1]), picture)
    return tf.where(flips[1], tf.reverse(picture, [0]), picture)
