"""What a comparison shows: pictures cropped, brightened, wiped or as a map of their errors, side by side.

Pure functions: arrays in, arrays or HTML out. Pictures are (height, width, 3), values in 0…255.
"""

import base64
import html
import io
from dataclasses import dataclass
from functools import cache

import matplotlib
import numpy as np
from PIL import Image

from sidlib.evaluation import score_picture
from sidlib.losses import WINDOW_PX
from sidlib.raw import decode_srgb, encode_srgb

MAX_ERROR = 100  # of 255: the upper end of every error map's scale
ERROR_COLOURS = "magma"


@dataclass(frozen=True)
class View:
    """What of the pictures is shown, and how: the same for all that are compared.

    Attributes:
        zoom: 1 shows whole pictures, 2 half their width and half their height.
        across, down: where the visible part lies, 0 (left, upper) to 1 (right, lower).
        stops: brightness of the display: light × 2 ** stops.
        errors: show how far each picture is from the truth, not the picture.
    """

    zoom: float = 1
    across: float = 0.5
    down: float = 0.5
    stops: float = 0
    errors: bool = False


def crop_picture(picture, view):
    """Return the part of a picture that a View shows, in the picture's shape; never smaller than the window of SSIM."""
    zoom = max(1, min(view.zoom, min(picture.shape[:2]) / WINDOW_PX))
    parts = []
    for size, place in ((picture.shape[0], view.down), (picture.shape[1], view.across)):
        length = round(size / zoom)
        start = round(place * (size - length))
        parts.append(slice(start, start + length))
    return picture[tuple(parts)]


def brighten(picture, stops):
    """Return a picture with its light multiplied by 2 ** stops, cut at white."""
    if not stops:
        return picture
    return 255 * encode_srgb(decode_srgb(np.clip(picture, 0, 255) / 255) * 2**stops)


def map_errors(output, truth):
    """Return how far an output is from the truth, mean over the colours, as a picture: black 0, light MAX_ERROR."""
    errors = np.abs(output - truth).mean(axis=-1) / MAX_ERROR
    return 255 * matplotlib.colormaps[ERROR_COLOURS](errors)[..., :3]


def wipe(left, right, place):
    """Return a picture that shows `left` up to a vertical edge at `place` (0…1) and `right` from there."""
    edge = round(place * left.shape[1])
    return np.concatenate([left[:, :edge], right[:, edge:]], axis=1)


def describe_scores(output, truth):
    """Return how close an output is to the truth, in a line: without SSIM where its window does not fit."""
    if broken := describe_broken(output):
        return broken
    scores = score_picture(output, truth)
    line = f"MAE {scores['mae']:.1f} · {scores['psnr_db']:.1f} dB"
    return line if np.isnan(scores["ssim"]) else f"{line} · SSIM {scores['ssim']:.2f}"


def describe_broken(picture):
    """Return how many values of a picture are not finite, "" if all are."""
    broken = np.size(picture) - np.isfinite(picture).sum()
    return f"{broken} of {np.size(picture)} values are NaN or infinite" if broken else ""


def show_row(pictures, captions, view, wiped=None, place=0.5):
    """Return the visible part of pictures side by side as HTML, each with its name and caption.

    Args:
        pictures: {name: picture}, all of one size.
        captions: {name: text}.
        view: a View; errors are those against the picture called "truth", where there is one.
        wiped: two names; a wipe between them comes first in the row.
        place: of the wipe's edge, 0…1.
    """
    crops = {name: crop_picture(picture, view) for name, picture in pictures.items()}
    shown = {name: brighten(crop, view.stops) for name, crop in crops.items()}
    legend = ""
    if view.errors and "truth" in crops:
        legend = _error_legend()
        shown |= {name: map_errors(crop, crops["truth"]) for name, crop in crops.items() if name != "truth"}
    figures = [_show(name, captions[name], picture) for name, picture in shown.items()]
    if wiped:
        left, right = wiped
        picture = wipe(shown[left], shown[right], place)
        figures.insert(0, f'<div class="wipe">{_show("wipe", f"{left} | {right}", picture)}</div>')
    return f'{legend}<div class="row">{"".join(figures)}</div>'


def encode_png(picture):
    """Return a picture as the data URL of a PNG; what is no number is black."""
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.rint(np.nan_to_num(picture)), 0, 255).astype(np.uint8)).save(
        buffer, "png", compress_level=1
    )
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _show(name, caption, picture):
    name, caption = html.escape(name), html.escape(caption)
    alt = f"{name}: {caption}" if caption else name
    scores = caption.replace(" · ", "</span> · <span>")  # a score is not broken between its name and its value
    lines = [f"<b>{name}</b>", *(f"<span>{line}</span>" for line in scores.splitlines())]
    return f"""
        <figure><img alt="{alt}" src="{encode_png(picture)}" draggable="false">
        <figcaption>{"<br>".join(lines)}</figcaption></figure>"""


@cache
def _error_legend():
    """The scale of all error maps, as HTML."""
    ramp = np.tile(np.linspace(0, MAX_ERROR, 128)[None, :, None], (1, 1, 3))
    scale = encode_png(map_errors(ramp, 0))
    return (
        f'<p class="legend">Error, mean over the colours: 0<img alt="scale from black to light" src="{scale}">'
        f"{MAX_ERROR} of 255 and more</p>"
    )
