"""The human check: a fixed input, each model's output and the truth side by side, as a figure and as a panel."""

import base64
import html
import io

import ipywidgets as widgets
import numpy as np
from PIL import Image

from sidlib import plots
from sidlib.evaluation import predict, score_picture, show_input


def choose_pair(pairs, number=0):
    """Return a test pair as a DataFrame of one row; by default always the same, the first."""
    test = pairs[pairs.split == "test"]
    if not 0 <= number < len(test):
        raise IndexError(f"There are {len(test)} test pairs, numbered from 0. Received: {number}")
    return test.iloc[[number]]


def collect_pictures(models, pair):
    """Return the pictures of a human check, in the order that every figure keeps: input, outputs, truth.

    Args:
        models: {name: Keras model, or function from batch to batch}.
        pair: DataFrame of one row.
    Returns:
        {name: float32 (height, width, 3) in 0…255}, first "input", last "truth".
    """
    if not models:
        raise ValueError("A human check needs at least one model. Received: none")
    ((short, _, truth),) = predict(show_input, pair)
    outputs = {name: next(predict(model, pair))[1] for name, model in models.items()}
    return {"input": short, **outputs, "truth": truth}


def compare(models, pairs, number=0):
    """Return the static human check: a Figure of the input, each model's output and the truth, with their scores.

    Args:
        models: {name: model}.
        pairs: DataFrame of preprocess.develop_pairs.
        number: which test pair; by default always the same.
    """
    pictures = collect_pictures(models, choose_pair(pairs, number))
    titles = [f"{name}\n{describe_scores(picture, pictures['truth'])}" for name, picture in pictures.items()]
    return plots.show_pictures(list(pictures.values()), titles)


def describe_scores(picture, truth):
    """Return a picture's scores in a line, or what it is if it is the truth itself."""
    if picture is truth:
        return "long exposure"
    scores = score_picture(picture, truth)
    return f"MAE {scores['mae']:.1f} · {scores['psnr_db']:.1f} dB · SSIM {scores['ssim']:.2f}"


def render_row(pictures, width_px=256):
    """Return pictures side by side as HTML, each with its name and its scores against the truth.

    Args:
        pictures: {name: (height, width, 3) in 0…255}, with "truth" as the last.
        width_px: of each picture on the page; its pixels stay crisp.
    """
    figures = []
    for name, picture in pictures.items():
        name, scores = html.escape(name), describe_scores(picture, pictures["truth"])
        figures.append(f"""
            <figure style="margin:0; width:{width_px}px">
              <img alt="{name}: {scores}" src="{encode_png(picture)}" style="width:100%; image-rendering:pixelated">
              <figcaption style="line-height:1.4; overflow-wrap:anywhere"><b>{name}</b><br>{scores}</figcaption>
            </figure>""")
    return f'<div style="display:flex; flex-wrap:wrap; gap:12px">{"".join(figures)}</div>'


def encode_png(picture):
    """Return a picture (height, width, 3) in 0…255 as the data URL of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8)).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


class HumanCheck:
    """The interactive human check: choose a test picture and the models to see. Display its `panel`.

    Each model runs once a picture; what it made is kept.

    Args:
        models: {name: model}.
        pairs: DataFrame of preprocess.develop_pairs.
        number: which test pair to begin with; by default always the same.
    """

    def __init__(self, models, pairs, number=0):
        self.models, self.pairs = models, pairs
        self.kept = {}
        test = pairs[pairs.split == "test"]
        names = [
            f"scene {p.scene}, {p.short_s:.3g} s, frame {p.frame}, ×{p.ratio:.0f}, ISO {p.iso}"
            for p in test.itertuples()
        ]
        self.picture = widgets.Dropdown(
            options=[(name, place) for place, name in enumerate(names)],
            value=number,
            description="Picture",
            layout=widgets.Layout(width="34em"),
        )
        self.shown = {
            name: widgets.Checkbox(value=True, description=name, indent=False, layout=widgets.Layout(width="auto"))
            for name in models
        }
        self.row = widgets.HTML()
        for control in (self.picture, *self.shown.values()):
            control.observe(self.render, "value")
        choices = widgets.HBox(list(self.shown.values()), layout=widgets.Layout(flex_flow="row wrap"))
        self.panel = widgets.VBox([self.picture, choices, self.row])
        self.render()

    def render(self, change=None):
        """Show what is chosen."""
        pictures = self.pictures_of(self.picture.value)
        hidden = [name for name, box in self.shown.items() if not box.value]
        self.row.value = render_row({name: picture for name, picture in pictures.items() if name not in hidden})

    def pictures_of(self, number):
        """Return the pictures of a test pair, running the models where that was not done yet."""
        if number not in self.kept:
            self.kept[number] = collect_pictures(self.models, choose_pair(self.pairs, number))
        return self.kept[number]
