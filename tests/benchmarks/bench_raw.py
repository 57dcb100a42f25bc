"""Developing one 4240 × 2832 file four ways, side by side in one run.

`make bench` writes the table to results/benchmarks/develop.csv.
"""

import pandas as pd
import pytest
import rawpy
from PIL import Image

from sidlib import raw
from tests.benchmarks.conftest import keep_table, measure_process

SMALL_PX = (424, 284)


def develop_usually(path, **options):
    with rawpy.imread(str(path)) as file:
        return Image.fromarray(file.postprocess(**options)).resize(SMALL_PX, Image.Resampling.BOX)


def unpack(path):
    with rawpy.imread(str(path)) as file:
        file.unpack()


WAYS = {
    "a: rawpy's default development, then resized": develop_usually,
    "b: LibRaw at half size, then resized": lambda path: develop_usually(path, half_size=True),
    "c: raw.develop": raw.develop,
    "d: LibRaw's open and unpack alone": unpack,
}
measured = {}


@pytest.mark.parametrize("way", WAYS)
def bench_way(way, captures, benchmark):
    benchmark.pedantic(WAYS[way], (captures / "12.dng",), rounds=3 if way[0] in "ab" else 15, warmup_rounds=1)
    measured[way] = benchmark.stats.stats.min


def bench_ratios():
    seconds = pd.Series(measured, name="seconds")
    table = seconds.to_frame().assign(times_of_develop=seconds / seconds["c: raw.develop"]).rename_axis("way")
    keep_table(table, "develop", 4)
    a, _, c, d = seconds
    assert a / c >= 10
    assert c / d <= 2


def bench_memory_of_a_worker(captures):
    script = "from pathlib import Path; from sidlib.preprocess import develop_file; run = lambda: develop_file(path)\n"
    _, peak_gib = measure_process(script + "path = Path(sys.argv[1])", captures / "12.dng")
    print(f"\n{1024 * peak_gib:.0f} MiB at most")
    assert peak_gib <= 250 / 1024
