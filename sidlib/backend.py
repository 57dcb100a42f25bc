"""TensorFlow and Keras, imported without the messages that TensorFlow writes before it can be told not to.

from sidlib.backend import keras, tf
"""

import os
from contextlib import contextmanager


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

__all__ = ["keras", "tf"]
