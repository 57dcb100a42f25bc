"""A RAW file as it is restored: its mosaic without defects, and its claims held against its own pixels."""

import glob
import shlex
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from sidlib import camera, paths
from sidlib.full_size.defects import mend_defects
from sidlib.full_size.levels import find_white, lower_black, restore_cut
from sidlib.full_size.noise import find_noise, find_own_calibration, measure_black_errors
from sidlib.full_size.save import CaptureInfo, read_tags
from sidlib.raw import interpret_raw
from sidlib.rawfile import RawError, find_raw_pages, open_raw, read_camera

SUFFIXES = ".3fr .arw .cr2 .cr3 .crw .dng .erf .fff .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .srw"
NOT_BAYER = {"W": "it is monochrome", "RGB": "its pixels have all three colours"}
ALL_CLIPPED = 0.99  # share of the pixels: there is no picture in more
WHITE_DIFFERS = 0.995  # times the stated white level


def find_files(path):
    """Return the RAW files that a path names: a folder, a file, a pattern, or several of them split as by a shell."""
    if Path(path).is_file():
        return [Path(path)]
    parts = [] if Path(path).exists() or glob.glob(path) else shlex.split(path)
    if len(parts) > 1 and all(Path(part).exists() or glob.glob(part) for part in parts):
        return [file for part in parts for file in find_files(part)]
    found = Path(path).iterdir() if Path(path).is_dir() else map(Path, glob.glob(path) or [path])
    named = sorted(file for file in found if file.suffix.lower() in SUFFIXES.split() and file.name[0] != ".")
    return [file for file in named if not file.stem.endswith(" restored")]


def read_capture(path):
    """Return the raw.Mosaic, Noise and CaptureInfo of a RAW file, see examine.

    Raises:
        RawError: the file cannot be read, has no Bayer pattern, or no picture in it.
    """
    with open_raw(path) as (raw, pages):
        mosaic = interpret_raw(path, raw, pages)
        if mosaic.pattern not in camera.ORDERS:
            reason = NOT_BAYER.get(mosaic.pattern, "it has another pattern")
            raise RawError(f"{path}: full size needs a Bayer pattern, and {reason}")
        mosaic = replace(mosaic, counts=mosaic.counts.copy())
        masked, exposure = read_masked(raw, pages), None
        with suppress(ValueError, OverflowError):  # an impossible date
            exposure = raw.other
        tags = read_tags(path, raw.rgb_xyz_matrix[:3])
    info = CaptureInfo(path, *read_camera(pages), exposure, paths.fingerprint(mosaic.counts.tobytes()), tags=tags)
    pages = [*reversed(find_raw_pages(pages)), *pages]  # a preview may state a noise of its own
    profile = next((page.tags.valueof("NoiseProfile") for page in pages if "NoiseProfile" in page.tags), None)
    iso = exposure.iso_speed if exposure else 0
    try:
        mosaic, noise, remarks = examine(mosaic, f"{info.make} {info.model}".strip(), iso, profile, masked)
    except RawError as error:
        raise RawError(f"{path}: {error}") from error
    return mosaic, noise, replace(info, remarks=remarks)


def read_masked(raw, pages):
    """Return the counts of an open file's masked pixels, those of the tag MaskedAreas: an array for each CFA position.

    Without the tag there are none, [].
    """
    with suppress(IndexError, KeyError, TypeError, ValueError):
        areas, masked = find_raw_pages(pages)[-1].tags["MaskedAreas"].value, np.zeros(raw.raw_image.shape, bool)
        for top, left, bottom, right in np.reshape(areas, (-1, 4)).tolist():
            masked[top:bottom, left:right] = True
        margins = raw.sizes.top_margin, raw.sizes.left_margin
        sites = [np.s_[(margins[0] + row) % 2 :: 2, (margins[1] + column) % 2 :: 2] for row, column in np.ndindex(2, 2)]
        return [raw.raw_image[site][masked[site]] for site in sites]
    return []


def examine(mosaic, camera_name="", iso=0, profile=None, masked=()):
    """Return a Bayer raw.Mosaic as it is restored, its Noise, and a tuple of sentences on what was found.

    Defects are replaced, false claims on noise, black and white are refuted, and a black that was cut off is restored;
    args: see noise.find_noise and measure_black_errors.

    Raises:
        RawError: all pixels are alike, none is above black, or nearly all are clipped.
    """
    if np.ptp(mosaic.counts) == 0:
        raise RawError("all its pixels are alike: there is no picture in it")
    errors, remarks = measure_black_errors(masked, mosaic), []
    seen = mosaic.black + errors
    if find_own_calibration(mosaic, camera_name, iso) is None:  # which knows the error of the black level
        seen = lower_black(replace(mosaic, black=seen))
    if (seen < mosaic.black + errors).any():
        found, stated, errors = seen.mean(), mosaic.black.mean(), np.zeros(4)
        remarks.append(f"Its darkest parts lie at {found:.4g}: that is its black level, not {stated:.4g} as it states")
    mosaic = replace(mosaic, black=seen - errors.mean())
    if mosaic.counts.max() <= seen.min():
        raise RawError(f"none of its pixels is above its black level, {seen.min():g}: there is no picture in it")
    stated = camera_name, iso, profile, errors.mean()
    noise, refuted = find_noise(mosaic, *stated)  # roughly, if defects are in it
    counts, defects = mend_defects(mosaic.counts, mosaic.black, noise)
    if counts is not mosaic.counts:
        mosaic = replace(mosaic, counts=counts)
        noise, refuted = find_noise(mosaic, *stated)
    if any(defects):
        kinds = zip(defects, ("hot or dead pixel", "column", "row"), strict=True)
        named = [f"{number} {kind}{'s' * (number > 1)}" for number, kind in kinds if number]
        remarks.append(f"Replaced {' and '.join(named)}")
    white = find_white(mosaic, noise)
    if white < WHITE_DIFFERS * mosaic.white:
        remarks.append(f"Its counts pile up at {white:g}: that is its white level, not {mosaic.white:g} as it states")
        if noise.source == "estimate":
            noise, refuted = find_noise(replace(mosaic, white=white), *stated)
    mosaic = replace(mosaic, white=white)
    if np.mean(mosaic.counts >= white) > ALL_CLIPPED:
        raise RawError("nearly all its pixels are clipped: there is no picture in it")
    restored = restore_cut(mosaic, noise)
    if restored is not mosaic:
        remarks.append("Its black was cut off: the known mean of the lost noise stands in its place")
    return restored, noise, (*remarks, *refuted)
