"""The embedded data set: photographs seen by SID's camera in the dark, as DNG files in SID's layout.

The real data set is 25 GB and cannot be bundled. The sample stands in for it, so that the code that reads the real one
runs from the first minute. Its ground truths are photographs that come inside packages (origins and licences in
data/README.md); its darkness and its noise are computed from the calibration of SID's camera.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from filelock import FileLock
from PIL import Image

from sidlib import catalog, paths, workers
from sidlib.raw import quantize
from sidlib.sample import camera, dng
from sidlib.sample.drawn import draw_scene
from sidlib.sample.photographs import PHOTOGRAPHS, decode_linear, hash_photograph, load_photograph, split_photographs

SEED = 2023  # the year of the course deck
SENSOR_PX = {"train": (320, 214), "val": (640, 428), "test": (1280, 854)}  # width, height
SCENES = {"train": 128, "val": 8, "test": 18}  # crops of photographs
DRAWN = {"train": 128, "val": 16, "test": 0}  # scenes that are drawn
FRAMES = {"train": 5, "val": 2, "test": 2}  # short exposures a scene
VERSION = 3  # raised when the same plan gives other files


@dataclass(frozen=True)
class Scene:
    """One scene to photograph: what is seen and how it is exposed.

    Attributes:
        number: five digits; the first says the split.
        photograph: name of a bundled photograph, or a file; a drawn scene has half of its colours from it.
        box: the crop of it that fills the sensor: left, upper, right, lower in pixels; None for a drawn scene.
        content: the hash of the photograph's pixels.
        long_s: the long exposure's time.
        short_s: the time of each short exposure.
        iso, f_number, white_balance: as a real scene of the same split had them; gains of R, G, B.
        size_px: the sensor's width and height.
    """

    number: str
    photograph: str
    box: tuple | None
    content: str
    long_s: float
    short_s: tuple
    iso: int
    f_number: float
    white_balance: tuple
    size_px: tuple

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
        seed: the same seed and photographs give the same bytes on processors of one kind, and on others values that
            may be rounded otherwise.
    Returns:
        the folder.
    Raises:
        FileNotFoundError: photos is not a folder. ValueError: it holds fewer than three photographs, or they are to be
            the data set "sample", which is known to be the bundled ones.
        FileExistsError: a file that was not made here has the name of one that is to be made.
    """
    if photos is not None and name == "sample":
        raise ValueError("The sample is of the bundled photographs: give the data set of others a name of its own")
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
            take = partial(photograph_scene, folder=folder, seed=seed)
            for _ in workers.share(take, missing, f"Photographing {name}", "scene"):
                pass
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


def plan_scenes(splits, seed=SEED):
    """Return the Scenes to photograph: crops of each photograph, exposed like real scenes of the same split.

    Args:
        splits: {photograph: split}.
    """
    index = catalog.load_index()
    scenes = []
    for digit, split in catalog.SPLITS.items():
        rng = np.random.default_rng([seed, int(digit)])
        photographs = [str(photograph) for photograph, of in splits.items() if of == split]
        count, size_px = SCENES[split], SENSOR_PX[split]
        looks = [_measure(photograph) for photograph in photographs[:count]]
        real = index[index.split == split]
        exposures = [each for part in (count, DRAWN[split]) for each in _draw_exposures(real, part, FRAMES[split], rng)]
        for number, exposure in enumerate(exposures):
            size, content = looks[number % len(looks)]
            box = _draw_box(size, size_px, rng) if number < count else None
            photograph = photographs[number % len(looks)]
            scenes.append(Scene(f"{digit}{number + 1:04d}", photograph, box, content, **exposure, size_px=size_px))
    return scenes


def name_photographs(pairs):
    """Return what each pair shows, a Series: the photograph that its scene is a crop of, or "drawn".

    Of any data set but the embedded sample, every scene counts as a photograph of its own, though several may be crops
    of one where build_sample made them of a user's photographs.
    """
    if pairs.dataset.iloc[0] != "sample":
        return pairs.scene
    return pairs.scene.map(_name_scenes())


@cache
def _name_scenes():
    return {scene.number: scene.photograph if scene.box else "drawn" for scene in plan_scenes(PHOTOGRAPHS)}


def _draw_exposures(real, scenes, frames, rng):
    """Yield how so many scenes are exposed, those of least light first.

    Each is exposed like one of the real ones, and each ratio is about as frequent as theirs.
    """
    places = (np.arange(scenes) + rng.random(scenes)) / scenes * len(real)
    rows = real.sort_values("ratio", ascending=False, kind="stable").iloc[places.astype(int)]
    for row in rows.itertuples():
        others = rng.choice(real.short_s[real.scene == row.scene], frames - 1)
        yield {
            "long_s": float(row.long_s),
            "short_s": (float(row.short_s), *map(float, others)),
            "iso": int(row.iso),
            "f_number": float(row.f_number),
            "white_balance": (float(row.wb_red), 1.0, float(row.wb_blue)),
        }


def photograph_scene(scene, folder, seed=SEED):
    """Write the long exposure of a Scene and its short ones as DNG files under folder."""
    image = load_photograph(scene.photograph)
    scene = replace(scene, content=hash_photograph(image))  # as it is now
    if not scene.box:
        image = _draw(scene, image, seed)
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


def _draw(scene, photograph, seed):
    """The picture of a drawn scene: three of its pixels become one of the developed picture's, like a photograph's."""
    rng, size_px = np.random.default_rng([seed, int(scene.number)]), [3 * side // 10 for side in scene.size_px]
    return Image.fromarray(quantize(draw_scene(rng, size_px, [np.asarray(photograph)])))


def expose_mosaic(photograph, box, white_balance, size_px):
    """Return the noise-free signal that a crop of a photograph leaves on the sensor in the long exposure.

    Args:
        photograph: RGB Pillow image, sRGB.
        box: the crop: left, upper, right, lower in pixels; None for all of it.
        white_balance: the camera's gains for R, G, B under the scene's light.
        size_px: the sensor's width and height.
    Returns:
        float32 (height, width), DN above black, RGGB; the photograph's white saturates green.
    """
    linear = decode_linear(photograph.resize(size_px, Image.Resampling.BICUBIC, box))
    return camera.lay_mosaic(camera.see(linear, white_balance)).astype(np.float32) * (camera.WHITE - camera.BLACK)


def _measure(photograph):
    image = load_photograph(photograph)
    return image.size, hash_photograph(image)


def _draw_box(size, size_px, rng):
    """A random crop of the sensor's shape: half to all of what a picture of this size allows a sensor of full size."""
    largest = min(size[0] / size_px[0], size[1] / size_px[1]) * size_px[0] / SENSOR_PX["test"][0]
    scale = largest * rng.uniform(0.5, 1)
    width, height = scale * size_px[0], scale * size_px[1]
    left, upper = rng.uniform(0, size[0] - width), rng.uniform(0, size[1] - height)
    return tuple(round(float(value), 2) for value in (left, upper, left + width, upper + height))
