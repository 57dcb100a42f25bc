"""A RAW file as a file: open it, or say why that cannot be."""

import os
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import rawpy
import tifffile

MAX_PIXELS = 250_000_000  # more than any camera has: a header that says so is damaged
MAX_BYTES = 2**31  # the like for files: a header that places pixels beyond does not mean it
MOST_PAGES = 32  # a damaged TIFF header may go round in circles
SHORTEST_BYTES = 64  # of fewer LibRaw cannot tell what they are, and says "Input/output error"
CFA, LINEAR_RAW, CANON_SLICES = 32803, 34892, 50752  # what a TIFF page with RAW pixels has: a photometric, or this tag
KEPT_TAGS = "Make", "Model", "BlackLevelRepeatDim", "BlackLevel", "ActiveArea", "NoiseProfile"


class RawError(ValueError):
    """A file that cannot be read as a RAW photograph; the message names the file and the reason."""


@contextmanager
def open_raw(path):
    """Yield the rawpy object of a file and the pages of its TIFF header, none if it has no such header.

    Whatever is wrong with the file becomes a RawError that names it.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise RawError(f"{path}: {error.strerror}") from error
    if not size:
        raise RawError(f"{path}: the file is empty")
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
        damaged = isinstance(error, rawpy.LibRawFatalError) and size >= SHORTEST_BYTES
        verdict = "cut off or damaged" if damaged else "not a RAW file that LibRaw can read"
        raise RawError(f"{path}: {verdict} ({reason})") from error


def _read_tiff_pages(path):
    """The pages of a TIFF-like file (DNG, ARW, NEF …) as far as they can be read; none of other formats."""
    pages, log = [], tifffile.logger()
    log.disabled = True
    with suppress(Exception), tifffile.TiffFile(path) as tiff:  # whatever is wrong, the verdict is LibRaw's
        for page in islice(tiff.pages, MOST_PAGES):
            pages.append(page)
            with suppress(Exception):
                pages.extend(islice(page.pages or (), MOST_PAGES))  # SubIFDs
        for tags in (page.tags for page in pages):
            _ = [tags.valueof(name) for name in KEPT_TAGS]  # a value is read when it is asked for first
    log.disabled = False
    return pages


def find_raw_pages(pages):
    """Those pages of a TIFF header that hold RAW pixels, the largest last: they say so, or none does and it is that."""
    pages = sorted(pages, key=lambda page: page.imagewidth * page.imagelength)
    return [page for page in pages if page.photometric in (CFA, LINEAR_RAW) or CANON_SLICES in page.tags] or pages[-1:]


def read_camera(pages):
    """Return maker and model as the first page of a TIFF header states them, "" for what it does not."""
    return [str(pages[0].tags.valueof(tag, "")).strip() if pages else "" for tag in ("Make", "Model")]


def _announced_bytes(pages):
    """How long a file has to be for the pixels that these TIFF pages announce; 0 where they do not say.

    LibRaw fills what is missing of Sony's and Panasonic's compressed pixels with what it read before, and does not say
    so. Panasonic puts a placeholder where TIFF says where the pixels are, and says that in a tag of its own.
    """
    strips = [strip for page in pages for strip in zip(page.dataoffsets, page.databytecounts, strict=False)]
    for tags in (page.tags for page in pages if page.tags.valueof(45) in range(4, 8)):  # Panasonic's RawFormat
        width, height, offset = map(tags.valueof, (2, 3, 280))
        strips.append((offset, width // 14 * 16 * height))  # at most 14 pixels in 16 bytes
    return max((sum(strip) for strip in strips if min(strip) > 0 and sum(strip) < MAX_BYTES), default=0)
