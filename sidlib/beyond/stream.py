"""Endless training pairs at a tenth of the size: crops of what the train split shows and drawn scenes, exposed anew.

Sixteen scenes of four photographs are learned by heart. Here each update sees other crops, in other colours and
brightness, at another exposure with other noise, and a part of the scenes is drawn (see sample.drawn). A picture
depends on the experiment's seed and its own number alone, so that a training that was interrupted goes on with exactly
the pictures that would have come.
"""

import sys
from functools import cache

import joblib
import numpy as np
from PIL import Image
from tqdm import tqdm

from sidlib import catalog, sample
from sidlib.backend import tf
from sidlib.dataset import SOURCES
from sidlib.preprocess import load_signal
from sidlib.raw import Signal, quantize, render
from sidlib.sample import camera
from sidlib.sample.drawn import draw_scene
from sidlib.sample.photographs import decode_linear, load_photograph

SIZE_PX = (128, 86)  # width, height of the pictures
POOL, POOL_SIZE_PX = 1000, (192, 129)  # drawn once, in seconds; pictures are cropped from them
BRIGHTNESS, TINT = (0.5, 1.3), (0.8, 1.25)  # factors on all colours, on each
OTHER_RATIOS = 0.3  # of the exposures: between none and the longest, where SID has only three


def make_stream(pairs, experiment, updates):
    """Return the pipeline of (short, long) pictures for a range of updates.

    Args:
        pairs: DataFrame of preprocess.develop_pairs: what the training may see.
        experiment: an OpenExperiment; its batch_size, seed, source, drawn and jitter.
        updates: range of the updates.
    Returns:
        tf.data.Dataset of two float32 tensors in 0…255, shape (batch, 86, 128, 3) each.
    """
    scenes = load_scenes(pairs)
    pool = draw_pool(scenes, experiment.seed) if experiment.drawn else None
    width, height = SIZE_PX

    def make_pair(number):
        rng = np.random.default_rng((experiment.seed, number))
        linear = crop_drawn(pool, rng) if rng.random() < experiment.drawn else crop_scene(scenes, rng)
        seen = expose(jitter(linear, rng) if experiment.jitter else linear, experiment.source, rng)
        return flip(seen, rng)

    def read_pair(number):
        short, long = tf.numpy_function(make_pair, [number], (tf.float32, tf.float32))
        return tf.ensure_shape(short, (height, width, 3)), tf.ensure_shape(long, (height, width, 3))

    first, last = (update * experiment.batch_size for update in (updates.start, updates.stop))
    numbers = tf.data.Dataset.range(first, last)
    return numbers.map(read_pair, num_parallel_calls=2).batch(experiment.batch_size).prefetch(4)


def load_scenes(pairs):
    """Return what pairs show, a list of float32 (height, width, 3) in linear light of 0…1.

    For the embedded sample these are the whole photographs that its scenes are crops of (its drawn scenes are left out:
    there are others), for any other data set the long exposures.
    """
    if pairs.dataset.iloc[0] == "sample":
        shown = sorted(set(sample.name_photographs(pairs)) - {"drawn"})
        return [decode_linear(load_photograph(name)) for name in shown]
    longs = (load_signal(path) for path in pairs.long_signal.unique())
    return [np.clip(render(*signal[:3]), 0, 1) for signal in longs]


def draw_pool(scenes, seed, size_px=POOL_SIZE_PX):
    """Return POOL drawn scenes: float16 (POOL, height, width, 3), linear light; half of the colours are of `scenes`."""
    colours = [quantize(scene) for scene in scenes]
    jobs = (joblib.delayed(_draw)(np.random.SeedSequence((seed, place)), size_px, colours) for place in range(POOL))
    drawn = joblib.Parallel(n_jobs=-1, return_as="generator")(jobs)
    return np.stack(list(tqdm(drawn, "Drawing scenes", POOL, unit="scene", file=sys.stdout, leave=False)))


def _draw(seed, size_px, colours):
    return draw_scene(np.random.default_rng(seed), size_px, colours).astype(np.float16)


def crop_drawn(pool, rng, size_px=SIZE_PX):
    """Return a crop of one of a pool's scenes: float32 (height, width, 3)."""
    scene, (width, height) = pool[rng.integers(len(pool))], size_px
    top, left = rng.integers(scene.shape[0] - height + 1), rng.integers(scene.shape[1] - width + 1)
    return scene[top : top + height, left : left + width].astype(np.float32)


def crop_scene(scenes, rng, size_px=SIZE_PX, reduced=(1, np.inf)):
    """Return a crop of one of the scenes, reduced to size_px in linear light: float32 (height, width, 3) in 0…1.

    Args:
        reduced: at least and at most by how much, where the scene is that large.
    """
    scene = scenes[rng.integers(len(scenes))]
    limit = np.log(min(scene.shape[1] / size_px[0], scene.shape[0] / size_px[1]))
    width, height = np.exp(rng.uniform(*np.minimum(np.log(reduced), limit))) * np.array(size_px)
    left, top = rng.uniform(0, scene.shape[1] - width), rng.uniform(0, scene.shape[0] - height)
    method = Image.Resampling.BOX if width >= 2 * size_px[0] else Image.Resampling.BICUBIC
    colours = [Image.fromarray(np.ascontiguousarray(scene[..., colour])) for colour in range(3)]
    box = (left, top, left + width, top + height)
    return np.clip(np.stack([colour.resize(size_px, method, box) for colour in colours], axis=-1), 0, 1)


def jitter(linear, rng):
    """Return a picture in linear light brighter or darker, and in half of the cases with each colour on its own."""
    low, high = np.log(BRIGHTNESS)
    factors = np.exp(rng.uniform(low, high)) * (rng.uniform(*TINT, 3) if rng.random() < 0.5 else 1)
    return np.clip(linear * np.float32(factors), 0, 1)


def expose(linear, source, rng):
    """Return what a model sees of a scene in the dark, and the truth: two float32 (height, width, 3) in 0…255.

    The exposure is that of a random row of SID's train split; where the ratio is another, the noise is less.
    """
    ratio, iso, red, blue = _load_exposures()[rng.integers(len(_load_exposures()))]
    if rng.random() < OTHER_RATIOS:
        ratio = np.exp(rng.uniform(0, np.log(catalog.MAX_RATIO)))
    balance = np.array([red, 1, blue])
    long = camera.see(linear, balance)
    short = Signal(camera.expose_reduced(long, ratio, int(iso), rng), balance, camera.TO_SRGB, camera.MODEL)
    return SOURCES[source](short, ratio, int(iso)), quantize(render(long, balance, camera.TO_SRGB)).astype(np.float32)


@cache
def _load_exposures():
    index = catalog.load_index()
    rows = index[index.split == "train"].drop_duplicates(["scene", "short_s"])
    return rows[["ratio", "iso", "wb_red", "wb_blue"]].to_numpy(float)


def flip(pictures, rng):
    """Return pictures mirrored horizontally, vertically, both or neither, all alike."""
    across, down = rng.choice([1, -1], 2)
    return tuple(np.ascontiguousarray(picture[::down, ::across]) for picture in pictures)
