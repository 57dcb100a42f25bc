"""The embedded data set: photographs seen by SID's camera in the dark, as DNG files in SID's layout.

The real data set is 25 GB and cannot be bundled. The sample stands in for it, so that the code that reads the real one
runs from the first minute. Its ground truths are photographs that come inside packages (origins and licences in
data/README.md); its darkness and its noise are computed from the calibration of SID's camera.
"""

import hashlib
import sys
from dataclasses import dataclass, replace

import joblib
import numpy as np
from filelock import FileLock
from PIL import Image
from tqdm import tqdm

from sidlib import catalog, paths
from sidlib.raw import decode_srgb
from sidlib.sample import camera, dng
from sidlib.sample.photographs import PHOTOGRAPHS, hash_photograph, load_photograph, split_photographs

SEED = 2023  # the year of the course deck
SENSOR_PX = (1280, 854)  # width, height
SCENES = {"train": 16, "val": 3, "test": 18}
FRAMES = {"train": 5, "val": 4, "test": 2}  # short exposures a scene
VERSION = 2  # raised when the same plan gives other files


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
        content: the hash of the photograph's pixels.
        size_px: the sensor's width and height.
    """

    number: str
    photograph: str
    box: tuple
    long_s: float
    short_s: tuple
    iso: int
    f_number: float
    white_balance: tuple
    content: str = ""
    size_px: tuple = SENSOR_PX

    def name_files(self):
        """Return {"long/…": exposure time, "short/…": exposure time, …} in SID's naming."""
        files = {f"long/{self.number}_00_{self.long_s:g}s.dng": self.long_s}
        for place, short_s in enumerate(self.short_s):
            frame = self.short_s[:place].count(short_s)
            files[f"short/{self.number}_{frame:02d}_{short_s:g}s.dng"] = short_s
        return files


def build_sample(photos=None, name="sample", seed=SEED):
    """Make the data set data/<name> from photographs, unless it is there.

    Each file says which plan it is from. What another plan left (other photographs, another seed, an earlier version)
    is removed first, so that no photograph is ever in two splits; files that were not made here stay.

    Args:
        photos: folder of photographs of your own (at least three, whatever Pillow reads); None for the bundled ones.
        name: the data set's name.
        seed: the same seed and photographs give the same bytes.
    Returns:
        the folder.
    Raises:
        FileNotFoundError: photos is not a folder. ValueError: it holds fewer than three photographs.
        FileExistsError: a file that was not made here has the name of one that is to be made.
    """
    folder = paths.DATA / name
    splits = PHOTOGRAPHS if photos is None else split_photographs(photos, seed)
    scenes = plan_scenes(splits, seed)
    if any(_compare(scenes, folder, seed)[:2]):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".building"):  # one process builds, others wait and find its files
            paths.clear_leftovers(folder)
            missing, stale, foreign = _compare(scenes, folder, seed)
            if foreign := [file for file in foreign if (folder / file).lstat().st_size]:  # what is empty goes
                raise FileExistsError(f"{folder} holds files that the sample would replace: move them away. {foreign}")
            for file in stale:
                (folder / file).unlink()
            _photograph_scenes(missing, folder, seed)
    return folder


def _compare(scenes, folder, seed):
    """Return the Scenes of a plan that a folder lacks, its files of other plans, and others' files that are in the way.

    Another process may be at work meanwhile: what vanishes under our eyes counts as missing.
    """
    files = [file for kind in ("short", "long") for file in (folder / kind).glob("[!.]*.dng")]
    marks = {f"{file.parent.name}/{file.name}": dng.read_mark(file) for file in files}
    plan = {file: sign_file(scene, file, seed) for scene in scenes for file in scene.name_files()}
    ours = {file: unique_id for file, (name, unique_id) in marks.items() if name == file}
    missing = [scene for scene in scenes if any(ours.get(file) != plan[file] for file in scene.name_files())]
    stale = [file for file, unique_id in ours.items() if unique_id != plan.get(file)]
    return missing, stale, sorted(plan.keys() & marks.keys() - ours.keys())


def _photograph_scenes(scenes, folder, seed):
    jobs = (joblib.delayed(photograph_scene)(scene, folder, seed) for scene in scenes)
    workers = joblib.Parallel(n_jobs=-1, return_as="generator_unordered")
    progress = {"unit": "scene", "file": sys.stdout, "disable": not scenes}
    for _ in tqdm(workers(jobs), f"Photographing {folder.name}", len(scenes), **progress):
        pass


def plan_scenes(splits, seed=SEED):
    """Return the Scenes to photograph: crops of each photograph, exposed like real scenes of the same split.

    Args:
        splits: {photograph: split}.
    """
    rng = np.random.default_rng(seed)
    index = catalog.load_index()
    scenes = []
    for digit, split in catalog.SPLITS.items():
        photographs = [photograph for photograph, of in splits.items() if of == split][: SCENES[split]]
        looks = [_measure(photograph) for photograph in photographs]
        real = index[index.split == split]
        for number in range(SCENES[split]):
            photograph = photographs[number % len(photographs)]
            size, content = looks[number % len(photographs)]
            rows = real[real.scene == rng.choice(real.scene.unique())]
            times = rows.short_s.unique()
            scenes.append(
                Scene(
                    number=f"{digit}{number + 1:04d}",
                    photograph=str(photograph),
                    box=_draw_box(size, rng),
                    long_s=float(rows.long_s.iloc[0]),
                    short_s=tuple(float(times[frame % len(times)]) for frame in range(FRAMES[split])),
                    iso=int(rows.iso.iloc[0]),
                    f_number=float(rows.f_number.iloc[0]),
                    white_balance=(float(rows.wb_red.iloc[0]), 1.0, float(rows.wb_blue.iloc[0])),
                    content=content,
                    size_px=SENSOR_PX,
                )
            )
    return scenes


def photograph_scene(scene, folder, seed=SEED):
    """Write the long exposure of a Scene and its short ones as DNG files under folder."""
    image = load_photograph(scene.photograph)
    scene = replace(scene, content=hash_photograph(image))  # as it is now
    signal = expose_mosaic(image, scene.box, scene.white_balance, scene.size_px)
    for place, (file, exposure_s) in enumerate(scene.name_files().items()):
        rng = np.random.default_rng([seed, int(scene.number), place])
        ratio = scene.long_s / float(dng.as_fraction(exposure_s))
        counts = camera.expose(signal, ratio, scene.iso, rng)
        with paths.write_whole(folder / file) as path:
            dng.write_dng(path, counts, exposure_s, scene, file, sign_file(scene, file, seed))


def sign_file(scene, file, seed=SEED):
    """Return 32 hexadecimal digits for one file of a Scene: others, whenever anything that it is made from is other."""
    noise = camera.load_noise_table().loc[scene.iso].to_dict()
    origin = (VERSION, replace(scene, photograph=""), file, seed, noise)  # a photograph may be moved
    return hashlib.sha256(repr(origin).encode()).hexdigest()[:32]


def expose_mosaic(photograph, box, white_balance, size_px=SENSOR_PX):
    """Return the noise-free signal that a crop of a photograph leaves on the sensor in the long exposure.

    Args:
        photograph: RGB Pillow image, sRGB.
        box: the crop: left, upper, right, lower in pixels.
        white_balance: the camera's gains for R, G, B under the scene's light.
        size_px: the sensor's width and height.
    Returns:
        float32 (height, width), DN above black, RGGB; the photograph's white saturates green.
    """
    pixels = np.asarray(photograph.resize(size_px, Image.Resampling.BICUBIC, box), np.float32) / 255
    camera_rgb = np.clip(decode_srgb(pixels) @ np.linalg.inv(camera.TO_SRGB).T, 0, 1) / white_balance
    mosaic = np.empty(pixels.shape[:2], np.float32)
    for place, colour in enumerate(camera.PATTERN):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = camera_rgb[row::2, column::2, "RGB".index(colour)]
    return mosaic * (camera.WHITE - camera.BLACK)


def _measure(photograph):
    image = load_photograph(photograph)
    return image.size, hash_photograph(image)


def _draw_box(size, rng):
    """A random crop of the sensor's shape that is half to all of what a picture of this size allows."""
    largest = min(size[0] / SENSOR_PX[0], size[1] / SENSOR_PX[1])
    scale = largest * rng.uniform(0.5, 1)
    width, height = scale * SENSOR_PX[0], scale * SENSOR_PX[1]
    left, upper = rng.uniform(0, size[0] - width), rng.uniform(0, size[1] - height)
    return tuple(round(float(value), 2) for value in (left, upper, left + width, upper + height))
