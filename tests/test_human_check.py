import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from sidlib import human_check
from sidlib.evaluation import score_picture

MODELS = {"as it is": lambda x: x, "white <b>": lambda x: x * 0 + 255}


def read_images(page):
    """The pictures of an HTML page by their alternative text."""
    found = re.findall(r'<img alt="([^"]*)" src="data:image/png;base64,([^"]*)"', page)
    return {alt: np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for alt, data in found}


def test_the_same_test_picture_is_chosen_by_default(tiny_pairs):
    first = human_check.choose_pair(tiny_pairs)
    assert first.split.tolist() == ["test"]
    shuffled = human_check.choose_pair(tiny_pairs[tiny_pairs.split != "train"])
    assert shuffled.scene.tolist() == first.scene.tolist()


def test_a_test_pair_that_is_not_there_is_refused(tiny_pairs):
    with pytest.raises(IndexError, match="Received: 999"):
        human_check.choose_pair(tiny_pairs, 999)


def test_pictures_come_as_input_outputs_truth(tiny_pairs):
    pair = human_check.choose_pair(tiny_pairs)
    pictures = human_check.collect_pictures(MODELS, pair)
    assert list(pictures) == ["input", *MODELS, "truth"]
    np.testing.assert_array_equal(pictures["as it is"], pictures["input"])
    np.testing.assert_array_equal(pictures["truth"], np.asarray(Image.open(pair.long_png.item())))


def test_a_check_without_models_is_refused(tiny_pairs):
    with pytest.raises(ValueError, match="at least one model"):
        human_check.compare({}, tiny_pairs)


def test_the_figure_shows_every_picture_with_its_score(tiny_pairs):
    figure = human_check.compare(MODELS, tiny_pairs)
    titles = [axis.get_title() for axis in figure.axes]
    pictures = human_check.collect_pictures(MODELS, human_check.choose_pair(tiny_pairs))
    mae = score_picture(pictures["input"], pictures["truth"])["mae"]
    assert titles[0].startswith(f"input\nMAE {mae:.1f}")
    assert titles[-1] == "truth\nlong exposure"


def test_the_row_holds_the_pictures_themselves_with_names_for_screen_readers():
    pictures = {"a <b> & c": np.full((12, 14, 3), 99.6), "truth": np.zeros((12, 14, 3))}
    page = human_check.render_row(pictures)
    images = read_images(page)
    assert list(images) == ["a &lt;b&gt; &amp; c: MAE 99.6 · 8.2 dB · SSIM 0.00", "truth: long exposure"]
    assert (images["a &lt;b&gt; &amp; c: MAE 99.6 · 8.2 dB · SSIM 0.00"] == 100).all()
    assert "pixelated" in page


def test_the_panel_shows_what_is_chosen(tiny_pairs):
    check = human_check.HumanCheck(MODELS, tiny_pairs)
    assert len(read_images(check.row.value)) == 4
    check.shown["as it is"].value = False
    assert len(read_images(check.row.value)) == 3
    before = check.row.value
    check.picture.value = 1
    assert check.row.value != before


def test_the_panel_runs_each_model_once_a_picture(tiny_pairs):
    runs = []
    check = human_check.HumanCheck({"counted": lambda x: runs.append(1) or x}, tiny_pairs)
    check.shown["counted"].value = False
    check.shown["counted"].value = True
    check.picture.value = 1
    check.picture.value = 0
    assert len(runs) == 2


def test_every_control_of_the_panel_has_a_name(tiny_pairs):
    check = human_check.HumanCheck(MODELS, tiny_pairs)
    assert all(control.description for control in (check.picture, *check.shown.values()))
