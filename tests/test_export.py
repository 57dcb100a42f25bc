import re

import numpy as np
import onnxruntime
import pytest

from sidlib import export, paths, sources
from sidlib.backend import keras
from sidlib.beyond import models
from sidlib.full_size import network
from sidlib.models import ClipPixels
from sidlib.raw import Signal


@pytest.fixture(scope="module")
def model():
    """A tiny network of the best model's kind."""
    keras.utils.set_random_seed(0)
    seen = keras.Input((None, None, 3), name="signed")
    return keras.Model(seen, ClipPixels()(models.build_rcan(seen, "leaky_relu", filters=8, blocks=1)))


def run(file, values):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


@pytest.mark.parametrize("kind", ["best", "full-size"])
def test_a_file_does_as_keras_does_on_pictures_of_any_size(kind, model, tmp_path):
    model = model if kind == "best" else network.build_residual_unet((4, 8))
    export.export_network(model, export.SHAPES[kind], tmp_path / "a.onnx")
    for shape in ((1, 8, 8), (1, 32, 24)) if kind == "full-size" else ((1, 8, 8), (1, 33, 20), (3, 13, 17)):
        values = np.random.default_rng(1).uniform(-255, 255, (*shape, export.SHAPES[kind][-1])).astype("float32")
        np.testing.assert_allclose(run(tmp_path / "a.onnx", values), model(values), atol=1e-3)


def test_a_file_that_would_differ_is_refused_and_an_older_one_goes(tmp_path):
    class HalfWhereItsSizeIsKnown(keras.layers.Layer):
        def call(self, pictures):
            return pictures if pictures.shape[1] is None else pictures / 2

    picture, file = keras.Input((None, None, 3)), tmp_path / "other.onnx"
    file.write_text("of before")
    with pytest.raises(ValueError, match=r"other.onnx would differ from Keras by \d"):
        export.export_network(keras.Model(picture, HalfWhereItsSizeIsKnown()(picture)), (1, 9, 11, 3), file)
    assert not list(tmp_path.iterdir())


def test_a_folders_own_networks_are_exported_and_named_or_else_the_samples(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(export, "export_network", lambda model, shape, file: None)
    monkeypatch.setattr(keras.saving, "load_model", lambda file, compile: file)
    files = export.export_networks(tmp_path)
    assert files == [tmp_path / "export" / f"{name}.onnx" for name in export.SHAPES]
    assert "best is exported from" in caplog.text and str(tmp_path) not in caplog.text
    for file in ("study_scores.csv", "best.keras", "full-size-tuned.keras"):
        (tmp_path / file).touch()
    assert export.export_networks(tmp_path) == files
    assert f"best is exported from {tmp_path / 'best.keras'}" in caplog.text
    assert f"full-size is exported from {tmp_path / 'full-size-tuned.keras'}" in caplog.text


def test_the_readmes_example_runs_and_shows_the_network_what_it_was_trained_on(model, tmp_path, monkeypatch):
    page = paths.ROOT / "sidlib" / "beyond" / "README.md"
    [example] = re.findall(r"```python\n(.*?best\.onnx.*?)```", page.read_text("utf-8"), re.S)
    linear = np.random.default_rng(2).uniform(-0.1, 1.2, (9, 12, 3)).astype("float32")
    np.save(tmp_path / "amplified.npy", linear)
    export.export_network(model, export.SHAPES["best"], tmp_path / "best.onnx")
    monkeypatch.chdir(tmp_path)
    exec(example, known := {})
    signal = Signal(linear, np.ones(3), np.eye(3))
    np.testing.assert_allclose(known["seen"], sources.SOURCES["signed"](signal, 1, 100), atol=1e-3)
    np.testing.assert_allclose(known["picture"], model(known["seen"][np.newaxis]), atol=1e-3)
