"""SITUATIONS 1–15, the rows that are ours: before (dde27e2) and after (the lab). python bench_run.py [number …]"""

import logging
import sys

import pywt
from bench import *  # noqa: F403
from bench import (
    PLAIN,
    add_spots,
    after,
    before,
    capture,
    digitise,
    electrons_of,
    expose,
    make_mosaic,
    np,
    random_spots,
    replace,
    scene,
    score,
    stops_of,
)
from levels import grey_world

from sidlib.raw import encode_srgb

PHOTOS = ("china", "coffee", "astronaut")
CAMS = {"plain": PLAIN, "10 bit": PLAIN._replace(gain_dn=0.4, read_e=4.0, black=64, white=1023), "D850": None}
from sidlib.beyond.full_size import checks

CAMS["D850"] = checks.CAMERAS["Nikon D850"]


def line(label, mosaic, name, white_e, of=PLAIN, told=None, scored=None):
    out = []
    for way in (before, after):
        try:
            restoration = way(mosaic, **(told or {}))
            stops = stops_of(of, white_e)
            value = score(restoration, name, stops, of=of) if scored is None else scored(restoration, stops)
            out.append(
                f"{value:6.2f}  K {restoration.noise.gain_dn:.3g} σ {restoration.noise.read_dn:.3g}"
                + (
                    f" stops {restoration.stops - np.log2((restoration.mosaic.white - restoration.mosaic.black.mean()) / (of.white - of.black)) - stops:+.1f}"
                )
            )
            remarks = getattr(restoration, "remarks", [])
        except Exception as error:
            out.append(f"{type(error).__name__}: {str(error)[:50]}")
            remarks = []
    print(f"  {label:42s} | {out[0]:38s} | {out[1]:38s} | {' · '.join(remarks[:-1])[:150]}", flush=True)


def lossy(counts, of, white_e, steps=2.0, dead=False):
    out = counts.astype(float)
    step = steps * np.sqrt((of.gain_dn * of.read_e) ** 2 + of.gain_dn**2 * white_e * 0.2)
    for row, column in np.ndindex(2, 2):
        plane = out[row::2, column::2]
        low, *details = pywt.wavedec2(plane, "bior4.4", level=4)
        quantise = (lambda x: np.trunc(x / step) * step) if dead else (lambda x: np.round(x / step) * step)
        back = pywt.waverec2([low, *[tuple(quantise(x) for x in level) for level in details]], "bior4.4")
        out[row::2, column::2] = back[: plane.shape[0], : plane.shape[1]]
    return np.rint(out).clip(0, of.white).astype(np.uint16)


def s2():
    for name in PHOTOS:
        for cam, of in CAMS.items():
            for white_e in (30, 300):
                rng = np.random.default_rng([7, white_e])
                mosaic = capture(name, of, white_e, seed=5)
                line(f"{name} {cam} {white_e} e, clean", mosaic, name, white_e, of)
                for label, share, value in (
                    ("saturated 0.1 %", 1e-3, of.white),
                    ("as 3000 in 12 MP", 2.5e-4, of.white),
                    ("warm 1 % 25 e", 0.01, None),
                    ("dead 0.1 %", 1e-3, of.black),
                ):
                    counts = mosaic.counts.copy()
                    hit = rng.random(counts.shape) < share
                    counts[hit] = np.minimum(counts[hit] + 25 * of.gain_dn, of.white) if value is None else value
                    line(f"   {label}", replace(mosaic, counts=counts), name, white_e, of)
                for label, where, value in (
                    ("column 0", np.s_[:, 101], 0),
                    ("column stuck", np.s_[:, 102], of.white),
                    ("half column", np.s_[:200, 77], of.white),
                    ("row 0", np.s_[50], 0),
                    ("row stuck", np.s_[121], of.white),
                ):
                    counts = mosaic.counts.copy()
                    counts[where] = value
                    line(f"   {label}", replace(mosaic, counts=counts), name, white_e, of)


def s3():
    for name in ("china", "coffee", "flower", "rocket"):
        for white_e in (5, 28):
            for label, spots in (("no lamps", 0), ("8 lamps 4 px", 4), ("12 px", 12), ("25 px", 25)):
                rng = np.random.default_rng(2)
                mosaic = capture(
                    name, PLAIN, white_e, spots=random_spots(rng, scene(name).shape, 8, spots, 300) if spots else ()
                )
                line(f"{name} {white_e} e {label}", mosaic, name, white_e)


def s4():
    for name, cam in (("china", "plain"), ("astronaut", "D850"), ("coffee", "10 bit")):
        for of in (CAMS[cam],):
            for white_e in (30, 300):
                mosaic, span = capture(name, of, white_e, seed=3), of.white - of.black
                scale, offset = of.gain_dn / span, ((of.gain_dn * of.read_e) ** 2 + 1 / 12) / span**2
                for label, profile in (
                    ("none", None),
                    ("right", (scale, offset)),
                    ("offset 0", (scale, 0)),
                    ("a 64th", (scale / 64, offset / 64**2)),
                    ("× 10", (scale * 10, offset * 10)),
                    ("1 0", (1, 0)),
                    ("half", (scale / 2, offset / 4)),
                    ("scale × 3", (scale * 3, offset)),
                ):
                    line(f"{name} {cam} {white_e} e, profile {label}", mosaic, name, white_e, of, {"profile": profile})


def s4_stacked():
    from sidlib.sample import camera

    for name in PHOTOS:
        for iso, white_e in ((12800, 12), (800, 60)):
            known = camera.load_noise_table().loc[iso]
            of = checks.SONY._replace(gain_dn=known.gain_dn_per_e, read_e=known.read_sigma_dn / known.gain_dn_per_e)
            signal = electrons_of(scene(name), of, white_e) * of.gain_dn
            frames = [camera.expose(signal, 1, iso, np.random.default_rng(n)).astype(float) for n in range(16)]
            told = {"camera_name": camera.MODEL, "iso": iso}
            for label, counts in (
                ("one", frames[0]),
                ("16 stacked", np.mean(frames, axis=0)),
                ("without noise", signal + of.black),
            ):
                line(f"{name} ISO {iso} {label}", make_mosaic(digitise(counts, of), of), name, white_e, of, told)


def s5():
    for name in ("coffee", "astronaut"):
        for white_e in (30, 300):
            rng = np.random.default_rng(4)
            of = PLAIN._replace(gain_dn=0.5, black=128, white=4095)
            for label, spots, stated in (
                ("true 4095", 1, 4095),
                ("lamp, 16383", 1, 16383),
                ("lamp, 65535", 1, 65535),
                ("no lamp, 65535", 0, 65535),
            ):
                light = add_spots(scene(name), [(200, 300, 80, 1000, 1)]) if spots else scene(name)
                mosaic = make_mosaic(
                    digitise(expose(electrons_of(light, of, white_e), of, np.random.default_rng(8)), of),
                    of,
                    white=stated,
                )
                line(f"{name} {white_e} e {label}", mosaic, name, white_e, of)
    for label, counts in (
        ("all at 15800", np.full((200, 300), 15800, np.uint16)),
        ("all at 0", np.zeros((200, 300), np.uint16)),
        ("all saturated", np.full((200, 300), 16383, np.uint16)),
        ("15800 ± 1", np.random.default_rng(0).integers(15799, 15802, (200, 300)).astype(np.uint16)),
        ("22 × 22 dark", np.random.default_rng(0).normal(512, 5, (22, 22)).astype(np.uint16)),
        ("half 512, half white", np.repeat(np.array([[512], [16383]], np.uint16), 100, 0).repeat(300, 1)),
    ):
        line(label, make_mosaic(counts, PLAIN), "china", 30, scored=lambda r, s: float(r.render().mean() / 257))


def s7():
    for name in PHOTOS:
        for of in (PLAIN,) if name != "astronaut" else (CAMS["D850"],):
            for white_e in (5, 30, 300):
                analog = expose(electrons_of(scene(name), of, white_e), of, np.random.default_rng(6))
                line(f"{name} {of.black} {white_e} e, uncut", make_mosaic(digitise(analog, of), of), name, white_e, of)
                of0 = of._replace(black=0, white=of.white - of.black)
                line("   cut at 0", make_mosaic(digitise(analog - of.black, of0), of0), name, white_e, of0)
                counts = np.maximum(digitise(analog, of), of.black)
                line("   cut at its black", make_mosaic(counts, of), name, white_e, of)


def s9():
    for name in PHOTOS:
        for clip in (16383, 15800, 15000, 12000):
            of = PLAIN
            light = np.maximum(scene(name), 1e-3) * 8
            counts = digitise(expose(electrons_of(light, of, 4000), of, np.random.default_rng(1)), of, top=clip)
            mosaic = make_mosaic(counts, of)
            clipped = np.all([counts[r : 400 + r : 2, c : 600 + c : 2] >= clip for r, c in np.ndindex(2, 2)], axis=0)
            from scipy.ndimage import binary_erosion

            inside = binary_erosion(clipped, iterations=4).repeat(2, 0).repeat(2, 1)
            if inside.sum() < 50:
                continue
            for stops in (0, -0.5, 1):
                line(
                    f"{name} clip {clip}, {stops:+} stops: worst channel gap",
                    mosaic,
                    name,
                    4000,
                    scored=lambda r, _, s=stops: float(np.ptp(r.render(s)[:400, :600][inside].mean(axis=0)) / 257),
                )


def s11():
    for name in PHOTOS:
        for white_e in (30, 1500):
            mosaic = capture(name, PLAIN, white_e, seed=2)
            told = {"profile": (2 / 15871, (25 + 1 / 12) / 15871**2)}
            line(f"{name} {white_e} e uncompressed", mosaic, name, white_e)
            for dead in (False, True):
                squeezed = replace(mosaic, counts=lossy(mosaic.counts, PLAIN, white_e, dead=dead))
                line(f"   2 σ{' dead zone' * dead}", squeezed, name, white_e)
                from sidlib.beyond.full_size.noise import Noise
                from sidlib.beyond.full_size.restore import restore_mosaic
                from sidlib.beyond.full_size.save import Shot
                from bench import load_network

                r = restore_mosaic(squeezed, Noise(2.0, 5.01, 0.0, "told"), Shot(""), load_network())
                print(f"      told: {score(r, name, stops_of(PLAIN, white_e)):.2f}")


def s14():
    for of in CAMS.values():
        for white_e in (1e-6, 1, 3):
            line(
                f"no light / {white_e} e, mean level",
                capture("coffee", of, white_e),
                "coffee",
                max(white_e, 1e-3),
                of,
                scored=lambda r, s: float(r.render().mean() / 257),
            )


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    for name in sys.argv[1:] or ("s2", "s3", "s4", "s4_stacked", "s5", "s7", "s9", "s11", "s14"):
        print(f"== {name}")
        globals()[name]()
