from dataclasses import replace

import numpy as np
import pytest

from sidlib import training
from sidlib.beyond import stream
from sidlib.beyond.experiments import OpenExperiment

EXPERIMENT = OpenExperiment(
    "cnn",
    "relu",
    "mae",
    augment=True,
    label="streamed",
    epochs=2,
    batch_size=2,
    source="amplified16",
    updates=2,
)


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    monkeypatch.setattr(stream, "POOL", 3)


def read(pairs, updates, **options):
    return [(s.numpy(), t.numpy()) for s, t in stream.make_stream(pairs, replace(EXPERIMENT, **options), updates)]


def test_pictures_are_as_a_model_sees_them_and_their_truths(tiny_pairs):
    batches = read(tiny_pairs, range(10), drawn=0.0, jitter=False)
    assert len(batches) == 10
    shorts, longs = (np.concatenate(pictures) for pictures in zip(*batches, strict=True))
    assert shorts.shape == longs.shape == (20, 86, 128, 3) and shorts.dtype == longs.dtype == np.float32
    assert shorts.min() >= 0 and shorts.max() <= 255
    assert 0.8 < shorts.mean() / longs.mean() < 1.3
    correlations = [np.corrcoef(short.ravel(), long.ravel())[0, 1] for short, long in zip(shorts, longs, strict=True)]
    assert np.median(correlations) > 0.6


def test_no_picture_comes_twice_and_each_is_the_same_for_a_seed(tiny_pairs):
    whole = read(tiny_pairs, range(4))
    assert len({picture.tobytes() for _, longs in whole for picture in longs}) == 8
    later = read(tiny_pairs, range(2, 4))
    for expected, found in zip(whole[2:], later, strict=True):
        np.testing.assert_array_equal(expected, found)
    assert not np.array_equal(whole[0], read(tiny_pairs, range(1), seed=1)[0])


def test_drawn_scenes_are_the_same_for_a_seed_and_others_for_another(tiny_pairs):
    scenes = stream.load_scenes(tiny_pairs)
    pool = stream.draw_pool(scenes, 0)
    np.testing.assert_array_equal(pool, stream.draw_pool(scenes, 0))
    assert pool.shape == (3, 129, 192, 3) and not np.array_equal(pool, stream.draw_pool(scenes, 1))


def test_the_scenes_are_the_long_exposures_or_the_photographs_of_the_sample(tiny_pairs):
    train = tiny_pairs[tiny_pairs.split == "train"]
    assert [scene.shape for scene in stream.load_scenes(train)] == [(22, 32, 3)] * 2
    of_sample = stream.load_scenes(train.assign(dataset="sample"))  # scenes 00001 and 00002
    assert len(of_sample) == 2 and min(scene.shape[1] for scene in of_sample) > 400


def test_jitter_changes_brightness_and_colours_within_bounds():
    rng = np.random.default_rng(0)
    means = np.array([stream.jitter(np.full((2, 2, 3), 0.3, np.float32), rng).mean((0, 1)) for _ in range(300)])
    assert means.min() >= 0.3 * 0.5 * 0.8 and means.max() <= 0.3 * 1.3 * 1.25
    assert 0.4 < np.mean(np.ptp(means, axis=1) > 1e-6) < 0.6


def test_a_training_on_endless_pairs_goes_on_where_it_stood(tiny_pairs, tmp_path):
    def interrupt(history):
        raise KeyboardInterrupt

    _, expected = training.train(EXPERIMENT, tiny_pairs, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        training.train(EXPERIMENT, tiny_pairs, tmp_path / "resumed", on_epoch=interrupt)
    _, history = training.train(EXPERIMENT, tiny_pairs, tmp_path / "resumed")
    assert len(history) == 2
    np.testing.assert_allclose(history[["loss", "val_loss"]], expected[["loss", "val_loss"]], rtol=1e-3)
