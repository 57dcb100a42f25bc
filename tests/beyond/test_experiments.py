import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from sidlib import training
from sidlib.beyond.experiments import InputExperiment, StreamExperiment
from sidlib.experiment import COURSE_EXPERIMENTS, Training

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
def test_every_setting_is_obeyed(experiment, tiny_pairs):
    own = {each.name for each in dataclasses.fields(experiment)} - {each.name for each in dataclasses.fields(Training)}
    assert own == {field for changes in OBSERVED[experiment].values() for field in changes}
    train = tiny_pairs[tiny_pairs.split == "train"]
    for observe, changes in OBSERVED[experiment].items():
        before = observe(experiment, train)
        assert observe(experiment, train) == before
        for field, value in changes.items():
            assert observe(replace(experiment, **{field: value}), train) != before, field


def test_on_the_courses_input_the_experiment_is_the_courses(tiny_pairs):
    train, course = tiny_pairs[tiny_pairs.split == "train"], replace(COURSE_EXPERIMENTS[1], updates=2)
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
