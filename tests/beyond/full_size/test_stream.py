from dataclasses import replace

import numpy as np
import pytest

from sidlib.beyond import stream as small_stream
from sidlib.beyond.full_size import network, stream
from sidlib.beyond.full_size.experiment import FULL_SIZE
from sidlib.raw import encode_srgb

EXPERIMENT = replace(FULL_SIZE, batch_size=2)


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    monkeypatch.setattr(small_stream, "POOL", 2)


def read(numbers, split="train", **options):
    batches = stream.make_stream(replace(EXPERIMENT, **options), numbers, split)
    return [(packed.numpy(), look.numpy(), truth.numpy()) for (packed, look), truth in batches]


def test_a_patch_depends_on_the_seed_the_split_and_its_number_alone():
    whole = read(range(6))
    assert [each[0].shape for each in whole] == [(2, 64, 64, 4)] * 3 and whole[0][2].shape == (2, 128, 128, 3)
    for found, expected in zip(read(range(4, 6))[0], whole[2], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len({picture.tobytes() for _, _, truths in whole for picture in truths}) == 6
    for other in (read(range(2), seed=1), read(range(2), "val")):
        assert not np.array_equal(other[0][2], whole[0][2])


def test_the_splits_show_other_photographs():
    train, val = stream.load_scenes("train"), stream.load_scenes("val")
    assert len(train) == 4 and len(val) == 1
    assert not any(np.array_equal(scene, val[0]) for scene in train)


def test_noise_is_as_strong_as_it_is_told_and_the_truth_lies_in_its_middle():
    # What is rendered of an even picture's stable mean, unbiased again, is the truth.
    light = np.tile(np.float32([0.5, 0.2, 0.3]), (128, 128, 1))
    deviations, errors = [], []
    for number in range(40):
        rng = np.random.default_rng(number)
        packed, look, truth = stream.expose(light, stream.draw_sensor(rng), rng)
        assert packed.dtype == look.dtype == truth.dtype == np.float32
        deviations.append(packed.std(axis=(0, 1)).mean())
        sigma, means = look[0], packed.mean(axis=(0, 1))[[0, 1, 3]]
        electrons = means * (means / 4 + sigma) + 0.25  # of the root, whose variance is 1/4 of 2 √e's
        linear = look[4:].reshape(3, 3) @ (np.maximum(electrons, 0) * look[1:4])
        errors.append(np.abs(255 * encode_srgb(linear) - truth[0, 0]).mean() if means.min() > 6 else np.nan)
    assert np.median(deviations) == pytest.approx(1, abs=0.07)
    assert np.ptp(np.percentile(deviations, (10, 90))) < 0.3
    assert np.nanmedian(errors) < 6 and np.isfinite(errors).sum() > 10


def test_exposures_reach_from_dark_to_bright_and_sensors_keep_grey_grey():
    rng = np.random.default_rng(0)
    grey, levels = np.full((8, 8, 3), 0.4, np.float32), []
    for _ in range(200):
        sensor = stream.draw_sensor(rng)
        packed, _, truth = stream.expose(grey, sensor, rng)
        assert np.ptp(truth) < 0.1 and sensor.white_balance.min() == 1
        levels.append(packed.mean())
    assert min(levels) < 1 and max(levels) > 40


def test_what_is_seen_of_a_sensor_lies_at_its_place():
    picture = np.zeros((4, 4, 3))
    picture[1, 2] = (1, 2, 3)  # on a green pixel of a row of blue ones
    packed = stream.lay_packed(picture)
    assert packed[0, 1].tolist() == [0, 0, 2, 0] and packed.sum() == 2


def test_rows_share_an_offset_and_counts_are_whole():
    rng = np.random.default_rng(1)
    counts = stream.draw_counts(np.zeros((200, 300, 4)), 1.0, 4.0, rng)
    np.testing.assert_array_equal(counts, np.rint(counts))
    rows = counts.mean(axis=1)
    assert np.corrcoef(rows[:, 0], rows[:, 1])[0, 1] > 0.5 > abs(np.corrcoef(rows[:, 1], rows[:, 2])[0, 1])
    assert counts.std() == pytest.approx(4, rel=0.1)


def test_the_first_loss_is_that_of_the_demosaic():
    ((packed, look, truth),) = read(range(4), batch_size=4)
    trainer = network.build_trainer(network.build_residual_unet((4, 8)))
    assert np.median(np.abs(trainer.predict_on_batch([packed, look]) - truth)) < 60
