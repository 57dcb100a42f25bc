"""The embedded data set: photographs seen by SID's camera in the dark, as DNG files in SID's layout.

The real data set is 25 GB and cannot be bundled. The sample stands in for it, so that the code that reads the real one
runs from the first minute. Its ground truths are photographs that come inside packages (origins and licences in
data/README.md); its darkness and its noise are computed from the calibration of SID's camera.
"""

import sys
from dataclasses import dataclass

import joblib
import numpy as np
from PIL import Image
from tqdm import tqdm

from sidlib import catalog, paths
from sidlib.raw import decode_srgb
from sidlib.sample import camera, dng
from sidlib.sample.photographs import PHOTOGRAPHS, load_photograph, split_photographs

SEED = 2023  # the year of the course deck
SENSOR_PX = (1280, 854)  # width, height
SCENES = {"train": 16, "val": 3, "test": 18}
FRAMES = {"train": 5, "val": 4, "test": 2}  # short exposures a scene


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
    splits = PHOTOGRAPHS if photos is None else split_photographs(photos, seed)
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
        ratio = scene.long_s / float(dng.as_fraction(exposure_s))
        with paths.write_whole(folder / file) as path:
            dng.write_dng(path, camera.expose(signal, ratio, scene.iso, rng), exposure_s, scene)


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


def _draw_box(size, rng):
    """A random crop of the sensor's shape that is half to all of what a picture of this size allows."""
    largest = min(size[0] / SENSOR_PX[0], size[1] / SENSOR_PX[1])
    scale = largest * rng.uniform(0.5, 1)
    width, height = scale * SENSOR_PX[0], scale * SENSOR_PX[1]
    left, upper = rng.uniform(0, size[0] - width), rng.uniform(0, size[1] - height)
    return tuple(round(float(value), 2) for value in (left, upper, left + width, upper + height))
