"""Restoring captures of 12, 24 and 61 megapixels: the network, the paper's, a burst, and LibRaw's as the floor.

Time and peak memory are those of a process each; `make bench` writes them to results/benchmarks/full_size.csv. The
paper's network runs on the smallest capture only, in the same tiles with wider margins, and so do eight frames.
"""

import pandas as pd
import pytest

from tests.benchmarks.conftest import SIZES_PX, keep_table, measure_process

SET_UP = """
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
rows = []


@pytest.mark.parametrize("megapixels", SIZES_PX)
@pytest.mark.parametrize("way", WAYS)
def bench_way(way, megapixels, captures):
    if way in ("the paper's U-Net", "burst of 8") and megapixels > 12:
        pytest.skip("minutes")
    files = captures.glob("burst*.dng") if way == "burst of 8" else [captures / f"{megapixels}.dng"]
    seconds, peak_gib = measure_process(SET_UP + WAYS[way], *files)
    rows.append({"way": way, "megapixels": megapixels, "seconds": seconds, "peak_gib": peak_gib})


def bench_ratios():
    table = pd.DataFrame(rows)
    ours = table[table.way == "full size"].set_index("megapixels").seconds
    table = table.assign(times_of_full_size=table.seconds / table.megapixels.map(ours)).set_index(["way", "megapixels"])
    keep_table(table, "full_size", 3)
    assert table.peak_gib["burst of 8", 12] < 1.5 * table.peak_gib["full size", 12]
    assert table.peak_gib["full size"].max() < 1.6
