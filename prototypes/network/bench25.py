"""Benches of the real dark for a network: python lab/bench25.py FILE [lamps edge flat sharp day real …]; FILE "old" is the committed one."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
import pandas as pd
import rawpy
from scipy.ndimage import gaussian_filter

import network25
import stream25  # the classes that files name
from sidlib import catalog, paths
from sidlib.backend import keras
from sidlib.beyond.baselines import denoise_signal
from sidlib.beyond.full_size import checks, evaluate
from sidlib.beyond.full_size.noise import ROUNDING_DN, Noise
from sidlib.beyond.full_size.restore import restore_mosaic
from sidlib.beyond.full_size.save import Shot
from sidlib.beyond.full_size.stable import align, pack, unpack
from sidlib.raw import Mosaic, decode_srgb, encode_srgb
from sidlib.sample import camera, load_photograph

pd.set_option("display.width", 200, "display.max_columns", 20)
K, READ, BLACK, WHITE = 2.0, 2.5, 512, 16383
WB, TO_SRGB = np.array([2.0, 1.0, 1.6]), camera.TO_SRGB
NOISE = Noise(K, float(np.hypot(K * READ, ROUNDING_DN)), 0.0, "calibration")


def load(name):
    file = paths.RESULTS / "reference" / "full-size.keras" if name == "old" else Path(name)
    network = keras.saving.load_model(file, compile=False)
    return network if name == "old" else network25.Capped(network)


def as_mosaic(counts):
    return Mosaic(counts, "RGGB", np.full(4, float(BLACK)), float(WHITE), WB, TO_SRGB, 0)


def count(electrons, rng):
    return K * (rng.poisson(electrons) + rng.normal(0, READ, electrons.shape))


def quantise(counts):
    return np.rint(counts + BLACK).clip(0, WHITE).astype(np.uint16)


def stops(white_e):
    return np.log2((WHITE - BLACK) / (white_e * K))


TIMES = 1.5


def set_cap(network, white_dn, noise):
    if isinstance(network, network25.Capped):
        network.cap = stream25.find_cap(np.float32(white_dn), noise.gain_dn, noise.read_dn, TIMES)


def show(network, counts, white_e, noise=NOISE):
    set_cap(network, white_e * noise.gain_dn / WB, noise)
    return restore_mosaic(as_mosaic(counts), noise, Shot(""), network).render(stops(white_e)) / 257


def libraw(counts, white_e):
    """LibRaw's plain development (AHD) of the same counts, amplified alike: sRGB of 0…255."""
    import tempfile

    from sidlib.sample import dng  # noqa: F401

    bright = np.clip((counts.astype(float) - BLACK) * 2.0 ** stops(white_e) * 65535 / (WHITE - BLACK), 0, 65535)
    return develop_dng(np.rint(bright).astype(np.uint16))


def develop_dng(bright, pattern=(0, 1, 1, 2)):
    """AHD of a mosaic of 16 bits, black 0."""
    import tempfile

    import tifffile

    matrix = np.linalg.inv(TO_SRGB)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.dng")
        xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
        cm = (camera.XYZ_TO_CAMERA / 1e4).ravel()
        rational = lambda values, unit=10000: [int(v) for x in values for v in (round(x * unit), unit)]
        tags = [
            (271, 2, 0, "SONY", True), (272, 2, 0, "ILCE-7SM2", True),
            (33421, 3, 2, (2, 2), True), (33422, 1, 4, bytes(pattern), True),
            (50706, 1, 4, bytes((1, 4, 0, 0)), True), (50708, 2, 0, "Sony ILCE-7SM2", True),
            (50714, 4, 1, 0, True), (50717, 4, 1, 65535, True),
            (50721, 10, 9, rational(cm), True), (50728, 5, 3, rational(1 / WB), True), (50778, 3, 1, 21, True),
        ]
        tifffile.imwrite(file, bright, photometric=32803, extratags=tags)
        with rawpy.imread(str(file)) as raw:
            wide = raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=16, gamma=(1, 1), demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD, user_flip=0)
    return 255 * encode_srgb(wide / 65535.0)


def lamps(network, whites=(30, 300), strengths=(3, 10, 30, 100, 300, 1000), sizes=(12,), other=libraw):
    linear, rows = decode_srgb(np.asarray(load_photograph("china")) / 255.0), {}
    linear = linear[:426, :640]
    base = camera.see(linear, WB)
    places = np.random.default_rng(5).uniform(0.08, 0.92, (8, 2)) * linear.shape[:2]
    y, x = np.indices(linear.shape[:2])
    for white_e in whites:
        for size in sizes:
            lit = sum(np.float64(np.hypot(y - r, x - c) <= size / 2) for r, c in places).clip(0, 1)
            lit = gaussian_filter(lit, 1.0)
            dark = count(white_e * camera.lay_mosaic(base), np.random.default_rng(1))
            plain = {name: f(quantise(dark), white_e) for name, f in (("net", lambda c, w: show(network, c, w)), ("libraw", other))}
            for s in strengths:
                light = camera.lay_mosaic(lit[..., None] * s * white_e / WB)
                with_lamps = quantise(dark + K * np.random.default_rng(2).poisson(light))
                far = (lit[..., None] * s * white_e / WB < 0.02).all(-1)
                row = {}
                for name, f in (("net", lambda c, w: show(network, c, w)), ("libraw", other)):
                    changed = np.abs(f(with_lamps, white_e) - plain[name]).max(-1) > 16
                    row[name] = int((changed & far).sum())
                rows[white_e, size, s] = row
    return pd.DataFrame(rows).T


def edge(network, whites=(150, 1500, 40), angles=(0, 90, 10, 45)):
    """σ along a straight edge from 0.02 to 0.7 of white, by distance from it (px), in levels: the largest of the colours."""
    rows, side = {}, 256
    y, x = (np.indices((4 * side, 4 * side)) + 0.5) / 4 - side / 2
    for white_e in whites:
        for angle in angles:
            a = np.deg2rad(angle)
            d4 = x * np.cos(a) + y * np.sin(a) + 0.3
            cover = (d4 > 0).reshape(side, 4, side, 4).mean((1, 3))
            linear = (0.02 + 0.68 * cover)[..., None] * np.ones(3)
            out = np.stack([show(network, quantise(count(white_e * camera.lay_mosaic(camera.see(linear, WB)), np.random.default_rng(s))), white_e) for s in range(6)])
            # noise at a pixel over captures is what is not the scene's; along the edge it is that, too
            var = out.var(axis=0, ddof=1).max(-1)[32:-32, 32:-32]
            d = d4.reshape(side, 4, side, 4).mean((1, 3))[32:-32, 32:-32]
            row = {f"{lo}..{hi}": np.sqrt(var[(d >= lo) & (d < hi)].mean()) for lo, hi in ((-40, -8), (-5, -3), (-3, -2), (-2, -1), (-1, 0), (0, 1), (1, 2), (2, 3), (3, 5), (8, 40))}
            rows[white_e, angle] = row
    return pd.DataFrame(rows).T.round(2)


def sharpval(network):
    """The portrait alone, eight captures: what choices are made by."""
    return sharp(network, "val")


def sharp(network, split="test"):
    pairs = catalog.load_pairs("sharp")
    test = pairs[pairs.split == split]

    def restore(path, ratio):
        mosaic, noise, _ = evaluate.read_capture(path)
        set_cap(network, (mosaic.white - mosaic.black.mean()) / ratio / mosaic.white_balance, noise)
        return evaluate.restore_with(path, ratio, network)

    table = pd.concat([evaluate.score_pair(pair, {"net": restore}) for pair in test.itertuples()])
    dark = table.iso >= 3200
    names = {place: name for place, name in enumerate(("china", "flower", "astronaut"))}
    table["photo"] = [names[(int(s[1:]) - 1) // 4] for s in table.scene]
    print(table.pivot_table(index=["iso", "ratio"], columns="photo", values="fitted_db").round(2))
    return {"mean": table.fitted_db.mean(), "dark": table.fitted_db[dark].mean(), "light": table.fitted_db[~dark].mean(), "psnr": table.psnr_db.mean(), "ssim": table.ssim.mean()}


def flat(network):
    if hasattr(network, "cap"):
        network.cap = None
    rows = {w: checks.measure_flat(network, w)[["grid", "off", "noise"]].max() for w in (40, 160, 640)}
    print("black", {iso: round(float(checks.measure_black(network, iso)), 2) for iso in (800, 3200, 12800)})
    print("levels", checks.measure_levels(network).round(4).to_dict())
    return pd.DataFrame(rows).T.round(2)


def day(network, whites=(1000, 7900)):
    """Daylight: the whole range of the sensor is used; against LibRaw's AHD of the same mosaic, and of that without noise."""
    rows = {}
    for name in ("china", "flower", "astronaut"):
        picture = np.asarray(load_photograph(name))
        picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        seen = camera.lay_mosaic(camera.see(decode_srgb(picture / 255.0), WB))
        for white_e in whites:
            gain = (WHITE - BLACK) / white_e
            rng = np.random.default_rng(0)
            counts = np.rint(BLACK + gain * (rng.poisson(white_e * seen) + rng.normal(0, READ, seen.shape))).clip(0, WHITE).astype(np.uint16)
            noise = Noise(gain, float(np.hypot(gain * READ, ROUNDING_DN)), 0.0, "calibration")
            set_cap(network, (WHITE - BLACK) / WB, noise)
            out = restore_mosaic(as_mosaic(counts), noise, Shot(""), network).render(0.0) / 257
            ahd = develop_dng(np.rint(((counts - float(BLACK)) / (WHITE - BLACK)).clip(0, 1) * 65535).astype(np.uint16))
            clean = develop_dng(np.rint(seen.clip(0, 1) * 65535).astype(np.uint16))
            rows[name, white_e] = {n: evaluate.score_fitted(o, picture.astype(float)) for n, o in (("net", out), ("ahd", ahd), ("ahd clean", clean))}
    return pd.DataFrame(rows).T.round(2)


def cut(network, whites=(5, 30, 150)):
    """Black cut off by the camera: fitted and plain PSNR of china, of the whole capture, the cut one, and the cut one filled."""
    picture, rows = np.asarray(load_photograph("china"))[:426, :640], {}
    seen = camera.lay_mosaic(camera.see(decode_srgb(picture / 255.0), WB))
    for white_e in whites:
        counts = np.rint(count(white_e * seen, np.random.default_rng(0)))
        kinds = {"whole": counts, "cut": np.maximum(counts, 0), "filled": stream25.fill_cut(np.maximum(counts, 0), NOISE.read_dn)}
        row = {}
        for name, values in kinds.items():
            set_cap(network, white_e * K / WB, NOISE)
            mosaic = as_mosaic((values + BLACK).clip(0, WHITE).astype(np.float32))
            out = restore_mosaic(mosaic, NOISE, Shot(""), network).render(stops(white_e)) / 257
            row[name] = checks.score_picture(out, picture.astype(float))["psnr_db"]
        rows[white_e] = row
    return pd.DataFrame(rows).T.round(2)


def stars(network, whites=(30, 300), blurs=(0.7, 1.0, 1.6)):
    """The share of their light that stars keep, by how many electrons of green they have: median over 60."""
    rows, side, y, x = {}, 512, *np.indices((512, 512))
    places = np.random.default_rng(8).uniform(30, side - 30, (60, 2))
    for white_e in whites:
        for blur in blurs:
            for light_e in (100, 400, 3000):
                linear = np.full((side, side), 0.01 * white_e)
                sky = np.zeros((side, side))
                for r, c in places:
                    sky += light_e * np.exp(-((y - r) ** 2 + (x - c) ** 2) / (2 * blur**2)) / (2 * np.pi * blur**2)
                electrons = camera.lay_mosaic((linear + sky)[..., None] / WB)
                counts = quantise(count(electrons, np.random.default_rng(0)))
                set_cap(network, white_e * K / WB, NOISE)
                found = restore_mosaic(as_mosaic(counts), NOISE, Shot(""), network)
                from sidlib.beyond.full_size.stable import destabilise

                green = destabilise(found.stable, NOISE.gain_dn, NOISE.read_dn)[..., 1] / K
                kept = []
                for r, c in places:
                    at = np.s_[int(r) - 5 : int(r) + 7, int(c) - 5 : int(c) + 7]
                    kept.append((green[at] - np.median(green)).sum() / sky[at].sum())
                rows[white_e, blur, light_e] = {"kept": np.median(kept), "worst tenth": np.quantile(kept, 0.1)}
    return pd.DataFrame(rows).T.round(2)


def sky(network):
    """A clipped area's mean colour, beside a grey one: at 0 stops, and in the dark."""
    rows = {}
    for white_e, gain in ((7900, 2.0), (1000, 15871 / 1000), (100, 2.0)):
        linear = np.full((256, 256, 3), 0.3)
        linear[:, 128:] = np.linspace(0.9, 1.6, 256)[:, None, None] if white_e > 100 else 3.0
        seen = np.maximum(linear @ np.linalg.inv(TO_SRGB).T, 0) / WB
        rng = np.random.default_rng(0)
        electrons = camera.lay_mosaic(seen) * white_e
        counts = quantise(gain * (rng.poisson(electrons) + rng.normal(0, READ, electrons.shape)))
        noise = Noise(gain, float(np.hypot(gain * READ, ROUNDING_DN)), 0.0, "calibration")
        set_cap(network, white_e * gain / WB, noise)
        out = restore_mosaic(as_mosaic(counts), noise, Shot(""), network).render(np.log2((WHITE - BLACK) / (white_e * gain))) / 257
        for name, rows_of in (("clipped", np.s_[120:236]), ("at white", np.s_[30:50])):
            rows[white_e, name] = dict(zip("RGB", out[rows_of, 150:236].mean((0, 1)))) | {"lowest G": out[rows_of, 150:236, 1].min()}
    return pd.DataFrame(rows).T.round(1)


if __name__ == "__main__":
    network = load(sys.argv[1])
    for name in sys.argv[2:] or ("lamps", "edge", "flat", "sharp", "day"):
        begun = time.time()
        print(f"== {name} {sys.argv[1]}\n{globals()[name](network)}\n{time.time() - begun:.0f} s", flush=True)
