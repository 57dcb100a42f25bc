"""The mode of your own capture: models on any RAW file, the file restored at full size, and pictures saved."""

import os
import re
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from matplotlib import colormaps

from sidlib import paths
from sidlib.full_size import restore, save
from sidlib.full_size.burst import restore_burst
from sidlib.full_size.capture import find_files
from sidlib.full_size.trust import TILE_PX
from sidlib.human_check import captures
from sidlib.human_check.viewer import Mode, button, find_part, fit, row
from sidlib.raw import turn
from sidlib.rawfile import RawError

OVERLAYS = {"the picture": None, "more taken than noise": "spread", "electrons per pixel": "electrons"}  # of its Trust
TAKEN = 1.05, 1.5  # times the noise: an overlay's colours begin and end
SCREEN_PX = 1600  # longest side of a picture that the browser gets


class OwnCapture(Mode):
    """A RAW file that is opened by its path or uploaded; its exposure ratio is estimated and can be set by hand.

    Of several files that are chosen together, or of a folder, the first is shown; at full size they are one burst.
    """

    invitation = (
        "Open a RAW file of any camera: it is developed like the data set and shown to the models, and, if it has a "
        "Bayer pattern, can be restored at full size."
    )

    def __init__(self, viewer, folder):
        self.viewer, self.folder = viewer, folder
        self.capture = None  # a Capture, once a file is open
        self.files = []  # its path, or its bytes if it was uploaded, and those of the other frames of its burst
        self.full_view = None  # its FullView, once it is restored
        named = {"description": "Path", "placeholder": "of a RAW file, or a folder with a burst"}
        self.path = widgets.Text(**named, layout=fit("30em"))
        self.open = button("Open", self.open_path)
        self.upload = widgets.FileUpload(description="or upload RAW files", multiple=True, layout=fit("13em"))
        self.upload.observe(self.receive, "value")
        named_whole = {"description_width": "initial"}
        self.ratio = widgets.BoundedFloatText(1, min=1, max=10_000, description="Exposure ratio", style=named_whole)
        self.ratio.observe(self.change_ratio, "value")
        self.saved = widgets.Dropdown(description="Save", layout=fit("26em"))
        self.save8, self.save16 = (button(f"as {bits}-bit PNG", partial(self.save, bits)) for bits in (8, 16))
        self.restore = button("Restore at full size", self.restore_file)
        self.save_full = button("Save at full size", self.save_restored)
        self.overlay = widgets.Dropdown(options=OVERLAYS, description="Show", layout=fit("16em"))
        self.strength = widgets.BoundedFloatText(
            1, min=0, max=1, step=0.1, description="Noise taken", style=named_whole
        )
        for control in (self.overlay, self.strength):
            control.observe(lambda change: self.viewer.render(), "value")
        self.said = widgets.Label()  # the status again, which a large picture moves out of sight
        widgets.dlink((viewer, "status"), (self.said, "value"))
        rows = [self.path, self.open, self.upload], [self.ratio, self.saved, self.save8, self.save16]
        self.controls = [
            row(*each) for each in (*rows, [self.restore, self.save_full, self.strength, self.overlay], [self.said])
        ]

    def begin(self, chosen):
        """Offer the pictures that are shown for saving."""
        self.saved.options = [] if self.capture is None else [*captures.INPUTS, *chosen]
        self.saved.value = self.saved.options[-1] if self.saved.options else None
        for control in (self.ratio, self.saved, self.save8, self.save16):
            control.disabled = self.capture is None
        self.restore.disabled = self.capture is None or self.full_view is not None
        self.save_full.disabled = self.full_view is None
        for control in (self.said, self.overlay, self.strength):
            control.layout.display = "none" if self.full_view is None else None

    @property
    def stops(self):
        """The brightness at full size, relative to the capture: of the exposure ratio and of the viewer."""
        return float(np.log2(self.capture.ratio)) + self.viewer.stops

    def show_full(self, view):
        if not self.full_view:
            return []
        shown = self.full_view.show(self.stops, view, self.overlay.value, self.strength.value)
        return [shown | {"stops": self.viewer.stops}]

    @contextmanager
    def _telling(self, doing):
        """Show what is done and, if it fails, why."""
        self.viewer.busy, self.viewer.status = True, f"{doing} …"
        try:
            yield
        except Exception as error:  # of the disk, of the name, of the file, or of a GPU without memory
            self.viewer.status = f"{doing} failed: {error}"
            if not isinstance(error, (OSError, MemoryError, RuntimeError, ValueError)):
                raise
        finally:
            self.viewer.busy = False

    def receive(self, change):
        """Open the files that were uploaded."""
        if change.new:
            self.open_files([upload.content for upload in change.new], change.new[0].name)
        self.upload.value = ()  # its bytes are not kept twice, and the same file can be uploaded again

    def open_path(self, button=None):
        """Open the file or the folder whose path was typed."""
        path = self.path.value.strip()
        folder = os.path.expanduser(path)  # as isdir, it refuses no text
        files = find_files(folder) if os.path.isdir(folder) else []
        self.open_files(files or [Path(path)], files[0].name if files else path)

    def open_files(self, files, name):
        """Open RAW files, each its path or its bytes, the first by its name; if that fails, what was shown stays."""
        name = Path(name).name or "upload"
        with self._telling(f"Developing {name}"), _placed(files[0]) as path:
            self.capture = replace(captures.open_capture(path), name=name)
            self.files, self.full_view = files, None
            self.ratio.value = round(self.capture.ratio, 1)
            self.viewer.begin()
            burst = f". At full size, a burst of {len(files)} frames" if len(files) > 1 else ""
            self.viewer.status = f"{name}: exposure ratio estimated, ×{self.capture.ratio:.0f}{burst}"

    def change_ratio(self, change=None):
        """Show the capture with an exposure ratio set by hand."""
        if self.capture is not None and round(self.capture.ratio, 1) != self.ratio.value:
            self.capture = replace(self.capture, ratio=self.ratio.value)
            self.viewer.render()

    def restore_file(self, button=None):
        """Restore the capture at full size, with all frames of its burst, and show it."""
        name = self.capture.name

        def tell_progress(done, tiles):
            self.viewer.status = f"Restoring {name} … {100 * done // tiles} %"

        if self.full_view is None:  # no double click
            with self._telling(f"Restoring {name}"), ExitStack() as stack:
                frames = [stack.enter_context(_placed(file, f"frame {n}")) for n, file in enumerate(self.files, 1)]
                self.full_view = FullView(restore_burst(frames, restore.load_network(), tell_progress))
                self.viewer.begin()
                found = self.full_view.restoration
                self.viewer.status = ". ".join(
                    [f"{name}: restored at full size, noise by {found.noise.source}", *found.remarks]
                )

    def save(self, bits, button=None):
        """Save the chosen picture as a PNG."""
        name, ratio = self.saved.value, self.capture.ratio
        with self._telling(f"Saving {name}"):
            file = self._name_file(f"{self.capture.name}-{name}-x{ratio:.0f}-{bits}bit.png")
            picture = self.viewer.picture_of(self.capture, name)
            if broken := captures.describe_broken(picture):
                raise ValueError(broken)
            with paths.write_atomically(file) as path:
                path.write_bytes(captures.encode_png(picture, bits))
            self.viewer.status = f"Saved {file}"

    def save_restored(self, button=None):
        """Save the restored picture with the brightness that is shown: DNG and JPEG, with EXIF."""
        restoration, file = self.full_view.restoration, self._name_file(self.capture.name)
        with self._telling(f"Saving {self.capture.name}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            info = replace(restoration.info, path=file)
            save.save_pictures(replace(restoration, info=info), self.stops, self.strength.value)
            dng, jpeg = save.name_pictures(file)
            self.viewer.status = f"Saved {dng} and {jpeg.name}"

    def _name_file(self, title):
        return self.folder / re.sub(r"[^\w ,.+-]", "_", title)  # a model may be called "cnn/relu"


@contextmanager
def _placed(file, name="upload"):
    """Yield the path of a file, for bytes that of a temporary one; a RawError does not repeat it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)  # a name from a browser need not be possible here
        try:
            if isinstance(file, Path):
                path = file.expanduser()
            else:
                path.write_bytes(file)
            yield path
        except RawError as error:
            raise RawError(str(error).removeprefix(f"{path}: ")) from error


class FullView:
    """A restore.Restoration in the viewer: the whole, reduced to fit a screen, or any part, down to single pixels."""

    def __init__(self, restoration):
        self.restoration = restoration
        self.halve, self.show = lru_cache(2)(self._halve), lru_cache(4)(self._show)

    def _halve(self, strength=1):
        """Return the Restoration and its halves until one fits a screen, of a strength."""
        levels = [self.restoration]
        while max(levels[-1].shape) > SCREEN_PX:
            levels.append(levels[-1].halve(strength if levels[-1] is self.restoration else 1))
        return levels

    def _show(self, stops, view, overlay=None, strength=1):
        """Return the part that a View shows, with a brightness in stops, in the form of Viewer.pictures.

        The name of one of Trust's maps is laid over it.
        """
        height, width = self.restoration.shape[:2]
        levels = self.halve(strength)
        fits = [max(level.shape) <= SCREEN_PX * view.zoom for level in levels]
        number = fits.index(True)
        rows, columns = find_part(levels[number].shape, view)
        picture = levels[number].render(stops, (rows, columns), 1 if number else strength)
        across, down = 2**number / width, 2**number / height  # of a pixel, as fractions of the whole
        part = [across * columns.start, down * rows.start, across * picture.shape[1], down * picture.shape[0]]
        title, caption = "restored at full size", f"{width} × {height} pixels, {stops:+.1f} stops"
        known = {"name": "", "title": title, "caption": caption, "size": [width, height], "part": part}
        picture = (picture + 128.0) // 257
        if overlay and self.restoration.trust:
            picture, known["caption"] = self._lay_over(picture, overlay, part)
        pixels = picture.astype("uint8").tobytes()
        return known | {"height": picture.shape[0], "width": picture.shape[1], "pixels": pixels}

    def _lay_over(self, picture, name, part):
        """Return a part of the picture in 0…255 under a map of its Trust, and the caption that explains the colours."""
        mosaic, values = self.restoration.mosaic, getattr(self.restoration.trust, name)
        if name == "spread":
            low, high, caption = *TAKEN, f"yellow: {TAKEN[1]:g} times the noise was taken, or more"
            strength = np.clip((values - low) / (high - low), 0, 0.7)
        else:
            values = np.maximum(values, 0.01)
            low, high = np.percentile(values, (2, 98))
            caption, strength = f"from {low:.2g} (blue) to {high:.2g} (yellow) electrons per pixel", 0.6
            values, low, high = np.log(values), np.log(low), np.log(high)
        colours = colormaps["viridis"](np.clip((values - low) / max(high - low, 1e-6), 0, 1))
        colours[..., 3] = strength
        height, width = self.restoration.stable.shape[:2]
        rows, columns = (
            (np.arange(length // 8) * 8 // TILE_PX).clip(max=n - 1)
            for length, n in zip((height, width), values.shape, strict=True)
        )
        colours = turn(colours[rows][:, columns], mosaic.flip)
        places = [
            ((start + size * (np.arange(n) + 0.5) / n) * length).astype(int)
            for start, size, n, length in zip(part[1::-1], part[:1:-1], picture.shape, colours.shape, strict=False)
        ]
        colours = colours[np.ix_(*places)]
        return picture + colours[..., 3:] * (255 * colours[..., :3] - picture), caption
