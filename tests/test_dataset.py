from collections import Counter

import numpy as np
import pytest
from PIL import Image

from sidlib import dataset, models, preprocess


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
    gone = train.assign(short_png=[*train.short_png[:-1], tmp_path / "gone.png"])
    batches = iter(dataset.make_dataset(gone, batch_size=5))
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
    with pytest.raises(ValueError, match="at least one pair"):
        dataset.make_dataset(train[:0])


def test_a_source_that_is_not_there_is_refused(train):
    with pytest.raises(ValueError, match="dark8, .*Received: 'bright8'"):
        dataset.make_dataset(train, source="bright8")


def test_dark_8_bit_pictures_are_the_same_from_png_and_signal(train):
    pair = train.iloc[0]
    seen = dataset.show(preprocess.load_signal(pair.short_signal), dataset.SOURCES["dark8"], pair.ratio, pair.iso)
    np.testing.assert_array_equal(seen, np.asarray(Image.open(pair.short_png)))


def test_amplified_sources_are_as_bright_as_the_truth_and_keep_more_levels(train):
    levels = {}
    for source in dataset.SOURCES:
        ((short, long),) = dataset.make_dataset(train, batch_size=len(train), source=source)
        assert short.shape == long.shape and short.numpy().min() >= 0 and short.numpy().max() <= 255
        levels[source] = len(np.unique(short))
        brightness = short.numpy().mean() / long.numpy().mean()
        assert brightness < 0.5 if "dark" in source else 0.8 < brightness < 1.3
    assert levels["dark8"] < levels["amplified8"] <= 256 < levels["dark16"] < levels["amplified16"]


def test_black_is_corrected_for_the_calibrated_camera_alone(train):
    signal = preprocess.load_signal(train.short_signal[0])
    source = dataset.SOURCES["corrected16"]
    shown = dataset.show(signal, source, 300, 200)
    plain = dataset.show(signal, dataset.SOURCES["amplified16"], 300, 200)
    assert np.abs(shown - plain).max() > 1
    other = signal._replace(to_srgb=signal.to_srgb @ np.diag([0.9, 1, 1.1]))
    np.testing.assert_array_equal(
        dataset.show(other, source, 300, 200), dataset.show(other, dataset.SOURCES["amplified16"], 300, 200)
    )


def test_fresh_noise_is_another_in_each_epoch_and_the_same_for_a_seed(train):
    options = {"source": "amplified16", "fresh": True}
    epochs = list_shorts(dataset.make_dataset(train, epochs=range(3), **options))
    assert len(set(epochs)) == 3 * len(train)
    assert epochs[2 * len(train) :] == list_shorts(dataset.make_dataset(train, epochs=range(2, 3), **options))
    assert epochs != list_shorts(dataset.make_dataset(train, epochs=range(3), seed=1, **options))


def test_fresh_noise_shows_the_same_scene_as_brightly_as_its_long_exposure(train):
    ((short, long),) = dataset.make_dataset(train, batch_size=len(train), source="amplified16", fresh=True)
    assert 0.8 < short.numpy().mean() / long.numpy().mean() < 1.3
    assert np.corrcoef(short.numpy().ravel(), long.numpy().ravel())[0, 1] > 0.6


def test_a_model_says_what_it_was_trained_on():
    assert dataset.source_of(models.build_model("cnn", "relu")) == "dark8"
    assert dataset.source_of(models.build_model("cnn", "relu", source="amplified16")) == "amplified16"
    assert dataset.source_of(lambda pictures: pictures) == "dark8"


def test_the_ratio_of_a_capture_is_estimated_from_how_bright_long_exposures_are(train):
    brightness = dataset.measure_brightness(train)
    for row in train.itertuples():
        signal = preprocess.load_signal(row.short_signal)
        estimate = dataset.estimate_ratio(signal, brightness)
        assert row.ratio / 4 < estimate <= 300
        darker = signal._replace(camera_rgb=signal.camera_rgb / 2)
        assert dataset.estimate_ratio(darker, brightness) == pytest.approx(min(300, 2 * estimate), rel=1e-3)
