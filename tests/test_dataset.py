from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sidlib import dataset, preprocess


def list_shorts(batches):
    return [picture.numpy().tobytes() for short, _ in batches for picture in short]


@pytest.fixture
def train(tiny_pairs):
    return tiny_pairs[tiny_pairs.split == "train"]


def test_the_pictures_are_the_pngs_as_floats(train):
    batches = list(dataset.make_dataset(train, batch_size=4))
    assert [short.shape[0] for short, _ in batches] == [4, 2]
    assert {tensor.dtype.name for batch in batches for tensor in batch} == {"float32"}
    shorts = np.concatenate([short for short, _ in batches])
    longs = np.concatenate([long for _, long in batches])
    np.testing.assert_array_equal(shorts, [np.asarray(Image.open(path)) for path in train.short_png])
    np.testing.assert_array_equal(longs, [np.asarray(Image.open(path)) for path in train.long_png])


def test_a_picture_is_read_only_when_it_is_needed(train, tmp_path):
    last = tmp_path / "gone.png"
    last.write_bytes(train.short_png.iloc[-1].read_bytes())
    batches = iter(dataset.make_dataset(train.assign(short_png=[*train.short_png[:-1], last]), batch_size=5))
    last.unlink()
    next(batches)
    with pytest.raises(Exception, match=r"gone\.png"):
        next(batches)


def test_flips_are_equally_likely_and_hit_both_pictures_alike(train, tmp_path):
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    pair = train[:1].assign(short_png=tmp_path / "picture.png", long_png=tmp_path / "picture.png")
    versions = Counter()
    for short, long in dataset.make_dataset(pair, augment=True, epochs=range(800)):
        np.testing.assert_array_equal(short, long)
        versions[short.numpy().tobytes()] += 1
    expected = [picture, picture[:, ::-1], picture[::-1], picture[::-1, ::-1]]
    assert set(versions) == {version.astype(np.float32).tobytes() for version in expected}
    assert min(versions.values()) > 150  # 200 expected; 150 is four standard deviations away


def test_without_augmentation_nothing_is_flipped(train):
    epochs = list_shorts(dataset.make_dataset(train, epochs=range(5)))
    assert len(set(epochs)) == len(set(epochs[: len(train)]))


def test_each_epoch_has_every_picture_in_another_order(train):
    shorts = list_shorts(dataset.make_dataset(train, shuffle=True, epochs=range(3)))
    epochs = [shorts[start : start + len(train)] for start in range(0, len(shorts), len(train))]
    assert len(epochs) == 3
    assert all(Counter(epoch) == Counter(epochs[0]) for epoch in epochs)
    assert epochs[0] != epochs[1] or epochs[1] != epochs[2]


def test_an_epoch_is_the_same_whether_the_ones_before_were_run_or_not(train):
    options = {"batch_size": 4, "augment": True, "shuffle": True, "seed": 3}
    whole = list_shorts(dataset.make_dataset(train, **options, epochs=range(4)))
    resumed = list_shorts(dataset.make_dataset(train, **options, epochs=range(2, 4)))
    assert whole[2 * len(train) :] == resumed
    other = list_shorts(dataset.make_dataset(train, **(options | {"seed": 4}), epochs=range(4)))
    assert whole != other


def test_the_length_is_known(train):
    assert len(dataset.make_dataset(train, batch_size=4, epochs=range(3))) == 6


def test_no_pairs_are_refused(train):
    with pytest.raises(ValueError, match="At least one pair"):
        dataset.make_dataset(train[:0])


def test_a_source_that_is_not_there_is_refused(train):
    with pytest.raises(ValueError, match="dark8.*Received: 'bright8'"):
        dataset.make_dataset(train, source="bright8")


def test_dark_8_bit_pictures_are_the_same_from_png_and_signal(train):
    pair = train.iloc[0]
    seen = dataset.SOURCES["dark8"](preprocess.load_signal(pair.short_signal), pair.ratio, pair.iso)
    np.testing.assert_array_equal(seen, np.asarray(Image.open(pair.short_png)))


@pytest.fixture
def mixed(train, tmp_path):
    """Five lying and three upright pairs of as many pixels, each of one value."""
    rows = []
    for number in range(8):
        size = (6, 9, 3) if number in (1, 4, 5) else (9, 6, 3)
        file = tmp_path / f"{number}.png"
        Image.fromarray(np.full(size, 10 * number, np.uint8)).save(file)
        rows.append({"short_png": file, "long_png": file})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 10])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_holds_pictures_of_one_size_and_nothing_is_dropped(mixed, batch_size, shuffle):
    options = {"batch_size": batch_size, "shuffle": shuffle, "augment": True, "epochs": range(2)}
    batches = list(dataset.make_dataset(mixed, **options))
    assert len(batches) == len(dataset.make_dataset(mixed, **options)) == 2 * dataset.count_batches(mixed, batch_size)
    for short, long in batches:
        assert short.shape == long.shape and len(short) <= batch_size
        assert all(np.unique(picture).size == 1 for picture in short), "its rows are another picture's"
        assert {int(picture[0, 0, 0]) in (10, 40, 50) for picture in short} == {short.shape[1] == 6}
    values = [int(picture[0, 0, 0]) for short, _ in batches for picture in short]
    assert sorted(values) == sorted(2 * [10 * number for number in range(8)])


def test_pictures_of_a_pair_that_differ_in_size_are_named(mixed):
    mixed.loc[2, "short_png"] = mixed.long_png[1]
    with pytest.raises(ValueError, match=r"\(9, 6\) in .*1\.png and \(6, 9\) in .*2\.png"):
        dataset.make_dataset(mixed)


def test_a_checksum_tells_other_pixels_other_names_and_another_order(mixed, tmp_path):
    known = dataset.checksum(mixed)
    assert dataset.checksum(mixed) == known != dataset.checksum(mixed[::-1])
    pixels = np.asarray(Image.open(mixed.long_png[7])).copy()
    pixels[0, 0, 0] ^= 1  # one value in the first of many pixels, none in the file's length
    Image.fromarray(pixels).save(mixed.long_png[7])
    assert dataset.checksum(mixed) != known
