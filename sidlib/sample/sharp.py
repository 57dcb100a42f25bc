"""The sharp data set: photographs at one of their pixels a sensor pixel, to judge what works at full size.

Its folder has SID's shape. Each photograph is there at several ISOs and exposure ratios, and its long exposure is a DNG
of three colours a pixel without noise: what LibRaw makes of it is the photograph itself, where a mosaic would have lost
what lies between its pixels.
"""

from itertools import product

import numpy as np
from filelock import FileLock

from sidlib import catalog, paths
from sidlib.sample import SEED, Scene, camera, dng, expose_mosaic, sign_file
from sidlib.sample.photographs import PHOTOGRAPHS, decode_linear, hash_photograph, load_photograph

ISOS = (160, 800, 3200, 12800)
LONG_S, SHORT_S = 10.0, (0.1, 0.033)  # ratios of 100 and 300


def build_sharp():
    """Make the data set data/sharp from the bundled photographs, as far as it is not there; return its folder."""
    folder = paths.DATA / "sharp"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".building"):
        for scene in plan_sharp():
            photograph_sharp(scene, folder)
    return folder


def plan_sharp():
    """Return the Scenes: each photograph at each of ISOS, under the light of a real scene of its split."""
    index = catalog.load_index().drop_duplicates("scene")
    scenes = []
    for digit, split in catalog.SPLITS.items():
        images = {name: load_photograph(name) for name, of in PHOTOGRAPHS.items() if of == split}
        lights = index[index.split == split].sample(len(images), random_state=SEED)
        looks = [(name, image.size, hash_photograph(image)) for name, image in images.items()]
        shown = zip(looks, lights.itertuples(), strict=True)
        for number, (((name, size_px, content), light), iso) in enumerate(product(shown, ISOS), 1):
            scene = Scene(
                number=f"{digit}{number:04d}",
                photograph=name,
                box=(0, 0, *size_px),
                content=content,
                long_s=LONG_S,
                short_s=SHORT_S,
                iso=iso,
                f_number=float(light.f_number),
                white_balance=(float(light.wb_red), 1.0, float(light.wb_blue)),
                size_px=size_px,
            )
            scenes.append(scene)
    return scenes


def photograph_sharp(scene, folder):
    """Write the exposures of a Scene of plan_sharp that a folder lacks, as DNG files."""
    signs = {file: (file, sign_file(scene, file)) for file in scene.name_files()}
    missing = [file for file, sign in signs.items() if dng.read_mark(folder / file) != sign]
    image = load_photograph(scene.photograph) if missing else None
    for place, (file, exposure_s) in enumerate(scene.name_files().items()):
        if file not in missing:
            continue
        if file.startswith("long/"):
            counts = np.rint(65535 * camera.see(decode_linear(image), scene.white_balance)).astype(np.uint16)
        else:
            signal = expose_mosaic(image, scene.box, scene.white_balance, scene.size_px)
            rng = np.random.default_rng([SEED, int(scene.number), place])
            counts = camera.expose(signal, scene.long_s / float(dng.as_fraction(exposure_s)), scene.iso, rng)
        with paths.write_whole(folder / file) as path:
            dng.write_dng(path, counts, exposure_s, scene, *signs[file])
