"""The notebooks with a data set of cameras that nobody has calibrated: X-Trans, Bayer and monochrome."""

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from sidlib import paths
from tests.test_cameras import XTRANS, lay, write_raw


def write_pairs(folder):
    """Write one pair per split, each of another camera without calibration, upright and not."""
    scene = np.clip(np.random.default_rng(0).random((520, 600, 3)), 0.2, 0.8)  # LibRaw wants as much of X-Trans
    for digit, orientation, pattern in zip("012", (1, 6, 8), (XTRANS, "RGGB", "W"), strict=True):
        seen = scene if pattern == XTRANS else scene[:214, :320]
        for part, light, exposure in (("short", 0.01, (1, 10)), ("long", 1, (10, 1))):
            file = folder / part / f"{digit}0001_00_{exposure[0] / exposure[1]:g}s.dng"
            file.parent.mkdir(parents=True, exist_ok=True)
            tags = [("Orientation", "H", 1, orientation), ("ExposureTime", "2I", 1, exposure), ("Make", "s", 0, "Own")]
            write_raw(file, lay(light * seen, pattern), pattern, tags=tags)
    return folder


@pytest.mark.notebooks
def test_cameras_without_calibration_go_through_the_course_and_beyond(tmp_path, monkeypatch):
    whole = nbformat.v4.new_notebook()
    for notebook in sorted((paths.ROOT / "notebooks").glob("0[12456]*.ipynb")):  # 03 reads no data
        whole.cells.extend(nbformat.read(notebook, as_version=4).cells)
    monkeypatch.setenv("SID_DATASET", str(write_pairs(tmp_path / "my cameras")))
    monkeypatch.setenv("SID_FAST", "1")
    monkeypatch.delenv("MPLBACKEND")
    place = {"metadata": {"path": str(paths.ROOT / "notebooks")}}
    NotebookClient(whole, kernel_name="python3", resources=place).execute()
