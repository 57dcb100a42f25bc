"""A results folder for the tests alone, and a tiny data set that the package itself makes once per session."""

import atexit
import os
import shutil
import sys
import tempfile

os.environ["SID_RESULTS"] = tempfile.mkdtemp(prefix="sid-results-")  # other processes and kernels inherit it
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two processes of tests share the cores
os.environ.pop("SID_SCHEDULER", None)  # the tests start their own

import joblib
import pytest

from sidlib import catalog, paths, preprocess, sample  # without TensorFlow, which would start once more

sys.modules["rfc3987_syntax"] = None  # a grammar of web addresses, which no notebook needs: it takes a second to build
atexit.register(shutil.rmtree, paths.RESULTS, ignore_errors=True)
SENSOR_PX = (320, 214)  # width, height: 32 × 22 pixels when developed
SPLITS = {"chelsea": "train", "coffee": "train", "grace_hopper": "val", "china": "test", "flower": "test"}


def pytest_collection_modifyitems(items):
    """Begin with the slowest files, so that two processes end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("notebooks") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: (item.path not in slow, item.path.stem not in ("test_training", "test_workers")))


@pytest.fixture(autouse=True, scope="session")
def in_this_process():
    """All work of joblib's is done in this process: others would take longer to start."""
    with joblib.parallel_config("sequential"):
        yield


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """Two train scenes of three shorts, one val scene, two test scenes, all of a tiny sensor."""
    data = tmp_path_factory.mktemp("data")
    for table in ("sid_sony.csv", "sony_a7s2_noise.csv"):
        shutil.copy(paths.DATA / table, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "DATA", data)
        patch.setattr(sample, "PHOTOGRAPHS", SPLITS)
        patch.setattr(sample, "SENSOR_PX", dict.fromkeys(sample.SENSOR_PX, SENSOR_PX))
        patch.setattr(sample, "SCENES", {"train": 2, "val": 1, "test": 2})
        patch.setattr(sample, "DRAWN", dict.fromkeys(sample.DRAWN, 0))
        patch.setattr(sample, "FRAMES", {"train": 3, "val": 2, "test": 2})
        return sample.build_sample(name="tiny")


@pytest.fixture(scope="session")
def tiny_pairs(tiny_folder):
    """The developed pairs of the tiny data set: 6 train, 2 val, 4 test."""
    return preprocess.develop_pairs(catalog.load_pairs(tiny_folder))


@pytest.fixture(scope="session")
def train(tiny_pairs):
    """Its pairs of split train."""
    return tiny_pairs[tiny_pairs.split == "train"]


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny data set, not developed, to damage."""
    return shutil.copytree(tiny_folder, tmp_path / "copy", ignore=shutil.ignore_patterns("png", "signal"))


@pytest.fixture
def eager():
    """TensorFlow traces no functions: that would take longer than a few steps of a tiny network."""
    from sidlib.backend import tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
