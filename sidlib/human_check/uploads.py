"""Files that a browser sends in pieces: ipywidgets' own upload loses those of more than 10 MB, the servers' limit."""

import time
from pathlib import Path

import anywidget
import traitlets

QUIET_S = 60  # after which an upload has stopped: its browser was closed, or lost the kernel


class Upload(anywidget.AnyWidget):
    """A control that chooses a file, and sends it to `on_msg` in pieces.

    A piece is {"id", "name", "size", "start", "end"} with the bytes from start to end; of a file of more than
    `max_bytes` there is one, of no bytes. The id is the upload's.
    """

    _esm = Path(__file__).with_suffix(".js")
    max_bytes = traitlets.Int(0).tag(sync=True)


class Uploads:
    """Puts the pieces of files together: of several files at once, and in any order.

    Nothing is on disk, so that what is never finished leaves nothing there; its pieces go when the next file comes.
    """

    def __init__(self):
        self.arriving = {}  # {id: ({start: bytes}, time of the last piece)}

    def take(self, name, piece, buffers):
        """Keep a piece of a file, and return (what to say, its bytes in order or None while some are missing).

        Args:
            name: of the file, to be said.
            piece: dict of id (the same for all pieces of one upload, and for no other), size of the file, start and end
                of the piece, all in bytes.
            buffers: its bytes.
        """
        now, upload, size = time.monotonic(), piece.get("id"), piece["size"]
        self.arriving = {of: (kept, last) for of, (kept, last) in self.arriving.items() if now - last < QUIET_S}
        pieces, _ = self.arriving.setdefault(upload, ({}, now))
        pieces[piece["start"]] = b"".join(buffers)
        arrived = sum(map(len, pieces.values()))
        if arrived == size:
            del self.arriving[upload]
            return f"{name} has arrived.", [pieces[start] for start in sorted(pieces)]
        self.arriving[upload] = (pieces, now)
        if arrived < piece["end"]:
            return f"{name}: not all before byte {piece['start']} has arrived. If it stays so, upload it again.", None
        return f"Uploading {name} … {100 * arrived // size} %", None
