import numpy as np

from sidlib import paths
from sidlib.backend import keras
from sidlib.beyond import models
from sidlib.models import source_of


def test_a_picture_of_odd_size_comes_out_like_a_part_of_an_even_one():
    model = models.build_model("rcan", "dark8", unit=True, residual=True)
    for layer in model.layers:
        if layer.name.endswith("_weights"):  # attention sees the whole picture: here it weighs all alike
            layer.set_weights([0 * weights for weights in layer.get_weights()])
    picture = np.random.default_rng(0).uniform(0, 255, (1, 64, 66, 3)).astype("float32")
    whole, part = np.asarray(model(picture)), np.asarray(model(picture[:, :63, :65]))
    assert np.abs(whole - picture).max() > 1
    np.testing.assert_allclose(part[:, :32, :32], whole[:, :32, :32], atol=1e-3)


def test_a_linear_model_is_clipped_at_use_only():
    values = np.array([-5.0, 300.0], "float32")
    np.testing.assert_array_equal(models.ClipAtUse()(values), [0, 255])
    np.testing.assert_array_equal(models.ClipAtUse()(values, training=True), values)


def test_a_residual_model_without_weights_is_the_identity():
    model = models.build_model("rcan", "dark8", unit=True, linear=True, residual=True)
    model.set_weights([0 * weights for weights in model.get_weights()])
    picture = np.random.default_rng(0).uniform(0, 255, (1, 11, 14, 3)).astype("float32")
    np.testing.assert_array_equal(model(picture), picture)


def test_an_untrained_pixel_shuffle_has_no_checkerboard():
    squares = keras.layers.Conv2D(16, 3, padding="same", kernel_initializer=models.ICNR(2))
    features = np.full((1, 6, 8, 3), 0.7, "float32")
    flat = np.asarray(keras.ops.depth_to_space(squares(features), 2))[0, 2:-2, 2:-2]  # borders see zeros
    assert np.ptp(flat, axis=(0, 1)).max() < 1e-5 < np.abs(flat).max()


def test_the_committed_model_is_the_one_that_the_code_builds_and_gives_pictures_of_the_inputs_size_and_range():
    kept = keras.saving.load_model(paths.REFERENCE / "best.keras", safe_mode=True)
    built = models.build_model("rcan", "signed", unit=True, linear=True, residual=True)
    built.set_weights(kept.get_weights())
    for size in ((8, 8), (43, 65)):
        picture = np.random.default_rng(0).uniform(-50, 300, (1, *size, 3)).astype("float32")
        output = np.asarray(kept(picture))
        assert output.shape == picture.shape and output.min() >= 0 and output.max() <= 255
        np.testing.assert_allclose(built(picture), output, atol=1e-3)
    assert source_of(kept) == "signed" and getattr(kept, "optimizer", None) is None
