"""A dark RAW file to a picture at full size, of any brightness."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.ndimage import convolve

from sidlib import camera, paths
from sidlib.backend import keras
from sidlib.brightness import LIGHTS, estimate_ratio, is_dark
from sidlib.full_size.capture import read_capture
from sidlib.full_size.network import BILINEAR, MULTIPLE_PX, find_cap, find_margin
from sidlib.full_size.noise import Noise
from sidlib.full_size.save import CaptureInfo
from sidlib.full_size.tiles import STRIP_PX, map_ahead, match_means, remove_checkerboard, run_tiles
from sidlib.full_size.trust import Trust, measure_trust, remark_trust
from sidlib.raw import Mosaic, Signal, reduce_mosaic, turn

MOST_BRIGHTER = 2**14  # factor of the estimated brightness: where it is darker, one electron is white


@dataclass(frozen=True, eq=False)
class Restoration:
    """A network's picture of a capture, which can be rendered at any brightness."""

    stable: np.ndarray  # float16 (H, W, 3), stabilised camera RGB, not turned yet
    mosaic: Mosaic  # of the capture; None for its counts leaves strength at 1
    noise: Noise
    stops: float  # estimated brightness
    info: CaptureInfo | None
    gains: np.ndarray  # (3,), factors of R, G, B, see tiles.match_means
    trust: Trust | None

    @property
    def upright(self):
        """The stabilised picture, upright."""
        return turn(self.stable, self.mosaic.flip)

    @property
    def shape(self):
        """Height, width and 3 of the upright picture."""
        return self.upright.shape

    @property
    def remarks(self):
        """A list of sentences on what was found in the capture, and on what was taken that does not look like noise."""
        found = list(self.info.remarks) if self.info else []
        return found + (remark_trust(self.trust) if self.trust else [])

    def render(self, stops=None, part=np.s_[:, :], strength=1):
        """Return the picture: uint16 (height, width, 3), sRGB, upright, in the colours of raw.develop.

        Args:
            stops: brightness relative to the capture, a factor of 2 each; None for the estimated one.
            part: slices (rows, columns) of the picture. strength: see mix.
        """
        picture = np.empty(self.upright[part].shape, np.uint16)
        for top, strip in self.render_strips(stops, part, strength):
            picture[top : top + len(strip)] = strip
        return picture

    def render_strips(self, stops=None, part=np.s_[:, :], strength=1):
        """Yield (number of the first row, rows) of the picture of render, from top to bottom."""
        gain = 2.0 ** (self.stops if stops is None else stops)
        known = self.mosaic.white_balance, self.mosaic.ccm, gain
        return self.map_strips(lambda light: camera.quantize(camera.render(light, *known), bits=16), part, strength)

    def map_strips(self, function, part=np.s_[:, :], strength=1):
        """Yield (number of the first row, function(light)) from top to bottom, computed by several threads.

        light is float32 (at most STRIP_PX, width, 3), linear camera RGB of black 0 and white 1.
        """
        (top, bottom, _), (left, right, _) = map(slice.indices, part, self.shape)
        scale = self.gains**strength / np.float32(self.mosaic.white - self.mosaic.black.mean())

        def map_strip(row):
            stable = self.mix(np.s_[row : min(row + STRIP_PX, bottom), left:right], strength)
            light = camera.destabilise(stable, self.noise.gain_dn, self.noise.read_dn)
            return row - top, function(light * scale)

        yield from map_ahead(map_strip, range(top, bottom, STRIP_PX))

    def mix(self, part=np.s_[:, :], strength=1):
        """Return a part of the upright stabilised picture of which `strength`, 0…1, of the noise is taken.

        What is left of it is the demosaiced capture's, by 1 - strength, with a standard deviation of as much.
        """
        stable, mosaic = self.upright[part], self.mosaic
        if strength == 1:
            return stable
        (top, bottom, _), (left, right, _) = map(slice.indices, part, self.shape)
        above, before = min(top, 1), min(left, 1)  # neighbours to interpolate from
        window = np.s_[top - above : bottom + 1, left - before : right + 1]
        indices = np.broadcast_arrays(*np.indices(mosaic.counts.shape, sparse=True))
        counts, rows, columns = (turn(each, mosaic.flip)[window] for each in (mosaic.counts, *indices))
        sites = rows % 2 * 2 + columns % 2
        light = counts - (mosaic.black + self.noise.black_dn)[sites]
        light = camera.stabilise(light, self.noise.gain_dn, self.noise.read_dn)
        colours = np.array(list(mosaic.pattern))[sites]
        noisy = [convolve(light * (colours == colour), BILINEAR[colour], mode="mirror") for colour in "RGB"]
        noisy = np.stack(noisy, axis=-1)[above:, before:][: bottom - top, : right - left]
        return np.float32(strength) * stable + np.float32(1 - strength) * noisy

    def halve(self, strength=1):
        """Return the Restoration at half its width and height, upright: means of 2 × 2 pixels in linear light."""
        upright, levels = self.upright, (self.noise.gain_dn, self.noise.read_dn)
        height, width = (-(-side // 2) for side in self.shape[:2])
        half = np.empty((height, width, 3), np.float16)
        for top in range(0, len(upright), STRIP_PX):
            light = camera.destabilise(self.mix(np.s_[top : top + STRIP_PX, :], strength), *levels)
            light = np.pad(light, [(0, len(light) % 2), (0, self.shape[1] % 2), (0, 0)], "edge")
            light = (light[::2, ::2] + light[::2, 1::2] + light[1::2, ::2] + light[1::2, 1::2]) / 4
            half[top // 2 :][: len(light)] = camera.stabilise(light, *levels)
        mosaic = replace(self.mosaic, counts=None, flip=0)
        return replace(self, stable=half, mosaic=mosaic, gains=self.gains**strength)


def restore_capture(path, network=None, on_tile=None):
    """Return the Restoration of a RAW file by a network of NETWORKS, None for load_network; on_tile: see run_tiles.

    Raises:
        RawError: the file cannot be read, or has no Bayer pattern. FileNotFoundError: there is no network.
    Example:
        >>> picture = restore_capture("night.ARW").render(stops=5)
    """
    network = network or load_network()
    return restore_mosaic(read_capture(path), network, on_tile)


def restore_mosaic(capture, network, on_tile=None):
    """Return the Restoration of (Mosaic, Noise, CaptureInfo), see read_capture; the info may be None."""
    mosaic, noise, info = capture
    (stops, of_lights), margin = _find_stops(mosaic, noise), find_margin(network)
    counts, inner = camera.align(mosaic.counts, mosaic.pattern, margin, MULTIPLE_PX)
    black = camera.align_levels(mosaic.black, mosaic.pattern) + noise.black_dn
    capture, mosaic = None, replace(mosaic, counts=None)  # 122 MB at 61 megapixels, if nobody else holds them
    white_dn = (mosaic.white - mosaic.black.mean()) / (2**of_lights * mosaic.white_balance)
    cap = find_cap(white_dn, noise.gain_dn, noise.read_dn)
    stable, whole = run_tiles(network, counts, black, noise, cap, on_tile), np.s_[margin:-margin, margin:-margin]
    remove_checkerboard(stable[whole])
    gains = match_means(stable[whole], counts[whole], black, noise)
    trust = measure_trust(stable[whole], counts[whole], black, noise)
    return Restoration(stable[inner], replace(mosaic, counts=counts[inner]), noise, stops, info, gains, trust)


def find_stops(mosaic, noise):
    """Return by how many stops a capture has to become brighter, see brightness.estimate_ratio; 0 without light."""
    return _find_stops(mosaic, noise)[0]


def _find_stops(mosaic, noise):
    """The stops of find_stops, and those that do not clip a fire or the moon, which the network is to see."""
    span = mosaic.white - mosaic.black.mean()
    reduced = reduce_mosaic(mosaic, 10) - np.float32(noise.black_dn / span)
    signal = Signal(reduced, mosaic.white_balance, mosaic.ccm)
    if is_dark(signal, noise.read_dn / span, noise.black_doubt_dn / span):
        return 0.0, 0.0
    return [float(np.log2(estimate_ratio(signal, MOST_BRIGHTER, lights))) for lights in (LIGHTS, np.inf)]


@cache
def load_network():
    """Return the network of find_network, loaded once."""
    return keras.saving.load_model(find_network(), compile=False)


def find_network(name="full-size"):
    """Return the file of the network that `make full-size` trained here, or else that of the repository."""
    for folder in (paths.RESULTS / "sample", paths.REFERENCE):
        if (folder / f"{name}.keras").is_file():
            return folder / f"{name}.keras"
    raise FileNotFoundError("No network for full size is there: make full-size trains it, in hours")
