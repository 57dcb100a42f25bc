"""What read_capture and restore would do with the lab's modules, in order: the glue that goes into restore.py."""

from dataclasses import replace

import numpy as np
from sidlib.beyond.full_size.restore import _map_ahead, restore_mosaic
from sidlib.beyond.full_size.save import Shot
from sidlib.raw import RawError, Signal, reduce_mosaic

import brightness
import levels
import noises
from defects import mend_defects

ALL_CLIPPED = 0.99


def prepare(mosaic, camera_name="", iso=0, profile=None, masked=None):
    """Return the Mosaic to be restored, its Noise, and sentences on defects and refused claims."""
    remarks = []
    if mosaic.counts.size == 0 or np.ptp(mosaic.counts) == 0:
        raise RawError("all its pixels are alike: there is no picture in it")
    told = dict(camera_name=camera_name, iso=iso, profile=profile, masked=masked)
    rough = noises.find_noise(mosaic, **told)
    counts, found = mend_defects(mosaic.counts, mosaic.black, rough, _map_ahead)
    mosaic = replace(mosaic, counts=counts)
    noise = noises.find_noise(mosaic, **told, remarks=remarks)
    white = levels.find_white(mosaic, noise)
    if white < 0.995 * mosaic.white:
        remarks.append(f"Its white level is {white:g}, where its counts pile up, not {mosaic.white:g} as it states")
        noise = noises.find_noise(replace(mosaic, white=white), **told) if noise.source != "NoiseProfile" else noise
    mosaic = replace(mosaic, white=white)
    if np.mean(mosaic.counts >= white) > ALL_CLIPPED:
        raise RawError("nearly all its pixels are clipped: there is no picture in it")
    uncut = levels.restore_cut(mosaic, noise)
    if uncut is not mosaic:
        remarks.append("Its black was cut off: what was below is made up for by its known mean")
        mosaic = uncut
    pixels, columns, rows = found
    remarks.append(f"{pixels} hot or dead pixels, {columns} columns and {rows} rows were replaced")
    return mosaic, noise, remarks


def find_stops(mosaic, noise):
    """Return by how many stops a capture has to become brighter, 0 where it shows no light."""
    span = mosaic.white - mosaic.black.mean()
    signal = Signal(reduce_mosaic(mosaic, 10) - np.float32(noise.black_dn / span), mosaic.white_balance, mosaic.to_srgb)
    if brightness.is_dark(signal, noise.read_dn / span, noise.black_doubt_dn / span):
        return 0.0
    return float(np.log2(brightness.estimate_ratio(signal, 2**14)))


def restore(mosaic, network, **told):
    mosaic, noise, remarks = prepare(mosaic, **told)
    restoration = restore_mosaic(mosaic, noise, Shot(""), network)
    restoration = replace(restoration, stops=find_stops(mosaic, noise))
    object.__setattr__(restoration, "remarks", remarks)
    return restoration
