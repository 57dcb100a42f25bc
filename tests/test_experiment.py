import dataclasses
from dataclasses import replace

import pandas as pd
import pytest

from sidlib import training
from sidlib.experiment import COURSE_EXPERIMENTS, LONG_EXPERIMENT, Experiment, list_course_experiments

EXPERIMENT = Experiment("cnn", "relu", "mae", augment=True, crop_px=(28, 18), updates=3)
HISTORY = pd.DataFrame({"loss": [5, 4, 3, 4, 4, 4, 4, 4.0], "val_loss": [5, 4, 3, 2, 1, 1, 1, 1.0]})


def test_the_courses_experiments_are_those_of_the_table():
    settings = [(e.model, e.activation, e.loss, e.augment) for e in COURSE_EXPERIMENTS]
    assert settings == [
        ("cnn", "relu", "mae", True),
        ("cnn", "leaky_relu", "mae", True),
        ("dense_cnn", "leaky_relu", "mae", True),
        ("dense_cnn", "leaky_relu", "mse", True),
        ("unet", "leaky_relu", "mse", True),
        ("unet", "leaky_relu", "mse", False),
    ]
    fixed = {(e.epochs, e.batch_size, e.learning_rate, e.patience) for e in COURSE_EXPERIMENTS}
    assert fixed == {(20, 10, 0.001, 5)}
    assert {e.updates for e in list_course_experiments()} == {-(-1865 // 10)}  # the deck's pairs
    fast = [replace(experiment, epochs=2, updates=3) for experiment in (*COURSE_EXPERIMENTS, LONG_EXPERIMENT)]
    assert list_course_experiments(fast=True) == fast
    seventh = LONG_EXPERIMENT
    assert (seventh.model, seventh.loss, seventh.augment, seventh.epochs) == ("unet", "mae", False, 50)


def test_a_name_is_made_of_what_differs():
    course = COURSE_EXPERIMENTS[0]
    assert course.name == "cnn-relu-mae-flips"
    assert replace(course, seed=1, learning_rate=3e-4).name == "cnn-relu-mae-flips-learning_rate0.0003-seed1"
    assert replace(course, monitor="val_loss", crop_px=None).name == "cnn-relu-mae-flips-val_loss-crop_pxnone"
    assert EXPERIMENT.name == "cnn-relu-mae-flips-crop_px28x18-updates3"
    assert LONG_EXPERIMENT.name == "unet-leaky_relu-mae-noflips-epochs50"


def test_a_title_says_the_same_in_words():
    assert LONG_EXPERIMENT.title == "U-Net, leaky ReLU, MAE, no flips, 50 epochs"
    other = replace(COURSE_EXPERIMENTS[0], learning_rate=3e-4, monitor="val_loss", crop_px=(64, 44))
    assert other.title == "CNN, ReLU, MAE, flips, learning rate 0.0003, monitor val_loss, crop px 64x44"
    for field in ("loss", "monitor"):
        with pytest.raises(ValueError, match=f"{field} must be one of .*Received: 'psnr'"):
            replace(EXPERIMENT, **{field: "psnr"})


def draw(experiment, pairs):
    return [short.numpy().tolist() for short, _ in experiment.make_dataset(pairs, range(2))]


def stop(experiment, pairs):
    return [training.has_stalled(HISTORY[:epochs], experiment) for epochs in range(len(HISTORY) + 1)]


OBSERVED = {  # where another value of each setting shows; epochs are counted in test_training
    draw: {"augment": False, "batch_size": 2, "crop_px": (16, 12), "updates": 2, "seed": 1},
    stop: {"patience": 3, "monitor": "val_loss"},
    lambda experiment, _: experiment.build_model().name: {"model": "unet"},
    lambda experiment, _: experiment.build_model().get_config(): {"activation": "leaky_relu"},
    lambda experiment, _: experiment.build_model().get_weights()[0].tolist(): {"seed": 1},
    lambda experiment, _: experiment.loss_function: {"loss": "mse"},
    lambda experiment, pairs: experiment.count_updates(pairs): {"updates": 2},
    lambda experiment, _: float(experiment.build_optimizer(10).learning_rate): {"learning_rate": 0.1},
}


def test_every_setting_is_obeyed(train):
    found = {field for changes in OBSERVED.values() for field in changes}
    assert {each.name for each in dataclasses.fields(Experiment)} == {*found, "epochs"}
    for observe, changes in OBSERVED.items():
        before = observe(EXPERIMENT, train)
        assert observe(EXPERIMENT, train) == before
        for field, value in changes.items():
            assert observe(replace(EXPERIMENT, **{field: value}), train) != before, field


def test_without_crops_an_epoch_is_each_whole_picture_once(train):
    whole = replace(EXPERIMENT, crop_px=None, batch_size=4)
    assert whole.count_updates(train) == 2 and EXPERIMENT.count_updates(train) == 3
    shapes = [short.shape for short, _ in whole.make_dataset(train, range(1))]
    assert shapes == [(4, 22, 32, 3), (2, 22, 32, 3)]
