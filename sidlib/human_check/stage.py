"""The stage of the human check: pictures that are zoomed, moved and wiped together, by mouse or by keyboard."""

from pathlib import Path

import anywidget
import traitlets


class Stage(anywidget.AnyWidget):
    """Sliders, a file to upload, a status line and pictures. It draws nothing: it says what is wanted and shows HTML.

    ipywidgets' own sliders have no name for screen readers, its HTML does not tell where it is dragged, and its upload
    loses files of more than 10 MB, the servers' limit for a message.

    Attributes:
        zoom, across, down, stops: see view.View.
        place: of the wipe's edge, 0…1; its slider is there while `wiping`.
        uploading: files can be uploaded. Each comes in pieces, to `on_msg`: {"id", "name", "size", "start", "end"} and
            the bytes from start to end; of one larger than `max_bytes`, one piece of none. The id is the upload's.
        html: the pictures.
        status: a line above them, read aloud when it changes; with a sign while `busy`.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")
    zoom = traitlets.Float(1).tag(sync=True)
    across = traitlets.Float(0.5).tag(sync=True)
    down = traitlets.Float(0.5).tag(sync=True)
    stops = traitlets.Float(0).tag(sync=True)
    place = traitlets.Float(0.5).tag(sync=True)
    wiping = traitlets.Bool(False).tag(sync=True)
    uploading = traitlets.Bool(False).tag(sync=True)
    max_bytes = traitlets.Int(0).tag(sync=True)
    html = traitlets.Unicode().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
