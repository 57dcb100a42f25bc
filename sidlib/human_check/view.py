"""What is said of a picture, or of its visible part. Pictures are (height, width, 3), values in 0…255."""

from dataclasses import dataclass

import numpy as np

from sidlib.evaluation import score_picture
from sidlib.losses import WINDOW_PX


@dataclass(frozen=True)
class View:
    """The part that is shown of all pictures compared: at zoom 1 all of them, at 2 half their width and height.

    across and down tell where that part lies: 0 (left, upper) to 1 (right, lower).
    """

    zoom: float = 1
    across: float = 0.5
    down: float = 0.5


def find_part(shape, view):
    """Return the slices (rows, columns) that a View shows, of a picture's shape; at least the window of SSIM."""
    zoom = max(1, min(view.zoom, min(shape[:2]) / WINDOW_PX))
    parts = []
    for size, place in ((shape[0], view.down), (shape[1], view.across)):
        length = round(size / zoom)
        start = round(place * (size - length))
        parts.append(slice(start, start + length))
    return tuple(parts)


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
