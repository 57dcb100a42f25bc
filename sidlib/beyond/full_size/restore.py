"""Restore a dark RAW file at full size: `python -m sidlib.beyond.full_size.restore "my photo.arw"`."""

import argparse
import logging
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

import joblib
import numpy as np
from tqdm import tqdm

from sidlib import paths
from sidlib.backend import keras
from sidlib.beyond.full_size.network import MULTIPLE_PX, find_margin
from sidlib.beyond.full_size.noise import Noise, find_noise
from sidlib.beyond.full_size.save import Shot, check_free, name_pictures, save_pictures, sum_up
from sidlib.beyond.full_size.stable import ORDERS, align, align_levels, destabilise, pack, stabilise
from sidlib.beyond.full_size.stream import lay_packed
from sidlib.human_check.captures import estimate_ratio
from sidlib.raw import Mosaic, RawError, Signal, interpret_raw, quantize, reduce_mosaic, render, turn
from sidlib.rawfile import find_raw_pages, open_raw, read_camera

TILE_PX = 1184  # side of the tiles that a network sees at a time, at most, without margins; a multiple of MULTIPLE_PX
FAR = 8  # times the noise: what is so far below black or beside a picture is a dead or a hot pixel
GRID_PX = 32  # side of smooth_grid's squares; MULTIPLE_PX is a multiple of it
FAINT = 0.25  # times the noise: a grid is fainter, texture is not
STRIP_PX = 32  # rows that are rendered at a time
THREADS = min(4, joblib.cpu_count())  # that render, each a strip
MOST_STOPS = 32  # brighter or darker there is nothing to see
LIT_PX = 4  # of a masked border, beside the picture, may see light
BRIGHT = 0.38  # captures.measure_brightness of the sample's train split, whose long exposures spread by one stop
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Restoration:
    """What a network has made of a capture: pictures of any brightness, without it being run again.

    Attributes:
        stable: float16 (H, W, 3), camera RGB in the unit of stable.stabilise, as the sensor lay.
        mosaic: the raw.Mosaic that it was made of, without its counts.
        noise: its Noise, and which source told it.
        stops: the estimated brightness.
        shot: its save.Shot.
        gains: (3,), by colour, see match_light.
    """

    stable: np.ndarray
    mosaic: Mosaic
    noise: Noise
    stops: float
    shot: Shot
    gains: np.ndarray

    @property
    def upright(self):
        """What is stable, turned as the picture is."""
        return turn(self.stable, self.mosaic.flip)

    @property
    def shape(self):
        """Height, width and 3, of the upright picture."""
        return self.upright.shape

    def render(self, stops=None, part=np.s_[:, :]):
        """Return the picture: uint16 (height, width, 3), sRGB, upright, in the colours of raw.develop.

        Args:
            stops: how much brighter than the capture, a factor of 2 each; None for the estimated brightness.
            part: the slices (rows, columns) of the picture that are wanted.
        """
        picture = np.empty(self.upright[part].shape, np.uint16)
        for top, strip in self.render_strips(stops, part):
            picture[top : top + len(strip)] = strip
        return picture

    def render_strips(self, stops=None, part=np.s_[:, :]):
        """Yield the picture of render in strips of full width, each after the number of its first row."""
        gain, mosaic = 2.0 ** (self.stops if stops is None else stops), self.mosaic
        stable, span = self.upright[part], np.float32(mosaic.white - mosaic.black.mean())

        def render_strip(top):
            light = destabilise(stable[top : top + STRIP_PX], self.noise.gain_dn, self.noise.read_dn)
            camera_rgb = light * (self.gains / span)
            return top, quantize(render(camera_rgb, mosaic.white_balance, mosaic.to_srgb, gain), bits=16)

        yield from _map_ahead(render_strip, range(0, len(stable), STRIP_PX))

    def halve(self):
        """Return the same, upright, at half its width and height: 2 × 2 pixels are averaged in linear light."""
        upright, noise = self.upright, (self.noise.gain_dn, self.noise.read_dn)
        height, width = (-(-side // 2) for side in self.shape[:2])
        half = np.empty((height, width, 3), np.float16)
        for top in range(0, len(upright), STRIP_PX):
            light = destabilise(upright[top : top + STRIP_PX], *noise)
            light = np.pad(light, [(0, len(light) % 2), (0, self.shape[1] % 2), (0, 0)], "edge")
            light = (light[::2, ::2] + light[::2, 1::2] + light[1::2, ::2] + light[1::2, 1::2]) / 4
            half[top // 2 :][: len(light)] = stabilise(light, *noise)
        return replace(self, stable=half, mosaic=replace(self.mosaic, flip=0))


def restore(path, stops=None):
    """Return the picture of a dark RAW file at full size: uint16 (height, width, 3), sRGB, upright.

    Args:
        path: a RAW file of any camera with a Bayer pattern that LibRaw reads.
        stops: see Restoration.render. For several, keep what restore_capture returns.
    Raises:
        RawError: the file cannot be read, or its sensor has no Bayer pattern. FileNotFoundError: see load_network.
    """
    return restore_capture(path).render(stops)


def restore_capture(path, network=None, show_progress=False, on_tile=None):
    """Return the Restoration of a RAW file, see restore; the network is that of load_network unless one is given.

    Args:
        show_progress: with a progress bar. on_tile: a function that is called before each tile, with how many are done,
            and of how many.
    """
    network = network or load_network()
    counts, inner, empty = _prepare(network, *read_capture(path))  # what was read has no name: its counts are not kept
    shot = replace(empty.shot, content=sum_up(path))
    return _restore(network, (counts, inner, replace(empty, shot=shot)), show_progress, on_tile)


def restore_mosaic(mosaic, noise, shot, network):
    """Return the Restoration of a Mosaic with a Bayer pattern; see read_capture for the rest."""
    return _restore(network, _prepare(network, mosaic, noise, shot))


def _prepare(network, mosaic, noise, shot):
    """The aligned counts of a capture and where they lie in it, and a Restoration that lacks its pixels."""
    black = np.float32(noise.black_dn / (mosaic.white - mosaic.black.mean()))
    signal = Signal(reduce_mosaic(mosaic, 10) - black, mosaic.white_balance, mosaic.to_srgb)
    stops = float(np.log2(estimate_ratio(signal, BRIGHT)))
    empty = Restoration(None, replace(mosaic, counts=None), noise, stops, shot, None)  # counts are as large as all else
    return *align(mosaic.counts, mosaic.pattern, find_margin(network), MULTIPLE_PX), empty


def _restore(network, prepared, show_progress=False, on_tile=None):
    counts, inner, empty = prepared
    black = align_levels(empty.mosaic.black, empty.mosaic.pattern) + empty.noise.black_dn
    title = empty.shot.name if show_progress else None
    stable, margin = run_tiles(network, counts, black, empty.noise, title, on_tile), find_margin(network)
    whole = np.s_[margin:-margin, margin:-margin]
    smooth_grid(stable[whole])
    return replace(empty, stable=stable[inner], gains=match_light(stable[whole], counts[whole], black, empty.noise))


def read_capture(path):
    """Return the Mosaic of a RAW file with a Bayer pattern, its Noise and its Shot; RawError if that cannot be."""
    with open_raw(path) as (raw, pages):
        mosaic = interpret_raw(path, raw, pages)
        if mosaic.pattern not in ORDERS:
            kind = {"W": "no colours", "RGB": "all colours at each pixel"}.get(mosaic.pattern, "another than Bayer's")
            raise RawError(f"{path}: not supported at full size, its sensor has {kind}, and the network knows Bayer's")
        mosaic = replace(mosaic, counts=mosaic.counts.copy())
        top, left = (max(0, side - LIT_PX) for side in (raw.sizes.top_margin, raw.sizes.left_margin))
        masked = np.concatenate([raw.raw_image[:top].ravel(), raw.raw_image[:, :left].ravel()])
        other = None
        with suppress(ValueError, OverflowError):  # a date that cannot be
            other = raw.other
    shot = Shot(path, *read_camera(pages), other)
    pages = [*reversed(find_raw_pages(pages)), *pages]  # a preview may state a noise of its own
    profile = next((page.tags.valueof("NoiseProfile") for page in pages if "NoiseProfile" in page.tags), None)
    iso = other.iso_speed if other else 0
    return mosaic, find_noise(mosaic, f"{shot.make} {shot.model}".strip(), iso, profile, masked), shot


def run_tiles(network, counts, black, noise, title=None, on_tile=None):
    """Return what a network makes of a mosaic with margins: float16 (H, W, 3), see Restoration.stable.

    Tiles overlap by about as far as the network sees, so that no seam shows, and are all of one size. What is returned
    for the margins is not set.

    Args:
        counts: of stable.align, with the margin of network.find_margin. black: (4,), its black levels in counts.
        title: of the progress bar; None for none. on_tile: see restore_capture.
    """
    stable = np.empty((*counts.shape, 3), np.float16)
    margin = find_margin(network)
    tops, lefts = (_place_tiles(length - 2 * margin) for length in counts.shape)
    places = [(top, left) for top in tops for left in lefts]
    for done, (top, left) in enumerate(tqdm(places, title, unit="tile", file=sys.stdout, disable=title is None)):
        if on_tile:
            on_tile(done, len(places))
        window = counts[top.start : top.stop + 2 * margin, left.start : left.stop + 2 * margin]
        packed = np.maximum(stabilise(pack(window) - black, noise.gain_dn, noise.read_dn), -FAR)  # dead pixels
        stable[margin:, margin:][top, left] = network.predict_on_batch(packed[None])[0, margin:-margin, margin:-margin]
    return stable


def smooth_grid(stable):
    """Take away, in place, what repeats every 2 pixels all over a square: a network's four places do that, no scene.

    What differs by FAINT or more from the pixels around it is texture and does not count, so that fine lines make no
    grid of their own. The mean of a square stays.

    Args:
        stable: what run_tiles returns, without the margins.
    """

    def smooth_strip(top):
        strip = stable[top : top + GRID_PX].astype(np.float32)
        rows = np.pad(strip, [(1, 1), (1, 1), (0, 0)], "reflect")
        rows = rows[:-2] + 2 * rows[1:-1] + rows[2:]
        around = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
        squares = GRID_PX // 2, 2, strip.shape[1] // GRID_PX, GRID_PX // 2, 2, 3
        grid = strip - around
        grid *= np.abs(grid) < FAINT
        grid = grid.reshape(squares).mean(axis=(0, 3), keepdims=True)
        grid -= grid.mean(axis=(1, 4), keepdims=True)
        stable[top : top + GRID_PX] = (strip.reshape(squares) - grid).reshape(strip.shape)

    for _ in _map_ahead(smooth_strip, range(0, len(stable), GRID_PX)):
        pass


def match_light(stable, counts, black, noise):
    """Return by colour the factor, in 0…2, that makes the light of a whole picture what its sensor counted: (3,).

    In much darkness a network guesses how bright a picture is, and the mean of millions of counts knows. It is believed
    as far as the black level is: factors are those of a ridge regression towards 1. A sum of counts is shrunk by what
    may be the noise of the dark in it, so that black stays black (James and Stein 1961). Hot pixels are left out.

    Args: those of run_tiles, and what it returns, without the margins.
    """
    levels = (noise.gain_dn, noise.read_dn)

    def add_up(top):
        counted = pack(counts[top : top + STRIP_PX]) - np.float32(black)
        found = lay_packed(stable[top : top + STRIP_PX])
        near = np.abs(stabilise(counted, *levels) - found) < FAR
        return np.sum([near * counted, near * destabilise(found, *levels), near], axis=(1, 2), dtype=float)

    sums = sum(_map_ahead(add_up, range(0, len(counts), STRIP_PX)))
    counted, found, pixels = sums @ [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    doubt = (noise.black_doubt_dn * np.maximum(pixels, 1)) ** 2
    counted *= np.maximum(0, 1 - pixels * noise.read_dn**2 / np.maximum(counted**2, 1))
    return np.float32(np.clip((counted * found + doubt) / (found**2 + doubt), 0, 2))


def _map_ahead(function, items):
    """Yield what a function makes of each item, in order, by several threads, which are at most a few items ahead."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = deque()
        for item in items:
            if len(waiting) == 2 * THREADS:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, item))
        for result in waiting:
            yield result.result()


def _place_tiles(length):
    """The slices of as few tiles of one size as cover a length, a multiple of MULTIPLE_PX; the last may overlap."""
    count = -(-length // TILE_PX)
    size = -(-length // count // MULTIPLE_PX) * MULTIPLE_PX
    return [slice(start, start + size) for start in (min(place * size, length - size) for place in range(count))]


@cache
def load_network():
    """Return the network that `make full-size` trained here, or else the one that comes with the repository.

    Raises:
        FileNotFoundError: there is neither.
    """
    if file := find_network("full-size"):
        return keras.saving.load_model(file, compile=False)
    raise FileNotFoundError("No network for full size is there: make full-size trains it, in hours")


def find_network(name):
    """Return the file of a network for full size that was trained here, or else that of the repository, or None."""
    files = [folder / f"{name}.keras" for folder in (paths.results_folder("sample"), paths.RESULTS / "reference")]
    return next((file for file in files if file.is_file()), None)


def main(arguments=None):
    """Restore a RAW file and save its pictures beside it; a one-line error where that cannot be."""
    parser = argparse.ArgumentParser(description="Restore a dark RAW file at full size, and save it as PNG and JPEG.")
    parser.add_argument("path", help="a RAW file of a camera with a Bayer pattern")
    parser.add_argument("--stops", type=float, help="how much brighter than the capture; estimated if not given")
    options = parser.parse_args(arguments)
    if options.stops is not None and not abs(options.stops) <= MOST_STOPS:
        parser.error(f"--stops must be a number from -{MOST_STOPS} to {MOST_STOPS}. Received: {options.stops:g}")
    try:
        check_free(options.path, sum_up(options.path))
        restoration = restore_capture(options.path, show_progress=True)
        save_pictures(restoration.render_strips(options.stops), restoration.shape, restoration.shot)
    except (RawError, OSError) as error:
        sys.exit(str(error))
    noise, stops = restoration.noise, restoration.stops if options.stops is None else options.stops
    _log.info("Noise, by %s: %.3g counts an electron, %.3g counts when dark", noise.source, *noise[:2])
    _log.info("%+.1f stops%s", stops, "" if options.stops is not None else ", estimated: --stops sets others")
    _log.info("Saved %s and %s", *name_pictures(options.path))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _log.setLevel(logging.INFO)
    main()
