import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from sidlib import paths, training
from sidlib.backend import keras
from sidlib.beyond import models, stream
from sidlib.beyond.experiments import InputExperiment, StreamExperiment
from sidlib.brightness import MAX_RATIO
from sidlib.experiment import COURSE_EXPERIMENTS, Training
from sidlib.models import source_of

INPUT = InputExperiment(label="input", source="corrected16", crop_px=(24, 16), updates=2)
STREAM = StreamExperiment(label="stream", epochs=2, batch_size=2, updates=2)


def read(experiment, pairs):
    batches = [[np.asarray(part).tolist() for part in batch] for batch in experiment.make_dataset(pairs, range(1))]
    assert len(batches) == experiment.count_updates(pairs)
    return batches


def describe(experiment, _):
    return [[type(layer), layer.name, layer.output.shape] for layer in experiment.build_model().layers]


OBSERVED = {  # where another value of each setting shows; those of Training: see test_experiment
    INPUT: {
        read: {"source": "amplified16", "augment": False, "crop_px": (16, 12), "updates": 1},
        describe: {"residual": True},
        lambda experiment, _: replace(experiment, seed=2).name: {"label": "other"},
    },
    STREAM: {
        read: {"source": "amplified16", "updates": 1, "drawn": 0.0, "jitter": False},
        describe: {"model": "cnn", "unit": False, "linear": False, "residual": False},
        lambda experiment, _: experiment.loss_function: {"loss": "mae"},
        lambda experiment, _: replace(experiment, seed=2).name: {"label": "other"},
    },
}


@pytest.mark.parametrize("experiment", OBSERVED)
def test_every_setting_is_obeyed(experiment, train):
    own = {each.name for each in dataclasses.fields(experiment)} - {each.name for each in dataclasses.fields(Training)}
    assert own == {field for changes in OBSERVED[experiment].values() for field in changes}
    for observe, changes in OBSERVED[experiment].items():
        before = observe(experiment, train)
        assert observe(experiment, train) == before
        for field, value in changes.items():
            assert observe(replace(experiment, **{field: value}), train) != before, field


def test_on_the_courses_input_the_experiment_is_the_courses(train):
    course = replace(COURSE_EXPERIMENTS[1], updates=2)
    experiment = InputExperiment(label="course", source="dark8", updates=2)
    assert experiment.loss_function == course.loss_function and read(experiment, train) == read(course, train)
    weights, expected = experiment.build_model().get_weights(), course.build_model().get_weights()
    assert [kernel.tolist() for kernel in weights] == [kernel.tolist() for kernel in expected]


def test_the_learning_rate_falls_to_nothing_also_when_resumed(tmp_path):
    for _ in range(2):  # the second time the optimizer comes from the file
        optimizer = training.SaveEpochs(tmp_path, STREAM).resume(updates=8).optimizer
        assert optimizer.clipnorm == 1
        assert float(optimizer.learning_rate) == pytest.approx(STREAM.learning_rate)
        optimizer.iterations.assign(8)
        assert float(optimizer.learning_rate) == pytest.approx(0, abs=1e-9)


STREAMED = StreamExperiment(label="streamed", batch_size=2, source="amplified16")


def stream_pictures(pairs, updates, **options):
    return [(s.numpy(), t.numpy()) for s, t in stream.make_stream(pairs, replace(STREAMED, **options), updates)]


def test_pictures_are_as_a_model_sees_them_and_their_truths(tiny_pairs):
    batches = stream_pictures(tiny_pairs, range(6), drawn=0.0, jitter=False)
    shorts, longs = (np.concatenate(pictures) for pictures in zip(*batches, strict=True))
    assert shorts.shape == longs.shape == (12, 86, 128, 3) and shorts.dtype == longs.dtype == np.float32
    assert shorts.min() >= 0 and shorts.max() <= 255
    assert 0.8 < shorts.mean() / longs.mean() < 1.3
    correlations = [np.corrcoef(short.ravel(), long.ravel())[0, 1] for short, long in zip(shorts, longs, strict=True)]
    assert np.median(correlations) > 0.6


def test_no_picture_comes_twice_and_each_is_the_same_for_a_seed(tiny_pairs):
    whole = stream_pictures(tiny_pairs, range(3), drawn=0.5)
    assert len({picture.tobytes() for _, longs in whole for picture in longs}) == 6
    np.testing.assert_array_equal(whole[2:], stream_pictures(tiny_pairs, range(2, 3), drawn=0.5))
    assert not np.array_equal(whole[0], stream_pictures(tiny_pairs, range(1), drawn=1.0, seed=1)[0])


def test_the_scenes_are_the_long_exposures_or_the_bundled_photographs_of_crops(train):
    for shown, shapes in {
        ("chelsea", "drawn"): [(300, 451, 3)],
        ("drawn", "drawn"): [(22, 32, 3)] * 2,
        ("00001", "00002"): [(22, 32, 3)] * 2,
        ("chelsea", "night.jpg"): [(22, 32, 3)] * 2,
    }.items():
        photograph = train.scene.map(dict(zip(("00001", "00002"), shown, strict=True)))
        assert [scene.shape for scene in stream.load_scenes(train.assign(photograph=photograph))] == shapes


def test_jitter_changes_brightness_and_colours_within_bounds():
    rng = np.random.default_rng(0)
    means = np.array([stream.jitter(np.full((2, 2, 3), 0.3, np.float32), rng).mean((0, 1)) for _ in range(300)])
    assert means.min() >= 0.3 * 0.5 * 0.8 and means.max() <= 0.3 * 1.3 * 1.25
    assert 0.4 < np.mean(np.ptp(means, axis=1) > 1e-6) < 0.6


def test_most_exposures_have_a_known_ratio_and_the_others_any_up_to_the_highest(monkeypatch):
    ratios, rng, exposures = [], np.random.default_rng(0), np.array([[100, 2000, 2, 1.5], [300, 800, 2, 1.5]])
    monkeypatch.setitem(stream.SOURCES, "ratio", lambda signal, ratio, iso: ratios.append(ratio))
    for _ in range(500):
        stream.expose(np.full((2, 2, 3), 0.3), exposures, "ratio", rng)
    others = np.array([ratio for ratio in ratios if ratio not in (100, 300)])
    assert len(others) / 500 == pytest.approx(0.3, abs=0.06)
    assert 1 < others.min() < 2 and MAX_RATIO / 2 < others.max() < MAX_RATIO
    assert 0.4 < np.mean(others < np.sqrt(MAX_RATIO)) < 0.6  # log-uniform


def test_a_picture_of_odd_size_comes_out_like_a_part_of_an_even_one():
    model = models.build_model("rcan", "dark8", unit=True, residual=True)
    for layer in model.layers:
        if layer.name.endswith("_weights"):  # attention sees the whole picture: here it weighs all alike
            layer.set_weights([0 * weights for weights in layer.get_weights()])
    picture = np.random.default_rng(0).uniform(0, 255, (1, 64, 66, 3)).astype("float32")
    whole, part = np.asarray(model(picture)), np.asarray(model(picture[:, :63, :65]))
    assert np.abs(whole - picture).max() > 1
    np.testing.assert_allclose(part[:, :32, :32], whole[:, :32, :32], atol=1e-3)


def test_a_linear_model_is_clipped_at_use_only():
    values = np.array([-5.0, 300.0], "float32")
    np.testing.assert_array_equal(models.ClipAtUse()(values), [0, 255])
    np.testing.assert_array_equal(models.ClipAtUse()(values, training=True), values)


def test_a_residual_model_without_weights_is_the_identity():
    model = models.build_model("rcan", "dark8", unit=True, linear=True, residual=True)
    model.set_weights([0 * weights for weights in model.get_weights()])
    picture = np.random.default_rng(0).uniform(0, 255, (1, 11, 14, 3)).astype("float32")
    np.testing.assert_array_equal(model(picture), picture)


def test_an_untrained_pixel_shuffle_has_no_checkerboard():
    squares = keras.layers.Conv2D(16, 3, padding="same", kernel_initializer=models.ICNR(2))
    features = np.full((1, 6, 8, 3), 0.7, "float32")
    flat = np.asarray(keras.ops.depth_to_space(squares(features), 2))[0, 2:-2, 2:-2]  # borders see zeros
    assert np.ptp(flat, axis=(0, 1)).max() < 1e-5 < np.abs(flat).max()


def test_the_committed_model_is_the_one_that_the_code_builds_and_gives_pictures_of_the_inputs_size_and_range():
    kept = keras.saving.load_model(paths.REFERENCE / "best.keras", safe_mode=True)
    built = models.build_model("rcan", "signed", unit=True, linear=True, residual=True)
    built.set_weights(kept.get_weights())
    for size in ((8, 8), (43, 65)):
        picture = np.random.default_rng(0).uniform(-50, 300, (1, *size, 3)).astype("float32")
        output = np.asarray(kept(picture))
        assert output.shape == picture.shape and output.min() >= 0 and output.max() <= 255
        np.testing.assert_allclose(built(picture), output, atol=1e-3)
    assert source_of(kept) == "signed" and getattr(kept, "optimizer", None) is None
