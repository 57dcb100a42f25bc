"""Bench of SITUATIONS 1–15: captures with a known truth, restored as at dde27e2 ("before") and with the lab ("after")."""

import sys
from dataclasses import replace
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter

from sidlib.beyond.full_size import checks
from sidlib.beyond.full_size.noise import find_noise
from sidlib.beyond.full_size.restore import load_network, restore_mosaic
from sidlib.beyond.full_size.save import Shot
from sidlib.evaluation import score_picture
from sidlib.raw import Mosaic, camera_to_srgb, decode_srgb, encode_srgb, render
from sidlib.sample import camera, load_photograph

PLAIN = checks.Camera(checks.SONY.xyz_to_camera)
CAMERAS = {"plain": PLAIN, **checks.CAMERAS}


@cache
def scene(name):
    return decode_srgb(np.asarray(load_photograph(name))[:512, :640] / 255)


def add_spots(linear, spots):
    """Add (row, column, diameter px, times white, blur px, colour) to a linear picture; not clipped."""
    rows, columns = np.indices(linear.shape[:2])
    light = np.array(linear)
    for row, column, size, times, blur, *colour in spots:
        spot = (np.hypot(rows - row, columns - column) <= size / 2).astype(float)
        if size == 0:
            spot[int(row), int(column)] = 1
        light += times * gaussian_filter(spot, blur)[..., None] * np.array(colour[0] if colour else (1, 1, 1))
    return light


def random_spots(rng, shape, number, size, times, blur=1.0):
    return [(rng.uniform(30, shape[0] - 30), rng.uniform(30, shape[1] - 30), size, times, blur) for _ in range(number)]


def electrons_of(linear, of, white_e):
    """Mean electrons of a mosaic, without camera.see's clip at white, so that lamps are as bright as they are."""
    gains, to_srgb = np.array(of.white_balance), camera_to_srgb(np.reshape(of.xyz_to_camera, (3, 3)))
    seen = np.maximum(linear @ np.linalg.inv(to_srgb).T, 0) / gains
    return white_e * camera.lay_mosaic(seen, of.pattern)


def expose(electrons, of, rng, black=None, white=None):
    """Counts (float, not rounded or clipped) above 0, and the Mosaic maker."""
    return of.black + of.gain_dn * (rng.poisson(electrons) + rng.normal(0, of.read_e, electrons.shape))


def digitise(counts, of, top=None):
    return np.rint(counts).clip(0, of.white if top is None else top).astype(np.uint16)


def make_mosaic(counts, of, black=None, white=None, gains=None):
    black = np.full(4, float(of.black)) if black is None else np.broadcast_to(np.asarray(black, float), 4)
    to_srgb = camera_to_srgb(np.reshape(of.xyz_to_camera, (3, 3)))
    gains = np.array(of.white_balance if gains is None else gains)
    return Mosaic(counts, of.pattern, black, float(of.white if white is None else white), gains, to_srgb, 0)


def capture(name="china", of=PLAIN, white_e=30, seed=0, spots=(), **options):
    rng = np.random.default_rng(seed)
    linear = scene(name)
    electrons = electrons_of(add_spots(linear, spots) if len(spots) else linear, of, white_e)
    return make_mosaic(digitise(expose(electrons, of, rng), of), of, **options)


def stops_of(of, white_e):
    return float(np.log2((of.white - of.black) / (white_e * of.gain_dn)))


def before(mosaic, **told):
    return restore_mosaic(mosaic, find_noise(mosaic, **told), Shot(""), load_network())


def after(mosaic, **told):
    import pipeline

    return pipeline.restore(mosaic, load_network(), **told)


def score(restoration, name, stops, white=None, of=PLAIN):
    """PSNR of a restoration against its photograph; stops are those of the camera's true span."""
    span = restoration.mosaic.white - restoration.mosaic.black.mean()
    stops = stops + np.log2(span / (of.white - of.black))
    output = restoration.render(stops) / 257
    return float(score_picture(output, 255 * encode_srgb(scene(name)))["psnr_db"])
