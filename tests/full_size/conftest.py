import pytest

from sidlib import catalog, sample


@pytest.fixture(scope="module")
def photograph_scenes(tmp_path_factory):
    """A function that photographs scenes of the sharp data set, given their numbers, and returns their pairs."""

    def photograph(*numbers):
        folder = tmp_path_factory.mktemp("data") / "sharp"
        for scene in sample.plan_sharp():
            if scene.number in numbers:
                sample.photograph_scene(scene, folder)
        return catalog.load_pairs(folder)

    return photograph
