"""Scenes drawn in a second, and a training step of four from a pool, drawn as it goes, or drawn by a worker.

`make bench` writes the tables to results/benchmarks/drawn_scenes.csv and drawn_steps.csv. CPU seconds are of all
threads and workers: on a machine that also does other things they say more than the clock.
"""

import collections
import itertools
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import psutil

from sidlib import paths
from sidlib.backend import tf
from sidlib.beyond import study
from sidlib.losses import LOSSES
from sidlib.sample.drawn import draw_scene

SIZE = (128, 86)
BATCH, STEPS, ROUNDS = 4, 24, 3


def bench_scenes():
    rows = []
    for size_px, count in ((SIZE, 100), ((256, 256), 30)):
        draw_scene(0, size_px)
        started = time.process_time()
        for seed in range(count):
            draw_scene(seed, size_px)
        rows.append(
            {"width_px": size_px[0], "height_px": size_px[1], "per_cpu_s": count / (time.process_time() - started)}
        )
    write(pd.DataFrame(rows), "drawn_scenes")


def bench_steps():
    model = study.BEST.build_model()
    model.compile("adam", LOSSES[study.BEST.loss])
    pool = np.stack([draw_scene(seed, SIZE) for seed in range(STEPS)])
    measured = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as worker:
        pipelines = {"from a pool": take_from(pool), "as it goes": draw_as_it_goes(), "by a worker": draw_by(worker)}
        for _ in range(ROUNDS):
            for name, scenes in pipelines.items():
                batches = iter(scenes.map(darken).batch(BATCH).prefetch(2))
                measured.append({"scenes": name, **measure_step(model, batches)})
    write(pd.DataFrame(measured).groupby("scenes", sort=False).median().reset_index(), "drawn_steps")


def measure_step(model, batches):
    for _ in range(4):  # the graph is made, the worker started, what was drawn ahead is used
        model.train_on_batch(*next(batches))
    cpu, clock = read_cpu_s(), time.perf_counter()
    for _ in range(STEPS):
        model.train_on_batch(*next(batches))
    return {"clock_s": (time.perf_counter() - clock) / STEPS, "cpu_s": (read_cpu_s() - cpu) / STEPS}


def take_from(pool):
    return tf.data.Dataset.from_tensor_slices(pool).repeat()


def draw_as_it_goes():
    def draw(seed):
        scene = tf.numpy_function(lambda seed: draw_scene(seed, SIZE), [seed], tf.float32)
        return tf.ensure_shape(scene, (SIZE[1], SIZE[0], 3))

    return tf.data.Dataset.range(10**6).map(draw, num_parallel_calls=2)


def draw_by(executor):
    """Scenes that a worker draws, eight ahead; joblib's generator would run ahead without end."""

    def draw():
        waiting = collections.deque(executor.submit(draw_scene, seed, SIZE) for seed in range(8))
        for seed in itertools.count(8):
            waiting.append(executor.submit(draw_scene, seed, SIZE))
            yield waiting.popleft().result()

    return tf.data.Dataset.from_generator(draw, output_signature=tf.TensorSpec((SIZE[1], SIZE[0], 3), tf.float32))


def darken(scene):
    return scene * (255 / 300), scene * 255


def read_cpu_s():
    process = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


def write(table, name):
    with paths.write_whole(paths.RESULTS / "benchmarks" / f"{name}.csv") as path:
        table.round(4).to_csv(path, index=False)
    print("\n" + table.to_string())
