"""The mode of one's own capture: what models make of any RAW file, and their pictures saved."""

import re
import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import ipywidgets as widgets

from sidlib.human_check import captures
from sidlib.human_check.uploads import Upload, Uploads
from sidlib.human_check.viewer import Mode, fit, row


class OwnCapture(Mode):
    """A RAW file that is opened by its path or uploaded; its exposure ratio is estimated and can be set by hand.

    Attributes:
        capture: the Capture that was opened, None before.
        box: the controls: path, open, upload, ratio, saved (which picture to save), save8, save16.
    """

    invitation = "Open a RAW file of any camera: it is developed like the data set and shown to the models."

    def __init__(self, viewer, pairs, folder):
        self.viewer, self.pairs, self.folder = viewer, pairs, folder
        self.capture, self.uploads = None, Uploads()
        named_whole = {"description_width": "initial"}
        self.path = widgets.Text(description="Path", placeholder="of a RAW file", layout=fit("30em"))
        self.upload = Upload(max_bytes=captures.MAX_FILE_BYTES)
        self.open = widgets.Button(description="Open", layout=fit())
        self.ratio = widgets.BoundedFloatText(
            value=1, min=1, max=10_000, step=1, description="Exposure ratio", style=named_whole
        )
        self.saved = widgets.Dropdown(description="Save", layout=fit("26em"))
        self.save8, self.save16 = (widgets.Button(description=f"as {bits}-bit PNG", layout=fit()) for bits in (8, 16))
        self.box = widgets.VBox(
            [row(self.path, self.open, self.upload), row(self.ratio, self.saved, self.save8, self.save16)]
        )
        self.controls = [self.box]
        self._listen()

    def _listen(self):
        self.upload.on_msg(self.receive)
        self.open.on_click(lambda _: self.open_file(Path(self.path.value.strip()), self.path.value))
        self.ratio.observe(self.change_ratio, "value")
        self.save8.on_click(lambda _: self.save(8))
        self.save16.on_click(lambda _: self.save(16))

    def begin(self, chosen):
        """Offer the pictures that are shown for saving."""
        self.saved.options = [] if self.capture is None else [*captures.INPUTS, *chosen]
        self.saved.value = self.saved.options[-1] if self.saved.options else None
        for control in (self.ratio, self.saved, self.save8, self.save16):
            control.disabled = self.capture is None

    def receive(self, upload, piece, buffers):
        """Take a piece of a file that is uploaded, and open the file once it is whole."""
        stage = self.viewer.stage
        name = Path(piece["name"]).name or "upload"
        try:
            captures.check_size(name, piece["size"])
            stage.status, content = self.uploads.take(name, piece, buffers)
            if content is not None:
                self._open_upload(content, name)
        except (captures.RawError, OSError) as error:
            stage.status = str(error)

    def _open_upload(self, content, name):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "upload")  # any name that a browser may send need not be a file's name here
            with open(path, "wb") as file:
                file.writelines(content)
            self.open_file(path, name)

    def open_file(self, path, name):
        """Open a RAW file, or say why not; what was shown before stays."""
        stage = self.viewer.stage
        stage.busy, stage.status = True, f"Developing {name} …"
        try:
            self.capture = replace(captures.open_capture(path, self.brightness), name=Path(name).name)
            self.ratio.value = round(self.capture.ratio, 1)
            self.viewer.begin()
            stage.status = f"{name}: exposure ratio estimated, ×{self.capture.ratio:.0f}"
        except (captures.RawError, OSError, RuntimeError, ValueError) as error:  # the latter: names that cannot be
            stage.status = f"{name}: {str(error).removeprefix(f'{path}: ')}"
        finally:
            stage.busy = False

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
        title = f"{Path(capture.name).stem}-{name}-x{capture.ratio:.0f}-{bits}bit"
        file = self.folder / (re.sub(r"[^\w ,.+-]", "_", title) + ".png")  # a model may be called "cnn/relu"
        try:
            captures.save_picture(self.viewer.picture_of(capture, name), file, bits)
            self.viewer.stage.status = f"Saved {file}"
        except (OSError, ValueError) as error:
            self.viewer.stage.status = f"Not saved: {error}"
