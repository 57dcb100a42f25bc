"""Restoring captures of 12, 24 and 61 megapixels: the network, the paper's, a burst, and LibRaw's as the floor.

Time and peak memory are those of a process each; `make bench` writes them to results/benchmarks/full_size.csv. The
paper's network runs on the smallest capture only, in the same tiles with wider margins, and so do eight frames.
"""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sidlib import camera
from sidlib.sample import PHOTOGRAPHS, dng, expose_mosaic, load_photograph, plan_scenes
from tests.benchmarks.conftest import keep_table

SIZES_PX = {12: (4240, 2832), 24: (6000, 4000), 61: (9504, 6336)}  # width, height by megapixels
SET_UP = """
import sys, time
from sidlib.backend import keras
from sidlib.full_size import burst, network, restore
from sidlib.rawfile import open_raw
def develop():
    with open_raw(path) as (raw, _):
        raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=16)
def save_restored(model, paths=None):
    restoration = burst.restore_burst(paths, model) if paths else restore.restore_capture(path, model)
    for _ in restoration.render_strips(8):
        pass
path = sys.argv[1]
"""
WAYS = {
    "LibRaw": "run = develop",
    "full size": "model = restore.load_network(); run = lambda: save_restored(model)",
    "burst of 8": "model = restore.load_network(); run = lambda: save_restored(model, sys.argv[1:])",
    "the paper's U-Net": "model = network.build_paper_unet(); run = lambda: save_restored(model)",
}
MEASURE = """
began = time.perf_counter(); run(); seconds = time.perf_counter() - began
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss is the parent's, too
print(seconds, int(peak.split()[1]) / 2**20)
"""
rows = []


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    folder, scene = tmp_path_factory.mktemp("bench"), plan_scenes(PHOTOGRAPHS)[0]
    rng = np.random.default_rng(0)
    tile = camera.expose(rng.uniform(0, 8000, (472, 424)).astype(np.float32), 300, 800, rng)
    for megapixels, (width, height) in SIZES_PX.items():
        counts = np.tile(tile, (-(-height // 472), -(-width // 424)))[:height, :width]
        dng.write_dng(folder / f"{megapixels}.dng", np.ascontiguousarray(counts), 0.033, scene)
    light = expose_mosaic(load_photograph("china"), None, scene.white_balance, (640, 426))
    light = np.tile(light, (7, 7))[:2832, :4240]
    for number in range(8):  # hand-held
        shifted = np.roll(light, (4 * number, -6 * number), axis=(0, 1))
        dng.write_dng(folder / f"burst{number}.dng", camera.expose(shifted, 300, 800, rng), 0.033, scene)
    return folder


@pytest.mark.parametrize("megapixels", SIZES_PX)
@pytest.mark.parametrize("way", WAYS)
def bench_way(way, megapixels, captures):
    if way in ("the paper's U-Net", "burst of 8") and megapixels > 12:
        pytest.skip("minutes")
    files = captures.glob("burst*.dng") if way == "burst of 8" else [captures / f"{megapixels}.dng"]
    command = [sys.executable, "-c", SET_UP + WAYS[way] + MEASURE, *files]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, peak_gib = map(float, output.split()[-2:])
    rows.append({"way": way, "megapixels": megapixels, "seconds": seconds, "peak_gib": peak_gib})


def bench_ratios():
    table = pd.DataFrame(rows)
    ours = table[table.way == "full size"].set_index("megapixels").seconds
    table = table.assign(times_of_full_size=table.seconds / table.megapixels.map(ours)).set_index(["way", "megapixels"])
    keep_table(table, "full_size", 3)
    assert table.peak_gib["burst of 8", 12] < 1.5 * table.peak_gib["full size", 12]
    assert table.peak_gib["full size"].max() < 1.6
