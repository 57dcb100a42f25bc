"""The mode of your own capture: models on any RAW file, the file restored at full size, and pictures saved."""

import os
import re
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize

from sidlib import paths
from sidlib.backend import tf
from sidlib.full_size import restore, save
from sidlib.full_size.burst import restore_burst
from sidlib.full_size.capture import find_files
from sidlib.full_size.trust import TILE_PX
from sidlib.human_check.captures import INPUTS, describe_scores, open_capture
from sidlib.human_check.viewer import Mode, button, find_part, fit, row
from sidlib.plots import round_picture
from sidlib.raw import turn

OVERLAYS = {"the picture": None, "more taken than noise": "spread", "electrons per pixel": "electrons"}  # of its Trust
TAKEN = 1.05, 1.5  # times the noise: an overlay's colours begin and end
SCREEN_PX = 1600  # longest side of a picture that the browser gets


class OwnCapture(Mode):
    """A RAW file that is opened by its path or uploaded; its exposure ratio is estimated and can be set by hand.

    Of several files that are chosen together, or of a folder, the first is shown; at full size they are one burst.
    """

    invitation = "Open a RAW file of any camera. One with a Bayer pattern can be restored at full size, too."

    def __init__(self, viewer, folder):
        super().__init__(viewer)
        self.folder = folder
        self.files = []  # of the capture and the other frames of its burst: each its path, or its bytes if uploaded
        self.full_view = None  # the FullView of the capture, once it is restored
        self.path = widgets.Text(description="Path", placeholder="a RAW file, or a burst's folder", layout=fit("30em"))
        self.open = button("Open", self.open_path)
        self.upload = widgets.FileUpload(description="or upload RAW files", multiple=True, layout=fit("13em"))
        self.upload.observe(self.receive, "value")
        whole = {"description_width": "initial"}
        self.ratio = widgets.BoundedFloatText(1, min=1, max=10_000, description="Exposure ratio", style=whole)
        self.ratio.observe(self.change_ratio, "value")
        self.saved = widgets.Dropdown(description="Save", layout=fit("26em"))
        self.save8, self.save16 = (button(f"as {bits}-bit PNG", partial(self.save, bits)) for bits in (8, 16))
        self.restore = button("Restore at full size", self.restore_file)
        self.save_full = button("Save at full size", self.save_restored)
        self.overlay = widgets.Dropdown(options=OVERLAYS, description="Show", layout=fit("16em"))
        self.strength = widgets.BoundedFloatText(1, min=0, max=1, step=0.1, description="Noise taken", style=whole)
        for control in (self.overlay, self.strength):
            control.observe(lambda change: viewer.render(), "value")
        self.said = widgets.Label()  # the status again, which a large picture moves out of sight
        widgets.dlink((viewer, "status"), (self.said, "value"))
        self.controls = [
            row(self.path, self.open, self.upload),
            row(self.ratio, self.saved, self.save8, self.save16),
            row(self.restore, self.save_full, self.strength, self.overlay),
            row(self.said),
        ]

    def begin(self):
        """Show the capture, and offer what can be done with it."""
        self.saved.options = [*INPUTS, *self.titles]
        self.saved.value = self.saved.options[-1]
        for control in (self.ratio, self.saved, self.save8, self.save16):
            control.disabled = not self.capture
        for control in (self.save_full, self.overlay, self.strength):
            control.disabled = not self.full_view
        self.restore.disabled = bool(self.full_view or not self.capture)
        super().begin()

    @property
    def stops(self):
        """The brightness at full size, relative to the capture: of the exposure ratio and of the viewer."""
        return float(np.log2(self.capture.ratio)) + self.viewer.stops

    def show_full(self, view):
        if not self.full_view:
            return []
        shown = self.full_view.show(self.stops, view, self.overlay.value, self.strength.value)
        return [shown | {"stops": self.viewer.stops}]

    def receive(self, change):
        """Open the files that were uploaded."""
        if change.new:
            self.open_files([upload.content for upload in change.new], change.new[0].name)
        self.upload.value = ()  # its bytes are not kept twice, and the same file can be uploaded again

    def open_path(self, button=None):
        """Open the file or the folder whose path was typed."""
        path = os.path.expanduser(self.path.value.strip())
        files = os.path.isdir(path) and find_files(path) or [Path(path)]
        self.open_files(files, files[0].name)

    def open_files(self, files, name):
        """Open RAW files, each its path or its bytes, the first by its name; if that fails, what was shown stays."""
        name = Path(name).name or "upload"
        with self.telling(f"Developing {name}"), _placed(files[:1]) as [path]:
            self.capture, self.files, self.full_view = open_capture(path, name), files, None
            self.ratio.value = round(self.capture.ratio, 1)
            self.begin()
            burst = f". At full size, a burst of {len(files)} frames" if len(files) > 1 else ""
            self.viewer.status = f"{name}: exposure ratio estimated, ×{self.capture.ratio:.0f}{burst}"

    def change_ratio(self, change):
        """Show the capture with an exposure ratio set by hand."""
        if round(self.capture.ratio, 1) != self.ratio.value:
            self.capture = replace(self.capture, ratio=self.ratio.value)
            self.viewer.render()

    def restore_file(self, button=None):
        """Restore the capture at full size, with all frames of its burst, and show it."""
        doing = f"Restoring {self.capture.name}"

        def tell_progress(done, tiles):
            self.viewer.status = f"{doing} … {100 * done // tiles} %"

        if self.full_view is None:  # no double click
            with self.telling(doing), _placed(self.files) as frames:
                found = restore_burst(frames, restore.load_network(), tell_progress)
                self.full_view = FullView(found)
                self.begin()
                said = f"{self.capture.name}: restored at full size, noise by {found.noise.source}"
                remarks = [remark.replace(f"{frames[0].parent}{os.sep}", "") for remark in found.remarks]
                self.viewer.status = ". ".join([said, *remarks])

    def save(self, bits, button=None):
        """Save the chosen picture as a PNG."""
        name, capture = self.saved.value, self.capture
        with self.telling(f"Saving {name}"):
            file = self._name_file(f"{capture.name}-{name}-x{capture.ratio:.0f}-{bits}bit.png")
            picture = self.viewer.picture_of(capture, name)
            if broken := describe_scores(picture):
                raise ValueError(broken)
            content = tf.io.encode_png(round_picture(np.float64(picture), bits))  # Pillow has no 16-bit colour
            with paths.write_atomically(file) as path:
                path.write_bytes(content.numpy())
            self.viewer.status = f"Saved {file}"

    def save_restored(self, button=None):
        """Save the restored picture with the brightness that is shown: DNG and JPEG, with EXIF."""
        restoration, file = self.full_view.restoration, self._name_file(self.capture.name)
        with self.telling(f"Saving {self.capture.name}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            info = replace(restoration.info, path=file)
            save.save_pictures(replace(restoration, info=info), self.stops, self.strength.value)
            dng, jpeg = save.name_pictures(file, info.frames)
            self.viewer.status = f"Saved {dng} and {jpeg.name}"

    def _name_file(self, title):
        return self.folder / re.sub(r"[^\w ,.+-]", "_", title)  # a model may be called "cnn/relu"


@contextmanager
def _placed(files):
    """Yield the paths of files, for bytes those of temporary ones, whose own names may be impossible."""
    with tempfile.TemporaryDirectory() as folder:
        frames = []
        for number, file in enumerate(files, 1):
            frames.append(file if isinstance(file, Path) else Path(folder, f"frame {number}"))
            if frames[-1] is not file:
                frames[-1].write_bytes(file)
        yield frames


class FullView:
    """A restore.Restoration in the viewer: the whole, reduced to fit a screen, or any part, down to single pixels."""

    def __init__(self, restoration):
        self.restoration = restoration
        self.halve, self.show = lru_cache(2)(self._halve), lru_cache(4)(self._show)

    def _halve(self, strength):
        """The Restoration and its halves until one fits a screen, of a strength."""
        levels = [self.restoration]
        while max(levels[-1].shape) > SCREEN_PX:
            levels.append(levels[-1].halve(1 if levels[1:] else strength))
        return levels

    def _show(self, stops, view, overlay=None, strength=1):
        """Return what a View shows at a brightness, in the form of Viewer.pictures; overlay: a map of Trust."""
        levels = self.halve(strength)
        number = [max(level.shape) <= SCREEN_PX * view.zoom for level in levels].index(True)
        part = rows, columns = find_part(levels[number].shape, view)
        picture = (levels[number].render(stops, part, 1 if number else strength) + 128.0) // 257
        (height, width, _), (high, wide, _) = self.restoration.shape, picture.shape
        across, down = 2**number / width, 2**number / height  # of a pixel, as fractions of the whole
        known = {"name": "", "title": "restored at full size", "size": [width, height], "height": high, "width": wide}
        known["part"] = [across * columns.start, down * rows.start, across * wide, down * high]
        known["caption"] = f"{width} × {height} pixels, {stops:+.1f} stops"
        if overlay and self.restoration.trust:
            picture, known["caption"] = self._lay_over(picture, overlay, 2**number, part)
        return known | {"pixels": picture.astype("uint8").tobytes()}

    def _lay_over(self, picture, name, step, part):
        """Return a part of every step-th pixel under a map of its Trust, and what the colours mean."""
        trust, mosaic = self.restoration.trust, self.restoration.mosaic
        if name == "spread":
            share = Normalize(*TAKEN, clip=True)(trust.spread)
            opacity, caption = np.minimum(share, 0.7), f"yellow: {TAKEN[1]:g} times the noise was taken, or more"
        else:
            electrons = np.maximum(trust.electrons, 0.01)
            low, high = np.percentile(electrons, (2, 98))
            share, opacity = LogNorm(low, high, clip=True)(electrons), 0.6
            caption = f"from {low:.2g} (blue) to {high:.2g} (yellow) electrons per pixel"
        colours = colormaps["viridis"](share, alpha=opacity)
        sensor = np.indices(self.restoration.stable.shape[:2], sparse=True)  # rows and columns, which are turned
        tiles = [np.minimum(each // TILE_PX, length - 1) for each, length in zip(sensor, share.shape, strict=True)]
        upright = np.broadcast_arrays(*(turn(each, mosaic.flip) for each in tiles))
        colours = colours[tuple(each[::step, ::step][part] for each in upright)]
        return picture + colours[..., 3:] * (255 * colours[..., :3] - picture), caption
