import numpy as np
import pytest

from sidlib.backend import keras, tf
from sidlib.beyond import models
from sidlib.models import describe_layers, source_of


@pytest.mark.parametrize("size", [(8, 8), (9, 11), (13, 17)])
def test_the_output_has_the_inputs_size_and_range(size, tmp_path):
    model = models.build_model("rcan", "relu", "amplified16", unit=True, linear=True, residual=True)
    picture = np.full((2, *size, 3), 200, "float32")
    output = np.asarray(model(picture))
    assert output.shape == (2, *size, 3)
    assert output.min() >= 0 and output.max() <= 255
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(picture), output)
    assert source_of(loaded) == "amplified16"


def test_a_picture_of_odd_size_comes_out_like_a_part_of_an_even_one():
    model = models.build_model("rcan", "relu", "dark8", unit=True, residual=True)
    for layer in model.layers:
        if layer.name.endswith("_weights"):  # attention sees all of a picture: here it weighs any alike
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
    model = models.build_model("rcan", "relu", "dark8", unit=True, linear=True, residual=True)
    model.set_weights([0 * weights for weights in model.get_weights()])
    picture = np.random.default_rng(0).uniform(0, 255, (1, 11, 14, 3)).astype("float32")
    np.testing.assert_array_equal(model(picture), picture)


def test_an_untrained_model_paints_no_grid():
    features = keras.Input((None, None, 3))
    squares = keras.layers.Conv2D(16, 3, padding="same", kernel_initializer=models.EqualPlaces(2))(features)
    painted = keras.Model(features, models.DepthToSpace(2)(squares, keras.layers.UpSampling2D()(features)))
    flat = np.asarray(painted(np.full((1, 6, 8, 3), 0.7, "float32")))[0, 2:-2, 2:-2]  # borders see zeros
    assert np.ptp(flat, axis=(0, 1)).max() < 1e-5 < np.abs(flat).max()


def test_depth_to_space_is_tensorflows():
    features = np.random.default_rng(0).random((2, 3, 4, 12)).astype("float32")
    expected = tf.nn.depth_to_space(features, 2)
    np.testing.assert_array_equal(models.DepthToSpace(2)(features, np.zeros((2, 6, 8, 3))), expected)
    np.testing.assert_array_equal(models.DepthToSpace(2)(features, np.zeros((2, 5, 7, 3))), expected[:, :5, :7])


def test_the_best_model_costs_no_more_than_the_dense_cnn():
    costs = {
        name: describe_layers(models.build_model(name, "leaky_relu", "dark8"), 86, 128).multiply_accumulates.sum()
        for name in ("dense_cnn", "rcan")
    }
    assert costs["rcan"] < costs["dense_cnn"]
