"""What the training adds to photographs and drawn scenes: charts of sharp edges, and lamps with their flare."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from scipy.special import erfc
from skimage.color import hsv2rgb

FINE = 4  # points of a chart's map along a pixel
FONTS = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVuS*.ttf"))
LETTERS = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;-+&?!%"]
MOST_LIGHT = 2000  # times white: no sensor records more
LAMPS = (1, 1000)  # their strength, times white
STARS = 0.2  # share of the patches with lamps that have a starry sky instead


def draw_chart(rng, size_px):
    """Return edges, bars, tables, lines or text at high contrast: float32 (height, width, 3), linear light in 0…1.

    A map of numbered areas is drawn FINE times as fine and turned; each number has a colour. size_px: width and height.
    """
    upright = rng.random() < 0.4  # along the sensor's rows and columns
    large = round(FINE * max(size_px) * (1 if upright else 1.45))
    image, kind = Image.new("I", (large, large)), draw_key(rng, CHARTS)
    kind(ImageDraw.Draw(image), rng, large)
    areas = np.asarray(image if upright else image.rotate(rng.uniform(0, 360)))
    top, left = ((large - FINE * length) // 2 for length in size_px[::-1])
    areas = np.roll(areas, rng.integers(FINE, size=2), (0, 1))
    areas = areas[top : top + FINE * size_px[1], left : left + FINE * size_px[0]]
    fine = _draw_colours(rng, areas.max() + 1).take(areas, axis=0)
    chart = sum(fine[row::FINE, column::FINE] for row, column in np.ndindex(FINE, FINE)) / FINE**2
    if rng.random() < 0.3:  # light falls off
        ramps = [np.linspace(1, 2 ** -rng.uniform(0, 2), length, dtype=np.float32) for length in chart.shape[:2]]
        chart *= np.multiply.outer(*ramps)[..., None]
    if rng.random() < 0.5:
        chart = gaussian_filter(chart, (*[rng.uniform(0.35, 1.1)] * 2, 0))
    return np.clip(chart, 0, 1).astype(np.float32)


def _draw_colours(rng, count):
    """A colour per number, mostly of two far apart in brightness: float32 (count, 3)."""
    hsv = rng.random((count, 3))
    hsv[:, 1] = np.minimum(hsv[:, 1] * rng.choice([0, 0, 0.3, 1, 2]), 1)
    colours = hsv2rgb(hsv) / hsv[:, 2:].clip(0.01)
    if rng.random() < 0.2:
        return np.float32(colours * hsv[:, 2:] ** 2.2)
    dark, bright = 10 ** rng.uniform(-2.3, -0.6), rng.uniform(0.25, 1)
    level = np.where((np.arange(count) + rng.integers(2)) % 2, bright, dark)
    if rng.random() < 0.7:
        colours = colours[np.arange(count) % 2]
    else:
        level = level * np.exp(rng.normal(0, 0.5, count))
    return np.float32(np.clip(colours * level[:, None], 0, 1))


def _draw_edges(draw, rng, large):
    for number in range(1, rng.integers(2, 6)):
        at, slope = rng.uniform(0.15, 0.85) * large, rng.choice([0, 0, rng.normal(0, 0.15), rng.normal(0, 1)]) * large
        points = [(at - 3 * slope, -large), (3 * large, -large), (3 * large, 2 * large), (at + 3 * slope, 2 * large)]
        draw.polygon([point[::-1] for point in points] if rng.random() < 0.5 else points, fill=number)


def _draw_bars(draw, rng, large):
    at, width, number, change = rng.uniform(0, 8), FINE * 10 ** rng.uniform(0, 1.4), 0, rng.choice([1, 1, 1.04, 1.1])
    while at < large:
        number, width = 1 - number, width * change
        draw.rectangle((at, 0, at + width - 1, large), fill=number)
        at += width


def _draw_table(draw, rng, large):
    """A colour checker, the windows of a house, tiles, a chessboard: rectangles in rows, with a gap or without."""
    pitch = FINE * 10 ** rng.uniform(0.3, 1.8) * np.array([1, rng.choice([1, rng.uniform(0.5, 2)])])
    gap, chess = rng.choice([0, rng.uniform(0.05, 0.6)]), rng.random() < 0.3
    for row, y in enumerate(np.arange(0, large, pitch[1])):
        for column, x in enumerate(np.arange(0, large, pitch[0])):
            corner = x + pitch[0] * (1 - gap) - 1, y + pitch[1] * (1 - gap) - 1
            if corner[0] >= x and corner[1] >= y:
                draw.rectangle((x, y, *corner), fill=(row + column) % 2 if chess else 1 + (row * 31 + column) % 250)


def _draw_lines(draw, rng, large):
    width = max(1, round(FINE * 10 ** rng.uniform(-0.2, 0.7)))
    if rng.random() < 0.5:
        for at in np.arange(0, large, FINE * 10 ** rng.uniform(0.8, 1.7)):
            draw.line((at, 0, at, large), 1, width)
            draw.line((0, at, large, at), 1, width)
    else:
        for _ in range(rng.integers(2, 14)):
            draw.line(tuple(rng.uniform(-0.3, 1.3, 4) * large), int(rng.integers(1, 4)), width)


def _draw_text(draw, rng, large):
    size = FINE * 10 ** rng.uniform(0.85, 1.7)
    font, y = ImageFont.truetype(str(rng.choice(FONTS)), size), rng.uniform(-0.5, 0) * size
    while y < large:
        words = ["".join(rng.choice(LETTERS, rng.integers(1, 10))) for _ in range(2 + int(0.6 * large / size))]
        draw.text((rng.uniform(-3, 0) * size, y), " ".join(words), fill=1, font=font)
        y += size * rng.uniform(1.1, 1.6)


CHARTS = {_draw_edges: 0.46, _draw_bars: 0.1, _draw_table: 0.18, _draw_lines: 0.08, _draw_text: 0.18}  # their shares


def add_lamps(linear, rng):
    """Return a picture (H, W, 3) in linear light with lamps, windows or stars, and their flare: light above 1, too."""
    light = np.zeros_like(linear)
    if rng.random() < STARS:
        for _ in range(rng.integers(3, 50)):
            _add_lamp(light, rng, draw_log(rng, (0.3, 300)), rng.uniform(0, 0.5), rng.uniform(0.6, 1.6), 0.1)
    else:
        strength, blur = draw_log(rng, LAMPS), rng.choice([0.0, rng.uniform(0.3, 3)])
        for _ in range(rng.integers(1, 7)):
            each = np.clip(strength * np.exp(rng.normal(0, 0.7)), *LAMPS)
            _add_lamp(light, rng, each, draw_log(rng, (0.7, 16)), blur, 0.6)
    night = draw_log(rng, (1, 100)) if rng.random() < 0.4 else 1
    return np.minimum(linear / np.float32(night) + light, MOST_LIGHT).astype(np.float32)


def _add_lamp(light, rng, strength, radius, blur, flares):
    """Add a lamp to light, in place: a disc or a turned rectangle, sharp or blurred; `flares` of all have flare."""
    y, x = np.indices(light.shape[:2], np.float32)
    y, x = y - rng.uniform(-0.06, 1.06) * len(y), x - rng.uniform(-0.06, 1.06) * len(x[0])
    colour = 1 - rng.choice([0, 0.3, 0.6, 1], p=[0.25, 0.35, 0.25, 0.15]) * rng.random(3)
    colour = np.sort(colour)[::-1] if rng.random() < 0.5 else colour  # warm
    colour = np.float32(strength * colour / colour.max())
    reach, angle = np.hypot(y, x), rng.choice([0, rng.uniform(0, np.pi)])
    along, across = y * np.cos(angle) + x * np.sin(angle), x * np.cos(angle) - y * np.sin(angle)
    outside = reach - radius  # distance from the rim
    if radius > 1 and rng.random() < 0.4:
        outside = np.maximum(abs(along) - radius, abs(across) - radius * draw_log(rng, (0.05, 2)))
    seen = erfc(outside / (np.sqrt(2) * blur)) / 2 if blur > 0.2 else np.clip(0.5 - outside, 0, 1)
    if blur > 0.2 and radius < 2:  # a point, not a disc
        seen = np.exp(-(reach**2) / (2 * (blur**2 + radius**2 / 4)))
    if rng.random() < flares:
        near = max(radius, 1) * rng.uniform(0.7, 3)
        halo = draw_log(rng, (1e-6, 5e-3)) / (1 + outside.clip(0) / near) ** rng.choice([1, 2, 3])
        seen = np.maximum(seen, halo)
        if rng.random() < 0.15:  # spikes of the diaphragm
            length = rng.uniform(3, 30)
            spikes = np.exp(-abs(along) / length - across**2) + np.exp(-abs(across) / length - along**2)
            seen = np.maximum(seen, draw_log(rng, (1e-4, 2e-2)) * spikes)
    light += seen[..., None] * colour


def draw_key(rng, shares):
    """Return a random key of {key: its share}; the shares add up to 1."""
    return list(shares)[rng.choice(len(shares), p=list(shares.values()))]


def draw_log(rng, bounds):
    """Return a log-uniform draw within bounds."""
    return np.exp(rng.uniform(*np.log(bounds)))
