"""Endless training patches at the sensor's own pitch: sharp pictures, seen by a random camera in random darkness."""

from typing import NamedTuple

import numpy as np
from scipy.stats import tukeylambda

from sidlib.backend import tf
from sidlib.beyond.full_size.network import join_look
from sidlib.beyond.full_size.noise import ROUNDING_DN
from sidlib.beyond.full_size.stable import pack, stabilise
from sidlib.beyond.stream import crop_drawn, crop_scene, draw_pool, flip, jitter
from sidlib.catalog import MAX_RATIO
from sidlib.raw import camera_to_srgb, decode_srgb, encode_srgb, render
from sidlib.sample import camera
from sidlib.sample.photographs import PHOTOGRAPHS, decode_linear, load_photograph

PATCH_PX = 128  # side
POOL_SIZE_PX = (192, 192)  # width, height of the drawn scenes that patches are cropped from
REDUCED = (1.3, 2.5)  # by so much photographs are reduced, which makes them sharp to the pixel
# CIE XYZ to camera RGB, × 10⁴, of sensors of four makers: LibRaw's table, from Adobe's DNG Converter.
CAMERAS = np.array(
    [
        camera.XYZ_TO_CAMERA.ravel(),
        (6722, -635, -963, -4287, 12460, 2028, -908, 2162, 5668),  # Canon EOS 5D Mark III
        (8380, -2630, -639, -2887, 10725, 2496, -627, 1427, 5438),  # Olympus E-M5
        (12161, -4457, -1069, -5034, 12874, 2400, -795, 1724, 6904),  # Fujifilm X100
    ]
)
FLAT, DARK = 0.1, 0.15  # shares of patches of one colour, and of those that are up to DARKEST times darker than others
DARKEST = 1000
OTHER_COLOURS = 0.05  # the standard deviation of a factor on each of these numbers
GAINS = (1, 3.2)  # of red and of blue: from lamplight to shade
# What is drawn log-uniformly. The calibrated camera has 0.05 to 24 counts an electron, and 1.1 to 21 electrons.
GAIN_DN, READ_E = (0.1, 30), (0.7, 10)
WHITE_E = (1.5, 5000)  # electrons of a green pixel that will be shown as white
TAILS = (-0.1, 0.15)  # shapes of Tukey's lambda distribution, heavy to light, as calibrated
ROWS = 0.25  # a row's own noise is at most so much of the read noise, as calibrated
MISJUDGED = 0.05  # the standard deviation of the factors by which gain and read noise are told wrongly, as if estimated


class Sensor(NamedTuple):
    """A camera under a light: white_balance (3,), the least gain 1, and to_srgb (3, 3), see raw.Mosaic."""

    white_balance: np.ndarray
    to_srgb: np.ndarray


def make_stream(experiment, numbers, split="train"):
    """Return the pipeline of patches of a range of numbers: ((packed, look), truth), see expose, in batches.

    Args:
        experiment: a FullSizeExperiment; its batch_size, seed and drawn.
        numbers: range; a patch depends on the seed, the split and its number alone.
        split: whose photographs are shown; drawn scenes are others in each split, half their colours from them.
    """
    scenes, key = load_scenes(split), (experiment.seed, ("train", "val", "test").index(split))
    pool = draw_pool(scenes, key, POOL_SIZE_PX)
    side = PATCH_PX // 2

    def make_patch(number):
        rng = np.random.default_rng((*key, number))
        return expose(crop_patch(scenes, pool, experiment.drawn, rng), draw_sensor(rng), rng)

    def read_patch(number):
        packed, look, truth = tf.numpy_function(make_patch, [number], (tf.float32,) * 3)
        packed, look = tf.ensure_shape(packed, (side, side, 4)), tf.ensure_shape(look, (13,))
        return (packed, look), tf.ensure_shape(truth, (PATCH_PX, PATCH_PX, 3))

    patches = tf.data.Dataset.range(numbers.start, numbers.stop).map(read_patch, num_parallel_calls=2)
    return patches.batch(experiment.batch_size).prefetch(4)


def load_scenes(split):
    """Return the sample's photographs of a split: a list of float32 (height, width, 3) in linear light of 0…1."""
    names = [name for name, of in PHOTOGRAPHS.items() if of == split]
    return [decode_linear(load_photograph(name)) for name in names]


def crop_patch(scenes, pool, drawn, rng):
    """Return a patch of a photograph or a drawn scene, jittered and flipped: float32 (PATCH_PX, PATCH_PX, 3), 0…1.

    Some are of one colour, saturated ones among them, and some next to black: there a network must add nothing.
    """
    size_px = (PATCH_PX, PATCH_PX)
    if rng.random() < FLAT:
        patch = np.tile(decode_srgb(rng.uniform(-0.2, 1.2, 3).clip(0, 1)), (*size_px, 1)).astype(np.float32)
    elif rng.random() < drawn:
        patch = crop_drawn(pool, rng, size_px)
    else:
        patch = crop_scene(scenes, rng, size_px, REDUCED)
    (patch,) = flip((jitter(patch, rng),), rng)
    if rng.random() < DARK:
        patch = patch / np.float32(_draw_log(rng, (1, DARKEST)))
    return patch.swapaxes(0, 1) if rng.random() < 0.5 else patch


def draw_sensor(rng):
    """Return a random Sensor: colours between those of two of CAMERAS, and a little beside, under any light."""
    first, second = CAMERAS[rng.integers(len(CAMERAS), size=2)]
    matrix = first + rng.random() * (second - first)
    matrix = matrix * rng.normal(1, OTHER_COLOURS, matrix.shape)
    red, blue = _draw_log(rng, GAINS), _draw_log(rng, GAINS)
    return Sensor(np.array([red, 1, blue]), camera_to_srgb(matrix.reshape(3, 3)))


def expose(linear, sensor, rng):
    """Return a picture as a network sees it, what Render needs, and the picture itself.

    Args:
        linear: float (H, W, 3), linear sRGB in 0…1. sensor: a Sensor.
    Returns:
        packed, float32 (H / 2, W / 2, 4), see stable.stabilise; look, see network.join_look; truth, float32 (H, W, 3),
        sRGB in 0…255.
    Source: the noise is that of sample.camera.expose, without the error of black, which is corrected in use.
    """
    white_balance, to_srgb = sensor
    camera_rgb = camera.see(linear, white_balance, to_srgb)
    gain, read_e, white_e = (_draw_log(rng, bounds) for bounds in (GAIN_DN, READ_E, WHITE_E))
    counts = draw_counts(lay_packed(camera_rgb) * white_e, gain, read_e * gain, rng)
    saturated = white_e * gain * _draw_log(rng, (1, MAX_RATIO))
    told_gain, told_read = np.array([gain, np.hypot(read_e * gain, ROUNDING_DN)]) * rng.lognormal(0, MISJUDGED, 2)
    packed = stabilise(np.minimum(counts, np.rint(saturated)), told_gain, told_read)
    look = join_look(told_read / told_gain, white_balance * told_gain / (white_e * gain), to_srgb)
    truth = 255 * encode_srgb(render(camera_rgb, white_balance, to_srgb))
    return packed, look, truth.astype(np.float32)


def lay_packed(camera_rgb):
    """Return what a sensor with Bayer's RGGB sees of a picture (H, W, 3), packed: (H / 2, W / 2, 4)."""
    return pack(camera.lay_mosaic(camera_rgb, "RGGB"))


def draw_counts(electrons, gain_dn, read_dn, rng):
    """Return whole counts above black of a packed mosaic of mean electrons: shot, read and row noise, rounded."""
    shape = rng.uniform(*TAILS)
    counts = gain_dn * rng.poisson(electrons)
    counts += read_dn / tukeylambda.std(shape) * camera.tukey_lambda(rng.random(electrons.shape), shape)
    rows = rng.normal(0, rng.uniform(0, ROWS) * read_dn, (len(electrons), 1, 2))
    return np.rint(counts + np.repeat(rows, 2, axis=2))  # R and G lie in one row, G and B in the next


def _draw_log(rng, bounds):
    return np.exp(rng.uniform(*np.log(bounds)))
