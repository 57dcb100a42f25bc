"""The embedded data sets: photographs seen by SID's camera in the dark, as DNG files in SID's layout.

Each scene of the sample is exposed like a real one, with the noise of SID's camera, and toned as if lit by its light;
see data/README.md. The sharp data set shows whole photographs, one pixel per sensor pixel, at several ISOs: its long
exposures are noise-free linear DNGs, which LibRaw develops to the photographs themselves.
"""

import json
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from sidlib import camera, catalog, paths, workers
from sidlib.sample import dng
from sidlib.sample.drawn import draw_scene
from sidlib.sample.photographs import PHOTOGRAPHS, decode_linear, hash_photograph, load_photograph, split_photographs

SEED = 2023  # the year of the course deck
SENSOR_PX = {"train": (480, 320), "val": (4240, 2832), "test": (4240, 2832)}  # width, height: a cut, and SID's own
SCENES = {"train": 96, "val": 4, "test": 9}  # crops of photographs
DRAWN = {"train": 96, "val": 0, "test": 0}  # drawn scenes
FRAMES = {"train": 3, "val": 1, "test": 3}  # short exposures per scene
DAYLIGHT = camera.XYZ_TO_CAMERA @ camera.SRGB_TO_XYZ.sum(axis=1)  # camera RGB of D65
ISOS, LONG_S, SHORT_S = (160, 800, 3200, 12800), 10.0, (0.1, 0.033)  # of the sharp data set: ratios of 100 and 300
VERSION = 5  # raised when the same plan gives other files


@dataclass(frozen=True)
class Scene:
    """One scene to photograph: what it shows and how it is exposed."""

    number: str  # five digits; the first says the split
    photograph: str  # name of a bundled photograph, or a file; a drawn scene has half of its colours from it
    box: tuple | None  # the crop that fills the sensor: left, upper, right, lower in whole pixels; None if drawn
    content: str  # the hash of the photograph's pixels
    long_s: float
    short_s: tuple  # the time of each short exposure
    iso: int
    f_number: float
    white_balance: tuple  # gains of R, G, B
    size_px: tuple  # the sensor's width and height
    is_sharp: bool = False  # whether the long exposure is a noise-free linear DNG

    @property
    def tone(self):
        """Factors on R, G, B, at most 1: a third of the light's warmth stays, and what is below 10 lux is dimmer.

        The white balance tells the warmth, of which the eye, too, leaves a third in the dark (CIECAM02), the exposure
        that a mean scene has 250 f² / (t · ISO) lux (ISO 2720). Half a stop per decade, at most one, is our choice.
        """
        warmth = (DAYLIGHT * self.white_balance) ** (-1 / 3)
        stops = np.log10(10 * self.long_s * self.iso / (250 * self.f_number**2)) / 2
        tone = warmth / warmth.max() * 0.5 ** np.clip(stops, 0, 1)
        return (1.0, 1.0, 1.0) if self.is_sharp else tuple(tone.round(3).tolist())

    def name_files(self):
        """Return {"long/…": exposure time, "short/…": exposure time, …} in SID's naming."""
        files = {f"long/{self.number}_00_{self.long_s:g}s.dng": self.long_s}
        for place, short_s in enumerate(self.short_s):
            files[f"short/{self.number}_{self.short_s[:place].count(short_s):02d}_{short_s:g}s.dng"] = short_s
        return files


def build_sample(photos=None, name="sample"):
    """Make the data set data/<name> from photographs, unless it is there; return its folder.

    plan.json in the folder lists its scenes and files. Files of another plan (other photographs, another version) are
    removed first; files of your own stay.

    Args:
        photos: folder of at least three photographs of your own that Pillow can read; None for the bundled ones.
    Raises:
        ValueError: photos holds fewer than three photographs, or is to make the data set "sample".
        FileExistsError: a file of your own has the name of one that is to be made.
    """
    if photos is None:
        states = [metadata.version(package) for package in ("matplotlib", "scikit-image", "scikit-learn")]
    elif name == "sample":
        raise ValueError("The sample is of the bundled photographs: give the data set of others a name of its own")
    else:
        photos = Path(photos).expanduser()
        states = [paths.file_state(file) for file in sorted(photos.glob("*")) if file.is_file()]

    def plan():
        return plan_scenes(split_photographs(photos, SEED) if photos else PHOTOGRAPHS)

    settings = SEED, SENSOR_PX, SCENES, DRAWN, FRAMES, list(PHOTOGRAPHS.items()), states
    return _build(paths.DATA / name, settings, plan)


def build_sharp():
    """Make the data set data/sharp from the bundled photographs, unless it is there; return its folder."""
    return _build(paths.DATA / "sharp", (SEED, ISOS, LONG_S, SHORT_S, list(PHOTOGRAPHS.items())), plan_sharp)


def _build(folder, settings, plan):
    """Make the missing files of the Scenes of plan(), which depends on settings; return the folder."""
    tables = [(paths.DATA / name).read_bytes() for name in ("sid_sony.csv", "sony_a7s2_noise.csv")]
    fingerprint = paths.fingerprint(VERSION, settings, tables)
    of_kept, kept = catalog.read_plan(folder)
    if of_kept == fingerprint and not _find_incomplete(folder, kept):
        return folder
    scenes = {scene.number: scene for scene in plan()}
    wanted = {number: _describe_scene(scene) for number, scene in scenes.items()}
    with paths.lock(folder / ".building"):  # one process builds, others wait and find its files
        paths.clear_leftovers(folder)
        _, kept = catalog.read_plan(folder)
        old, new = ({file: scene["key"] for scene in of.values() for file in scene["files"]} for of in (kept, wanted))
        there = {file for file in old.keys() | new.keys() if (folder / file).is_file()}
        simulated = {file for file in there if dng.is_simulated(folder / file)}
        if taken := sorted((there - simulated) & new.keys()):
            raise FileExistsError(f"{folder} holds files that the data set would replace: move them away. {taken}")
        for file in simulated:
            if old.get(file) != new.get(file):
                (folder / file).unlink()
        with paths.write_atomically(folder / "plan.json") as path:
            path.write_text(json.dumps({"fingerprint": fingerprint, "scenes": wanted}), "utf-8")
        missing = [scenes[number] for number in _find_incomplete(folder, wanted)]
        list(workers.share(partial(photograph_scene, folder=folder), missing, f"Photographing {folder.name}", "scene"))
    return folder


def _describe_scene(scene):
    """The entry of a Scene in plan.json: a key of what its files are made from, what it shows, and its files."""
    noise = camera.load_noise_table().loc[scene.iso].to_dict()
    key = paths.fingerprint(VERSION, replace(scene, photograph=""), SEED, noise)  # a photograph may be moved
    shown = Path(scene.photograph).name if scene.box else "drawn"
    return {"key": key, "photograph": shown, "tone": scene.tone, "files": list(scene.name_files())}


def _find_incomplete(folder, scenes):
    """The numbers of the scenes of a plan.json of which a file is missing."""
    there = {f"{file.parent.name}/{file.name}" for file in folder.glob("*/*")}
    return [number for number, scene in scenes.items() if not there.issuperset(scene["files"])]


def plan_scenes(splits):
    """Return the Scenes of {photograph: split}: crops and drawn scenes, lit and exposed like real ones of the split."""
    index, scenes = catalog.load_index(), []
    for digit, split in catalog.SPLITS.items():
        rng = np.random.default_rng([SEED, int(digit)])
        count, size_px, real = SCENES[split], SENSOR_PX[split], index[index.split == split]
        shown = _measure(splits, split, count)
        exposures = [each for part in (count, DRAWN[split]) for each in _draw_exposures(real, part, FRAMES[split], rng)]
        for number, exposure in enumerate(exposures):
            name, size, content = shown[number % len(shown)]
            box = _draw_box(size, size_px, rng) if number < count else None
            scenes.append(Scene(f"{digit}{number + 1:04d}", name, box, content, **exposure, size_px=size_px))
    return scenes


def plan_sharp():
    """Return the Scenes of the sharp data set: each photograph at each of ISOS, lit like a real scene of its split."""
    index, scenes = catalog.load_index().drop_duplicates("scene"), []
    for digit, split in catalog.SPLITS.items():
        shown = _measure(PHOTOGRAPHS, split)
        real = index[index.split == split].sample(len(shown), random_state=SEED)
        each = product(zip(shown, real.itertuples(), strict=True), ISOS)
        for number, (((name, size_px, content), row), iso) in enumerate(each, 1):
            exposure = {"long_s": LONG_S, "short_s": SHORT_S, "iso": iso, **_copy_light(row), "size_px": size_px}
            scenes.append(Scene(f"{digit}{number:04d}", name, (0, 0, *size_px), content, **exposure, is_sharp=True))
    return scenes


def _measure(splits, split, most=None):
    """The name, size and hash of each photograph of a split."""
    names = [str(name) for name, of in splits.items() if of == split][:most]
    images = ((name, load_photograph(name)) for name in names)
    return [(name, image.size, hash_photograph(image)) for name, image in images]


def _copy_light(row):
    return {"f_number": float(row.f_number), "white_balance": (float(row.wb_red), 1.0, float(row.wb_blue))}


def _draw_exposures(real, count, frames, rng):
    """Yield the exposures of so many scenes, least light first; each ratio is about as frequent as in `real`."""
    places = (np.arange(count) + rng.random(count)) / count * len(real)
    rows = real.sort_values("ratio", ascending=False, kind="stable").iloc[places.astype(int)]
    for row in rows.itertuples():
        others = rng.choice(real.short_s[(real.scene == row.scene) & (real.iso == row.iso)], frames - 1)
        short_s = float(row.short_s), *others.tolist()
        yield {"long_s": float(row.long_s), "short_s": short_s, "iso": int(row.iso), **_copy_light(row)}


def _draw_box(size, size_px, rng):
    """A random crop of the sensor's shape: half to all of what a picture of this size allows a sensor of full size."""
    size, size_px, full_px = np.array(size), np.array(size_px), SENSOR_PX["test"][0]
    scale = (size / size_px).min() * size_px[0] / full_px  # pixels of the picture per pixel of the sensor
    sharp, far = np.clip(0.1 / scale, 0.5, 1), min(3, full_px / size_px[0])  # a tenth is sharp; a cut is not sky alone
    inner = np.maximum(np.rint(scale * rng.uniform(sharp, far) * size_px), 1).astype(int)
    start = rng.integers(0, size - inner, endpoint=True)
    return (*start.tolist(), *(start + inner).tolist())


def photograph_scene(scene, folder):
    """Write the long exposure of a Scene and its short ones as DNG files under folder."""
    image = load_photograph(scene.photograph)
    if not scene.box:  # three pixels of a drawn scene become two of the developed picture, about as of a photograph
        rng, size_px = np.random.default_rng([SEED, int(scene.number)]), [3 * side // 20 for side in scene.size_px]
        image = Image.fromarray(camera.quantize(draw_scene(rng, size_px, [np.asarray(image)])))
    signal = expose_mosaic(image, scene.box, scene.white_balance, scene.size_px, scene.tone)
    for place, (file, exposure_s) in enumerate(scene.name_files().items()):
        if scene.is_sharp and file.startswith("long/"):
            counts = np.rint(65535 * camera.unprocess(decode_linear(image), scene.white_balance)).astype(np.uint16)
        else:
            rng = np.random.default_rng([SEED, int(scene.number), place])
            counts = camera.expose(signal, scene.long_s / float(dng.as_fraction(exposure_s)), scene.iso, rng)
        with paths.write_atomically(folder / file) as path:
            dng.write_dng(path, counts, exposure_s, scene)


def expose_mosaic(photograph, box, white_balance, size_px, tone=(1, 1, 1)):
    """Return the noise-free signal of a crop (None: all) of an RGB Pillow image in the long exposure, see Scene.

    It is float32 (height, width), DN above black, RGGB; without a tone the photograph's white saturates green.
    """
    light = camera.unprocess(decode_linear(photograph.crop(box)), white_balance) * tone
    planes = [Image.fromarray(plane) for plane in np.moveaxis(light.astype(np.float32), -1, 0)]
    light = np.dstack([plane.resize(size_px, Image.Resampling.BICUBIC) for plane in planes])
    np.clip(light, 0, np.float32(np.divide(tone, white_balance)), out=light)  # bicubic interpolation goes beyond
    return camera.mosaic(light) * np.float32(camera.SPAN)
