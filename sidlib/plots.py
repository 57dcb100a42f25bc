"""Every figure: arrays or a DataFrame in, a Figure out. Pictures keep the order input, outputs, truth."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

from sidlib import paths

SPLIT_COLOURS = {"train": "#4c72b0", "val": "#dd8452", "test": "#55a868"}
CHANNEL_COLOURS = {"red": "#c44e52", "green": "#55a868", "blue": "#4c72b0"}
SHORT_COLOUR, LONG_COLOUR = "#30356b", "#e8a33d"
LAYER_COLOURS = {  # by the last part of a layer's name
    "sees": ("#5c5f73", "picture"),
    "conv": ("#4c72b0", "convolution 3 × 3"),
    "join": ("#e8a33d", "join"),
    "pool": ("#c44e52", "max-pooling, half the size"),
    "up": ("#55a868", "up-sampling, double the size"),
    "resize": ("#8fc9a0", "resize to the skip's size"),
    "clip": ("#30356b", "clip to 0…255"),
}
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "font.size": 9,
    "axes.titlesize": 10,
    "figure.dpi": 100,
}


def save(figure, file):
    """Write a Figure to a file and return it, so that a cell can show what it saves."""
    with paths.write_whole(file) as path:
        figure.savefig(path, dpi=100)
    return figure


def show_pictures(pictures, titles, columns=None, width=3.2):
    """Return pictures side by side, without axes.

    Args:
        pictures: arrays (height, width, 3) or (height, width), values in 0…255; their pixels are shown as they are.
        titles: a text above each.
        columns: pictures a row; None for one row of up to four, or else for as many rows as columns.
        width: of one picture, in inches.
    """
    columns = columns or (len(pictures) if len(pictures) <= 4 else math.ceil(math.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    height = width * pictures[0].shape[0] / pictures[0].shape[1] + 0.35 + 0.16 * max(t.count("\n") for t in titles)
    figure, axes = _start(rows, columns, (width * columns, height * rows))
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, title in zip(axes.flat, pictures, titles, strict=False):
        axis.imshow(
            np.clip(np.rint(picture), 0, 255).astype(np.uint8), cmap="gray", vmin=0, vmax=255, interpolation="nearest"
        )
        axis.set_title(title)
    return figure


def mark_place(picture, top, left, height, width):
    """Return a copy of a picture (height, width, 3) in 0…255 with a frame, red and two pixels wide, around a place."""
    marked = np.array(picture)
    outer = np.s_[max(top - 3, 0) : top + height + 3, max(left - 3, 0) : left + width + 3]
    inner = np.s_[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1]
    kept = marked[inner].copy()
    marked[outer] = (255, 0, 0)
    marked[inner] = kept
    return marked


def plot_index(pairs, title):
    """Return how pairs were exposed: number of pairs by exposure times, ratio, ISO and f-number, a colour a split."""
    times = pairs.apply(lambda pair: f"{_name_time(pair.short_s)}, {pair.long_s:g} s", axis=1)
    columns = {
        "short and long exposure": times,
        "exposure ratio": pairs.ratio.round().astype(int),
        "ISO": pairs.iso,
        "f-number": pairs.f_number,
    }
    figure, axes = _start(2, 2, (10, 5.5))
    for axis, (name, column) in zip(axes.flat, columns.items(), strict=True):
        counts = pd.crosstab(column, pairs.split).reindex(columns=SPLIT_COLOURS, fill_value=0)
        counts.plot.bar(ax=axis, stacked=True, color=SPLIT_COLOURS, width=0.85, legend=False)
        axis.set(xlabel=name, ylabel="pairs")
        axis.tick_params(axis="x", rotation=60 if len(counts) > 8 else 0)
    axes[0, 0].legend(title=None, frameon=False)
    figure.suptitle(title)
    return figure


def plot_light_levels(short_counts, long_counts, black, white):
    """Return the histograms of the raw counts of a pair, on one axis from black level to saturation.

    The height is the share of the pixels for each single count, whatever the width of a bin.

    Args:
        short_counts, long_counts: raw counts of the two captures, any shape.
        black, white: black level and saturation in counts.
    """
    figure, (axis,) = _start(1, 1, (9, 3), squeeze=True)
    linear = 30  # counts: bins of one count up to here, of about equal width on the logarithmic axis from there
    edges = np.append(np.arange(-linear, linear), np.geomspace(linear, white - black, 60).round())
    bins = np.unique(edges) - 0.5  # between counts, so that each bin holds as many of them as it is wide
    bins[-1] += 1  # saturation lies in the last bin
    for counts, name, colour in ((short_counts, "short", SHORT_COLOUR), (long_counts, "long", LONG_COLOUR)):
        signal = counts.ravel().astype(float) - black
        share = 100 * np.histogram(signal, bins)[0] / np.diff(bins) / signal.size
        axis.stairs(share, bins, fill=True, color=colour, alpha=0.75, label=name)
    axis.set_xscale("symlog", linthresh=linear)
    axis.set_yscale("log")
    axis.axvline(white - black, color="gray", linestyle=":", label="saturation")
    ticks = [-20, 0, 20, 100, 1000, 10000]
    axis.set(xlabel="counts above black", xticks=ticks, xticklabels=ticks, xlim=(-linear, None))
    axis.set(ylabel="pixels a count (%)", ylim=(1e-4, None))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.legend(frameon=False)
    return figure


def plot_grey_levels(short, long):
    """Return the histograms of two developed 8-bit pictures: how many of 256 levels each one uses."""
    figure, axes = _start(1, 2, (10, 2.8), sharex=True)
    for axis, picture, name, colour in zip(
        axes.flat, (short, long), ("short", "long"), (SHORT_COLOUR, LONG_COLOUR), strict=True
    ):
        counts = np.bincount(picture.ravel(), minlength=256) / picture.size * 100
        axis.bar(np.arange(256), counts, width=1, color=colour)
        axis.set(title=f"{name}: {np.count_nonzero(counts)} of 256 levels", xlabel="8-bit value", ylabel="pixels (%)")
    return figure


def plot_noise_by_scale(noise):
    """Return how the noise falls with the side of the blocks that are averaged, beside what independent pixels give.

    Args:
        noise: DataFrame indexed by block side in pixels, columns red, green, blue: as parts of one pixel's noise.
    """
    figure, (axis,) = _start(1, 1, (6, 3.4), squeeze=True)
    scales = noise.index.to_numpy()
    for channel in noise:
        axis.plot(scales, noise[channel], "o-", color=CHANNEL_COLOURS[channel], label=channel)
    axis.plot(scales, 2 / scales, "--", color="gray", label="a quarter of the pixels, independent")
    axis.plot(scales, np.sqrt(2) / scales, ":", color="gray", label="half of the pixels, independent")
    ticks = [0.05, 0.1, 0.2, 0.5]
    axis.set(xscale="log", yscale="log", xlabel="scale (pixels)", ylabel="noise / noise of a pixel")
    axis.set(xticks=scales, xticklabels=scales, yticks=ticks, yticklabels=ticks)
    axis.minorticks_off()
    axis.legend(frameon=False)
    return figure


def plot_ways(table):
    """Return what each way of developing a file takes, as a multiple of raw.develop's time.

    Args:
        table: DataFrame indexed by way, column times_of_develop, as tests/benchmarks writes it.
    """
    figure, (axis,) = _start(1, 1, (8, 0.4 * len(table) + 0.8), squeeze=True)
    bars = axis.barh(table.index[::-1], table.times_of_develop[::-1], color=SHORT_COLOUR)
    axis.bar_label(bars, fmt="%.1f", padding=3)
    axis.set(xlabel="time / time of raw.develop")
    axis.grid(False, axis="y")
    return figure


def plot_stabilised(table):
    """Return noise against signal, before and after it is made the same everywhere.

    Args:
        table: DataFrame of electrons (mean), before (standard deviation in counts) and after.
    """
    figure, axes = _start(1, 2, (8, 2.8))
    titles = {"before": "counts", "after": "stabilised"}
    for axis, (column, title), colour in zip(axes.flat, titles.items(), (SHORT_COLOUR, LONG_COLOUR), strict=True):
        axis.plot(table.electrons, table[column], "o-", color=colour)
        axis.set(title=title, xscale="log", xlabel="electrons a pixel", ylabel="standard deviation of the noise")
        axis.set_ylim(0, 1.25 * table[column].max())
    return figure


def plot_activations(curves):
    """Return activation functions side by side.

    Args:
        curves: DataFrame indexed by the value that goes in, a column a function.
    """
    figure, axes = _start(1, len(curves.columns), (4 * len(curves.columns), 2.8), sharey=True)
    for axis, name in zip(axes.flat, curves, strict=True):
        axis.plot(curves.index, curves[name], color=SHORT_COLOUR, linewidth=2)
        axis.axhline(0, color="gray", linewidth=0.8)
        axis.axvline(0, color="gray", linewidth=0.8)
        axis.set(title=name, xlabel="value before the activation")
    axes[0, 0].set_ylabel("value after it")
    return figure


def draw_network(table, title):
    """Return a drawing of a network: a box for what each layer gives, as high as it is, the thicker the more channels.

    The number of channels stands below, and the size where it changes. What is half as high stands a row lower. A
    colour tells the kind of layer; an arrow leads from an earlier layer to each join that takes it, see find_joined.

    Args:
        table: DataFrame of models.describe_layers; the last part of a layer's name says its kind, see LAYER_COLOURS.
        title: a text above.
    """
    boxes, rows = _place_boxes(table)
    figure, (axis,) = _start(1, 1, (11, 2.9 + 0.95 * rows), squeeze=True)
    size = (0, 0)
    for layer, box in boxes.iterrows():
        _draw_box(axis, box, *LAYER_COLOURS[_kind(layer)])
        below, before = box.middle - box.height / 2 - 0.04, size
        size = tuple(table.loc[layer, ["height", "width"]])
        axis.text(box.left, below, table.channels[layer], va="top", weight="bold")
        if size != before:
            axis.text(box.left, below - 0.18, f"{size[0]} × {size[1]}", va="top", fontsize=7)
    for source, join in find_joined(table):
        _draw_skip(axis, boxes.loc[source], boxes.loc[join])
    axis.set(title=title, aspect="equal", xlim=(-0.1, boxes.left.iloc[-1] + 0.6))
    axis.axis("off")
    handles, labels = axis.get_legend_handles_labels()
    once = dict(zip(labels[::3], handles[::3], strict=True))  # of each box the front
    figure.legend(once.values(), once, loc="outside lower center", ncols=len(once), frameon=False, fontsize=8)
    return figure


def _place_boxes(table, across=10.7, tallest=1.5, gap=0.32):
    """Where the boxes of a drawing stand, in inches: a DataFrame of left, width, middle, height; how many rows go down.

    Args:
        across: the most that all boxes may take.
        tallest: height of the picture's own box.
        gap: between boxes.
    """
    halvings = np.log2(table.height.max() / table.height).round()
    thickness = np.sqrt(table.channels)
    width = thickness * min(0.08, (across - gap * len(table)) / thickness.sum())
    left = (width + gap).cumsum() - width - gap
    middle = -1.5 * tallest * (1 - 0.5**halvings) - 0.6 * halvings  # without the 0.6, which is for texts, rows touch
    height = tallest * table.height / table.height.max()
    return pd.DataFrame({"left": left, "width": width, "middle": middle, "height": height}), int(halvings.max())


def find_joined(table):
    """Return which earlier layer each join takes besides the one before it: a list of (layer, join).

    It is the first with the join's height and width and with as many channels as the join adds.

    Args:
        table: DataFrame of models.describe_layers.
    """
    found, before = [], table.shift()
    for join in [layer for layer in table.index if _kind(layer) == "join"]:
        wanted = table.loc[join, ["height", "width", "channels"]] - [0, 0, before.channels[join]]
        alike = (table.loc[:join, ["height", "width", "channels"]] == wanted).all(axis=1)
        found.append((alike.idxmax(), join))
    return found


def _kind(layer):
    """The last part of a layer's name: "encoder2_pool" → "pool"."""
    return layer.rsplit("_", 1)[-1]


def _draw_box(axis, box, colour, label):
    """A cuboid seen from its left: the front, and a lighter top and a darker side that lean to the right."""
    right, low, high = box.left + box.width, box.middle - box.height / 2, box.middle + box.height / 2
    lean = 0.12 * box.height
    faces = {
        0.0: [(box.left, low), (right, low), (right, high), (box.left, high)],
        0.35: [(box.left, high), (right, high), (right + lean, high + lean), (box.left + lean, high + lean)],
        -0.25: [(right, low), (right + lean, low + lean), (right + lean, high + lean), (right, high)],
    }
    for light, corners in faces.items():
        shade = np.array(to_rgb(colour)) * (1 - abs(light)) + max(light, 0)
        axis.fill(*zip(*corners, strict=True), facecolor=shade, edgecolor="white", linewidth=0.5, label=label)


def _draw_skip(axis, source, join):
    """An arrow that leaves the top of a box, passes over what lies between, and comes down on a join."""
    start, end = (box.left + part * box.width + 0.06 * box.height for box, part in ((source, 0.75), (join, 0.25)))
    top = source.middle + 0.56 * source.height
    axis.plot([start, start, end], [top, top + 0.18, top + 0.18], color="#888888", linewidth=1.3)
    axis.annotate("", (end, top - 0.02), (end, top + 0.2), arrowprops={"arrowstyle": "-|>", "color": "#888888"})


def plot_clip(values, clipped, gradient):
    """Return the clip and its derivative over the values that go in."""
    figure, axes = _start(1, 2, (9, 2.8))
    for axis, result, title in zip(axes.flat, (clipped, gradient), ("output", "gradient"), strict=True):
        axis.plot(values, result, color=SHORT_COLOUR)
        axis.set(title=title, xlabel="value before the clip")
    return figure


def plot_histories(histories, losses=None):
    """Return training and validation loss over the epochs, an experiment a panel; the best epoch is marked.

    Args:
        histories: {title: history}, each as training.train returns it.
        losses: {title: name of its loss}, for the axis; None for "loss".
    """
    columns = min(3, len(histories))
    rows = -(-len(histories) // columns)
    figure, axes = _start(rows, columns, (4 * columns, 2.6 * rows))
    for axis in axes.flat[len(histories) :]:
        axis.axis("off")
    for axis, (title, history) in zip(axes.flat, histories.items(), strict=False):
        _draw_history(axis, history, (losses or {}).get(title, "loss"))
        axis.set_title(title)
    axes.flat[0].legend(frameon=False)
    return figure


def plot_summary(summary):
    """Return the mean absolute error of each experiment on this data beside the deck's on the real SID.

    Args:
        summary: DataFrame of evaluation.summarize, without its first row.
    """
    summary = summary.iloc[::-1]
    figure, (axis,) = _start(1, 1, (8, 0.5 * len(summary) + 0.8), squeeze=True)
    places = np.arange(len(summary))
    dataset = summary.dataset.iloc[0]
    axis.barh(places + 0.2, summary.mae, 0.38, color=SPLIT_COLOURS["test"], label=f"here, {dataset} test split")
    axis.barh(places - 0.2, summary.course_mae, 0.38, color="#c7c7c7", label="deck, real SID test split")
    axis.set(yticks=places, yticklabels=summary.experiment, xlabel="MAE (of 255)")
    axis.grid(False, axis="y")
    axis.grid(True, axis="x")
    figure.legend(frameon=False, loc="outside upper right", ncols=2)
    return figure


def plot_seeds(labels, values, xlabel, reference=None):
    """Return a value for each label, from top to bottom: a dot a seed and a line at their mean.

    Args:
        labels: one a value; those of the same label are its seeds.
        values: numbers.
        xlabel: what they are, with unit and split.
        reference: (name, value) of a vertical line to compare with.
    """
    rows = list(dict.fromkeys(labels))[::-1]
    means = pd.Series(values).groupby(list(labels)).mean()
    figure, (axis,) = _start(1, 1, (8, 0.32 * len(rows) + 0.9), squeeze=True)
    axis.scatter(values, [rows.index(label) for label in labels], 26, SPLIT_COLOURS["test"], alpha=0.6, zorder=3)
    for place, row in enumerate(rows):
        axis.plot([means[row]] * 2, [place - 0.3, place + 0.3], color="#303030", lw=1.5)
        axis.annotate(
            f"{means[row]:.2f}", (1.01, place), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
        )
    if reference:
        axis.axvline(reference[1], color="gray", linestyle=":", label=reference[0])
        figure.legend(frameon=False, loc="outside upper right")
    axis.set(yticks=range(len(rows)), yticklabels=rows, xlabel=xlabel)
    axis.grid(True, axis="x")
    return figure


def _start(rows, columns, size, squeeze=False, **options):
    """A new figure that pyplot does not keep, and its axes: (rows, columns), or flat if squeezed."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)
    plt.close(figure)
    return figure, axes.ravel() if squeeze else axes


def _name_time(seconds):
    """0.1 → "1/10 s", 0.033 → "1/30 s", 10 → "10 s"."""
    return f"1/{round(1 / seconds)} s" if seconds < 1 else f"{seconds:g} s"


def _draw_history(axis, history, loss):
    """Draw the losses of training and validation on an axis, from 0 to what most epochs need, and mark the best."""
    axis.plot(history.epoch, history.loss, color=SPLIT_COLOURS["train"], label="train")
    axis.plot(history.epoch, history.val_loss, color=SPLIT_COLOURS["val"], label="val")
    best = history.loc[history.val_loss.idxmin()]
    axis.plot(best.epoch, best.val_loss, "o", color=SPLIT_COLOURS["val"], label="best")
    top = history[["loss", "val_loss"]].quantile(0.75).max()
    axis.set(xlabel="epoch", ylabel=loss, ylim=(0, 1.5 * top))
    axis.xaxis.get_major_locator().set_params(integer=True)


def plot_strip(title, history, loss, pictures):
    """Return one experiment as a slide shows it: its curves, then input, output and truth side by side.

    Args:
        title: above it all, from the left; may have a second line with the scores.
        history: as training.train returns it.
        loss: the name of the loss, for the axis.
        pictures: {caption: array (height, width, 3) in 0…255}, from left to right; their pixels are shown as they are.
    """
    figure, (curves, *places) = _start(
        1, 1 + len(pictures), (7.2, 2.1), squeeze=True, width_ratios=[1.1] + [1.2] * len(pictures)
    )
    _draw_history(curves, history, loss)
    curves.legend(frameon=False, ncols=3, fontsize=7, handlelength=1, columnspacing=1)
    for axis, (caption, picture) in zip(places, pictures.items(), strict=True):
        axis.imshow(np.clip(np.rint(picture), 0, 255).astype(np.uint8), interpolation="nearest")
        axis.set_title(caption, fontsize=9)
        axis.axis("off")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure
