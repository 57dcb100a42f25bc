"""The photographs of the sample's scenes: those that come inside packages, or a folder of one's own."""

import hashlib
import logging
from pathlib import Path

import numpy as np
from matplotlib import cbook
from PIL import Image, ImageOps

from sidlib.camera import decode_srgb

PHOTOGRAPHS = dict.fromkeys(("chelsea", "motorcycle", "rocket"), "train")
PHOTOGRAPHS |= dict.fromkeys(("grace_hopper", "coffee"), "val")
PHOTOGRAPHS |= dict.fromkeys(("china", "flower", "astronaut"), "test")
_log = logging.getLogger(__name__)


def load_photograph(photograph):
    """Return a bundled photograph by its name, or a file's, as an RGB Pillow image; transparent pixels lie on white."""
    if photograph in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        return Image.fromarray(load_sample_image(f"{photograph}.jpg"))
    if photograph == "grace_hopper":
        return Image.open(cbook.get_sample_data("grace_hopper.jpg")).convert("RGB")
    if photograph in PHOTOGRAPHS:
        from skimage import data

        pixels = data.stereo_motorcycle()[0] if photograph == "motorcycle" else getattr(data, photograph)()
        return Image.fromarray(pixels)
    with Image.open(photograph) as file:
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16"):  # Pillow would cut these off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its 32 bits per pixel do not say what white is")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def decode_linear(image):
    """Return an RGB Pillow image in linear light: float32 (height, width, 3) in 0…1."""
    return decode_srgb(np.asarray(image, np.float32) / 255)


def hash_photograph(image):
    """Return a hash of an image's size and pixels, the same for every file of one picture."""
    return hashlib.sha256(str(image.size).encode() + image.tobytes()).hexdigest()


def split_photographs(folder, seed):
    """Return {photograph: split} of a folder: one in five each for val and test, at least one; equal pixels go to one.

    A photograph more moves at most one other in each of val and test. ValueError: there are fewer than three.
    """
    folder, pictures = Path(folder), {}
    if not folder.is_dir():
        raise FileNotFoundError(f"photos must be a folder of photographs. Received: {str(folder)!r}")
    for file in sorted(folder.iterdir()):
        try:
            content = hash_photograph(load_photograph(file))
        except Exception as error:  # Pillow raises whatever its decoders do
            _log.warning("%s is left out: not a photograph that Pillow can read (%s)", file, error)
            continue
        pictures.setdefault(hashlib.sha256(f"{seed} {content}".encode()).hexdigest(), []).append(file.resolve())
    if (count := len(pictures)) < 3:
        raise ValueError(f"One photograph per split is needed, at least three. {folder} holds {count} different ones")
    share = max(1, count // 5)
    splits = ["val"] * share + ["train"] * (count - 2 * share) + ["test"] * share
    return {file: split for order, split in zip(sorted(pictures), splits, strict=True) for file in pictures[order]}
