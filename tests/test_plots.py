import numpy as np
import pandas as pd
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from PIL import Image

from sidlib import models, plots
from sidlib.backend import keras
from sidlib.experiment import Experiment


def test_pictures_are_shown_in_the_order_given_and_pixel_for_pixel_and_without_axes():
    pictures = [np.full((4, 6, 3), value) for value in (0, 99.6, 300)]
    figure = plots.show_pictures(pictures, ["input", "output", "truth"], columns=2)
    assert [axis.get_title() for axis in figure.axes] == ["input", "output", "truth", ""]
    assert [int(axis.images[0].get_array()[0, 0, 0]) for axis in figure.axes[:3]] == [0, 100, 255]
    assert all(axis.images[0].get_interpolation() == "antialiased" for axis in figure.axes[:3])
    assert not any(axis.axison for axis in figure.axes)


def test_the_pipeline_is_drawn_in_its_order_with_the_sizes_that_a_training_has_and_its_lit_steps_in_colour():
    (axis,) = plots.plot_pipeline("PNG", "loss").axes
    steps = [text.get_text() for text in axis.texts if text.get_weight() == "bold"]
    assert steps == ["capture", "mosaic", "a tenth", "PNG", "tf.data", "network", "clip", "loss"]
    colours = [patch.get_facecolor() for patch in axis.patches]
    assert {step for step, colour in zip(steps, colours, strict=True) if colours.count(colour) == 2} == {"PNG", "loss"}
    width, height = Experiment.crop_px
    assert plots.PIPELINE["tf.data"].endswith(f"{Experiment.batch_size} × {height} × {width} × 3")
    assert all(text.get_fontsize() >= 9 for text in axis.texts if text.get_text())


def test_a_bar_of_the_light_levels_is_the_share_of_pixels_for_one_count():
    counts = np.arange(500, 16384)  # each count once, so that every bar is as high
    (axis,) = plots.plot_light_levels(counts, counts[-1:], black=512, white=16383).axes
    (shares, edges, _), (saturated, *_) = (patch.get_data() for patch in axis.patches)
    np.testing.assert_allclose(shares[edges[:-1] >= -12], 100 / len(counts))
    np.testing.assert_allclose([(shares * np.diff(edges)).sum(), (saturated * np.diff(edges)).sum()], 100)


def test_a_marked_place_keeps_its_pixels_and_the_picture_its_own():
    picture = np.full((20, 30, 3), 7, np.uint8)
    marked = plots.mark_place(picture, 8, 9, 3, 4)
    assert (picture == 7).all() and (marked[7:12, 8:14] == 7).all()
    assert (marked[5:7, 6:16] == (0, 255, 255)).all() and (marked[:5] == 7).all()
    assert (plots.mark_place(picture, 0, 0, 20, 30) == 7).all()


def draw(model, height, width):
    """Return the axis of a network's drawing, and its table of layers."""
    table = models.describe_layers(model, height, width)
    (axis,) = plots.draw_network(table, "a network").axes
    return axis, table


JOINED = {"cnn": [], "dense_cnn": ["dark8", "level1_join", "level2_join"]}
JOINED["unet"] = ["encoder3_conv", "encoder2_conv", "encoder1_conv"]


def test_the_drawing_of_a_network_has_its_channels_and_an_arrow_per_step_and_skip():
    assert JOINED.keys() == models.MODELS.keys()
    for name, joined in JOINED.items():
        axis, table = draw(models.build_model(name, "relu"), 88, 128)
        shown = table[~table.index.str.contains("up|resize")]
        channels = [text.get_text() for text in axis.texts if text.get_weight() == "bold"]
        assert channels == shown.channels.astype(str).tolist()
        assert len(axis.lines) == len(shown) - 1 + len(joined)
        assert [source for source, _ in plots.find_joined(table)] == joined
        assert min(text.get_fontsize() for text in axis.texts) >= 10


def test_a_size_that_misses_its_skips_by_a_pixel_is_red_and_no_other_is():
    for size, expected in {(284, 424): ["70 × 106"], (288, 424): [], (15, 8): ["2 × 2", "6 × 4", "14 × 8"]}.items():
        axis, _ = draw(models.build_model("unet", "relu"), *size)
        red = [text.get_text() for text in axis.texts if text.get_color() == plots.STEP_COLOURS["resize"][0]]
        assert red == expected


def test_a_network_whose_layers_keras_named_is_drawn_alike():
    inputs = x = keras.Input((None, None, 3))
    for filters in (2, 4):
        x = keras.layers.Concatenate()([x, keras.layers.Conv2D(filters, 3, padding="same")(x)])
    outputs = models.ClipPixels()(keras.layers.MaxPooling2D()(x))
    axis, _ = draw(keras.Model(inputs, outputs), 8, 8)
    drawn = {line.get_color() for line in axis.lines}
    assert drawn == {plots.STEP_COLOURS[kind][0] for kind in ("conv", "join", "pool", "clip")}


def test_a_saved_figure_is_returned_and_shown_with_its_alternative_text(tmp_path):
    figure = plots.show_pictures([np.zeros((2, 2, 3))], ["black"])
    assert plots.save(figure, tmp_path / "figures" / "black.png", "Nothing but black.") is figure
    with Image.open(tmp_path / "figures" / "black.png") as image:
        assert image.info["Description"] == "Nothing but black."
    notebook = DisplayFormatter()
    notebook.formatters["image/png"].for_type(Figure, lambda figure: b"a PNG")  # as the inline backend does it
    shown, about = notebook.format(figure)
    assert shown["image/png"] and about["image/png"] == {"alt": "Nothing but black."}


HISTORY = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.5, 2.0]})


def read_dots(axis):
    return [line.get_xydata().tolist() for line in axis.lines if line.get_marker() == "o"]


def test_curves_have_a_panel_per_loss_mark_each_best_epoch_and_draw_the_controls_as_lines():
    losses = {"CNN, MAE": "MAE", "U-Net, MSE, flips": "MSE", "U-Net, MSE, no flips": "MSE"}
    controls = pd.DataFrame({"MAE": [9.0, 8.0], "MSE": [90.0, 80.0]}, ["× 300", "× true ratio"])
    mae, mse = plots.plot_histories(dict.fromkeys(losses, HISTORY), losses, controls).axes
    assert read_dots(mae) == [[[2, 1.5]]] and len(read_dots(mse)) == 2
    assert [line.get_ydata()[0] for line in mse.lines if line.get_linestyle() == ":"] == [90, 80]
    assert [text.get_text() for text in mse.texts] == list(controls.index)
    thick = [line for line in mse.lines if line.get_label().startswith("U-Net")]
    assert [line.get_label() for line in thick] == list(losses)[1:]
    assert len({line.get_color() for line in thick}) == 1 and len({line.get_linestyle() for line in thick}) == 2


def test_each_seed_is_a_dot_in_the_row_of_its_experiment_and_each_control_a_line():
    table = pd.DataFrame({"val_mae": [1.0, 2, 3], "mae": [4.0, 6, 7]}, ["CNN", "CNN", "U-Net"])
    controls = pd.DataFrame({"val_mae": [9.0], "mae": [8.0]}, ["× 300"])
    val, test = plots.plot_seeds(table, controls).axes
    assert read_dots(val) == [[[1, 1], [2, 1], [3, 0]]] and read_dots(test) == [[[4, 1], [6, 1], [7, 0]]]
    assert [label.get_text() for label in val.get_yticklabels()] == ["U-Net", "CNN"]
    assert [line.get_xdata()[0] for line in test.lines if line.get_linestyle() == ":"] == [8]
    means = next(line for line in test.lines if line.get_marker() == "|")
    assert means.get_xydata().tolist() == [[7, 0], [5, 1]]


def test_a_difference_that_cannot_be_told_is_grey():
    verdicts = {"difference": [-1.0, 2.0], "low": [-2.0, -1.0], "high": [-0.5, 3.0]}
    table = pd.DataFrame(verdicts | {"verdict": ["lower", "cannot be told"]}, ["CNN", "U-Net"])
    (axis,) = plots.plot_differences({"minus the control": table}).axes
    unclear, _, clear, _, _ = axis.lines
    assert unclear.get_color() == "gray" != clear.get_color()
    assert unclear.get_xydata().tolist() == [[-1, 0], [3, 0]] and clear.get_xydata().tolist() == [[-2, 1], [-0.5, 1]]


def test_a_staircase_has_a_name_above_and_an_error_below_each_picture_in_the_colour_of_its_kind():
    pictures = {step: np.full((8, 4, 3), 9) for step in ("input", "amplified before rounding", "truth")}
    kinds, colours = {"amplified before rounding": "format"}, {"format": "#ff0000", "network": "#0000ff"}
    figure = plots.show_staircase(pictures, {"input": 99.96, "amplified before rounding": 5}, kinds, colours)
    axes, errors = figure.axes[:3], [axis.texts[0] for axis in figure.axes[:3]]
    assert [axis.get_title().replace("\n", " ") for axis in axes] == list(pictures)
    assert [error.get_text() for error in errors] == ["100.0", "5.0", ""]
    assert [error.get_color() for error in errors] == ["black", "#ff0000", "black"]


def test_photographs_are_a_line_each_and_noise_is_drawn_before_and_after_it_is_stabilised():
    table = pd.DataFrame({"rival": [20.0, 25.0], "network": [22.0, 24.0]}, ["china", "flower"])
    (axis,) = plots.plot_photographs(table, "PSNR (dB)").axes
    _, *dots = axis.collections
    assert [dot.get_label() for dot in dots] == ["rival", "network"] and axis.get_xlabel() == "PSNR (dB)"
    assert [dot.get_offsets()[:, 0].tolist() for dot in dots] == [[20, 25], [22, 24]]
    table = pd.DataFrame({"electrons": [1.0, 10.0], "before": [2.0, 6.0], "after": [1.0, 1.1]})
    lines = {axis.get_title(): axis.lines[0].get_ydata().tolist() for axis in plots.plot_stabilised(table).axes}
    assert lines == {"counts": [2.0, 6.0], "stabilised": [1.0, 1.1]}
