"""A RAW file as a file: open it, or say why it cannot be read."""

import os
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import rawpy
import tifffile

MAX_PIXELS = 1_000_000_000  # more than any camera has, pixel shift included: such a header is damaged
MAX_BYTES = 2**31  # strips that end beyond this are treated as garbage
MAX_PAGES = 32  # a damaged TIFF header may go round in circles
MIN_BYTES = 64  # LibRaw calls shorter files an "Input/output error"
CFA, LINEAR_RAW, CANON_SLICES = 32803, 34892, 50752  # photometrics of TIFF pages with RAW pixels, and a tag of Canon's
KEPT_TAGS = "Make", "Model", "BlackLevelRepeatDim", "BlackLevel", "ActiveArea", "NoiseProfile"
KEPT_TAGS += "MaskedAreas", "BlackLevelDeltaH", "BlackLevelDeltaV"


class RawError(ValueError):
    """A file that cannot be read as a RAW photograph; the message names the file and the reason."""


@contextmanager
def open_raw(path):
    """Yield the rawpy object of a file and the list of its TIFF pages, empty for files that are not TIFF-like.

    A file that cannot be read, in the block as well, raises a RawError with its name and the reason.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise RawError(f"{path}: {error.strerror}") from error
    if not size:
        raise RawError(f"{path}: the file is empty, copy it anew")
    pages = _read_tiff_pages(path)
    announced = _announced_bytes(find_raw_pages(pages))
    if announced > size:
        raise RawError(f"{path}: the file is cut off, {size} of at least {announced} bytes are there")
    try:
        with rawpy.imread(str(path)) as raw:  # pixels are unpacked when they are asked for
            if raw.sizes.raw_width * raw.sizes.raw_height > MAX_PIXELS:
                raise RawError(f"{path}: its header says {raw.sizes.raw_width} × {raw.sizes.raw_height} pixels")
            yield raw, pages
    except (rawpy.LibRawError, rawpy.NotSupportedError, OSError, UnicodeEncodeError) as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        damaged = isinstance(error, rawpy.LibRawFatalError) and size >= MIN_BYTES
        verdict = "cut off or damaged" if damaged else "not a RAW file that LibRaw can read"
        raise RawError(f"{path}: {verdict} ({reason})") from error


def _read_tiff_pages(path):
    """The pages of a TIFF-like file (DNG, ARW, NEF …) as far as they can be read; [] for other formats."""
    pages, log = [], tifffile.logger()
    log.disabled = True
    with suppress(Exception), tifffile.TiffFile(path) as tiff:  # whatever is wrong, the verdict is LibRaw's
        for page in islice(tiff.pages, MAX_PAGES):
            pages.append(page)
            with suppress(Exception):
                pages.extend(islice(page.pages or (), MAX_PAGES))  # SubIFDs
        for tags in (page.tags for page in pages):
            _ = [tags.valueof(name) for name in KEPT_TAGS]  # tifffile reads a value on first access, from the open file
    log.disabled = False
    return pages


def find_raw_pages(pages):
    """Return the pages tagged as RAW pixels, the largest last; if none is tagged, the largest page."""
    pages = sorted(pages, key=lambda page: page.imagewidth * page.imagelength)
    return [page for page in pages if page.photometric in (CFA, LINEAR_RAW) or CANON_SLICES in page.tags] or pages[-1:]


def read_camera(pages):
    """Return maker and model as the first page of a TIFF header states them, "" where it does not."""
    return [str(pages[0].tags.valueof(tag, "")).strip() if pages else "" for tag in ("Make", "Model")]


def read_black_fractions(pages, side):
    """Return what LibRaw drops from a DNG's black levels, for each CFA position; 0 where there are none.

    LibRaw rounds them down, and takes the lowest for all where they repeat over more than 2 × 2 pixels, or X-Trans.
    """
    with suppress(IndexError, KeyError, TypeError, ValueError):  # there are no levels, or they make no pattern
        tags = find_raw_pages(pages)[-1].tags
        rows, columns = tags.valueof("BlackLevelRepeatDim", (1, 1))
        levels = np.array(tags["BlackLevel"].value, float).reshape(rows * columns, -1)
        levels = (levels[:, 0] / levels[:, 1:].prod(axis=1)).reshape(rows, columns)  # integers or fractions
        known = levels if max(rows, columns) <= (2 if side == 2 else 1) else levels.min()
        # At an odd border LibRaw drops one more row or column, which shifts the pattern but not the levels.
        odd = np.array(tags.valueof("ActiveArea", (0, 0))[:2]) % 2 * (side == 2)
        rest = np.roll(levels, -odd, (0, 1)) - np.floor(known)
        rest = np.tile(rest, (side, side)).reshape(rows, side, columns, side).mean(axis=(0, 2))
        return np.nan_to_num(rest.ravel(), posinf=0, neginf=0)  # a fraction may have the denominator 0
    return 0


def read_black_deltas(pages, shape):
    """Return the counts, int (H or 1, W or 1), by which black differs from its level in rows and columns of a DNG.

    LibRaw adds their mean, rounded, to the black level and drops the rest.
    """
    deltas = np.zeros((1, 1))
    for axis, name in enumerate(("BlackLevelDeltaV", "BlackLevelDeltaH")):
        with suppress(IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):
            levels = np.reshape(find_raw_pages(pages)[-1].tags[name].value, (-1, 2)).astype(float)
            levels = np.divide(*levels.T, out=np.zeros(len(levels)), where=levels[:, 1] != 0)
            steps = levels[len(levels) - shape[axis] :] - np.floor(levels.mean() + 0.5)  # LibRaw drops odd borders
            deltas = deltas + (steps[:, None] if axis == 0 else steps)
    return np.rint(deltas).astype(int)


def _announced_bytes(pages):
    """The bytes that the announced pixels need, or 0; LibRaw fills cut-off ones of Sony and Panasonic in silence."""
    strips = [strip for page in pages for strip in zip(page.dataoffsets, page.databytecounts, strict=False)]
    # Panasonic (its tag 45 is the format) keeps a placeholder in TIFF's strip offsets, the true offset in another tag
    for tags in (page.tags for page in pages if page.tags.valueof(45) in range(4, 8)):
        width, height, offset = map(tags.valueof, (2, 3, 280))
        strips.append((offset, width // 14 * 16 * height))  # at most 14 pixels in 16 bytes
    return max((sum(strip) for strip in strips if min(strip) > 0 and sum(strip) < MAX_BYTES), default=0)
