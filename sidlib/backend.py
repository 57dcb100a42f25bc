"""TensorFlow and Keras, imported without the messages that TensorFlow's C++ code writes at its start."""

import logging
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors arrive as exceptions
_nowhere = os.open(os.devnull, os.O_WRONLY)
try:
    _stderr = os.dup(2)
except OSError:  # it is closed, as in some cron jobs
    _stderr = os.dup(_nowhere)
os.dup2(_nowhere, 2)  # C++ writes there, too
try:
    import keras
    import tensorflow as tf
finally:
    os.dup2(_stderr, 2)
    for _descriptor in {_nowhere, _stderr} - {2}:
        os.close(_descriptor)

tf.get_logger().setLevel("ERROR")  # no advice on speed where many models are run
keras.config.set_image_data_format("channels_last")  # whatever ~/.keras/keras.json says


def _check_gpu(devices=Path("/dev")):
    """Log what to install if TensorFlow does not find this machine's NVIDIA GPU; its own message is silenced above."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if not hidden and any(devices.glob("nvidia[0-9]*")) and not tf.config.list_physical_devices("GPU"):
        install = f"pip install 'tensorflow[and-cuda]=={tf.__version__}'"
        logging.getLogger(__name__).warning("TensorFlow does not find this machine's NVIDIA GPU. Try: %s", install)


_check_gpu()
__all__ = ["keras", "tf"]
