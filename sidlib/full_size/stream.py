"""Endless training patches at the sensor's own pitch: whatever a sensor records, by random cameras in darkness."""

import joblib
import numpy as np
from scipy.ndimage import gaussian_filter

from sidlib import camera
from sidlib.backend import keras, tf
from sidlib.beyond.stream import crop_drawn, crop_scene, draw_pool, flip, jitter
from sidlib.brightness import MAX_RATIO
from sidlib.full_size.levels import fill_cut
from sidlib.full_size.network import find_cap, join_rendering, render_soft
from sidlib.full_size.noise import ROUNDING_DN, Noise
from sidlib.full_size.scenes import add_lamps, draw_chart, draw_key, draw_log
from sidlib.full_size.tiles import OUTLIER
from sidlib.sample.photographs import PHOTOGRAPHS, decode_linear, load_photograph

PATCH_PX = 128  # side
POOLS = {"train": 1000, "val": 100}  # drawn scenes, and as many charts, per split, which patches are cropped from
POOL_SIZE_PX = (192, 192)  # their width and height
REDUCED = (1.3, 2.5)  # factors by which photographs are reduced, which makes them sharp to the pixel
# CIE XYZ to camera RGB, × 10⁴, for sensors of four makers: LibRaw's table, from Adobe's DNG Converter.
CAMERAS = np.array(
    [
        camera.XYZ_TO_CAMERA.ravel(),
        (6722, -635, -963, -4287, 12460, 2028, -908, 2162, 5668),  # Canon EOS 5D Mark III
        (8380, -2630, -639, -2887, 10725, 2496, -627, 1427, 5438),  # Olympus E-M5
        (12161, -4457, -1069, -5034, 12874, 2400, -795, 1724, 6904),  # Fujifilm X100
    ]
)
OTHER_COLOURS = 0.05  # standard deviation of a factor on each of these numbers
SHARES = {"flat": 0.08, "chart": 0.26, "photograph": 0.25, "drawn": 0.41}  # of what patches show
SOFT = 0.12  # share of patches that optics blur
DARK, DARKEST = 0.15, 1000  # share of patches that are darkened, and by how much at most
LIT = 0.22  # share of patches with lamps or stars
WHITE_BALANCE = (1, 3.2)  # gains of red and of blue, from lamplight to shade
# Ranges of log-uniform draws. The calibrated camera has 0.05 to 24 counts per electron and reads with 1.1 to 21.
GAIN_DN, READ_E = (0.1, 30), (0.7, 10)
# Electrons of a green pixel that is shown as white, and how often they are drawn from a range: any, the dark, daylight
WHITE_E = {(1.5, 5000): 0.6, (4, 100): 0.28, (5000, 60000): 0.12}
FULL_WELL_E = 120_000  # no pixel holds more
FULL = 0.2  # share of patches whose white is the sensor's own
TAILS = (-0.1, 0.15)  # shapes of the Tukey lambda distribution of read noise, heavy to light, as calibrated
LINES = 0.5  # row noise, and in half of the patches column noise, relative to the read noise: twice the calibrated
MISJUDGED = 0.05  # standard deviation of the factors by which the stated gain and read noise are wrong
DEFECTS, BAD_LINES = 0.1, 0.03  # shares of patches with defects that defects.mend_defects has missed
CUT = 0.08  # share of patches whose black was cut off
CAPPED, CAP_WHITES = 0.85, (1, 4)  # share of patches that are capped as in use, see network.find_cap, and at what


def make_stream(experiment, numbers, split="train"):
    """Return the pipeline of ((packed, rendering), truth), see expose, for a range of patch numbers, in batches.

    A patch depends on the seed, the split and its number alone.
    """
    key = (experiment.seed, list(POOLS).index(split))
    pools = load_pools(split, key) if numbers else {}

    def make_patch(number):
        rng = np.random.default_rng((*key, number))
        patch = expose(crop_patch(pools, rng), *draw_colours(rng), rng)
        return [part[None] for part in patch]

    return batch_patches(make_patch, 1, numbers, experiment.batch_size)


def batch_patches(make_patches, count, numbers, batch_size):
    """Return the pipeline of a function from each of some numbers to packed, rendering and truth of `count` patches."""

    def read_patches(number):
        packed, rendering, truth = tf.numpy_function(make_patches, [number], (tf.float32,) * 3)
        packed = tf.ensure_shape(packed, (count, PATCH_PX // 2, PATCH_PX // 2, 4))
        truth = tf.ensure_shape(truth, (count, PATCH_PX, PATCH_PX, 3))
        return (packed, tf.ensure_shape(rendering, (count, 13))), truth

    patches = tf.data.Dataset.range(numbers.start, numbers.stop).map(read_patches, num_parallel_calls=2).unbatch()
    known = tf.data.experimental.assert_cardinality(count * len(numbers))
    return patches.apply(known).batch(batch_size).prefetch(4)


def load_pools(split, key):
    """Return a split's photographs, drawn scenes and charts, (height, width, 3) each, in linear light of 0…1."""
    scenes = [decode_linear(load_photograph(name)) for name, of in PHOTOGRAPHS.items() if of == split]
    rngs = (np.random.default_rng(np.random.SeedSequence((*key, 1, number))) for number in range(POOLS[split]))
    drawn = joblib.Parallel(-1, return_as="generator")(joblib.delayed(draw_chart)(rng, POOL_SIZE_PX) for rng in rngs)
    charts = [chart.astype(np.float16) for chart in drawn]
    return {"photograph": scenes, "drawn": draw_pool(scenes, key, POOL_SIZE_PX, POOLS[split]), "chart": charts}


def crop_patch(pools, rng):
    """Return a patch of one of SHARES, jittered and flipped, blurred, darkened or lit by lamps: linear, white 1."""
    size_px, kind = (PATCH_PX, PATCH_PX), draw_key(rng, SHARES)
    if kind == "flat":
        patch = np.tile(camera.decode_srgb(rng.uniform(-0.2, 1.2, 3).clip(0, 1)), (*size_px, 1)).astype(np.float32)
    elif kind == "photograph":
        patch = crop_scene(pools[kind], rng, size_px, REDUCED)
    else:
        patch = crop_drawn(pools[kind], rng, size_px)
    (patch,) = flip((patch if kind == "chart" and rng.random() < 0.7 else jitter(patch, rng),), rng)
    if kind != "flat" and rng.random() < SOFT:
        patch = gaussian_filter(patch, (*[rng.uniform(0.5, 1.5)] * 2, 0))
    if rng.random() < DARK:
        patch = patch / np.float32(draw_log(rng, (1, DARKEST)))
    patch = patch.swapaxes(0, 1) if rng.random() < 0.5 else patch
    return add_lamps(patch, rng) if rng.random() < LIT else patch


def draw_colours(rng):
    """Return a random white balance, (3,), and camera matrix: one between those of two CAMERAS, or a little beside."""
    first, second = CAMERAS[rng.integers(len(CAMERAS), size=2)]
    matrix = first + rng.random() * (second - first)
    matrix = matrix * rng.normal(1, OTHER_COLOURS, matrix.shape)
    red, blue = draw_log(rng, WHITE_BALANCE), draw_log(rng, WHITE_BALANCE)
    return np.array([red, 1, blue]), camera.compute_ccm(matrix.reshape(3, 3))


def expose(linear, white_balance, ccm, rng):
    """Expose a picture (H, W, 3) in linear sRGB, white 1, by a random camera in the dark; its black level is right.

    Returns:
        packed, (H / 2, W / 2, 4), as a network sees it; rendering, (13,), see network; truth, (H, W, 3), the light
        without noise, clipped where the sensor clips, see network.render_soft; float32.
    """
    camera_rgb = np.maximum(linear @ np.float32(np.linalg.inv(ccm).T / white_balance), 0)
    gain_dn, read_e = draw_log(rng, GAIN_DN), draw_log(rng, READ_E)
    white_e = draw_log(rng, draw_key(rng, WHITE_E))
    full_e = white_e * (rng.uniform(1, 1.1) if rng.random() < FULL else draw_log(rng, (1, MAX_RATIO)))
    full_e = max(white_e, min(full_e, FULL_WELL_E))
    read_dn, full_dn = read_e * gain_dn, np.rint(full_e * gain_dn)
    electrons = camera.mosaic(np.minimum(camera_rgb * white_e, 2 * full_e))
    tail, row_dn = rng.uniform(*TAILS), rng.uniform(0, LINES) * read_dn
    counts = camera.add_noise(electrons, gain_dn, read_dn, rng, tail, row_dn)
    if rng.random() < 0.5:
        counts += rng.normal(0, rng.uniform(0, LINES) * read_dn, counts.shape[1])
    counts, defects = np.rint(counts), rng.random()
    stated_gain, stated_read = np.array([gain_dn, np.hypot(read_dn, ROUNDING_DN)]) * rng.lognormal(0, MISJUDGED, 2)
    if rng.random() < CUT:
        noise = Noise(stated_gain, stated_read, 0, "calibration")
        counts = fill_cut(counts.clip(0), 0, noise, rng).astype(float)
    if defects < DEFECTS:
        spoil(counts, read_dn, full_dn, defects < BAD_LINES, rng)
    packed = camera.stabilise(camera.pack(counts.clip(max=full_dn)), stated_gain, stated_read).clip(-OUTLIER)
    scale = white_balance * stated_gain / (white_e * gain_dn)  # from electrons to light
    balanced = np.minimum(camera_rgb, full_e / white_e) * white_balance
    if rng.random() < CAPPED:
        cap = find_cap(stated_gain / scale, stated_gain, stated_read, draw_log(rng, CAP_WHITES))
        packed = np.minimum(packed, cap)
        balanced = np.minimum(balanced, camera.destabilise(cap[[0, 1, 3]], 1, stated_read / stated_gain) * scale)
    truth = keras.ops.convert_to_numpy(render_soft(balanced.astype(np.float32), ccm.astype(np.float32)))
    return packed, join_rendering(stated_read / stated_gain, scale, ccm), truth


def spoil(counts, read_dn, full_dn, lines, rng):
    """Put hot, warm and dead pixels into a mosaic (H, W), in place, or with `lines` a defect row or column."""
    if lines:
        line = counts.T if rng.random() < 0.5 else counts
        line = line[rng.integers(len(line))]
        line[:] = rng.choice([0, full_dn]) if rng.random() < 0.25 else line + rng.normal(0, 5) * read_dn
        return
    warm = rng.random(counts.shape) < draw_log(rng, (1e-5, 3e-3))
    counts[warm] += np.exp(rng.uniform(*np.log((2, 12)), warm.sum())) * read_dn
    for _ in range(rng.integers(0, 5)):
        at = tuple(rng.integers(counts.shape))
        counts[at] = 0 if rng.random() < 0.3 else min(full_dn, counts[at] + draw_log(rng, (8, 3000)) * read_dn)
