import numpy as np
import pytest

from sidlib import camera, paths, sample
from sidlib.sample import dng

SENSOR_PX = (4240, 2832)  # width, height: as the real files


def keep_table(table, name, decimals):
    """Write a table, with its index, to results/benchmarks/<name>.csv and print it."""
    table = table.round(decimals)
    with paths.write_atomically(paths.ROOT / "results" / "benchmarks" / f"{name}.csv") as path:
        table.to_csv(path)
    print("\n" + table.to_string())


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """A file of the real size, written like the sample's."""
    folder = tmp_path_factory.mktemp("bench") / "short"
    folder.mkdir()
    scene = sample.plan_scenes(sample.PHOTOGRAPHS)[0]
    photograph = sample.load_photograph("motorcycle")
    signal = sample.expose_mosaic(photograph, (0, 0, 740, 494), scene.white_balance, SENSOR_PX)
    counts = camera.expose(signal, 1, scene.iso, np.random.default_rng(0))
    dng.write_dng(folder / "0.dng", counts, 10, scene)
    return folder / "0.dng"
