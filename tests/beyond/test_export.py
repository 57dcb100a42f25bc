import re

import numpy as np
import pytest

from sidlib import paths
from sidlib.backend import keras
from sidlib.beyond import export, models, sources, study
from sidlib.models import ClipPixels, Sees
from sidlib.raw import Signal

SHAPES = [(1, 9, 11, 3), (2, 16, 8, 3)]


@pytest.fixture(scope="module")
def model():
    """A tiny network of the best model's kind."""
    keras.utils.set_random_seed(0)
    seen = keras.Input((None, None, 3))
    x = models.build_rcan(Sees("signed")(seen), "leaky_relu", filters=8, blocks=1)
    return keras.Model(seen, ClipPixels()(x))


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    return export.export_network(model, SHAPES, tmp_path_factory.mktemp("exported") / "tiny")


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (1, 33, 20, 3), (3, 13, 17, 3)])
def test_both_files_do_as_keras_does_on_pictures_of_any_size(model, files, shape):
    pictures = np.random.default_rng(1).uniform(-255, 255, shape).astype("float32")
    assert [file.name for file in files] == ["tiny.onnx", "tiny.tflite"]
    for file in files:
        _, run = export.FORMATS[file.suffix]
        [output] = run(file, [pictures])
        np.testing.assert_allclose(output, model(pictures), atol=1e-3)


def test_a_file_that_would_differ_is_refused_and_an_older_one_goes(tmp_path):
    class HalfWhereItsSizeIsKnown(keras.layers.Layer):
        def call(self, pictures):
            return pictures if pictures.shape[1] is None else pictures / 2

    picture = keras.Input((None, None, 3))
    (tmp_path / "other.onnx").write_text("of before")
    with pytest.raises(ValueError, match=r"other.onnx would differ from Keras by \d"):
        export.export_network(keras.Model(picture, HalfWhereItsSizeIsKnown()(picture)), SHAPES, tmp_path / "other")
    assert not list(tmp_path.iterdir())


def test_a_network_is_exported_to_the_results_by_its_name_and_its_file_is_named(model, tmp_path, monkeypatch, caplog):
    model.save(tmp_path / "network.keras")
    monkeypatch.setattr(export, "find_networks", lambda folder: {"best": folder / "network.keras"})
    files = export.export_networks(tmp_path)
    assert files == [tmp_path / "export" / "best.onnx", tmp_path / "export" / "best.tflite"]
    assert all(file.is_file() for file in files)
    assert f"best is exported from {tmp_path / 'network.keras'}" in caplog.text


def test_the_networks_are_the_folders_where_it_has_them(tmp_path):
    assert tmp_path not in {file.parent for file in export.find_networks(tmp_path).values()}
    for file in (*study.FILES, "best.keras", "full-size-tuned.keras"):
        (tmp_path / file).touch()
    found = export.find_networks(tmp_path)
    assert found == {"best": tmp_path / "best.keras", "full-size": tmp_path / "full-size-tuned.keras"}
    assert found.keys() == export.SHAPES.keys()


def test_the_readmes_example_runs_as_it_stands_and_shows_the_network_what_it_was_trained_on(
    model, files, tmp_path, monkeypatch
):
    [example] = re.findall(r"```python\n(.*?best\.onnx.*?)```", (paths.ROOT / "README.md").read_text("utf-8"), re.S)
    linear = np.random.default_rng(2).uniform(-0.1, 1.2, (9, 12, 3)).astype("float32")
    np.save(tmp_path / "amplified.npy", linear)
    (tmp_path / "best.onnx").write_bytes(files[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(example, known := {})
    signal = Signal(linear, np.ones(3), np.eye(3))
    np.testing.assert_allclose(known["seen"], sources.show_signed(signal, 1, 100), atol=1e-3)
    np.testing.assert_allclose(known["picture"], model(known["seen"][np.newaxis]), atol=1e-3)
