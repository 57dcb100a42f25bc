"""The photographs that the sample's scenes are crops of: those that come inside packages, or a folder of one's own."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import cbook
from PIL import Image, ImageOps
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform

from sidlib.raw import decode_srgb

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
    with Image.open(photograph) as image:
        return _to_rgb(ImageOps.exif_transpose(image))


def decode_linear(image):
    """Return an RGB Pillow image in linear light: float32 (height, width, 3) in 0…1."""
    return decode_srgb(np.asarray(image, np.float32) / 255)


def _to_rgb(image):
    """A picture of whatever kind as RGB: 16 bits become 8, and what is transparent lies on white."""
    if image.mode.startswith("I;16"):  # Pillow would cut these off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its 32 bits a pixel do not say what white is")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def hash_photograph(image):
    """Return a text that another picture does not share: same pixels, same text, whatever file they come from."""
    return hashlib.sha256(str(image.size).encode() + image.tobytes()).hexdigest()


def split_photographs(folder, seed):
    """Return {photograph: split} of a folder: one in five each for val and test, at least one.

    Files of one picture, of whatever name, format, size or compression, go to one split. Which split depends on the
    pixels and the seed: a photograph more moves at most one other from train to val or back, and one to or from test.

    Raises:
        FileNotFoundError: it is not a folder. ValueError: it holds fewer than three pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"photos must be a folder of photographs. Received: {str(folder)!r}")
    pictures = _group(_read_folder(folder, seed))
    if len(pictures) < 3:
        raise ValueError(
            f"One photograph for each split is needed, at least three. {folder} holds {len(pictures)} different ones"
        )
    share = max(1, len(pictures) // 5)
    splits = ["val"] * share + ["train"] * (len(pictures) - 2 * share) + ["test"] * share
    return {file: split for picture, split in zip(pictures, splits, strict=True) for file in picture}


def _read_folder(folder, seed):
    """What a folder's photographs are told apart by: a DataFrame of file, order (random for the seed) and look."""
    rows = []
    for file in sorted(folder.iterdir()):
        try:
            image = load_photograph(file)
        except Exception as error:  # Pillow raises whatever its decoders do
            _log.warning("%s is left out: not a photograph that Pillow can read (%s)", file, error)
            continue
        order = hashlib.sha256(f"{seed} {hash_photograph(image)}".encode()).hexdigest()
        rows.append((file.resolve(), order, _describe(image)))
    return pd.DataFrame(rows, columns=["file", "order", "look"]).sort_values("order")


def _group(photographs):
    """Return lists of the files that show the same picture, in their order."""
    if photographs.empty:
        return []
    looks = np.stack(photographs.look)
    levels = looks[:, :-1]
    contrast = np.abs(levels - levels.mean(axis=1, keepdims=True)).mean(axis=1)
    apart = squareform(pdist(looks, "cityblock")) / levels.shape[1]
    picture = connected_components(apart <= np.minimum(3, contrast / 10))[1]  # what is equal is 0 apart
    return [list(files) for _, files in photographs.file.groupby(picture, sort=False)]


def _describe(image):
    """A picture's levels at 32 × 32 pixels, which hardly change when it is saved or resized anew, and its shape."""
    levels = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR), float).ravel()
    return np.append(levels, 100 * levels.size * np.log(image.width / image.height))
