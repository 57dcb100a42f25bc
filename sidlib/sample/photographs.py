"""The photographs that the sample's scenes are crops of: those that come inside packages, or a folder of one's own."""

import logging
from pathlib import Path

import numpy as np
from matplotlib import cbook
from PIL import Image, ImageOps

PHOTOGRAPHS = {
    "chelsea": "train",
    "coffee": "train",
    "motorcycle": "train",
    "rocket": "train",
    "grace_hopper": "val",
    "china": "test",
    "flower": "test",
    "astronaut": "test",
}

_log = logging.getLogger(__name__)


def load_photograph(photograph):
    """Return a bundled photograph by its name, or a file's, as an RGB Pillow image."""
    if photograph in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        return Image.fromarray(load_sample_image(f"{photograph}.jpg"))
    if photograph == "grace_hopper":
        return Image.open(cbook.get_sample_data("grace_hopper.jpg")).convert("RGB")
    if photograph in PHOTOGRAPHS:
        from skimage import data

        pixels = data.stereo_motorcycle()[0] if photograph == "motorcycle" else getattr(data, photograph)()
        return Image.fromarray(pixels)
    return ImageOps.exif_transpose(Image.open(photograph)).convert("RGB")


def split_photographs(folder, seed):
    """Return {photograph: split} of a folder: one in five each for val and test, at least one.

    Raises:
        FileNotFoundError: it is not a folder. ValueError: it holds fewer than three photographs.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"photos must be a folder of photographs. Received: {str(folder)!r}")
    files = []
    for file in sorted(folder.iterdir()):
        try:
            load_photograph(file)
            files.append(file.resolve())
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow raises on damage
            _log.warning("%s is left out: not a photograph that Pillow can read (%s)", file, error)
    if len(files) < 3:
        raise ValueError(f"One photograph for each split is needed, at least three. {folder} holds {len(files)}")
    order = [files[place] for place in np.random.default_rng(seed).permutation(len(files))]
    share = max(1, len(files) // 5)
    return {
        file: "val" if place < share else "test" if place < 2 * share else "train" for place, file in enumerate(order)
    }
