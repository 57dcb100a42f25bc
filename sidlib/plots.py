"""Figures: functions from arrays or a DataFrame to a Figure. Pictures keep the order input, outputs, truth."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

from sidlib import paths

SPLIT_COLOURS = {"train": "#4c72b0", "val": "#dd8452", "test": "#55a868"}
CHANNEL_COLOURS = {"red": "#c44e52", "green": "#55a868", "blue": "#4c72b0"}
SHORT_COLOUR, LONG_COLOUR = "#30356b", "#e8a33d"
LAYER_COLOURS = {  # by the kind of a layer, see _kinds
    "picture": ("#5c5f73", "picture"),
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
}


def _start(rows, columns, size, **options):
    """Return a new figure that pyplot does not keep, and its axes row by row."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)
    plt.close(figure)
    return figure, axes.ravel()


def save(figure, file):
    """Write a Figure to a file and return it."""
    with paths.write_atomically(file) as path:
        figure.savefig(path, dpi=100)
    return figure


def show_pictures(pictures, titles, columns=None, width=3.2):
    """Return pictures, (height, width, 3) or (height, width) in 0…255, side by side, pixel for pixel, without axes.

    By default there are one row of up to four pictures, or a square grid. The width is that of one picture in inches.
    """
    columns = columns or (len(pictures) if len(pictures) <= 4 else math.ceil(math.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    height = width * pictures[0].shape[0] / pictures[0].shape[1] + 0.35 + 0.16 * max(t.count("\n") for t in titles)
    figure, axes = _start(rows, columns, (width * columns, height * rows))
    _show(axes, pictures, titles)
    return figure


def _show(axes, pictures, titles):
    """Show a picture on each axis, as far as there are any, and hide the axes themselves."""
    for axis in axes:
        axis.axis("off")
    for axis, picture, title in zip(axes, pictures, titles, strict=False):
        pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title)


def mark_place(picture, top, left, height, width):
    """Return a copy of a picture (height, width, 3) in 0…255 with a red frame, two pixels wide, around a place."""
    marked = np.array(picture)
    outer = np.s_[max(top - 3, 0) : top + height + 3, max(left - 3, 0) : left + width + 3]
    inner = np.s_[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1]
    marked[outer] = (255, 0, 0)
    marked[inner] = picture[inner]
    return marked


def plot_index(pairs, title):
    """Return the number of pairs by exposure times, ratio, ISO and f-number, a colour per split."""
    short = [f"1/{round(1 / seconds)} s" if seconds < 1 else f"{seconds:g} s" for seconds in pairs.short_s]
    columns = {
        "short and long exposure": short + pairs.long_s.map(", {:g} s".format),
        "exposure ratio": pairs.ratio.round().astype(int),
        "ISO": pairs.iso,
        "f-number": pairs.f_number,
    }
    figure, axes = _start(2, 2, (10, 5.5))
    for axis, (name, column) in zip(axes, columns.items(), strict=True):
        counts = pd.crosstab(column, pairs.split).reindex(columns=SPLIT_COLOURS, fill_value=0)
        turn = 60 if len(counts) > 8 else 0
        counts.plot.bar(ax=axis, stacked=True, color=SPLIT_COLOURS, width=0.85, legend=False, rot=turn)
        axis.set(xlabel=name, ylabel="pairs")
    axes[0].legend(frameon=False)
    figure.suptitle(title)
    return figure


def plot_light_levels(short_counts, long_counts, black, white):
    """Return histograms of two captures' raw counts: the share of the pixels per count, whatever a bin's width."""
    figure, (axis,) = _start(1, 1, (9, 3))
    linear = 30  # counts: bins of one count up to here, of about equal width on the logarithmic axis from there
    edges = np.append(np.arange(-linear, linear), np.geomspace(linear, white - black, 60).round())
    bins = np.unique(edges) - 0.5  # between counts, so that each bin holds as many of them as it is wide
    bins[-1] += 1  # saturation lies in the last bin
    for counts, name, colour in ((short_counts, "short", SHORT_COLOUR), (long_counts, "long", LONG_COLOUR)):
        share = 100 * np.histogram(counts.astype(float) - black, bins)[0] / np.diff(bins) / counts.size
        axis.stairs(share, bins, fill=True, color=colour, alpha=0.75, label=name)
    axis.set_xscale("symlog", linthresh=linear)
    axis.axvline(white - black, color="gray", linestyle=":", label="saturation")
    ticks = [-20, 0, 20, 100, 1000, 10000]
    axis.set(xlabel="counts above black", xticks=ticks, xticklabels=ticks, xlim=(-linear, None))
    axis.set(ylabel="pixels per count (%)", yscale="log", ylim=(1e-4, None))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.legend(frameon=False)
    return figure


def plot_grey_levels(short, long):
    """Return the histograms of two developed 8-bit pictures; the titles count the levels that each one uses."""
    figure, axes = _start(1, 2, (10, 2.8), sharex=True)
    for axis, name, picture, colour in ((axes[0], "short", short, SHORT_COLOUR), (axes[1], "long", long, LONG_COLOUR)):
        share = np.bincount(picture.ravel(), minlength=256) / picture.size * 100
        axis.bar(np.arange(256), share, width=1, color=colour)
        axis.set(title=f"{name}: {np.count_nonzero(share)} of 256 levels", xlabel="8-bit value", ylabel="pixels (%)")
    return figure


def plot_noise_by_scale(noise):
    """Return the noise of block averages (red, green, blue; 1 for a pixel) by block side, the DataFrame's index."""
    figure, (axis,) = _start(1, 1, (6, 3.4))
    noise.plot(ax=axis, style="o-", color=CHANNEL_COLOURS, grid=True)
    scales, ticks = noise.index.to_numpy(), [0.05, 0.1, 0.2, 0.5]
    axis.plot(scales, 2 / scales, "--", color="gray", label="a quarter of the pixels, independent")
    axis.plot(scales, np.sqrt(2) / scales, ":", color="gray", label="half of the pixels, independent")
    axis.set(xscale="log", yscale="log", xlabel="scale (pixels)", ylabel="noise / noise of a pixel")
    axis.set(xticks=scales, xticklabels=scales, yticks=ticks, yticklabels=ticks)
    axis.minorticks_off()
    axis.legend(frameon=False)
    return figure


def plot_stabilised(table):
    """Return the noise before and after the variance-stabilising transform, the table's columns, by its electrons."""
    figure, axes = _start(1, 2, (8, 2.8))
    table = table.set_index("electrons").rename(columns={"before": "counts", "after": "stabilised"})
    options = {"style": "o-", "color": [SHORT_COLOUR, LONG_COLOUR], "logx": True, "legend": False, "grid": True}
    table.plot(ax=axes, subplots=True, title=list(table), xlabel="electrons per pixel", **options)
    for axis in axes:
        axis.set(ylabel="standard deviation of the noise", ylim=(0, 1.25 * table[axis.get_title()].max()))
    return figure


def draw_network(table, title):
    """Return a drawing of the network that a DataFrame of models.describe_layers lists.

    A box per layer is as high as its output, and thicker for more channels. Below it stand its channels, and its size
    where it changes. Half the height is drawn a row lower. A colour marks the kind of layer, an arrow a skip.
    """
    across_in, tallest_in, gap_in = 10.7, 1.5, 0.32
    halvings, thickness = np.log2(table.height.max() / table.height).round(), np.sqrt(table.channels)
    width = thickness * min(0.08, (across_in - gap_in * len(table)) / thickness.sum())
    left = (width + gap_in).cumsum() - width - gap_in
    height = tallest_in * table.height / table.height.max()
    middle = -1.5 * tallest_in * (1 - 0.5**halvings) - 0.6 * halvings  # 0.6 for the texts between the rows
    boxes = pd.DataFrame({"left": left, "bottom": middle - height / 2, "width": width, "height": height})
    figure, (axis,) = _start(1, 1, (11, 2.9 + 0.95 * halvings.max()))
    sizes = table.height.map(str) + " × " + table.width.map(str)
    is_new = sizes != sizes.shift()
    for layer, kind in _kinds(table).items():
        box = boxes.loc[layer]
        _draw_box(axis, box, *LAYER_COLOURS[kind])
        axis.text(box.left, box.bottom - 0.04, table.channels[layer], va="top", weight="bold")
        axis.text(box.left, box.bottom - 0.22, sizes[layer] if is_new[layer] else "", va="top", fontsize=7)
    for source, join in (boxes.loc[list(joined)].itertuples() for joined in find_joined(table)):
        start, end = (box.left + part * box.width + 0.06 * box.height for box, part in ((source, 0.75), (join, 0.25)))
        top = source.bottom + 1.06 * source.height
        axis.plot([start, start, end], [top, top + 0.18, top + 0.18], color="#888888", linewidth=1.3)
        axis.annotate("", (end, top - 0.02), (end, top + 0.2), arrowprops={"arrowstyle": "-|>", "color": "#888888"})
    axis.set(title=title, aspect="equal", xlim=(-0.1, left.iloc[-1] + 0.6))
    axis.axis("off")
    once = dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(once.values(), once, loc="outside lower center", ncols=len(once), frameon=False, fontsize=8)
    return figure


def _draw_box(axis, box, colour, label):
    """Draw a cuboid seen from its left: its front, which the legend names, a lighter top and a darker side."""
    front, right, up = np.array([[box.left, box.bottom], [box.width, 0], [0, box.height]])
    for light, corner, edge in ((0, front, right), (0.35, front + up, right), (-0.25, front + right, up)):
        other = 0.12 * box.height if light else up
        corners = np.transpose([corner, corner + edge, corner + edge + other, corner + other])
        shade = np.array(to_rgb(colour)) * (1 - abs(light)) + max(light, 0)
        axis.fill(*corners, facecolor=shade, edgecolor="white", linewidth=0.5, label=None if light else label)


def _kinds(table):
    """Return the kind of each layer, the last part of its name: "encoder2_pool" → "pool"; the first is the picture."""
    kinds = table.index.to_series().str.rsplit("_", n=1).str[-1]
    return kinds.where(kinds.index != kinds.index[0], "picture")


def find_joined(table):
    """Return a list of (layer, join): the first layer of a join's size with as many channels as the join adds."""
    found, before, kinds = [], table.channels.shift(), _kinds(table)
    for join in kinds.index[kinds == "join"]:
        wanted = table.loc[join, ["height", "width", "channels"]] - [0, 0, before[join]]
        alike = (table.loc[:join, ["height", "width", "channels"]] == wanted).all(axis=1)
        found.append((alike.idxmax(), join))
    return found


def plot_histories(histories, losses=None):
    """Return training and validation loss, a panel per title of the histories; titles may find losses' names, too."""
    columns, rows = min(3, len(histories)), math.ceil(len(histories) / 3)
    figure, axes = _start(rows, columns, (4 * columns, 2.6 * rows))
    for axis in axes[len(histories) :]:
        axis.axis("off")
    for axis, (title, history) in zip(axes, histories.items(), strict=False):
        _draw_history(axis, history, (losses or {}).get(title, "loss"))
        axis.set_title(title)
    axes[0].legend(frameon=False)
    return figure


def _draw_history(axis, history, loss):
    """Draw the losses of training and validation on an axis, and mark the best epoch."""
    axis.plot(history.epoch, history.loss, color=SPLIT_COLOURS["train"], label="train")
    axis.plot(history.epoch, history.val_loss, color=SPLIT_COLOURS["val"], label="val")
    best = history.loc[history.val_loss.idxmin()]
    axis.plot(best.epoch, best.val_loss, "o", color=SPLIT_COLOURS["val"], label="best")
    top = history[["loss", "val_loss"]].quantile(0.75).max()
    axis.set(xlabel="epoch", ylabel=loss, ylim=(0, 1.5 * top))
    axis.xaxis.get_major_locator().set_params(integer=True)


def plot_strip(title, history, loss, pictures):
    """Return one experiment as a slide shows it: its curves, then {caption: picture in 0…255} side by side."""
    figure, (curves, *places) = _start(1, 1 + len(pictures), (7.2, 2.1), width_ratios=[1.1] + [1.2] * len(pictures))
    _draw_history(curves, history, loss)
    curves.legend(frameon=False, ncols=3, fontsize=7, handlelength=1, columnspacing=1)
    _show(places, pictures.values(), pictures)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure
