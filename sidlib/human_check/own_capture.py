"""The mode of one's own capture: what models make of any RAW file, it restored at full size, and pictures saved."""

import re
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import ipywidgets as widgets
import numpy as np

from sidlib.human_check import captures
from sidlib.human_check.large import Large
from sidlib.human_check.uploads import Upload, Uploads
from sidlib.human_check.viewer import Mode, fit, row


class OwnCapture(Mode):
    """A RAW file that is opened by its path or uploaded; its exposure ratio is estimated and can be set by hand.

    Attributes:
        capture: the Capture that was opened, None before; file: its path, or what was uploaded, a list of bytes.
        large: the Large of the capture once it is restored, None before.
        box: the controls: path, open, upload, ratio, saved (which picture to save), save8, save16, restore, save_full;
            and said, the status again, which a large picture moves out of sight.
    """

    invitation = (
        "Open a RAW file of any camera: it is developed like the data set and shown to the models, and, if it has a "
        "Bayer pattern, can be restored at full size."
    )

    def __init__(self, viewer, pairs, folder):
        self.viewer, self.pairs, self.folder = viewer, pairs, folder
        self.capture = self.file = self.large = None
        self.uploads = Uploads()
        named_whole = {"description_width": "initial"}
        self.path = widgets.Text(description="Path", placeholder="of a RAW file", layout=fit("30em"))
        self.upload = Upload(max_bytes=captures.MAX_FILE_BYTES)
        self.open = widgets.Button(description="Open", layout=fit())
        self.ratio = widgets.BoundedFloatText(
            value=1, min=1, max=10_000, step=1, description="Exposure ratio", style=named_whole
        )
        self.saved = widgets.Dropdown(description="Save", layout=fit("26em"))
        self.save8, self.save16 = (widgets.Button(description=f"as {bits}-bit PNG", layout=fit()) for bits in (8, 16))
        self.restore, self.save_full = (
            widgets.Button(description=f"{act} at full size", layout=fit()) for act in ("Restore", "Save")
        )
        self.said = widgets.Label()
        widgets.dlink((viewer.stage, "status"), (self.said, "value"))
        rows = [self.path, self.open, self.upload], [self.ratio, self.saved, self.save8, self.save16]
        self.box = widgets.VBox([row(*controls) for controls in (*rows, [self.restore, self.save_full, self.said])])
        self.controls = [self.box]
        self._listen()

    def _listen(self):
        self.upload.on_msg(self.receive)
        self.open.on_click(lambda _: self.open_file(Path(self.path.value.strip()), self.path.value))
        self.restore.on_click(self.restore_file)
        self.save_full.on_click(self.save_restored)
        self.ratio.observe(self.change_ratio, "value")
        self.save8.on_click(lambda _: self.save(8))
        self.save16.on_click(lambda _: self.save(16))

    def begin(self, chosen):
        """Offer the pictures that are shown for saving."""
        self.saved.options = [] if self.capture is None else [*captures.INPUTS, *chosen]
        self.saved.value = self.saved.options[-1] if self.saved.options else None
        for control in (self.ratio, self.saved, self.save8, self.save16):
            control.disabled = self.capture is None
        self.restore.disabled = self.capture is None or self.large is not None
        self.save_full.disabled = self.large is None
        self.said.layout.display = "none" if self.large is None else None

    @property
    def stops(self):
        """How much brighter than the capture it is shown at full size: by its exposure ratio and the viewer's stops."""
        return float(np.log2(self.capture.ratio)) + self.viewer.stage.stops

    def show_large(self, view):
        return [self.large.show(self.stops, view) | {"stops": self.viewer.stage.stops}] if self.large else []

    def receive(self, upload, piece, buffers):
        """Take a piece of a file that is uploaded, and open the file once it is whole."""
        stage = self.viewer.stage
        name = Path(piece["name"]).name or "upload"
        try:
            captures.check_size(name, piece["size"])
            stage.status, content = self.uploads.take(name, piece, buffers)
            if content is not None:
                self.open_file(content, name)
        except (captures.RawError, OSError) as error:
            stage.status = str(error)

    @contextmanager
    def _telling(self, name, doing):
        """Say what is done with a file and, if it cannot be, why."""
        stage = self.viewer.stage
        stage.busy, stage.status = True, f"{doing} {name} …"
        try:
            yield
        except Exception as error:  # of the disk, of the name, of the file, or of a GPU without memory
            stage.status = f"{name}: {error}"
            if not isinstance(error, (captures.RawError, OSError, MemoryError, RuntimeError, ValueError)):
                raise
        finally:
            stage.busy = False

    def open_file(self, file, name):
        """Open a RAW file, or say why not; what was shown before stays.

        Args:
            file: its path, or its bytes in pieces, a list.
        """
        with self._telling(name, "Developing"), _placed(file) as path:
            self.capture = replace(captures.open_capture(path, self.brightness), name=Path(name).name)
            self.file, self.large = file, None
            self.ratio.value = round(self.capture.ratio, 1)
            self.viewer.begin()
            self.viewer.stage.status = f"{name}: exposure ratio estimated, ×{self.capture.ratio:.0f}"

    def restore_file(self, button=None):
        """Restore the capture at full size, once, and show it; or say why not."""
        from sidlib.beyond.full_size import restore  # which imports captures

        if self.large is not None:  # a double click
            return
        name = self.capture.name
        self.restore.disabled = True
        try:
            with self._telling(name, "Restoring"), _placed(self.file) as path:
                self.large = Large(restore.restore_capture(path, on_tile=self._tell_progress))
                self.viewer.begin()
                source = self.large.restoration.noise.source
                self.viewer.stage.status = f"{name}: restored at full size, noise by {source}"
        finally:
            self.restore.disabled = self.large is not None

    def _tell_progress(self, done, of):
        self.viewer.stage.status = f"Restoring {self.capture.name} … {100 * done // of} %"

    def save_restored(self, button=None):
        """Save the restored picture as it is shown: PNG of 16 bits and JPEG, with EXIF; and say where."""
        from sidlib.beyond.full_size.save import name_pictures, save_pictures

        stage, restoration = self.viewer.stage, self.large.restoration
        shot = replace(restoration.shot, path=self._name_file(self.capture.name))
        stage.busy, stage.status = True, "Saving …"
        try:
            save_pictures(restoration.render_strips(self.stops), restoration.shape, shot)
            png, jpeg = name_pictures(shot.path)
            stage.status = f"Saved {png} and {jpeg.name}"
        except (OSError, ValueError) as error:
            stage.status = f"Not saved: {error}"
        finally:
            stage.busy = False

    def _name_file(self, title):
        return self.folder / re.sub(r"[^\w ,.+-]", "_", title)  # a model may be called "cnn/relu"

    @cached_property
    def brightness(self):
        """How bright long exposures of the train split are."""
        train = self.pairs[self.pairs.split == "train"]
        return captures.measure_brightness(self.pairs if train.empty else train)

    def change_ratio(self, change=None):
        """Show the capture with an exposure ratio set by hand."""
        if self.capture is not None and round(self.capture.ratio, 1) != self.ratio.value:
            self.capture = replace(self.capture, ratio=self.ratio.value)
            self.viewer.render()

    def save(self, bits):
        """Save the chosen picture as a PNG, and say where."""
        capture, name = self.capture, self.saved.value
        file = self._name_file(f"{capture.name}-{name}-x{capture.ratio:.0f}-{bits}bit.png")
        try:
            captures.save_picture(self.viewer.picture_of(capture, name), file, bits)
            self.viewer.stage.status = f"Saved {file}"
        except (OSError, ValueError) as error:
            self.viewer.stage.status = f"Not saved: {error}"


@contextmanager
def _placed(file):
    """Yield the path of a file, for bytes in pieces that of a temporary one; a RawError does not repeat it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "upload")  # any name that a browser may send need not be a file's name here
        try:
            if isinstance(file, Path):
                path = file.expanduser()
            else:
                with open(path, "wb") as target:
                    target.writelines(file)
            yield path
        except captures.RawError as error:
            raise captures.RawError(str(error).removeprefix(f"{path}: ")) from error
