import pytest

from sidlib import catalog
from sidlib.sample import sharp


@pytest.fixture(scope="module")
def photograph_scenes(tmp_path_factory):
    """A function that photographs scenes of the sharp data set, given their numbers, and returns their pairs."""

    def photograph(*numbers):
        folder = tmp_path_factory.mktemp("data") / "sharp"
        for scene in sharp.plan_sharp():
            if scene.number in numbers:
                sharp.photograph_sharp(scene, folder)
        return catalog.load_pairs(folder)

    return photograph
