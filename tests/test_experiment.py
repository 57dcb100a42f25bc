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


OBSERVED = {  # another value of each setting, and where it shows; epochs are counted in test_training
    "model": ("unet", lambda experiment, pairs: experiment.build_model().name),
    "activation": ("leaky_relu", lambda experiment, pairs: experiment.build_model().get_config()),
    "loss": ("mse", lambda experiment, pairs: experiment.loss_function),
    "augment": (False, draw),
    "batch_size": (2, draw),
    "crop_px": ((16, 12), draw),
    "updates": (2, lambda experiment, pairs: (experiment.count_updates(pairs), len(draw(experiment, pairs)))),
    "learning_rate": (0.1, lambda experiment, pairs: float(experiment.build_optimizer(10).learning_rate)),
    "patience": (3, stop),
    "monitor": ("val_loss", stop),
    "seed": (1, lambda of, pairs: (draw(of, pairs), of.build_model().get_weights()[0].tolist())),
}


@pytest.mark.parametrize("field", OBSERVED)
def test_every_setting_is_obeyed(field, train):
    assert {each.name for each in dataclasses.fields(Experiment)} == {*OBSERVED, "epochs"}
    value, observe = OBSERVED[field]
    assert observe(EXPERIMENT, train) == observe(EXPERIMENT, train)
    assert observe(replace(EXPERIMENT, **{field: value}), train) != observe(EXPERIMENT, train)


def test_without_crops_an_epoch_is_each_whole_picture_once(train):
    whole = replace(EXPERIMENT, crop_px=None, batch_size=4)
    assert whole.count_updates(train) == 2 and EXPERIMENT.count_updates(train) == 3
    shapes = [short.shape for short, _ in whole.make_dataset(train, range(1))]
    assert shapes == [(4, 22, 32, 3), (2, 22, 32, 3)]
