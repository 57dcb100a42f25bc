"""Endless training pairs at a tenth of the size: crops of photographs and drawn scenes, each exposed anew.

A pair depends on the seed and its own number alone, so that an interrupted training goes on with the same pairs.
"""

import sys

import joblib
import numpy as np
from PIL import Image
from tqdm import tqdm

from sidlib import camera, catalog
from sidlib.backend import tf
from sidlib.brightness import MAX_RATIO
from sidlib.preprocess import load_signal
from sidlib.raw import Signal
from sidlib.sample.drawn import draw_scene
from sidlib.sample.photographs import PHOTOGRAPHS, decode_linear, load_photograph
from sidlib.sources import SOURCES

SIZE_PX = (128, 86)  # width, height
POOL, POOL_SIZE_PX = 1000, (192, 129)  # drawn scenes, which pictures are cropped from, and their width and height
BRIGHTNESS, TINT = (0.5, 1.3), (0.8, 1.25)  # ranges of the factors on all colours, on each
OTHER_RATIOS = 0.3  # share of the exposures at any ratio up to MAX_RATIO: SID has only three ratios


def make_stream(pairs, experiment, updates):
    """Return the pipeline of (short, long) batches, float32 (batch, 86, 128, 3) in 0…255, for a range of updates.

    `pairs`, of preprocess.develop_pairs, is all that the training of a StreamExperiment may see.
    """
    scenes = load_scenes(pairs)
    pool = draw_pool(scenes, experiment.seed, POOL_SIZE_PX, POOL) if experiment.drawn else None
    index, shape = catalog.load_index(), (*SIZE_PX[::-1], 3)
    exposures = index[index.split == "train"].drop_duplicates(["scene", "short_s"])
    exposures = exposures[["ratio", "iso", "wb_red", "wb_blue"]].to_numpy(float)

    def make_pair(number):
        rng = np.random.default_rng((experiment.seed, number))
        linear = crop_drawn(pool, rng) if rng.random() < experiment.drawn else crop_scene(scenes, rng)
        linear = jitter(linear, rng) if experiment.jitter else linear
        return flip(expose(linear, exposures, experiment.source, rng), rng)

    def read_pair(number):
        short, long = tf.numpy_function(make_pair, [number], (tf.float32, tf.float32))
        return tf.ensure_shape(short, shape), tf.ensure_shape(long, shape)

    batch_size = experiment.batch_size
    numbers = tf.data.Dataset.range(updates.start * batch_size, updates.stop * batch_size)
    return numbers.map(read_pair, num_parallel_calls=2).batch(batch_size).prefetch(4)


def load_scenes(pairs):
    """Return the scenes of pairs: a list of float32 (height, width, 3), linear light in 0…1.

    If all that is not drawn is crops of bundled photographs, these are the whole photographs, else the long exposures.
    """
    shown = set(pairs.photograph) - {"drawn"}
    if shown and shown <= PHOTOGRAPHS.keys():
        return [decode_linear(load_photograph(name)) for name in sorted(shown)]
    longs = (load_signal(path) for path in pairs.long_signal.unique())
    return [np.clip(camera.render(*signal[:3]), 0, 1) for signal in longs]


def draw_pool(scenes, seed, size_px, count):
    """Return drawn scenes, float16 (count, height, width, 3), linear light, half of their colours from scenes."""
    colours, draw = [camera.quantize(scene) for scene in scenes], joblib.delayed(draw_scene)
    draws = (draw(np.random.SeedSequence((seed, number)), size_px, colours) for number in range(count))
    drawn = joblib.Parallel(-1, return_as="generator")(draws)
    drawn = tqdm(drawn, "Drawing scenes", count, unit="scene", file=sys.stdout, leave=False)
    return np.stack([scene.astype(np.float16) for scene in drawn])


def crop_drawn(pool, rng, size_px=SIZE_PX):
    """Return a random crop of a scene of the pool: float32 (height, width, 3), linear light in 0…1."""
    scene, (width, height) = pool[rng.integers(len(pool))], size_px
    top, left = rng.integers(scene.shape[0] - height + 1), rng.integers(scene.shape[1] - width + 1)
    return scene[top : top + height, left : left + width].astype(np.float32)


def crop_scene(scenes, rng, size_px=SIZE_PX, reduced=(1, np.inf)):
    """Return a random crop of a scene, reduced to size_px by a factor in a range, as far as its size allows."""
    scene = scenes[rng.integers(len(scenes))]
    limit = np.log(min(scene.shape[1] / size_px[0], scene.shape[0] / size_px[1]))
    width, height = np.exp(rng.uniform(*np.minimum(np.log(reduced), limit))) * np.array(size_px)
    left, top = rng.uniform(0, scene.shape[1] - width), rng.uniform(0, scene.shape[0] - height)
    method = Image.Resampling.BOX if width >= 2 * size_px[0] else Image.Resampling.BICUBIC
    colours = [Image.fromarray(np.ascontiguousarray(scene[..., colour])) for colour in range(3)]
    box = (left, top, left + width, top + height)
    return np.clip(np.stack([colour.resize(size_px, method, box) for colour in colours], axis=-1), 0, 1)


def jitter(linear, rng):
    """Return a picture in linear light, brighter or darker, and with probability ½ each colour by another factor."""
    factors = np.exp(rng.uniform(*np.log(BRIGHTNESS))) * (rng.uniform(*TINT, 3) if rng.random() < 0.5 else 1)
    return np.clip(linear * np.float32(factors), 0, 1)


def expose(linear, exposures, source, rng):
    """Return the source's picture of a scene in the dark, and the truth: two float32 (height, width, 3) in 0…255.

    A random row of `exposures` is ratio (mostly), ISO, and the white balance of red and of blue.
    """
    ratio, iso, red, blue = exposures[rng.integers(len(exposures))]
    if rng.random() < OTHER_RATIOS:
        ratio = np.exp(rng.uniform(0, np.log(MAX_RATIO)))
    balance = np.array([red, 1, blue])
    long = camera.unprocess(linear, balance)
    short = Signal(camera.expose_reduced(long, ratio, int(iso), rng), balance, camera.CCM, camera.MODEL)
    truth = camera.quantize(camera.render(long, balance, camera.CCM)).astype(np.float32)
    return SOURCES[source](short, ratio, int(iso)), truth


def flip(pictures, rng):
    """Return pictures mirrored horizontally, vertically, both or neither, all alike."""
    across, down = rng.choice([1, -1], 2)
    return tuple(np.ascontiguousarray(picture[::down, ::across]) for picture in pictures)
