"""Drawn scenes: pictures of random shapes that occlude each other, for training only.

They are dead leaves (Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001), on which Achddou,
Gousseau and Ladjal train networks ("Fully synthetic training for image restoration tasks", CVIU 2023). A map finer than
the picture says which shape is seen where; what it looks like is then looked up for all places at once.
"""

import numpy as np
from PIL import Image, ImageDraw
from skimage.color import hsv2rgb

from sidlib.camera import decode_srgb
from sidlib.sample.photographs import PHOTOGRAPHS, load_photograph

FINE = 3  # places of the map along a pixel's side: sharp edges without stairs
TEXTURES = (  # share of the shapes, and how much of its second colour one shows at u, v (radians along it and across)
    (0.42, lambda u, v, tile: 0),  # flat
    (0.30, lambda u, v, tile: tile[(u * 8).astype(int) % len(tile), (v * 8).astype(int) % len(tile)]),  # noise
    (0.08, lambda u, v, tile: tile[u.astype(int) % len(tile), (v * 10).astype(int) % len(tile)]),  # fibres
    (0.06, lambda u, v, tile: np.sin(u) / 2 + 0.5),  # waves
    (0.06, lambda u, v, tile: np.sin(u) > 0.3),  # bars
    (0.04, lambda u, v, tile: np.sin(u) * np.sin(v) > 0),  # checks
    (0.04, lambda u, v, tile: np.sin(u) * np.sin(v) > 0.5),  # dots
)


def draw_scene(rng, size_px, photographs=None):
    """Return a picture of random shapes: float32 (height, width, 3), linear light of sRGB's primaries in 0…1.

    Args:
        rng: numpy Generator, or a seed for one. size_px: width, height.
        photographs: uint8 sRGB arrays (…, 3) that half of the colours come from; None for the sample's of split train.
    """
    if photographs is None:
        photographs = [np.asarray(load_photograph(name)) for name, split in PHOTOGRAPHS.items() if split == "train"]
    rng, size = np.random.default_rng(rng), FINE * np.array(size_px)
    centres, turns = _scatter(rng, size, max(0, rng.uniform(-0.4, 4)), 10 ** rng.uniform(-1.8, -0.8))
    labels = _lay(rng, size, centres, turns)
    y, x = np.indices(labels.shape, np.float32, sparse=True)
    place = (x + 1j * y - centres.take(labels)) * (1 / turns).take(labels)  # in its shape's frame, where that is 1 long
    u, v = place.real, place.imag
    first, second = _draw_colours(rng, len(turns), photographs)
    mix, light = _weave(rng, labels, u, v, abs(turns)), _illuminate(rng, labels, u, v, len(turns))
    fine = (first.take(labels, axis=0) + (second - first).take(labels, axis=0) * mix[..., None]) * light[..., None]
    return np.clip(sum(fine[row::FINE, column::FINE] for row, column in np.ndindex(FINE, FINE)) / FINE**2, 0, 1)


def _scatter(rng, size, coverage, smallest):
    """Return centres and radii (turned by their angles) of the background and shapes on it, lowest first: complex64."""
    smallest, largest = smallest * size.min(), 0.7 * size.min()
    mean_area = 2 * np.pi * smallest**2 * np.log(largest / smallest)
    count = 1 + min(round(coverage * size.prod() / mean_area), 600)
    radii = (smallest**-2 - rng.random(count) * (smallest**-2 - largest**-2)) ** -0.5  # density r⁻³
    x, y = rng.uniform(-0.1, 1.1, (2, count)) * size[:, None]
    angles = rng.uniform(-np.pi, np.pi, count) * (rng.random(count) < rng.random())  # some scenes are mostly upright
    x[0], y[0], radii[0] = *(size / 2), np.hypot(*size) / 2
    return (x + 1j * y).astype(np.complex64), (radii * np.exp(1j * angles)).astype(np.complex64)


def _lay(rng, size, centres, turns):
    """Return the number of the shape that is seen at each place: integers (height, width); 0 is the background."""
    draw = ImageDraw.Draw(image := Image.new("I", tuple(size.tolist())))
    outlines = _draw_outlines(rng, len(turns)) * turns[:, None] + centres[:, None]
    for label in range(1, len(turns)):
        if rng.random() < 0.9:
            draw.polygon(outlines[label].view(float).tolist(), fill=label)
            continue
        width = max(1, round(abs(turns[label]) * 10 ** rng.uniform(-1.5, -0.5)))
        if rng.random() < 0.6:  # a line, straight to curly
            strokes = np.cumsum(np.exp(1j * np.cumsum(rng.normal(size=24) * rng.choice([0, 0.05, 0.3]))))[None] / 12
        else:  # a word in letters of no script
            letters = np.arange(rng.integers(3, 9))[:, None]
            x, y = rng.integers(0, [[[2]], [[3]]], (2, len(letters), 5))
            strokes = (letters + 0.65 * x + 0.75j * y) * 2 / len(letters)
        for stroke in (strokes - strokes.mean()) * turns[label] * 3 + centres[label]:
            draw.line(stroke.view(float).tolist(), fill=label, width=width, joint="curve")
    return np.asarray(image).astype(np.intp)


def _draw_outlines(rng, count):
    """Return outlines of radius about 1, complex (count, 64): round or with corners, even or rough, compact or long."""
    waves = rng.normal(size=(2, count, 17)) * np.maximum(np.arange(17), 1) ** -rng.uniform(0.7, 2, (count, 1))
    waves *= rng.choice([0, 0, 1], (count, 1)) * rng.uniform(0.02, 0.3, (count, 1))
    radius = np.exp(np.fft.irfft(waves[0] + 1j * waves[1], 64, norm="forward"))
    corners = rng.choice([64, 64, 64, 4, 4, 4, 3, 5, 6], (count, 1))
    turn = (np.floor(np.arange(64) / 64 * corners) + 0.5) / corners  # all points gather in the corners
    points = np.take_along_axis(radius, (turn * 64).astype(int), axis=1) * np.exp(2j * np.pi * turn)
    return points.real + 1j * points.imag * rng.choice([1, 1, 0.7, 0.4, 0.2, 0.06], (count, 1))


def _weave(rng, labels, u, v, radii):
    """Return how much of the second colour is seen at each place: float32 in 0…1."""
    shares, textures = zip(*TEXTURES, strict=True)
    seen = rng.choice(len(shares), len(radii), p=shares).take(labels)
    wave = FINE * 2.5 * 12 ** rng.random(len(radii), np.float32)  # 2.5 to 30 pixels
    frequency = np.maximum(np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)), 1 / 256)
    spectrum = np.fft.rfft2(rng.normal(size=(256, 256))) * frequency ** -rng.uniform(0, 1.8)
    tile = np.fft.irfft2(spectrum * (frequency < 0.3))  # noise between white and brown that repeats without a seam
    tile = np.clip(0.5 + 0.25 * tile / tile.std(), 0, 1).astype(np.float32)
    scale, mix = (2 * np.pi * radii / wave).take(labels), np.empty_like(u)
    u, v = u * scale, v * scale
    for kind, texture in enumerate(textures):
        here = seen == kind
        mix[here] = texture(u[here], v[here], tile)
    return mix * (rng.random(len(radii), np.float32) ** 2).take(labels) * rng.choice(np.float32([0, 1, 1]))


def _illuminate(rng, labels, u, v, count):
    """Return the light at each place, float32 in 0…1: it falls off on some shapes and scenes, and some have shadows."""
    depth = (rng.choice(np.float32([0, 0, 0.2, 0.4, 0.8]), count) * rng.choice(np.float32([0, 1]))).take(labels)
    radial = rng.choice(np.float32([0, 0, 1]), count).take(labels)
    light = 1 - depth * np.clip((1 - radial) * (u + 1) / 2 + radial * (u * u + v * v), 0, 1)
    stops = zip(labels.shape, rng.choice([0, 0, 1.5]) * rng.uniform(-1, 1, 2), strict=True)
    light *= np.outer(*(np.exp2(np.linspace(0, end, length) - max(end, 0)) for length, end in stops))
    centres, turns = _scatter(rng, size := np.array(labels.shape[::-1]), rng.choice([0, 0.5]), 0.2)
    shadows = np.append(1, rng.uniform(0.3, 0.9, len(turns) - 1)).astype(np.float32)
    return light * shadows.take(_lay(rng, size, centres, turns))


def _draw_colours(rng, count, photographs):
    """Return two linear colours per shape, float32 (2, count, 3), of few or many; about half are of one photograph."""
    many, pixels = int(2 ** rng.uniform(2, 8)), photographs[rng.integers(len(photographs))].reshape(-1, 3)
    seen = pixels[rng.integers(len(pixels), size=many)] / 255
    hsv = rng.random((many, 3))
    hsv[:, 1] *= rng.choice([0, 1, 3, 6], many)  # grey, all, mostly saturated
    hsv[:, 2] *= rng.choice([0.2, 1, 3, 6], many)  # dark, all, mostly bright
    palette = decode_srgb(np.where(rng.random((many, 1)) < rng.random(), seen, hsv2rgb(np.minimum(hsv, 1))))
    first, second = palette[rng.integers(many, size=(2, count))]
    darker = first * rng.uniform(0.1, 0.9, (count, 1))
    return np.stack([first, np.where(rng.random((count, 1)) < 0.6, darker, second)]).astype(np.float32)
