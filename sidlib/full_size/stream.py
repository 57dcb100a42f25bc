"""Endless training patches at the sensor's own pitch: sharp pictures, taken by random cameras in random darkness."""

import numpy as np

from sidlib import camera
from sidlib.backend import tf
from sidlib.beyond.stream import crop_drawn, crop_scene, draw_pool, flip, jitter
from sidlib.brightness import MAX_RATIO
from sidlib.full_size.network import join_rendering
from sidlib.full_size.noise import ROUNDING_DN
from sidlib.sample.photographs import PHOTOGRAPHS, decode_linear, load_photograph

PATCH_PX = 128  # side
POOLS = {"train": 1000, "val": 100}  # drawn scenes per split, which patches are cropped from
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
FLAT = 0.1  # share of patches of one colour
DARK, DARKEST = 0.15, 1000  # share of patches that are darkened, and by how much at most
WHITE_BALANCE = (1, 3.2)  # gains of red and of blue, from lamplight to shade
# Ranges of log-uniform draws. The calibrated camera has 0.05 to 24 counts per electron and reads with 1.1 to 21.
GAIN_DN, READ_E = (0.1, 30), (0.7, 10)
WHITE_E = (1.5, 5000)  # electrons of a green pixel that is shown as white
TAILS = (-0.1, 0.15)  # shapes of the Tukey lambda distribution of read noise, heavy to light, as calibrated
ROWS = 0.25  # row noise relative to the read noise, at most, as calibrated
MISJUDGED = 0.05  # standard deviation of the factors by which the stated gain and read noise are wrong


def make_stream(experiment, numbers, split="train"):
    """Return the pipeline of ((packed, rendering), truth), see expose, for a range of patch numbers, in batches.

    A patch depends on the seed, the split and its number alone. Each split has its own photographs and drawn scenes.
    """
    scenes, key = load_scenes(split), (experiment.seed, list(POOLS).index(split))
    pool = draw_pool(scenes, key, POOL_SIZE_PX, POOLS[split]) if numbers else []

    def make_patch(number):
        rng = np.random.default_rng((*key, number))
        patch = expose(crop_patch(scenes, pool, experiment.drawn, rng), *draw_colours(rng), rng)
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


def load_scenes(split):
    """Return the sample's photographs of a split: a list of float32 (height, width, 3), linear sRGB in 0…1."""
    return [decode_linear(load_photograph(name)) for name, of in PHOTOGRAPHS.items() if of == split]


def crop_patch(scenes, pool, drawn, rng):
    """Return a patch of a photograph or, by the share `drawn`, of a drawn scene, jittered and flipped, linear in 0…1.

    Some patches are of one colour, and some nearly black: there a network must add nothing.
    """
    size_px = (PATCH_PX, PATCH_PX)
    if rng.random() < FLAT:
        patch = np.tile(camera.decode_srgb(rng.uniform(-0.2, 1.2, 3).clip(0, 1)), (*size_px, 1)).astype(np.float32)
    elif rng.random() < drawn:
        patch = crop_drawn(pool, rng, size_px)
    else:
        patch = crop_scene(scenes, rng, size_px, REDUCED)
    (patch,) = flip((jitter(patch, rng),), rng)
    if rng.random() < DARK:
        patch = patch / np.float32(_draw_log(rng, (1, DARKEST)))
    return patch.swapaxes(0, 1) if rng.random() < 0.5 else patch


def draw_colours(rng):
    """Return a random white balance, (3,), and camera matrix: one between those of two CAMERAS, or a little beside."""
    first, second = CAMERAS[rng.integers(len(CAMERAS), size=2)]
    matrix = first + rng.random() * (second - first)
    matrix = matrix * rng.normal(1, OTHER_COLOURS, matrix.shape)
    red, blue = _draw_log(rng, WHITE_BALANCE), _draw_log(rng, WHITE_BALANCE)
    return np.array([red, 1, blue]), camera.compute_ccm(matrix.reshape(3, 3))


def expose(linear, white_balance, ccm, rng):
    """Expose a picture (H, W, 3) in linear sRGB by a random camera in the dark; its black level has no error.

    Returns:
        packed, (H / 2, W / 2, 4); rendering, (13,), see network; truth, (H, W, 3), sRGB in 0…255; float32.
    """
    camera_rgb = camera.unprocess(linear, white_balance, ccm)
    gain_dn, read_e, white_e = (_draw_log(rng, bounds) for bounds in (GAIN_DN, READ_E, WHITE_E))
    read_dn, tail, rows = read_e * gain_dn, rng.uniform(*TAILS), rng.uniform(0, ROWS)
    counts = camera.add_noise(camera.mosaic(camera_rgb) * white_e, gain_dn, read_dn, rng, tail, rows * read_dn)
    counts = np.rint(np.minimum(counts, white_e * gain_dn * _draw_log(rng, (1, MAX_RATIO))))  # saturated
    stated_gain, stated_read = np.array([gain_dn, np.hypot(read_dn, ROUNDING_DN)]) * rng.lognormal(0, MISJUDGED, 2)
    packed = camera.stabilise(camera.pack(counts), stated_gain, stated_read)
    rendering = join_rendering(stated_read / stated_gain, white_balance * stated_gain / (white_e * gain_dn), ccm)
    truth = 255 * camera.encode_srgb(camera.render(camera_rgb, white_balance, ccm))
    return packed, rendering, truth.astype(np.float32)


def _draw_log(rng, bounds):
    return np.exp(rng.uniform(*np.log(bounds)))
