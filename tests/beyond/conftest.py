from types import SimpleNamespace

import joblib
import numpy as np
import pytest

from sidlib import camera, catalog, preprocess
from sidlib.beyond import stream
from sidlib.sample import dng
from sidlib.sample.photographs import decode_linear, load_photograph

NIKON = np.reshape((10405, -3755, -1270, -5461, 13787, 1793, -1040, 2015, 6785), (3, 3))  # D850, LibRaw's table


@pytest.fixture(autouse=True, scope="module")
def small_work():
    """Few drawn scenes, and all work in this process: others would take longer to start."""
    with pytest.MonkeyPatch.context() as patch, joblib.parallel_config("sequential"):
        patch.setattr(stream, "POOL", 3)
        yield


@pytest.fixture(scope="session")
def own_pairs(tmp_path_factory):
    """A pair per split of another Bayer camera, whose files state no ISO."""
    folder, rng = tmp_path_factory.mktemp("data") / "own", np.random.default_rng(0)
    scene = SimpleNamespace(iso=0, f_number=4.0, white_balance=(1.7, 1.0, 1.9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(camera, "XYZ_TO_CAMERA", NIKON)
        patch.setattr(camera, "PATTERN", "GBRG")
        patch.setattr(camera, "MAKE_TAG", "NIKON CORPORATION")
        patch.setattr(camera, "MODEL_TAG", "NIKON D850")
        for digit, photograph in enumerate(["coffee", "china", "grace_hopper"]):
            linear = decode_linear(load_photograph(photograph).resize((320, 214)))
            camera_rgb = camera.unprocess(linear, scene.white_balance, camera.compute_ccm(NIKON))
            for kind, exposure_s in (("short", 0.1), ("long", 10)):
                electrons = 80 * exposure_s * camera.mosaic(camera_rgb, "GBRG")
                counts = np.rint(camera.BLACK + camera.add_noise(electrons, 5.0, 15.0, rng)).clip(0, camera.WHITE)
                file = folder / kind / f"{digit}0001_00_{exposure_s:g}s.dng"
                file.parent.mkdir(parents=True, exist_ok=True)
                dng.write_dng(file, counts.astype(np.uint16), exposure_s, scene)
    return preprocess.develop_pairs(catalog.load_pairs(folder))
