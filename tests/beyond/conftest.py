import pytest

from sidlib import catalog, preprocess
from sidlib.beyond import stream
from tests.test_notebooks import write_pairs


@pytest.fixture(autouse=True)
def few_drawn_scenes(monkeypatch):
    monkeypatch.setattr(stream, "POOL", 3)


@pytest.fixture(scope="session")
def own_pairs(tmp_path_factory):
    """A pair per split of cameras without calibration, whose files state no ISO."""
    return preprocess.develop_pairs(catalog.load_pairs(write_pairs(tmp_path_factory.mktemp("data") / "own")))
