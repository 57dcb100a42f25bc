import numpy as np
import pytest

from sidlib import camera, models
from sidlib.backend import keras, tf
from sidlib.full_size import network, tiles
from sidlib.full_size.noise import Noise


def interpolate(mosaic):
    return keras.ops.depth_to_space(network.Demosaic()(camera.pack(mosaic)[None]), 2).numpy()[0]


def test_the_demosaic_keeps_what_was_measured_and_is_exact_for_slopes():
    y, x = np.indices((16, 20))
    slopes = np.stack([3 * x + y, 50 - x, 2 * y - x + 7], axis=-1)
    found = interpolate(camera.mosaic(slopes).astype(np.float32))
    np.testing.assert_allclose(found[2:-2, 2:-2], slopes[2:-2, 2:-2], atol=1e-4)
    noise = np.random.default_rng(0).normal(size=(16, 20)).astype(np.float32)
    np.testing.assert_allclose(camera.mosaic(interpolate(noise)), noise, atol=1e-6)
    even = np.tile(np.float32([1, 2, 3]), (8, 8, 1))
    np.testing.assert_allclose(interpolate(camera.mosaic(even)), even, atol=1e-5)


@pytest.mark.usefixtures("eager")
def test_each_network_costs_what_it_says_and_keeps_the_size():
    for name, weights in (("residual_unet", 1_597_776), ("paper_unet", 7_760_268)):
        model = network.NETWORKS[name]()
        assert model.name == name and model.count_params() == weights
        assert model.predict_on_batch(np.zeros((1, 16, 32, 4), np.float32)).shape == (1, 32, 64, 3)
    table = models.describe_layers(network.NETWORKS["residual_unet"](), 16, 16)
    assert table.multiply_accumulates.sum() / 32**2 + 9 * 4 * 12 / 4 == 25_644  # the demosaic's are not in the table


@pytest.mark.usefixtures("eager")
def test_the_residual_network_begins_as_the_demosaic_and_does_not_shift():
    model, mosaic = network.build_residual_unet(), np.random.default_rng(0).normal(9, 1, (64, 96)).astype(np.float32)
    first = model.predict_on_batch(camera.pack(mosaic)[None])[0]
    np.testing.assert_allclose(first, interpolate(mosaic), atol=1e-4)
    weights = model.get_layer("square_conv")
    weights.set_weights([np.random.default_rng(0).normal(0, 0.1, weights.kernel.shape), np.zeros(16)])
    whole = model.predict_on_batch(camera.pack(np.tile(mosaic, (4, 4)))[None])[0]
    later = model.predict_on_batch(camera.pack(np.roll(np.tile(mosaic, (4, 4)), (16, 16), (0, 1)))[None])[0]
    inner = (slice(96, 160), slice(168, 216))
    np.testing.assert_allclose(np.roll(whole, (16, 16), (0, 1))[inner], later[inner], atol=0.05 * np.ptp(whole))


def test_every_weight_of_the_residual_network_is_trained():
    model, rng = network.build_residual_unet((4, 8)), np.random.default_rng(0)
    for weights in model.trainable_variables:
        weights.assign(rng.normal(0, 0.3, weights.shape))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(rng.uniform(0, 20, (1, 16, 16, 4)).astype(np.float32))))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(np.isfinite(gradient).all() and np.any(gradient) for gradient in gradients)


def test_the_mean_of_alike_squares_takes_noise_and_leaves_edges():
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(64)[:, None, None] < 29, 2.0, 30.0) * np.ones((64, 64, 4), np.float32)
    packed = (truth + rng.normal(size=truth.shape)).astype(np.float32)
    smooth = packed + network.SmoothAlike()(packed[None]).numpy()[0]
    near = np.s_[27:31]  # the squares beside the edge
    assert (smooth - truth)[near].std() < 0.25 and np.abs((smooth - truth)[near].mean()) < 0.1
    np.testing.assert_allclose(network.SmoothAlike()(truth[None]), 0, atol=1e-5)


def test_of_a_lamp_a_network_sees_no_more_than_the_cap_and_it_is_as_bright_as_before():
    mosaic = np.random.default_rng(0).normal(9, 1, (64, 96)).astype(np.float32)
    mosaic[16:40, 32:64] += 3000
    model, cap = network.build_residual_unet((4, 8)), np.full(4, 50.0, np.float32)
    capped = network.predict_capped(model, camera.pack(mosaic), cap)
    np.testing.assert_allclose(capped[20:36, 36:60], 3009, rtol=1e-3)
    assert capped[20:36, 36:60].std() < 0.3
    np.testing.assert_allclose(capped[:12], interpolate(mosaic)[:12], atol=1e-3)
    np.testing.assert_array_equal(network.find_cap(np.array([10.0, 40, 20]), 2, 3)[[1, 2]].std(), 0)


def test_rendering_is_that_of_a_raw_file_where_nothing_is_clipped_and_has_a_gradient_elsewhere():
    rng = np.random.default_rng(0)
    gain, read, white = 2.0, 3.0, 400.0
    camera_rgb = rng.uniform(0.01, 0.3, (2, 6, 8, 3)).astype(np.float32)
    balance = np.array([2.0, 1.0, 1.5])
    seen = camera.stabilise(camera_rgb * white, gain, read)
    rendering = network.join_rendering(read / gain, balance * gain / white, camera.CCM)
    found = network.Render()(seen, np.tile(rendering, (2, 1))).numpy()
    linear = camera.render(camera_rgb, balance, camera.CCM)
    inside = (linear > 0) & (linear < 1)
    assert inside.mean() > 0.7
    np.testing.assert_allclose(found[inside], 255 * camera.encode_srgb(linear)[inside], atol=0.01)
    rendering = network.join_rendering(1.5, np.ones(3) / 100, np.eye(3))[None]
    for value in (-3.0, 0.0, 40.0):
        pixels = [keras.ops.full((1, 1, 1, 3), value + step) for step in (0, 0.01)]
        dark, bright = (network.Render()(each, rendering).numpy() for each in pixels)
        assert (bright > dark).all() and np.isfinite(bright).all()


def test_the_means_become_those_of_the_sensor_as_far_as_its_black_level_is_known():
    rng, black = np.random.default_rng(0), np.full(4, 512.0)
    calibrated, estimated = (Noise(2.0, 3.0, 0.0, source) for source in ("calibration", "estimate"))
    counts = 512 + rng.normal([6, 3], 3, (256, 128, 2)).reshape(256, 256)
    found = camera.stabilise(np.full((*counts.shape, 3), 0.8 * np.array([6, 4.5, 3])), 2.0, 3.0)
    gains = tiles.match_means(found, counts, black, calibrated)
    np.testing.assert_allclose(gains, 1.25, rtol=0.02)
    doubted = tiles.match_means(found, counts, black, estimated)
    assert (doubted > 1.03).all() and (doubted < gains).all()
    counts[rng.random(counts.shape) < 1e-3] = 16383  # hot pixels
    np.testing.assert_allclose(tiles.match_means(found, counts, black, calibrated), gains, rtol=0.02)
    np.testing.assert_array_equal(tiles.match_means(found, counts, black + 9, calibrated), 0)
    nothing = np.full(counts.shape, 512 + 0.9 * 3 / 2**7.5)  # 0.9 standard errors of the 2¹⁵ pixels of green
    assert (tiles.match_means(found / 100, nothing, black, calibrated) < 0.1).all()


def test_a_checkerboard_is_removed_and_a_picture_kept():
    rng, places = np.random.default_rng(0), np.indices((128, 192))
    slope = np.repeat((places[0] / 40 + places[1] / 60)[..., None], 3, axis=2)  # in the middle 5
    grid = np.tile(rng.uniform(-0.15, 0.15, (2, 2, 3)), (64, 96, 1))
    grid[:, 96:] *= -1  # another elsewhere
    lines = np.zeros_like(slope)
    lines[:, 21], lines[70] = 3, -3

    def clean(picture):
        stable = picture.astype(np.float16)
        tiles.remove_checkerboard(stable)
        return stable.astype(float)

    def find_grid(picture):
        blocks = (picture - slope).reshape(4, 16, 2, 6, 16, 2, 3).mean(axis=(1, 4))
        return np.abs(blocks - blocks.mean(axis=(1, 3), keepdims=True)).max()

    assert find_grid(slope + grid) > 0.1 and find_grid(clean(slope + grid)) < 0.005
    assert np.abs(clean(slope) - slope).max() < 0.005  # float16, and the border
    assert np.abs(clean(slope + lines) - slope - lines).max() < 0.03
    assert abs(clean(slope + grid).mean() - (slope + grid).mean()) < 1e-3


def test_results_come_in_order_and_only_a_few_are_computed_ahead():
    begun = []
    results = tiles.map_ahead(lambda item: begun.append(item) or item, range(100))
    assert next(results) == 0 and len(begun) <= 2 * tiles.THREADS + 1
    assert list(results) == list(range(1, 100))
