"""Charts: pictures of straight edges, lines, text, bars and tables at high contrast, for training only."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from skimage.color import hsv2rgb

from sidlib.raw import decode_srgb

FINE = 4  # places of the map along a pixel's side
LETTERS = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;-+&?!%"]


def draw_chart(rng, size_px):
    """Return a chart: float32 (height, width, 3), linear light of sRGB's primaries in 0…1.

    A map of numbers is drawn finer than the picture and turned, each number has a colour, and optics blur the half.
    """
    rng, side = np.random.default_rng(rng), max(size_px)
    upright = rng.random() < 0.4  # edges along rows and columns of the sensor, where its pattern lies
    large = round(FINE * side * (1 if upright else 1.45))
    kind = KINDS[rng.choice(len(KINDS), p=SHARES)]
    image = Image.new("I", (large, large))
    count = kind(ImageDraw.Draw(image), rng, large)
    labels = np.asarray(image if upright else image.rotate(rng.uniform(0, 360)))
    top, left = ((labels.shape[0] - FINE * length) // 2 for length in (size_px[1], size_px[0]))
    labels = np.roll(labels, rng.integers(FINE, size=2), (0, 1)) if upright else labels
    labels = labels[top : top + FINE * size_px[1], left : left + FINE * size_px[0]]
    fine = _draw_colours(rng, count).take(labels, axis=0)
    chart = sum(fine[row::FINE, column::FINE] for row, column in np.ndindex(FINE, FINE)) / FINE**2
    if rng.random() < 0.3:  # light falls off
        ends = np.exp2(-rng.uniform(0, 2, 2))
        chart *= np.multiply.outer(*(np.linspace(1, end, n, dtype=np.float32) for end, n in zip(ends, chart.shape)))[..., None]
    if rng.random() < 0.5:
        chart = gaussian_filter(chart, (*[rng.uniform(0.35, 1.1)] * 2, 0))
    return np.clip(chart, 0, 1).astype(np.float32)


def _draw_colours(rng, count):
    """Return a colour a number, mostly of two far apart in brightness: float32 (count, 3)."""
    hsv = rng.random((count, 3))
    hsv[:, 1] *= rng.choice([0, 0, 0.3, 1, 2], count if rng.random() < 0.3 else 1)
    colours = decode_srgb(hsv2rgb(np.minimum(hsv, 1))) if rng.random() < 0.35 else hsv2rgb(np.minimum(hsv, 1)) / np.maximum(hsv[:, 2:], 0.01)
    if rng.random() < 0.8:  # what is even is dark, what is odd bright, or the other way
        dark, bright = 10 ** rng.uniform(-2.3, -0.6), rng.uniform(0.25, 1)
        odd = (np.arange(count) + rng.integers(2)) % 2
        few = rng.random() < 0.7
        level = np.where(odd, bright, dark) * (1 if few else np.exp(rng.normal(0, 0.5, count)))
        colours = colours / np.maximum(colours.max(axis=1, keepdims=True), 0.01) * level[:, None]
        if few:
            colours = colours[np.arange(count) % 2]
    return np.clip(colours, 0, 1).astype(np.float32)


def _edges(draw, rng, large):
    """Half planes, one over another; where all is turned alike, all edges are straight across."""
    count = rng.integers(1, 5)
    for number in range(1, count + 1):
        at, across = rng.uniform(0.15, 0.85) * large, rng.random() < 0.5
        far = 3 * large
        slope = rng.choice([0, 0, rng.normal(0, 0.15), rng.normal(0, 1)]) * large
        points = [(at - slope, -far), (far, -far), (far, far), (at + slope, far)]
        points = [(at - 3 * slope, -large), (far, -large), (far, 2 * large), (at + 3 * slope, 2 * large)]
        draw.polygon([(y, x) if across else (x, y) for x, y in points], fill=int(number))
    return count + 1


def _bars(draw, rng, large):
    at, number = rng.uniform(0, 8), 0
    width = FINE * 10 ** rng.uniform(0, 1.4)
    changes = rng.choice([1, 1.0, 1.04, 1.1])
    while at < large:
        number += 1
        draw.rectangle((at, 0, at + width - 1, large), fill=number % 2)
        at, width = at + width, width * changes
    if rng.random() < 0.4:  # a frame that cuts them off
        for _ in range(rng.integers(1, 4)):
            x, y, w, h = rng.uniform(0, large, 4)
            draw.rectangle((x, y, x + w / 2, y + h / 2), fill=int(rng.integers(2, 4)))
    return 4


def _table(draw, rng, large):
    """A colour checker, windows of a house, or tiles: rectangles in rows, with a gap."""
    pitch = FINE * 10 ** rng.uniform(0.8, 1.8) * np.array([1, rng.choice([1, rng.uniform(0.5, 2)])])
    gap = rng.choice([0, 1 / pitch.min() * FINE * rng.uniform(1, 3), rng.uniform(0.1, 0.6)])
    number = 1
    for y in np.arange(0, large, pitch[1]):
        for x in np.arange(0, large, pitch[0]):
            if rng.random() < 0.85:
                number += 1
                draw.rectangle((x, y, x + pitch[0] * (1 - gap), y + pitch[1] * (1 - gap)), fill=number)
    return number + 1


def _checks(draw, rng, large):
    pitch = FINE * 10 ** rng.uniform(0.1, 1.6)
    for row, y in enumerate(np.arange(0, large, pitch)):
        for column, x in enumerate(np.arange(0, large, pitch)):
            draw.rectangle((x, y, x + pitch - 1, y + pitch - 1), fill=(row + column) % 2)
    return 2


def _lines(draw, rng, large):
    """Straight lines: a grid, wires, a fan."""
    width, kind = max(1, round(FINE * 10 ** rng.uniform(-0.2, 0.7))), rng.integers(3)
    if kind == 0:
        for at in np.arange(0, large, FINE * 10 ** rng.uniform(0.8, 1.7)):
            draw.line((at, 0, at, large), 1, width)
            draw.line((0, at, large, at), 1, width)
    elif kind == 1:
        for _ in range(rng.integers(2, 14)):
            draw.line(tuple(rng.uniform(-0.3, 1.3, 4) * large), int(rng.integers(1, 4)), width)
    else:
        middle, rays = rng.uniform(0.3, 0.7, 2) * large, rng.integers(8, 40)
        for angle in np.arange(0, 2 * np.pi, 2 * np.pi / rays):
            ends = [tuple(middle + 2 * large * np.array([np.cos(a), np.sin(a)])) for a in (angle, angle + np.pi / rays)]
            draw.polygon([tuple(middle), *ends], fill=1)
    return 4


def _text(draw, rng, large):
    size = FINE * 10 ** rng.uniform(0.85, 1.7)
    font, y = ImageFont.truetype(str(rng.choice(_find_fonts())), size), rng.uniform(-0.5, 0) * size
    while y < large:
        words = ["".join(rng.choice(LETTERS, rng.integers(1, 10))) for _ in range(2 + int(6 * large / size / 10))]
        draw.text((rng.uniform(-3, 0) * size, y), " ".join(words), fill=1 if rng.random() < 0.9 else 2, font=font)
        y += size * rng.uniform(1.1, 1.6)
    if rng.random() < 0.3:
        x, y, w, h = rng.uniform(0, large, 4)
        draw.rectangle((x, y, x + w / 2, y + h / 2), fill=3)
    return 4


@cache
def _find_fonts():
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return [folder / f"DejaVu{name}.ttf" for name in ("Sans", "Sans-Bold", "SansMono", "Serif", "Serif-Bold", "SansMono-Bold")]


KINDS = (_edges, _bars, _table, _checks, _lines, _text)
SHARES = (0.38, 0.12, 0.16, 0.04, 0.10, 0.20)
