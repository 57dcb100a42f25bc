"""The four real captures of shared/real, darkened as its README says: estimated stops, noise and defects, before and after."""

import logging
import time
from dataclasses import replace

import numpy as np
import pipeline
from levels import grey_world

from sidlib.beyond.full_size.noise import estimate_noise
from sidlib.beyond.full_size.restore import _map_ahead  # noqa: F401
from sidlib.human_check.captures import estimate_ratio
from sidlib.raw import Mosaic, Signal, read_mosaic, reduce_mosaic

REAL = "real/"


def read_all():
    yield "nikon_d1", read_mosaic(REAL + "nikon_d1.nef")
    yield "canon_night", read_mosaic(REAL + "canon_night.crw")
    for name, shape, pattern, black, white, gains in (
        ("nikon_dsc1339_768x512_rggb", (512, 768), "RGGB", 600, 16383, (1.9, 1, 1.5)),
        ("colorchecker_1920x1080_12bit_bggr", (1080, 1920), "BGGR", 200, 4095, (1.5, 1, 1.7)),
    ):
        counts = np.fromfile(f"{REAL}{name}.raw", "<u2").reshape(shape)
        yield name[:12], Mosaic(counts, pattern, np.full(4, float(black)), float(white), np.array(gains), np.eye(3), 0)


def darken(mosaic, white_e, read_e, gain_dn, rng):
    black = np.tile(mosaic.black.reshape(2, 2), [side // 2 for side in mosaic.counts.shape])
    electrons = white_e * np.maximum((mosaic.counts - black) / (mosaic.white - black), 0)
    counts = gain_dn * (rng.poisson(electrons) + rng.normal(0, read_e, electrons.shape)) + 512
    return replace(
        mosaic, counts=np.rint(counts).clip(0, 16383).astype(np.uint16), black=np.full(4, 512.0), white=16383.0
    )


logging.disable(logging.WARNING)
for name, bright in read_all():
    bright = replace(bright, counts=bright.counts[: bright.counts.shape[0] // 2 * 2, : bright.counts.shape[1] // 2 * 2])
    start = time.time()
    whole, noise, remarks = pipeline.prepare(bright)
    print(
        name,
        "as it is:",
        f"{time.time() - start:.2f} s",
        noise,
        whole.white,
        "stops",
        round(pipeline.find_stops(whole, noise), 2),
        remarks,
        "grey world",
        grey_world(bright).round(2),
    )
    for label, white_e, read_e in (("A", 159, 2.5), ("B", 53, 2.5), ("C", 12, 2.0)):
        mosaic = darken(bright, white_e, read_e, 2.0, np.random.default_rng(0))
        true = np.log2((16383 - 512) / (2 * white_e))
        signal = Signal(reduce_mosaic(mosaic, 10), mosaic.white_balance, mosaic.to_srgb)
        old = np.log2(estimate_ratio(signal, 0.38))
        done, noise, remarks = pipeline.prepare(mosaic)
        gain, read = estimate_noise(mosaic)
        print(
            f"   {label} stops off: before {old - true:+.2f} after {pipeline.find_stops(done, noise) - true:+.2f}; noise before K {gain:.2f} σ {read:.2f} after K {noise.gain_dn:.2f} σ {noise.read_dn:.2f} (true 2, {2 * read_e:.1f})",
            remarks,
        )
