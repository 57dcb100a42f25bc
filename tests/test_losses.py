from functools import partial
from itertools import product

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from sidlib.backend import keras, tf
from sidlib.losses import LOSSES, ssim_loss

rng = np.random.default_rng(0)
NOISE = rng.uniform(0, 255, (2, 24, 30, 3)).astype("float32")
FLAT = np.full_like(NOISE, 200.3)
PICTURES = {
    "black": np.zeros_like(NOISE),
    "flat": FLAT,
    "nearly flat": FLAT + rng.normal(0, 1e-3, NOISE.shape).astype("float32"),
    "white": np.full_like(NOISE, 255),
    "huge noise": NOISE * 1e30,
    "hugely negative": NOISE * -1e30,
    "noise": NOISE,
}


@pytest.fixture
def compute(differentiate):
    """A function that returns the loss of each picture, and its gradient."""
    return lambda truth, output: (
        np.asarray(ssim_loss(truth, output)),
        differentiate(partial(ssim_loss, truth), output),
    )


def test_value_and_gradient_are_finite_on_any_pictures_and_identical_ones_lose_nothing(compute):
    for truth, output in product(PICTURES, PICTURES):
        loss, gradient = compute(PICTURES[truth], PICTURES[output])
        assert np.isfinite(loss).all() and np.isfinite(gradient).all()
        assert (loss > -1e-3).all() and (loss < 2.001).all()
        assert output != truth or np.abs(loss).max() < 1e-4


def test_it_is_one_minus_the_ssim_of_scikit_image_and_of_tensorflow(compute):
    output = np.clip(NOISE * 0.7 + rng.normal(20, 30, NOISE.shape), 0, 255).astype("float32")
    loss, _ = compute(NOISE, output)
    options = {"channel_axis": -1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [structural_similarity(a, b, data_range=255, **options) for a, b in zip(NOISE, output, strict=True)]
    np.testing.assert_allclose(1 - loss, expected, atol=1e-4)
    np.testing.assert_allclose(1 - loss, tf.image.ssim(NOISE, output, 255), atol=1e-4)


def test_pictures_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match=r"at least 11 × 11.*\(1, 10, 20, 3\)"):
        ssim_loss(np.zeros((1, 10, 20, 3)), np.zeros((1, 10, 20, 3)))


@pytest.mark.parametrize("name", LOSSES)
def test_a_model_compiled_with_a_loss_is_saved_and_loaded_with_it(name, tmp_path):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1)])
    model.compile("adam", LOSSES[name])
    model.fit(NOISE, NOISE, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(NOISE, FLAT, verbose=0) == pytest.approx(model.evaluate(NOISE, FLAT, verbose=0))
