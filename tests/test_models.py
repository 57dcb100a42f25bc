import numpy as np
import pytest

from sidlib import models
from sidlib.backend import keras, tf

DARK = np.random.default_rng(0).uniform(0, 10, (1, 13, 17, 3)).astype("float32")


@pytest.mark.parametrize("name", models.MODELS)
def test_a_saved_model_is_loaded_in_safe_mode_with_its_source_and_gives_the_same_size_and_range(name, tmp_path):
    model = models.build_model(name, "leaky_relu")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for size in ((8, 8), (9, 11)):
        picture = np.full((2, *size, 3), 200, "float32")
        output = np.asarray(model(picture))
        assert output.shape == picture.shape and output.min() >= 0 and output.max() <= 255
        np.testing.assert_array_equal(loaded(picture), output)
    assert models.source_of(model) == models.source_of(loaded) == "dark8"


@pytest.mark.parametrize("name", models.MODELS)
def test_first_weights_are_those_of_the_seed_whatever_others_draw(name):
    keras.utils.set_random_seed(3)
    expected = models.build_model(name, "relu")
    drawn = models.draw_weights(models.build_model(name, "relu"), 3)  # Python's generator has gone on
    for weights, of_seed in zip(drawn.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, of_seed)


def test_the_cnn_doubles_its_filters_and_keeps_the_size_and_the_dense_one_joins_the_picture_and_all_levels():
    table = models.describe_layers(models.build_model("cnn", "relu"), 10, 12)
    assert table.index[0] == "dark8" and table.channels.tolist() == [3, 32, 64, 128, 3, 3]
    assert (table.height == 10).all() and (table.width == 12).all()
    assert table.parameters.sum() == sum(9 * i * o + o for i, o in ((3, 32), (32, 64), (64, 128), (128, 3)))
    table = models.describe_layers(models.build_model("dense_cnn", "relu"), 10, 12)
    assert table.channels[[f"level{level}_join" for level in (1, 2, 3)]].tolist() == [35, 99, 227]


def test_the_unet_quadruples_its_filters_over_three_levels_and_returns():
    table = models.describe_layers(models.build_model("unet", "relu"), 86, 128)
    assert table.channels[[f"encoder{level}_conv" for level in (1, 2, 3)]].tolist() == [16, 64, 256]
    assert table.channels[[f"decoder{level}_conv" for level in (3, 2, 1)]].tolist() == [256, 64, 16]
    deepest = ["encoder3_conv", "encoder3_pool", "decoder3_up", "decoder3_resize"]
    assert table.height[deepest].tolist() == [21, 10, 20, 21]


def test_a_resize_to_the_same_size_changes_nothing_and_an_odd_one_adds_neighbours():
    features = np.arange(8, dtype="float32").reshape(1, 2, 4, 1)
    resize = models.ResizeLike()
    np.testing.assert_array_equal(resize(features, np.zeros((1, 2, 4, 9))), features)
    wider = np.asarray(resize(features, np.zeros((1, 3, 5, 9))))[0, :, :, 0]
    assert wider.shape == (3, 5)
    assert set(wider.ravel()) == set(range(8))
    assert (np.diff(wider, axis=0) >= 0).all() and (np.diff(wider, axis=1) >= 0).all()


def differentiate(function, values):
    """Return the gradient of the sum of what a function makes of an array."""
    values = tf.Variable(values)
    with tf.GradientTape() as tape:
        result = function(values)
    return tape.gradient(result, values).numpy()


def test_the_clip_does_the_decks_example_and_has_no_gradient_where_it_clips():
    values = np.array([-1, 2, 256, np.inf, -1000, 1e38, 99.5, -np.inf], "float32")
    np.testing.assert_array_equal(models.ClipPixels()(values), [0, 2, 255, 255, 0, 255, 99.5, 0])
    np.testing.assert_array_equal(differentiate(models.ClipPixels(), values), [0, 1, 0, 0, 0, 0, 1, 0])


def test_leaky_relu_lets_a_fifth_of_what_is_negative_through():
    model = models.build_model("unet", "leaky_relu")
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    for layer in convolutions[:-1]:
        np.testing.assert_allclose(layer.activation(np.array([-1, 1], "float32")), [-0.2, 1])
    assert convolutions[-1].activation is keras.activations.linear


def test_unknown_models_activations_and_sources_are_refused():
    with pytest.raises(ValueError, match="cnn, dense_cnn, unet. Received: 'gan'"):
        models.build_model("gan", "relu")
    with pytest.raises(ValueError, match="Received: 'swish'"):
        models.build_model("cnn", "swish")
    picture = keras.Input((None, None, 3), name="bright8")
    with pytest.raises(ValueError, match="input layer.*dark8.*Received: 'bright8'"):
        models.source_of(keras.Model(picture, keras.layers.ReLU()(picture)))
    assert models.source_of(abs) == "dark8"


def test_in_float16_a_model_still_gives_exact_values():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = models.build_model("cnn", "relu")
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.layers[1].compute_dtype == "float16" and model(DARK).dtype == "float32"
    assert models.ClipPixels.from_config(model.layers[-1].get_config()).compute_dtype == "float32"
