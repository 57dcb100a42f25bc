"""TensorFlow and Keras, imported without the messages that TensorFlow writes before it can be told not to.

from sidlib.backend import keras, tf

With KERAS_BACKEND=jax, JAX computes, on as many GPUs as it finds, and TensorFlow but feeds it.
"""

import os
from contextlib import ExitStack, contextmanager


@contextmanager
def _silence_stderr():
    """Send what is written to file descriptor 2, C++ included, to nowhere."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors arrive as exceptions
with _silence_stderr():
    import keras
    import tensorflow as tf

tf.get_logger().setLevel("ERROR")  # no advice on speed where many models are run
if keras.backend.backend() != "tensorflow":
    tf.config.set_visible_devices([], "GPU")  # it would take their whole memory

__all__ = ["every_device", "keras", "tf"]


class _DataParallel(keras.distribution.DataParallel):
    """Gives each device whole batches, and lets it compute a part of them.

    Keras's own splits a batch on its way to the devices, and so refuses the last batch of an epoch where its size is
    no multiple of their number. What a layer puts out may be split into parts that are not equal.
    """

    def get_data_layout(self, shape):
        return keras.distribution.TensorLayout([None] * len(shape), self.device_mesh)

    def get_tensor_layout(self, path):
        return keras.distribution.TensorLayout([self.batch_dim_name], self.device_mesh)


@contextmanager
def every_device():
    """Share the work on each batch among all of JAX's devices, if there are several, for what is built and fit inside.

    It changes no result but by rounding: weights are on every device, gradients are those of the whole batch.
    """
    with ExitStack() as stack:
        if keras.backend.backend() == "jax" and keras.distribution.get_device_count() > 1:
            stack.enter_context(_DataParallel(auto_shard_dataset=False).scope())
        yield
