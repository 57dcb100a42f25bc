"""Restored pictures as files: a 16-bit PNG and a JPEG to look at, with the capture's EXIF and an sRGB profile."""

import os
import struct
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from sidlib import paths

SOFTWARE, EXIF_IFD = 305, 34665


@dataclass(frozen=True)
class CaptureInfo:
    """A capture's RAW file, camera ("" if the file does not say), and exposure as rawpy's Other, None if unreadable.

    The fingerprint is that of its counts, since two cards may have captures of one name. The remarks are sentences on
    what was found in it, see capture.examine.
    """

    path: Path
    make: str = ""
    model: str = ""
    exposure: tuple | None = None
    fingerprint: str = ""
    remarks: tuple = ()

    @property
    def name(self):
        """File name of the capture."""
        return Path(self.path).name

    @property
    def signature(self):
        """The software tag of pictures that were restored from this capture."""
        return f"sidlib, restored from {self.name} {self.fingerprint}".encode("ascii", "backslashreplace").decode()


def name_pictures(path):
    """Return the files beside a RAW file that it is restored to: PNG and JPEG."""
    return [Path(path).with_name(f"{Path(path).stem} restored{suffix}") for suffix in (".png", ".jpg")]


def check_output(info):
    """Raise an OSError if the folder of a capture is read-only, or holds other files of its pictures' names."""
    for file in name_pictures(info.path):
        if not os.access(file.parent, os.W_OK):
            raise PermissionError(f"{file.parent} cannot be written: copy {info.name} to another folder")
        if file.is_symlink() or file.exists() and _read_software(file) != info.signature:
            raise FileExistsError(f"{file} is there and was not restored from this {info.name}: move it away")


def _read_software(file):
    try:
        with Image.open(file) as image:
            return image.getexif().get(SOFTWARE)
    except Exception:  # damaged or no picture: not written here
        return None


def save_pictures(strips, shape, info):
    """Write a picture beside its RAW file, as PNG and as JPEG: both whole, or neither.

    Args:
        strips, shape: see Restoration.render_strips and shape. info: its CaptureInfo.
    Raises:
        OSError: see check_output; or a file cannot be written.
    """
    check_output(info)
    exif, profile = make_exif(info), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", shape[1::-1])
    with ExitStack() as whole:
        png, jpeg = (whole.enter_context(paths.write_atomically(file)) for file in name_pictures(info.path))
        with write_png(png, shape, exif.tobytes().removeprefix(b"Exif\0\0"), profile) as write_rows:
            for top, rows in strips:
                write_rows(rows)
                image.paste(Image.fromarray(((rows + 128.0) // 257).astype(np.uint8)), (0, top))
        image.save(jpeg, quality=95, subsampling=0, exif=exif, icc_profile=profile)


def make_exif(info):
    """Return the metadata of a CaptureInfo as Pillow's Exif, for an upright picture."""
    exif, exposure = Image.Exif(), info.exposure
    tags = {271: info.make, 272: info.model, 274: 1, SOFTWARE: info.signature}
    exif.update({tag: value for tag, value in tags.items() if value})
    if exposure:
        numbers = {33434: exposure.shutter_speed, 33437: exposure.aperture, 37386: exposure.focal_length}
        details = {tag: number for tag, number in numbers.items() if np.isfinite(number)}
        details[34855] = round(min(exposure.iso_speed, 65535)) if np.isfinite(exposure.iso_speed) else 0
        if exposure.timestamp.year > 1970:
            details[36867] = exposure.timestamp.strftime("%Y:%m:%d %H:%M:%S")
        exif.get_ifd(EXIF_IFD).update({tag: value for tag, value in details.items() if value})
    return exif


@contextmanager
def write_png(path, shape, exif, profile):
    """Yield a function that writes the next uint16 rows of a picture to a PNG.

    Pillow has no 16-bit colour, and TensorFlow's encoder has no metadata and copies the whole picture. Each row is
    filtered as differences to the pixel on the left (filter 1). Source: the PNG specification, third edition.
    """
    height, width = shape[:2]
    packer = zlib.compressobj(level=1)
    with open(path, "wb") as file:

        def write_chunk(kind, content):
            file.write(struct.pack(">I", len(content)) + kind + content)
            file.write(struct.pack(">I", zlib.crc32(kind + content)))

        def write_rows(picture):
            rows = np.ascontiguousarray(picture, ">u2").view(np.uint8).reshape(-1, 6 * width)
            coded = np.ones((len(rows), 1 + 6 * width), np.uint8)
            coded[:, 1:7], coded[:, 7:] = rows[:, :6], rows[:, 6:] - rows[:, :-6]
            write_chunk(b"IDAT", packer.compress(coded))

        file.write(b"\x89PNG\r\n\x1a\n")
        write_chunk(b"IHDR", struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0))  # 16 bits, RGB
        write_chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(profile))
        write_chunk(b"eXIf", exif)
        yield write_rows
        write_chunk(b"IDAT", packer.flush())
        write_chunk(b"IEND", b"")
