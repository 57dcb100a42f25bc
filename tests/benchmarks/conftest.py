import subprocess
import sys

import numpy as np
import pytest

from sidlib import camera, paths
from sidlib.sample import PHOTOGRAPHS, dng, expose_mosaic, load_photograph, plan_scenes

SIZES_PX = {12: (4240, 2832), 24: (6000, 4000), 61: (9504, 6336)}  # width, height by megapixels
MEASURE = """
began = time.perf_counter(); run(); seconds = time.perf_counter() - began
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss is the parent's, too
print(seconds, int(peak.split()[1]) / 2**20)
"""


def measure_process(script, *arguments):
    """Return the seconds that a script's function `run` takes, and its process's peak of memory in GiB."""
    command = [sys.executable, "-c", "import sys, time\n" + script + MEASURE, *arguments]
    output = subprocess.run(command, cwd=paths.ROOT, check=True, capture_output=True, text=True).stdout
    return map(float, output.split()[-2:])


def keep_table(table, name, decimals):
    """Write a table, with its index, to results/benchmarks/<name>.csv and print it."""
    table = table.round(decimals)
    with paths.write_atomically(paths.ROOT / "results" / "benchmarks" / f"{name}.csv") as path:
        table.to_csv(path)
    print("\n" + table.to_string())


@pytest.fixture(scope="session")
def captures(tmp_path_factory):
    """A folder of files like the sample's: one of each size, and eight of a hand-held burst."""
    folder, scene = tmp_path_factory.mktemp("bench") / "short", plan_scenes(PHOTOGRAPHS)[0]
    folder.mkdir()
    rng = np.random.default_rng(0)
    tile = camera.expose(rng.uniform(0, 8000, (472, 424)).astype(np.float32), 300, 800, rng)
    for megapixels, (width, height) in SIZES_PX.items():
        counts = np.tile(tile, (-(-height // 472), -(-width // 424)))[:height, :width]
        dng.write_dng(folder / f"{megapixels}.dng", np.ascontiguousarray(counts), 0.033, scene)
    light = expose_mosaic(load_photograph("china"), None, scene.white_balance, (640, 426))
    light = np.tile(light, (7, 7))[:2832, :4240]
    for number in range(8):
        shifted = np.roll(light, (4 * number, -6 * number), axis=(0, 1))
        dng.write_dng(folder / f"burst{number}.dng", camera.expose(shifted, 300, 800, rng), 0.033, scene)
    return folder
