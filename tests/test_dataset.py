import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sidlib import camera, dataset, preprocess, raw
from sidlib.sources import SOURCES


def list_shorts(batches):
    return [picture.numpy().tobytes() for short, _ in batches for picture in short]


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


@pytest.fixture
def ramp(tmp_path):
    """A picture of pixels that are all different, and a pair of it with itself."""
    picture, file = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3), tmp_path / "picture.png"
    Image.fromarray(picture).save(file)
    return picture, pd.DataFrame([{"short_png": file, "long_png": file}])


def test_flips_are_equally_likely_and_hit_both_pictures_alike(ramp):
    (picture, pair), versions = ramp, Counter()
    for short, long in dataset.make_dataset(pair, augment=True, epochs=range(800)):
        np.testing.assert_array_equal(short, long)
        versions[short.numpy().tobytes()] += 1
    expected = [picture, picture[:, ::-1], picture[::-1], picture[::-1, ::-1]]
    assert set(versions) == {version.astype(np.float32).tobytes() for version in expected}
    assert min(versions.values()) > 150  # 200 expected; 150 is four standard deviations away


def test_an_epoch_has_each_picture_in_another_order_and_is_the_same_without_the_ones_before(train):
    options = {"batch_size": 4, "augment": True, "shuffle": True, "seed": 3}
    whole = list_shorts(dataset.make_dataset(train, **options, epochs=range(4)))
    assert list_shorts(dataset.make_dataset(train, **options, epochs=range(2, 4))) == whole[2 * len(train) :]
    assert list_shorts(dataset.make_dataset(train, **(options | {"seed": 4}), epochs=range(4))) != whole
    plain = list_shorts(dataset.make_dataset(train, shuffle=True, epochs=range(3)))
    first, second, third = (plain[start : start + len(train)] for start in range(0, len(plain), len(train)))
    assert Counter(first) == Counter(second) == Counter(third) and (first != second or second != third)


def test_crops_are_of_one_place_in_both_pictures_and_of_every_place(ramp):
    (picture, pair), places = ramp, Counter()
    for short, long in dataset.make_dataset(pair, crop_px=(5, 3), updates=40, epochs=range(2)):
        np.testing.assert_array_equal(short, long)
        assert short.shape == (10, 3, 5, 3)
        places.update(tuple(np.argwhere(picture[..., 0] == crop[0, 0, 0])[0].tolist()) for crop in short.numpy())
    assert set(places) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert min(places.values()) > 150  # 200 expected; 150 is four standard deviations away


def test_crops_of_an_epoch_depend_on_the_seed_and_its_number_alone(train):
    options = {"batch_size": 4, "shuffle": True, "source": "signed", "crop_px": (9, 7), "updates": 5}
    whole = list_shorts(dataset.make_dataset(train, **options, epochs=range(4)))
    assert list_shorts(dataset.make_dataset(train, **options, epochs=range(2, 4))) == whole[40:]
    assert len(whole) == 80 and len(set(whole)) > 70  # hardly a crop comes twice
    assert list_shorts(dataset.make_dataset(train, **options, seed=1, epochs=range(4))) != whole


@pytest.mark.parametrize("shuffle", [False, True])
def test_each_pair_is_cropped_equally_often_over_the_epochs(mixed, shuffle):
    options = {"batch_size": 3, "shuffle": shuffle, "crop_px": (6, 6), "updates": 1}  # 3 of 8 pairs per epoch
    batches = list(dataset.make_dataset(mixed, **options, epochs=range(8)))
    assert [short.shape for short, _ in batches] == [(3, 6, 6, 3)] * 8  # pictures of any size share a batch
    seen = Counter(int(crop[0, 0, 0]) for short, _ in batches for crop in short.numpy())
    assert set(seen.values()) == {3} or shuffle


def test_no_pairs_unknown_sources_and_crops_larger_than_a_picture_are_refused(train):
    with pytest.raises(ValueError, match="At least one pair"):
        dataset.make_dataset(train[:0])
    with pytest.raises(ValueError, match="dark8.*Received: 'bright8'"):
        dataset.make_dataset(train, source="bright8")
    with pytest.raises(Exception, match="Need value.shape >= size"):
        next(iter(dataset.make_dataset(train, crop_px=(50, 10), updates=2)))


@pytest.fixture
def mixed(tmp_path):
    """Three lying and five upright pairs of as many pixels, each of one value."""
    rows = []
    for number in range(8):
        size = (6, 9, 3) if number in (1, 4, 5) else (9, 6, 3)
        file = tmp_path / f"{number}.png"
        Image.fromarray(np.full(size, 10 * number, np.uint8)).save(file)
        rows.append({"short_png": file, "long_png": file})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("batch_size", "shuffle"), [(3, True), (10, False)])
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


def test_a_fingerprint_tells_a_change_of_anything_that_a_network_sees(train, tiny_pairs):
    known = dataset.fingerprint_pairs(train)
    assert dataset.fingerprint_pairs(train.copy()) == known
    for column in ("scene", "frame", "ratio", "iso", "short_png", "long_png", "short_signal", "long_signal"):
        changed = train.copy()
        changed.loc[train.index[0], column] = tiny_pairs[column].iloc[-1] if column != "frame" else 99  # of split test
        assert dataset.fingerprint_pairs(changed) != known, column


def test_a_fingerprint_tells_one_changed_value_and_another_order_but_not_another_folder(train, tmp_path):
    known, png = dataset.fingerprint_pairs(train), tmp_path / train.short_png[0].name
    assert dataset.fingerprint_pairs(train[::-1]) != known
    copied = train.assign(short_png=train.short_png.mask(train.index == 0, png))
    shutil.copy(train.short_png[0], png)
    assert dataset.fingerprint_pairs(copied) == known
    pixels = np.asarray(Image.open(png)).copy()
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(png)
    assert dataset.fingerprint_pairs(copied) != known


def test_amplified_sources_are_as_bright_as_the_truth_and_keep_more_levels(train):
    levels = {}
    for source in SOURCES:
        [(short, long)] = dataset.make_dataset(train, batch_size=len(train), source=source).as_numpy_iterator()
        assert short.shape == long.shape and short.max() <= 255
        assert short.min() < 0 if source == "signed" else short.min() >= 0
        levels[source], brightness = len(np.unique(short)), short.mean() / long.mean()
        assert brightness < 0.5 if "dark" in source else 0.8 < brightness < 1.3
    assert max(levels["dark8"], levels["rounded8"]) < levels["amplified8"] <= 256 < levels["amplified16"]


def test_dark_8_bit_pictures_are_the_same_from_png_and_signal(train):
    pair = train.iloc[0]
    seen = SOURCES["dark8"](preprocess.load_signal(pair.short_signal), pair.ratio, pair.iso)
    np.testing.assert_array_equal(seen, dataset.read_picture(str(pair.short_png)))


def test_without_light_signed_noise_has_a_mean_of_black_and_only_what_is_below_black_differs_from_clipped():
    dark = camera.expose_reduced(np.zeros((40, 40, 3), np.float32), 300, 12800, np.random.default_rng(0))
    signal = raw.Signal(dark, np.ones(3), np.eye(3), camera.MODEL)
    signed, clipped = (SOURCES[source](signal, 300, 12800) for source in ("signed", "corrected16"))
    assert abs(signed.mean()) < 0.1 * clipped.mean() and 0.2 < (signed < 0).mean() < 0.8
    np.testing.assert_allclose(np.maximum(signed, 0), clipped, atol=0.01)
