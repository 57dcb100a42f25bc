"""Figures: functions from arrays or a DataFrame to a Figure. Pictures keep the order input, outputs, truth."""

import math
import textwrap
from collections import Counter
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch, Patch
from PIL import Image, ImageDraw

from sidlib import paths

MODEL_COLOURS = {"CNN": "#4c72b0", "dense CNN": "#dd8452", "U-Net": "#55a868"}  # by the first word of a title
SPLIT_COLOURS = {"train": "#4c72b0", "val": "#dd8452", "test": "#55a868"}
CHANNEL_COLOURS = {"red": "#c44e52", "green": "#55a868", "blue": "#4c72b0"}
SHORT_COLOUR, LONG_COLOUR = "#30356b", "#e8a33d"
STEP_COLOURS = {  # of a layer's arrow, by its kind, see _kinds
    "conv": ("#30356b", "convolution"),
    "join": ("#888888", "join"),
    "pool": ("#dd8452", "max-pooling, half the size"),
    "up": ("#55a868", "up-sampling, double the size"),
    "resize": ("#d62728", "resize to the skip's size"),
    "clip": ("#c23fa5", "clip to 0…255"),
}
SIDE = 0.08  # of a box that is seen from its left, in parts of its height
PIPELINE = {  # the size of what each step hands on, with the course's settings
    "capture": "RAW files,\nshort and long",
    "mosaic": "4240 × 2832\ncounts of 14 bit",
    "a tenth": "424 × 284 × 3\nlinear light",
    "PNG": "424 × 284 × 3\n8 bit: 0…255",
    "tf.data": "batches of crops\n10 × 16 × 24 × 3",
    "network": "the same size,\nany value",
    "clip": "the same,\n0…255",
    "loss": "one number\nper batch",
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


def save(figure, file, alt):
    """Write a Figure to a PNG file, and return it with an alternative text for those who cannot see it in a notebook.

    The text is in the PNG file and in the output's metadata, from where report.describe_figures takes it.
    """
    with paths.write_atomically(file) as path:
        figure.savefig(path, dpi=100, bbox_inches="tight", metadata={"Description": alt})
    figure._repr_mimebundle_ = lambda **_: ({}, {"image/png": {"alt": alt}})  # the notebook adds the picture
    return figure


def round_picture(picture, bits=8):
    """Return a picture in 0…255, with fractions, as levels of 8 bits or of 16, where 65535 is 255; NaN is black."""
    levels = np.clip(np.nan_to_num(picture), 0, 255)
    return np.rint(levels if bits == 8 else levels * 257.0).astype(f"uint{bits}")


def show_pictures(pictures, titles=None, columns=None, width=3.2):
    """Return {title: picture} in one row or so many columns, without axes; titles may be given beside a list.

    Pictures are (height, width, 3) or (height, width) in 0…255; the width is that of one picture in inches.
    """
    if titles is None:
        titles, pictures = list(pictures), list(pictures.values())
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    height = width * pictures[0].shape[0] / pictures[0].shape[1] + 0.35 + 0.16 * max(t.count("\n") for t in titles)
    figure, axes = _start(rows, columns, (width * columns, height * rows))
    _show(axes, pictures, titles)
    return figure


def show_staircase(pictures, errors, kinds, colours):
    """Return {step: picture} in one strip, with a step's name above each and its error, if known, large below.

    Pictures are (height, width, 3) in 0…255, all of one shape. errors: {step: number}. A step is in the colour of its
    kind: kinds are {step: kind}, colours {kind: colour}.
    """
    height, width, _ = next(iter(pictures.values())).shape
    inches = 13 / len(pictures)
    figure, axes = _start(1, len(pictures), (13, inches * height / width + 1.35))
    _show(axes, pictures.values(), [textwrap.fill(step, 16) for step in pictures])
    for axis, step in zip(axes, pictures, strict=True):
        colour = colours.get(kinds.get(step), "black")
        axis.title.set(color=colour, fontsize=10)
        number = f"{errors[step]:.1f}" if step in errors else ""
        axis.text(0.5, -0.04, number, transform=axis.transAxes, ha="center", va="top", fontsize=20, color=colour)
    handles = [Patch(color=colour, label=kind) for kind, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(colours), frameon=False, fontsize=11)
    return figure


def _show(axes, pictures, titles):
    """Show a picture on each axis, as far as there are any, and hide the axes themselves."""
    for axis in axes:
        axis.axis("off")
    for axis, picture, title in zip(axes, pictures, titles, strict=False):
        axis.imshow(round_picture(picture), cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        axis.set_title(title)


def mark_place(picture, top, left, height, width):
    """Return a copy of a picture, uint8 (height, width, 3), with a cyan frame, two pixels wide, around a place."""
    marked = Image.fromarray(picture)
    box = left - 3, top - 3, left + width + 2, top + height + 2
    ImageDraw.Draw(marked).rectangle(box, outline="cyan", width=2)
    return np.asarray(marked)


def plot_pipeline(*lit):
    """Return a drawing of the way from a capture to its loss: a box per step of PIPELINE, the `lit` ones in colour.

    Below each step stands the size of what it hands on.
    """
    figure, (axis,) = _start(1, 1, (10, 1.9))
    arrow = {"arrowstyle": "-|>", "color": "#777777", "shrinkA": 0, "shrinkB": 0}
    for place, (step, size) in enumerate(PIPELINE.items()):
        fill, ink = (LONG_COLOUR, "black") if step in lit else ("#ededf3", "#666666")
        shape = {"boxstyle": "round,pad=0,rounding_size=0.08", "facecolor": fill, "edgecolor": "none"}
        axis.add_patch(FancyBboxPatch((place - 0.39, -0.25), 0.78, 0.5, **shape))
        axis.text(place, 0, step, color=ink, size=11, weight="bold", ha="center", va="center_baseline")
        axis.text(place, -0.36, size, color=ink, size=9, ha="center", va="top")
        if place:
            axis.annotate("", (place - 0.4, 0), (place - 0.6, 0), arrowprops=arrow)
    start, end = (list(PIPELINE).index(step) for step in ("tf.data", "loss"))
    axis.plot([start, start, end], [0.26, 0.55, 0.55], color="#777777", linewidth=1)
    axis.annotate("", (end, 0.26), (end, 0.55), arrowprops=arrow)
    axis.text((start + end) / 2, 0.6, "truth: the long exposure", color="#666666", size=9, ha="center", va="bottom")
    axis.set(xlim=(-0.5, len(PIPELINE) - 0.5), ylim=(-0.8, 0.8))
    axis.axis("off")
    return figure


def plot_light_levels(short_counts, long_counts, black, white):
    """Return histograms of two captures' raw counts: the share of the pixels per count, whatever a bin's width."""
    figure, (axis,) = _start(1, 1, (9, 3.2))
    means = (counts.mean(dtype=float) - black for counts in (short_counts, long_counts))
    axis.set_title("mean above black: short {:.1f} counts, long {:.0f} counts".format(*means))
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
    axis.set(ylabel="share of pixels at one count (%)", yscale="log", ylim=(1e-4, None))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.legend(frameon=False)
    return figure


def plot_noise_by_scale(noise):
    """Return the noise of block averages (red, green, blue; 1 for a pixel) by block side, the DataFrame's index.

    The gray lines are what independent pixels would have: a quarter of a block's are red, half are green.
    """
    figure, (axis,) = _start(1, 1, (6, 3.4))
    noise.plot(ax=axis, style=["o--", "o-", "o-"], color=CHANNEL_COLOURS, grid=True)
    axis.lines[0].set_zorder(3)  # red lies on blue
    scales, ticks = noise.index.to_numpy(), [0.05, 0.1, 0.2, 0.5]
    axis.plot(scales, 2 / scales, "--", color="gray", label="1/√(¼ of the pixels)")
    axis.plot(scales, np.sqrt(2) / scales, ":", color="gray", label="1/√(½ of the pixels)")
    axis.set(xscale="log", yscale="log", xlabel="side of a block (pixels)", ylabel="noise / noise of a pixel")
    axis.set(xticks=scales, xticklabels=scales, yticks=ticks, yticklabels=ticks)
    axis.minorticks_off()
    axis.legend(frameon=False)
    return figure


def plot_stabilised(table):
    """Return the noise before and after the variance-stabilising transform, the table's columns, by its electrons."""
    figure, axes = _start(1, 2, (8, 2.8))
    table = table.set_index("electrons").rename(columns={"before": "counts", "after": "stabilised"})
    options = {"style": "o-", "color": [SHORT_COLOUR, LONG_COLOUR], "legend": False, "grid": True}
    table.plot(ax=axes, subplots=True, title=list(table), xlabel="electrons per pixel", **options)
    for axis in axes:
        axis.set(ylabel="standard deviation of the noise", ylim=(0, 1.25 * table[axis.get_title()].max()))
    return figure


def draw_network(table, title):
    """Return a drawing of the network that a DataFrame of models.describe_layers lists.

    A box per tensor is as high as its pictures, and thicker for more channels, in a colour per convolution that made
    some of them. Below stand the number of channels, and the size where it changes: red where it misses its skip's.
    An arrow per layer leads from tensor to tensor, a row down where the size is halved and up where it is doubled.
    """
    kinds, sizes = _kinds(table), table.height.map(str) + " × " + table.width.map(str)
    is_odd = (kinds == "up") & (kinds.shift(-1) == "resize") & (sizes != sizes.shift(-1))
    shown = table[is_odd | ~kinds.isin(["up", "resize"])]  # a join shows the size of what was resized for it
    row = ((kinds == "pool").cumsum() - (kinds == "up").cumsum())[shown.index]
    gap, height, width = 0.36, 1.5 * shown.height / shown.height.max(), np.sqrt(shown.channels)  # inches
    width *= min(0.08, (8.8 - gap * len(shown)) / width.sum())
    bottom = -2.25 * (1 - 0.5**row) - 0.7 * row - height / 2  # 0.7 for the texts between the rows
    left = (width + gap).cumsum() - width - gap
    boxes = pd.DataFrame({"left": left, "bottom": bottom, "width": width, "height": height})
    ends = [bottom.min() - 0.45, height.max() / 2 + 0.35]  # with room for texts and skips
    figure, (axis,) = _start(1, 1, (9, np.ptp(ends) + 0.4 + 0.25 * math.ceil(kinds[1:].nunique() / 3)))
    parts = _find_parts(table)
    for layer, box in boxes.iterrows():
        _draw_box(axis, box, parts[layer], is_pale=kinds[layer] == "join")
        axis.text(box.left, box.bottom - 0.05, shown.channels[layer], va="top", size=10, weight="bold")
        colour = STEP_COLOURS["resize"][0] if is_odd[layer] else "black"
        if sizes[layer] != sizes[shown.index].shift()[layer]:
            x, side = (box.left + box.width / 2, "center") if is_odd[layer] else (box.left, "left")
            axis.text(x, box.bottom - 0.24, sizes[layer], va="top", ha=side, size=10, color=colour)
    for before, layer in pairwise(boxes.index):
        _draw_arrow(axis, _find_way(boxes.loc[before], boxes.loc[layer]), *STEP_COLOURS[kinds.shift(-1)[before]])
    for start, end in (boxes.loc[list(joined)].itertuples() for joined in find_joined(table)):
        (x, y), last = _find_top(start, 0.75), _find_top(end, 0.25)
        _draw_arrow(axis, [(x, y), (x, y + 0.2), (last[0], y + 0.2), last], *STEP_COLOURS["join"])
    middle = (boxes.left + boxes.width).max() / 2
    axis.set(title=title, aspect="equal", xlim=(middle - 4.4, middle + 4.4), ylim=ends)
    axis.axis("off")
    once = dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(once.values(), once, loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    return figure


def _find_parts(table):
    """Return for each layer what made its channels, from the first on: a list of (colour, number of channels)."""
    kinds, joined = _kinds(table), {join: source for source, join in find_joined(table)}
    colours = iter(plt.colormaps["viridis"](np.linspace(0.1, 0.95, (kinds == "conv").sum())))
    parts, made = {}, [("#777777", table.channels.iloc[0])]
    for layer in table.index:
        if kinds[layer] == "join":
            made = parts[joined[layer]] + made
        elif kinds[layer] == "conv":
            made = [(next(colours), table.channels[layer])]
        parts[layer] = made
    return parts


def _draw_box(axis, box, parts, is_pale):
    """Draw a cuboid seen from its left, part beside part: fronts, lighter tops, darker sides; all pale if so wished."""
    left, unit = box.left, box.width / sum(channels for _, channels in parts)
    for colour, channels in parts:
        front, right, up = np.array([[left, box.bottom], [channels * unit, 0], [0, box.height]])
        for light, corner, edge in ((0, front, right), (0.35, front + up, right), (-0.25, front + right, up)):
            other = SIDE * box.height if light else up
            corners = np.transpose([corner, corner + edge, corner + edge + other, corner + other])
            shade = np.array(to_rgb(colour)) * (1 - abs(light)) + max(light, 0)
            shade = (shade + is_pale) / (1 + is_pale)
            axis.fill(*corners, facecolor=shade, edgecolor="white", linewidth=0.5)
        left += channels * unit


def _find_way(start, end):
    """Return the points of the arrow from a box to the next: straight in a row, with a corner into another row."""
    middle, target = start.bottom + start.height / 2, end.bottom + end.height / 2
    right, top = (start.left + start.width + SIDE * start.height, middle), _find_top(end, 0.25)
    if target < middle - 0.1:
        return [right, (top[0], middle), top]
    if target > middle + 0.1:
        top = _find_top(start, 0.75)
        return [top, (top[0], target), (end.left, target)]
    return [right, (end.left, middle)]


def _find_top(box, part):
    """Return the point on a box's top at a part of its width."""
    return box.left + part * box.width + SIDE * box.height / 2, box.bottom + (1 + SIDE / 2) * box.height


def _draw_arrow(axis, points, colour, label=None):
    """Draw an arrow through points (x, y), which the legend names."""
    axis.plot(*zip(*points, strict=True), color=colour, linewidth=1.5, label=label)
    head = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.5}
    axis.annotate("", points[-1], points[-2], arrowprops=head)


def _kinds(table):
    """Return the kind of each layer: "pool" of "encoder2_pool" and "max_pooling2d_1", "picture" of the first one."""
    kinds = table.index.to_series().str.extract("(conv|concat|join|pool|up|resize|clip)", expand=False)
    return kinds.replace("concat", "join").where(kinds.index != kinds.index[0], "picture")


def find_joined(table):
    """Return a list of (layer, join): the first layer of a join's size with as many channels as the join adds."""
    sizes = table[["height", "width", "channels"]]
    added = sizes.assign(channels=sizes.channels.diff())
    joins = table.index[_kinds(table) == "join"]
    return [((sizes == added.loc[join]).all(axis=1).idxmax(), join) for join in joins]


def plot_histories(histories, losses, controls):
    """Return the losses by epoch, a panel per loss: thick lines for val, thin for train, a dot at the lowest of val.

    histories: {title of an experiment: history}. losses: {title: name of its loss}. controls: DataFrame of losses on
    val, dotted lines: a row per control, a column per name of a loss.
    """
    names = list(dict.fromkeys(losses.values()))
    figure, axes = _start(1, len(names), (5.4 * len(names), 4.2))
    for axis, name in zip(axes, names, strict=True):
        shown, models = {title: history for title, history in histories.items() if losses[title] == name}, Counter()
        for title, history in shown.items():
            model = title.split(",")[0]
            style = {"color": MODEL_COLOURS.get(model, "#8172b3"), "linestyle": ["-", "--", ":"][models[model] % 3]}
            models[model] += 1
            axis.plot(history.epoch, history.val_loss, linewidth=2, label=title, **style)
            axis.plot(history.epoch, history.loss, linewidth=0.8, **style)
            best = history.loc[history.val_loss.idxmin()]
            axis.plot(best.epoch, best.val_loss, "o", color=style["color"])
        for place, (control, value) in zip((1, 0.55), controls[name].items(), strict=True):
            axis.axhline(value, color="gray", linestyle=":")
            across = axis.get_yaxis_transform()
            axis.text(place, value, control, color="gray", ha="right", va="bottom", transform=across)
        values = pd.concat([history[["loss", "val_loss"]] for history in shown.values()]).to_numpy()
        axis.set(xlabel="epoch", ylabel=f"{name}, thick: val, thin: train")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_ylim(0.9 * values.min(), max(1.1 * controls[name].max(), np.quantile(values, 0.85)))
        axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.15))
    return figure


def plot_seeds(table, controls):
    """Return the MAE on val and on test of trainings, a dot per seed, a line at the mean, dotted lines for controls.

    Both are DataFrames by label with the columns val_mae and mae; the table has a row per training.
    """
    labels = table.index.unique()[::-1]
    figure, axes = _start(1, 2, (10, 0.9 + 0.32 * len(labels)), sharey=True)
    axes[0].yaxis.update_units(labels)
    for axis, column, split in zip(axes, ("val_mae", "mae"), ("val", "test"), strict=True):
        axis.plot(table[column], table.index, "o", color=SPLIT_COLOURS[split])
        axis.plot(table[column].groupby(level=0).mean()[labels], labels, "|", color="black", markersize=14)
        for line, (control, value) in enumerate(controls[column].items()):
            axis.axvline(value, color="gray", linestyle=":")
            above = axis.get_xaxis_transform()
            axis.text(value, 1.02 + 0.07 * line, control, color="gray", ha="right", va="bottom", transform=above)
        axis.set(xlabel=f"MAE on {split}")
        axis.grid(axis="x", alpha=0.3)
    return figure


def plot_differences(tables):
    """Return differences with their intervals, a panel per {title: DataFrame of evidence.compare_photographs' dicts}.

    A row is a label; it is grey if its verdict is "cannot be told". All tables have the same labels.
    """
    colours = {"lower": "#55a868", "higher": "#c44e52"}
    height = 0.9 + 0.32 * len(next(iter(tables.values())))
    figure, axes = _start(1, len(tables), (10, height), sharey=True)
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        for row in table[::-1].itertuples():
            colour = colours.get(row.verdict, "gray")
            axis.plot([row.low, row.high], [row.Index, row.Index], color=colour)
            axis.plot(row.difference, row.Index, "o", color=colour)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set(title=title, xlabel="difference in MAE")
        axis.grid(axis="x", alpha=0.3)
    return figure


def plot_profiles(profiles):
    """Return lines of a DataFrame: a column per model, the index in pixels from the left border."""
    figure, (axis,) = _start(1, 1, (7, 2.8))
    profiles.plot(ax=axis, style="o-", markersize=3, color=MODEL_COLOURS)
    axis.set(xlabel="pixels from the left border", ylabel="level minus level in the middle")
    axis.legend(frameon=False)
    return figure


def plot_photographs(table, label):
    """Return the values of a DataFrame (photographs × methods): a line per photograph, a dot per method."""
    figure, (axis,) = _start(1, 1, (9, 0.9 + 0.32 * len(table)))
    axis.hlines(table.index, table.min(axis=1), table.max(axis=1), color="lightgray", zorder=1)
    for method, colour in zip(table, (LONG_COLOUR, "#4c72b0", SHORT_COLOUR), strict=False):
        axis.scatter(table[method], table.index, color=colour, label=method, s=45, zorder=2)
    axis.set(xlabel=label)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
