from dataclasses import replace

import numpy as np
import pytest

from sidlib.camera import encode_srgb
from sidlib.full_size import stream
from sidlib.full_size.experiment import FULL_SIZE


@pytest.fixture(autouse=True)
def small_pools(monkeypatch):
    monkeypatch.setattr(stream, "POOLS", {"train": 2, "val": 1})


def read(numbers, split="train", **options):
    batches = stream.make_stream(replace(FULL_SIZE, batch_size=2, **options), numbers, split)
    return [(packed.numpy(), rendering.numpy(), truth.numpy()) for (packed, rendering), truth in batches]


def test_a_patch_depends_on_the_seed_the_split_and_its_number_alone():
    whole = read(range(6))
    shapes = [(2, 64, 64, 4), (2, 13), (2, 128, 128, 3)]
    assert [part.shape for part in whole[0]] == shapes and len(whole) == 3
    for found, expected in zip(read(range(4, 6))[0], whole[2], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len({picture.tobytes() for _, _, truths in whole for picture in truths}) == 6
    for other in (read(range(2), seed=1), read(range(2), "val")):
        assert not np.array_equal(other[0][2], whole[0][2])


def test_a_split_draws_its_own_scenes_and_no_more_than_it_needs(monkeypatch):
    drawn = []
    draw = stream.draw_pool
    monkeypatch.setattr(stream, "draw_pool", lambda *options: drawn.append(options[-1]) or draw(*options))
    assert read(range(0)) == [] and drawn == []  # of a training that has ended
    read(range(2), "val")
    read(range(2))
    assert drawn == [1, 2]
    train, val = stream.load_scenes("train"), stream.load_scenes("val")
    assert len(train) == 4 and len(val) == 1
    assert not any(np.array_equal(scene, val[0]) for scene in train)


def test_noise_is_as_strong_as_it_is_stated_and_the_truth_lies_in_its_middle():
    # The mean of an even picture's stabilised counts, unbiased again and rendered, is the truth.
    light = np.tile(np.float32([0.5, 0.2, 0.3]), (128, 128, 1))
    deviations, errors = [], []
    for number in range(40):
        rng = np.random.default_rng(number)
        packed, rendering, truth = stream.expose(light, *stream.draw_colours(rng), rng)
        assert packed.dtype == rendering.dtype == truth.dtype == np.float32
        deviations.append(packed.std(axis=(0, 1)).mean())
        sigma, means = rendering[0], packed.mean(axis=(0, 1))[[0, 1, 3]]
        electrons = means * (means / 4 + sigma) + 0.25  # of the root, whose variance is 1/4 of 2 √e's
        linear = rendering[4:].reshape(3, 3) @ (np.maximum(electrons, 0) * rendering[1:4])
        errors.append(np.abs(255 * encode_srgb(linear) - truth[0, 0]).mean() if means.min() > 6 else np.nan)
    assert np.median(deviations) == pytest.approx(1, abs=0.07)
    assert np.ptp(np.percentile(deviations, (10, 90))) < 0.3
    assert np.nanmedian(errors) < 6 and np.isfinite(errors).sum() > 10


def test_exposures_reach_from_dark_to_bright_and_grey_stays_grey():
    rng = np.random.default_rng(0)
    grey, levels = np.full((8, 8, 3), 0.4, np.float32), []
    for _ in range(200):
        white_balance, ccm = stream.draw_colours(rng)
        packed, _, truth = stream.expose(grey, white_balance, ccm, rng)
        assert np.ptp(truth) < 0.1 and white_balance.min() == 1
        levels.append(packed.mean())
    assert min(levels) < 1 and max(levels) > 40
