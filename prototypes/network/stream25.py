"""Endless training patches at the sensor's own pitch, with all that a sensor records: lamps, stars, charts, defects, cut-off black.

Pure functions; a patch depends on its key and number alone. Replaces full_size/stream.py.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import erfc, ndtr
from scipy.stats import tukeylambda

from sidlib import paths
from sidlib.backend import tf
from sidlib.beyond.full_size.network import join_look
from sidlib.beyond.full_size.noise import ROUNDING_DN
from sidlib.beyond.full_size.stable import destabilise, pack, stabilise
from sidlib.beyond.full_size.stream import CAMERAS, Sensor, draw_sensor
from sidlib.beyond.stream import crop_drawn, crop_scene, flip, jitter
from sidlib.catalog import MAX_RATIO
from sidlib.raw import decode_srgb
from sidlib.sample import camera
from sidlib.sample.photographs import decode_linear, load_photograph

from charts25 import draw_chart

SPLITS = {
    "train": ("chelsea", "motorcycle", "rocket"),
    "val": ("grace_hopper", "coffee"),
    "test": ("china", "flower", "astronaut"),
}
PATCH_PX = 128
REDUCED = (1.3, 2.5)
FLAT, CHARTS, PHOTOS = 0.07, 0.21, 0.25  # shares of patches of one colour, of charts, of photographs; the rest is drawn
CHART_POOL = 900
SOFT = 0.12  # share of patches that optics blur
DARK, DARKEST = 0.15, 1000
LIGHTS, STARS = 0.22, 0.2  # share of patches with lamps, and of these with stars
STRONG = (1, 1000)  # times the white of the scene
GAIN_DN, READ_E = (0.1, 30), (0.7, 10)
WHITE_E = ((0.6, (1.5, 5000)), (0.28, (4, 100)), (0.12, (5000, 60000)))  # share, electrons of a green pixel shown as white
FULL_E = 120_000  # more no pixel holds
TO_CLIP = 0.2  # share of patches whose white is that of the sensor
TAILS = (-0.1, 0.15)
ROWS = COLUMNS = 0.5  # of the read noise at most; columns in half of the patches
MISJUDGED = 0.05
DEFECTS, LINES = 0.1, 0.03  # shares of patches with defects that were missed
CUT = 0.08  # share of patches whose black was cut off
FAR = 8.0  # times the noise below black: restore cuts there
CAPPED = 0.85  # share of patches whose input is capped as in use, see cap_stable, at CAP times white
CAP, ABOVE = (1, 4), 4.0
BEYOND = 0.1  # what a factor of e above white adds to light that is shown


def make_patch(scenes, drawn, charts, key, number):
    """Return ((packed, look), truth), see expose, of a number: it depends on key and number alone."""
    rng = np.random.default_rng((*key, number))
    return expose(light_up(crop_patch(scenes, drawn, charts, rng), rng), draw_sensor(rng), rng)


def make_stream(key, numbers, pools, batch_size=8):
    """Return the pipeline of patches of a range of numbers, in batches; pools of load_pools."""
    side = PATCH_PX // 2

    def read_patch(number):
        made = tf.numpy_function(lambda n: make_patch(*pools, key, n), [number], (tf.float32,) * 3)
        packed, look, truth = (tf.ensure_shape(m, s) for m, s in zip(made, ((side, side, 4), (13,), (PATCH_PX, PATCH_PX, 3))))
        return (packed, look), truth

    patches = tf.data.Dataset.range(numbers.start, numbers.stop).map(read_patch, num_parallel_calls=1)
    return patches.batch(batch_size).prefetch(2)


def load_pools(split):
    """Return photographs, drawn scenes (see make_pool.py) and charts of a split."""
    scenes = [decode_linear(load_photograph(name)) for name in SPLITS[split]]
    drawn = np.load(paths.RESULTS / "lab25" / f"pool_{split}.npy", mmap_mode="r")
    place = ("train", "val").index(split)
    count = CHART_POOL if split == "train" else 100
    file = paths.RESULTS / "lab25" / f"charts_{split}_{count}.npy"
    if not file.is_file():
        charts = [draw_chart(np.random.SeedSequence((26, place, n)), (192, 192)).astype(np.float16) for n in range(count)]
        with paths.write_whole(file) as path:
            np.save(path, np.stack(charts))
    return scenes, drawn, np.load(file, mmap_mode="r")


def crop_patch(scenes, drawn, charts, rng):
    """Return a patch of a photograph, a drawn scene, a chart or one colour: float32 (PATCH_PX, PATCH_PX, 3), 0…1."""
    size_px, kind = (PATCH_PX, PATCH_PX), rng.random()
    if kind < FLAT:
        patch = np.tile(decode_srgb(rng.uniform(-0.2, 1.2, 3).clip(0, 1)), (*size_px, 1)).astype(np.float32)
    elif kind < FLAT + CHARTS:
        patch = crop_drawn(charts, rng, size_px)
    elif kind < FLAT + CHARTS + PHOTOS:
        patch = crop_scene(scenes, rng, size_px, REDUCED)
    else:
        patch = crop_drawn(drawn, rng, size_px)
    (patch,) = flip((jitter(patch, rng) if kind > FLAT + CHARTS or rng.random() < 0.3 else patch,), rng)
    if kind > FLAT and rng.random() < SOFT:
        patch = gaussian_filter(patch, (*[rng.uniform(0.5, 1.5)] * 2, 0))
    if rng.random() < DARK:
        patch = patch / np.float32(_draw_log(rng, (1, DARKEST)))
    return patch.swapaxes(0, 1) if rng.random() < 0.5 else patch


def light_up(patch, rng):
    """Return a patch, in some cases with lamps, windows or stars in it, and their flare: linear light above 1, too."""
    if rng.random() >= LIGHTS:
        return patch
    night = patch / np.float32(_draw_log(rng, (1, 100))) if rng.random() < 0.4 else patch
    light = np.zeros_like(patch)
    if rng.random() < STARS:
        for _ in range(rng.integers(3, 50)):
            _add_spot(light, rng, _draw_log(rng, (0.3, 300)), rng.uniform(0, 0.5), rng.uniform(0.6, 1.6), flare=rng.random() < 0.1)
    else:
        strength, blur = _draw_log(rng, STRONG), rng.choice([0.0, rng.uniform(0.3, 3)])
        for _ in range(rng.integers(1, 7)):
            each = np.clip(strength * np.exp(rng.normal(0, 0.7)), *STRONG)
            _add_spot(light, rng, each, _draw_log(rng, (0.7, 16)), blur, flare=rng.random() < 0.6)
    return np.minimum(night + light, 2000.0).astype(np.float32)


def _add_spot(light, rng, strength, radius, blur, flare):
    """Add a lamp to light in place: round, or a tube or window at any angle; of any blur; with flare around it."""
    y, x = np.ogrid[: light.shape[0], : light.shape[1]]
    y, x = y.astype(np.float32), x.astype(np.float32)
    top, left = np.float32(rng.uniform(-0.06, 1.06, 2) * light.shape[:2])
    colour = 1 - rng.choice([0, 0.3, 0.6, 1], p=[0.25, 0.35, 0.25, 0.15]) * rng.random(3)
    if rng.random() < 0.5:
        colour = np.sort(colour)[::-1]  # warm
    colour = (strength * colour / colour.max()).astype(np.float32)
    reach = np.hypot(y - top, x - left)
    outside = reach - radius  # distance from its rim
    if radius > 1 and rng.random() < 0.4:
        angle = rng.choice([0, rng.uniform(0, np.pi)])
        u = abs((y - top) * np.cos(angle) + (x - left) * np.sin(angle)) - radius
        v = abs((x - left) * np.cos(angle) - (y - top) * np.sin(angle)) - radius * rng.choice([rng.uniform(0.05, 0.4), rng.uniform(0.4, 2)])
        outside = np.maximum(u, v)
    seen = erfc(outside / (1.4142 * blur)) / 2 if blur > 0.2 else np.clip(0.5 - outside, 0, 1)
    if blur > 0.2 and radius < 2:  # a star or point: its light, not that of a disc's rim
        seen = np.exp(-(reach**2) / (2 * (blur**2 + radius**2 / 4)))
    if flare:
        near = max(radius, 1) * rng.uniform(0.7, 3)
        seen = np.maximum(seen, _draw_log(rng, (1e-6, 5e-3)) / (1 + np.maximum(outside, 0) / near) ** rng.choice([1, 2, 3]))
        if rng.random() < 0.15:  # spikes of a diaphragm
            angle = rng.uniform(0, np.pi)
            u = (y - top) * np.cos(angle) + (x - left) * np.sin(angle)
            v = (x - left) * np.cos(angle) - (y - top) * np.sin(angle)
            length, share = rng.uniform(3, 30), _draw_log(rng, (1e-4, 2e-2))
            spikes = np.exp(-abs(u) / length - v * v) + np.exp(-abs(v) / length - u * u)
            seen = np.maximum(seen, share * spikes)
    light += seen[..., None] * colour


def expose(linear, sensor, rng):
    """Return a picture as a network sees it, what Render needs, and what is to be shown.

    Args:
        linear: float (H, W, 3), linear sRGB; 1 is the white that will be shown, lamps are above. sensor: a Sensor.
    Returns:
        packed, float32 (H / 2, W / 2, 4), see stable.stabilise; look, see network.join_look; truth, float32 (H, W, 3),
        see show: the light without noise, clipped where the sensor clips, and nearly where white is.
    """
    white_balance, to_srgb = sensor
    camera_rgb = np.maximum(linear @ np.float32(np.linalg.inv(to_srgb).T / white_balance), 0)
    gain, read_e = (_draw_log(rng, bounds) for bounds in (GAIN_DN, READ_E))
    shares, bounds = zip(*WHITE_E)
    white_e = _draw_log(rng, bounds[rng.choice(len(bounds), p=shares)])
    full_e = white_e * (rng.uniform(1, 1.1) if rng.random() < TO_CLIP else _draw_log(rng, (1, MAX_RATIO)))
    full_e = max(white_e, min(full_e, FULL_E))
    electrons = np.minimum(camera_rgb * white_e, 2 * full_e)  # far above what counts
    saturated = np.rint(full_e * gain)
    counts = draw_counts(pack(camera.lay_mosaic(electrons, "RGGB")), gain, read_e * gain, rng)
    told_gain, told_read = np.array([gain, np.hypot(read_e * gain, ROUNDING_DN)]) * rng.lognormal(0, MISJUDGED, 2)
    if rng.random() < CUT:
        counts = fill_cut(np.maximum(counts, 0), told_read)
    if (defects := rng.random()) < DEFECTS:
        spoil(counts, read_e * gain, saturated, defects < LINES, rng)
    packed = np.maximum(stabilise(np.minimum(counts, saturated), told_gain, told_read), -FAR)
    scale = white_balance * told_gain / (white_e * gain)
    look = join_look(told_read / told_gain, scale, to_srgb)
    balanced = np.minimum(camera_rgb, full_e / white_e) * white_balance
    if rng.random() < CAPPED:
        cap = find_cap(told_gain / scale, told_gain, told_read, _draw_log(rng, CAP))
        packed = np.minimum(packed, cap[[0, 1, 1, 2]])
        balanced = np.minimum(balanced, destabilise(cap, 1, told_read / told_gain) * scale)
    truth = show(balanced, to_srgb)
    return packed, look, truth


def find_cap(white_dn, gain_dn, read_dn, times=1.5):
    """Return up to which stable values a network is shown a capture, by colour: some white, and the noise above it.

    Args:
        white_dn: (3,), counts above black of R, G, B that will be shown as white. times: the cap is at so many of them.
    """
    return stabilise(times * white_dn, gain_dn, read_dn) + np.float32(ABOVE)


def show(balanced, to_srgb):
    """Return white-balanced camera RGB as sRGB in 0…255: float32; what Render does in the network's trainer.

    Each channel is cut at white before the matrix as in raw.render, but not quite, nor is it cut at black: log tells
    how far a lamp is above white, and what is out of gamut stays so.
    """
    light = balanced.astype(np.float32)
    light = np.where(light > 1, 1 + np.float32(BEYOND) * np.log(np.maximum(light, 1)), light) @ to_srgb.T.astype(np.float32)
    size = np.abs(light)
    curved = np.where(size <= 0.0031308, 12.92 * size, 1.055 * np.maximum(size, 0.0031308) ** np.float32(1 / 2.4) - 0.055)
    return (255 * np.copysign(curved, light)).astype(np.float32)


def fill_cut(counts, read_dn, cut_dn=0.0):
    """Return counts above black, of which the camera has cut off what was below, with a mean as if it had not.

    A pixel at the cut stands for all that was below half a count above it: it becomes the mean of that, E[n | n < edge]
    of normal noise around 0. Where no light is, the mean is 0 again; at the read noise's own level 0.05 of it low.

    Args:
        counts: any shape. read_dn: of the noise in the dark, counts. cut_dn: where the camera cut, in counts above the
            true black: 0, or minus the error of the black level that it took off.
    """
    edge = (cut_dn + 0.5) / read_dn
    density = np.exp(-edge * edge / 2) / np.sqrt(2 * np.pi)
    return np.where(counts <= cut_dn, -read_dn * density / ndtr(edge), counts)


def draw_counts(electrons, gain_dn, read_dn, rng):
    """Return whole counts above black of a packed mosaic of mean electrons: shot, read, row and column noise, rounded."""
    shape = rng.uniform(*TAILS)
    counts = gain_dn * rng.poisson(electrons)
    counts += read_dn / tukeylambda.std(shape) * camera.tukey_lambda(rng.random(electrons.shape), shape)
    height, width, _ = electrons.shape
    rows = rng.normal(0, rng.uniform(0, ROWS) * read_dn, (height, 1, 2))
    counts += np.repeat(rows, 2, axis=2)  # R and G lie in one row, G and B in the next
    if rng.random() < 0.5:
        columns = rng.normal(0, rng.uniform(0, COLUMNS) * read_dn, (1, width, 2))
        counts += np.tile(columns, 2)
    return np.rint(counts)


def spoil(counts, read_dn, saturated, lines, rng):
    """Put hot, warm and dead pixels, or a line, into a packed mosaic in place: what a correction has missed."""
    height, width, _ = counts.shape
    if lines:
        line = (rng.integers(height), slice(None)) if rng.random() < 0.5 else (slice(None), rng.integers(width))
        places = [[0, 1], [2, 3]] if isinstance(line[0], int | np.integer) else [[0, 2], [1, 3]]
        at = (*line, places[rng.integers(2)])
        at = np.ix_(*(range(n) if isinstance(i, slice) else np.atleast_1d(i) for i, n in zip(at, counts.shape)))
        kind = rng.integers(4)
        counts[at] = (0, saturated)[kind] if kind < 2 and rng.random() < 0.5 else counts[at] + rng.choice([-1, 1]) * _draw_log(rng, (1, 10)) * read_dn
        return
    warm = rng.random(counts.shape) < _draw_log(rng, (1e-5, 3e-3))
    counts[warm] += np.exp(rng.uniform(np.log(2), np.log(12), warm.sum())) * read_dn
    for _ in range(rng.integers(0, 5)):
        at = rng.integers(height), rng.integers(width), rng.integers(4)
        counts[at] = 0 if rng.random() < 0.3 else min(saturated, counts[at] + _draw_log(rng, (8, 3000)) * read_dn)


def _draw_log(rng, bounds):
    return np.exp(rng.uniform(*np.log(bounds)))
