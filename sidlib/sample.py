"""The embedded data set: photographs seen by SID's camera in the dark, as DNG files in SID's layout.

The real data set is 25 GB and cannot be bundled. The sample stands in for it, so that the code that reads the real one
runs from the first minute. Its ground truths are photographs that come inside packages (origins and licences in
data/README.md); its darkness and its noise are computed from the calibration of SID's camera.
"""

import logging
import os
import struct
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import joblib
import numpy as np
import tifffile
from matplotlib import cbook
from PIL import Image, ImageOps
from tqdm import tqdm

from sidlib import camera, catalog, paths
from sidlib.raw import decode_srgb

SEED = 2023  # the year of the course deck
SENSOR_PX = (1280, 854)  # width, height
SCENES = {"train": 16, "val": 3, "test": 18}
FRAMES = {"train": 5, "val": 4, "test": 2}  # short exposures a scene

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

LONG, RATIONAL = 4, 5  # types of TIFF's fields

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scene:
    """One scene to photograph: what is seen and how it is exposed.

    Attributes:
        number: five digits; the first says the split.
        photograph: name of a bundled photograph, or a file.
        box: the crop of it that fills the sensor: left, upper, right, lower in pixels.
        long_s: the long exposure's time.
        short_s: the time of each short exposure.
        iso, f_number, white_balance: as a real scene of the same split had them; gains of R, G, B.
    """

    number: str
    photograph: str
    box: tuple
    long_s: float
    short_s: tuple
    iso: int
    f_number: float
    white_balance: tuple

    def name_files(self):
        """Return {"long/…": exposure time, "short/…": exposure time, …} in SID's naming."""
        files = {f"long/{self.number}_00_{self.long_s:g}s.dng": self.long_s}
        for place, short_s in enumerate(self.short_s):
            frame = self.short_s[:place].count(short_s)
            files[f"short/{self.number}_{frame:02d}_{short_s:g}s.dng"] = short_s
        return files


def build_sample(photos=None, name="sample", seed=SEED):
    """Make the data set data/<name> from photographs, unless it is there; files that are there are kept.

    Args:
        photos: folder of photographs of your own (at least three, whatever Pillow reads); None for the bundled ones.
        name: the data set's name.
        seed: the same seed and photographs give the same bytes.
    Returns:
        the folder.
    Raises:
        FileNotFoundError: photos is not a folder. ValueError: it holds fewer than three photographs.
    """
    folder = paths.DATA / name
    splits = PHOTOGRAPHS if photos is None else _split_photographs(photos, seed)
    scenes = plan_scenes(splits, seed)
    paths.clear_leftovers(folder)
    missing = [scene for scene in scenes if not all((folder / file).is_file() for file in scene.name_files())]
    jobs = (joblib.delayed(photograph_scene)(scene, folder, seed) for scene in missing)
    workers = joblib.Parallel(n_jobs=-1, return_as="generator_unordered")
    for _ in tqdm(
        workers(jobs), f"Photographing {name}", len(missing), unit="scene", file=sys.stdout, disable=not missing
    ):
        pass
    return folder


def plan_scenes(splits, seed=SEED):
    """Return the Scenes to photograph: crops of each photograph, exposed like real scenes of the same split.

    Args:
        splits: {photograph: split}.
    """
    rng = np.random.default_rng(seed)
    index = catalog.load_index()
    scenes = []
    for digit, split in catalog.SPLITS.items():
        photographs = [photograph for photograph, of in splits.items() if of == split]
        real = index[index.split == split]
        for number in range(SCENES[split]):
            photograph = photographs[number % len(photographs)]
            rows = real[real.scene == rng.choice(real.scene.unique())]
            times = rows.short_s.unique()
            scenes.append(
                Scene(
                    number=f"{digit}{number + 1:04d}",
                    photograph=str(photograph),
                    box=_draw_box(load_photograph(photograph).size, rng),
                    long_s=float(rows.long_s.iloc[0]),
                    short_s=tuple(float(times[frame % len(times)]) for frame in range(FRAMES[split])),
                    iso=int(rows.iso.iloc[0]),
                    f_number=float(rows.f_number.iloc[0]),
                    white_balance=(float(rows.wb_red.iloc[0]), 1.0, float(rows.wb_blue.iloc[0])),
                )
            )
    return scenes


def photograph_scene(scene, folder, seed=SEED):
    """Write the long exposure of a Scene and its short ones as DNG files under folder."""
    signal = expose_mosaic(load_photograph(scene.photograph), scene.box, scene.white_balance)
    for place, (file, exposure_s) in enumerate(scene.name_files().items()):
        rng = np.random.default_rng([seed, int(scene.number), place])
        ratio = scene.long_s / float(_as_fraction(exposure_s))
        with paths.write_whole(folder / file) as path:
            write_dng(path, camera.expose(signal, ratio, scene.iso, rng), exposure_s, scene)


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


def expose_mosaic(photograph, box, white_balance):
    """Return the noise-free signal that a crop of a photograph leaves on the sensor in the long exposure.

    Args:
        photograph: RGB Pillow image, sRGB.
        box: the crop: left, upper, right, lower in pixels.
        white_balance: the camera's gains for R, G, B under the scene's light.
    Returns:
        float32 (854, 1280), DN above black, RGGB; the photograph's white saturates green.
    """
    pixels = np.asarray(photograph.resize(SENSOR_PX, Image.Resampling.BICUBIC, box), np.float32) / 255
    camera_rgb = np.clip(decode_srgb(pixels) @ np.linalg.inv(camera.TO_SRGB).T, 0, 1) / white_balance
    mosaic = np.empty(pixels.shape[:2], np.float32)
    for place, colour in enumerate(camera.PATTERN):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = camera_rgb[row::2, column::2, "RGB".index(colour)]
    return mosaic * (camera.WHITE - camera.BLACK)


def write_dng(path, counts, exposure_s, scene):
    """Write raw counts as an uncompressed CFA DNG with the metadata that a camera would leave.

    Exposure time, ISO and f-number go to an EXIF IFD of their own, where cameras write them and LibRaw looks.
    """
    exif_pointer = 34665
    reserved = 34664  # tifffile writes no pointers: this tag, next to it and in no use, keeps its place
    pattern = ["RGB".index(colour) for colour in camera.PATTERN]
    matrix = [part for value in camera.XYZ_TO_CAMERA.flat for part in (int(value), 10_000)]
    gains = [Fraction(1 / gain).limit_denominator(10**6) for gain in scene.white_balance]
    neutral = [part for value in gains for part in value.as_integer_ratio()]
    tags = [  # tag, type (B, H, I: unsigned of 8, 16, 32 bits; 2I, 2i: fractions; s: text), count, value
        ("DNGVersion", "B", 4, (1, 4, 0, 0)),
        ("UniqueCameraModel", "s", 0, camera.MODEL),
        ("CFARepeatPatternDim", "H", 2, (2, 2)),
        ("CFAPattern", "B", 4, pattern),
        ("BlackLevel", "H", 1, camera.BLACK),
        ("WhiteLevel", "H", 1, camera.WHITE),
        ("ColorMatrix1", "2i", 9, matrix),
        ("CalibrationIlluminant1", "H", 1, 21),  # D65
        ("AsShotNeutral", "2I", 3, neutral),
        (reserved, "I", 1, 0),
    ]
    tifffile.imwrite(
        path, counts, photometric="cfa", metadata=None, software=False, extratags=[(*tag, True) for tag in tags]
    )
    with tifffile.TiffFile(path) as tiff:
        entry = tiff.pages[0].tags[reserved].offset
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.write(_exif_ifd(exposure_s, scene.iso, scene.f_number, end))
        file.seek(entry)
        file.write(struct.pack("<HHII", exif_pointer, LONG, 1, end))


def _exif_ifd(exposure_s, iso, f_number, offset):
    """The bytes of a little-endian EXIF IFD at a file offset: ExposureTime, FNumber, ISOSpeedRatings."""
    values = offset + 2 + 3 * 12 + 4
    entries = [(33434, RATIONAL, values), (33437, RATIONAL, values + 8), (34855, LONG, iso)]
    ifd = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries
    )
    rationals = [_as_fraction(exposure_s), Fraction(f_number).limit_denominator(10)]
    return ifd + struct.pack("<I4I", 0, *(part for value in rationals for part in value.as_integer_ratio()))


def _as_fraction(exposure_s):
    """An exposure time as cameras state it: 0.033 is 1/30 s."""
    return Fraction(1, round(1 / exposure_s)) if exposure_s < 1 else Fraction(exposure_s)


def _draw_box(size, rng):
    """A random crop of the sensor's shape that is half to all of what a picture of this size allows."""
    largest = min(size[0] / SENSOR_PX[0], size[1] / SENSOR_PX[1])
    scale = largest * rng.uniform(0.5, 1)
    width, height = scale * SENSOR_PX[0], scale * SENSOR_PX[1]
    left, upper = rng.uniform(0, size[0] - width), rng.uniform(0, size[1] - height)
    return tuple(round(float(value), 2) for value in (left, upper, left + width, upper + height))


def _split_photographs(folder, seed):
    """Share the photographs of a folder over the splits: one in five each for val and test, at least one."""
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
