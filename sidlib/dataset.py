"""PNG pairs to a tf.data pipeline that reads a picture when it is needed; the four flips."""

import numpy as np

from sidlib.backend import tf


def make_dataset(pairs, batch_size=10, augment=False, shuffle=False, seed=0, epochs=range(1)):
    """Return the pipeline of (short, long) pictures.

    Order and flips of an epoch are drawn from the seed and the epoch's number alone, so that a training that was
    interrupted goes on with exactly the pictures that would have come.

    Args:
        pairs: DataFrame of preprocess.develop_pairs, with columns short_png and long_png.
        batch_size: pairs a batch; the last one of an epoch may be smaller.
        augment: flip each pair horizontally with probability ½ and vertically with probability ½.
        shuffle: another order in every epoch.
        seed: of order and flips.
        epochs: range of the epochs to run through, one after the other.
    Returns:
        tf.data.Dataset of two float32 tensors in 0…255, shape (batch, height, width, 3) each.
    Raises:
        ValueError: there are no pairs.
    """
    count = len(pairs)
    if not count:
        raise ValueError("make_dataset needs at least one pair. Received: none")
    files = tf.constant(pairs[["short_png", "long_png"]].astype(str).to_numpy())

    def run_through(epoch):
        draws = tf.random.stateless_uniform((count, 3), (seed, epoch))  # order, horizontal flip, vertical flip
        order = tf.argsort(draws[:, 0]) if shuffle else tf.range(count)
        flips = (draws[:, 1:] < 0.5) & augment
        rows = tf.data.Dataset.from_tensor_slices((tf.gather(files, order), flips))
        return rows.map(read_pair, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)

    steps = len(epochs) * int(np.ceil(count / batch_size))
    batches = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(run_through)
    return batches.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(tf.data.AUTOTUNE)


def read_pair(files, flips):
    """Return the two pictures of a pair, flipped alike: float32 in 0…255, shape (height, width, 3).

    Args:
        files: string (2,), the short and the long exposure's PNG.
        flips: bool (2,), flip horizontally, flip vertically.
    """
    return flip(read_picture(files[0]), flips), flip(read_picture(files[1]), flips)


def read_picture(file):
    """Return a PNG as float32 in 0…255, shape (height, width, 3)."""
    return tf.cast(tf.io.decode_png(tf.io.read_file(file), channels=3), tf.float32)


def flip(picture, flips):
    """Return a picture (height, width, 3) mirrored horizontally where flips[0], vertically where flips[1]."""
    picture = tf.where(flips[0], tf.reverse(picture, [1]), picture)
    return tf.where(flips[1], tf.reverse(picture, [0]), picture)
