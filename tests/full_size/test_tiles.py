import numpy as np

from sidlib import camera
from sidlib.full_size import tiles
from sidlib.full_size.noise import Noise


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
