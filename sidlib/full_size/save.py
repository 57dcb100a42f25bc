"""Restored pictures as files: a linear DNG for the darkroom and a JPEG to look at, with the capture's EXIF."""

import io
import os
import struct
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from sidlib import paths
from sidlib.camera import SRGB_TO_XYZ
from sidlib.full_size.tiles import STRIP_PX

SOFTWARE, EXIF_IFD, GPS_IFD = 305, 34665, 34853
PLACES = {EXIF_IFD: 34664, GPS_IFD: 34852}  # unused tags beside those IFDs' own, which tifffile does not write
TEXTS = 306, 315, 33432  # date, author and copyright, which are taken over from the capture
# MakerNote, whose offsets would be wrong; ExposureBiasValue, which darktable undoes; and what describes another picture
LEFT_OUT = 37500, 37380, 40961, 40962, 40963, 40965
LONGEST = 9999  # characters of a tag: the EXIF of a JPEG has 64 KB at most
MATRICES = "ColorMatrix1 ColorMatrix2 CameraCalibration1 CameraCalibration2 AnalogBalance ForwardMatrix1 ForwardMatrix2"
COLOURS = dict.fromkeys(MATRICES.split(), "2i") | {"CalibrationIlluminant1": "H", "CalibrationIlluminant2": "H"}
TYPES = COLOURS | {"DNGVersion": "B", "AsShotNeutral": "2I", "BaselineExposure": "2i", "PreviewColorSpace": "I"}
TYPES |= {"BlackLevel": "H", "WhiteLevel": "I", "NoiseProfile": "d", "AnalogBalance": "2I", 274: "H"}
TYPES |= dict.fromkeys(PLACES.values(), "I")
D65, SRGB = 21, 2  # of CalibrationIlluminant1 and PreviewColorSpace
PREVIEW_PX = 2048  # longest side
HEADROOM_STOPS = 3  # of light above the picture's white, at most: each costs half of the precision in the shadows
MOST = 0.999  # of the pixels of a strip: brighter points may be cut off
WHITE = 65535  # black is 0: LibRaw and darktable fail to subtract others from all of a linear picture's colours
BILINEAR_NOISE = 9 / 16, 5 / 8, 9 / 16  # mean variance of R, G, B after bilinear interpolation of pixels of variance 1


@dataclass(frozen=True)
class CaptureInfo:
    """Where a capture comes from."""

    path: Path
    make: str = ""  # of the camera, as the file states it
    model: str = ""
    exposure: tuple | None = None  # rawpy's Other, None if unreadable
    fingerprint: str = ""  # of its counts, since two cards may have captures of one name
    remarks: tuple = ()  # sentences on what was found in it, see capture.examine
    tags: dict = field(default_factory=dict)  # see read_tags
    frames: int = 1  # of a burst, merged, of which it is the reference

    @property
    def name(self):
        """File name of the capture."""
        return Path(self.path).name

    @property
    def signature(self):
        """The software tag of pictures that were restored from this capture begins with it."""
        return f"sidlib, restored from {self.name} {self.fingerprint}".encode("ascii", "backslashreplace").decode()

    def sign(self, stops, strength):
        """Return the software tag of its pictures of a brightness, None for the estimated one, and a strength."""
        merged = f", {self.frames} frames" if self.frames > 1 else ""
        return f"{self.signature}{merged}, stops {stops}, strength {strength:g}"


def read_tags(path, xyz_to_camera=()):
    """Return the tags of a RAW file that its pictures take over: of COLOURS, TEXTS, EXIF_IFD and GPS_IFD.

    A file that is not TIFF-like has none but xyz_to_camera, LibRaw's matrix, which stands in where the file has none.
    """
    tags = {"ColorMatrix1": xyz_to_camera} if np.any(xyz_to_camera) else {}
    with suppress(Exception), open(path, "rb") as file:  # no TIFF, or damaged
        exif = Image.Exif()
        exif.load_from_fp(file)
        codes = {tifffile.TIFF.TAGS[name]: name for name in (*COLOURS, "UniqueCameraModel")}
        known = {codes.get(tag, tag): exif[tag] for tag in (*codes, *TEXTS) if tag in exif}
        known = {tag: value.encode("latin-1") if isinstance(value, str) else value for tag, value in known.items()}
        ifds = [make_ifd(number, exif.get_ifd(number)) for number in PLACES]
        _ = pack_tags(known), [ifd.tobytes() for ifd in ifds]  # what cannot be written raises here
        tags |= known | {ifd.group: dict(ifd) for ifd in ifds}
    return tags


def name_pictures(path, frames=1):
    """Return the files beside a RAW file, or the reference of so many frames, that it is restored to: DNG and JPEG."""
    stem = f"{Path(path).stem} of {frames} frames" if frames > 1 else Path(path).stem
    return [Path(path).with_name(f"{stem} restored{suffix}") for suffix in (".dng", ".jpg")]


def check_output(info):
    """Raise an OSError if the folder of a capture is read-only, or holds other files of its pictures' names."""
    for file in name_pictures(info.path, info.frames):
        if not os.access(file.parent, os.W_OK):
            raise PermissionError(f"{file.parent} cannot be written: name another folder, as in OUT=restored")
        if file.is_symlink() or file.exists() and not read_software(file).startswith(info.signature):
            raise FileExistsError(f"{file} is there and was not restored from this {info.name}: move it away")


def read_software(file):
    """Return the software tag of a picture, "" if it has none or there is no picture."""
    with suppress(Exception), Image.open(file) as image:  # damaged or no picture: not written here
        return str(image.getexif().get(SOFTWARE, ""))
    return ""


def save_pictures(restoration, stops=None, strength=1):
    """Write a Restoration beside its RAW file, as DNG and as JPEG: both whole, or neither; or raise an OSError.

    stops, strength: see Restoration.render.
    """
    info = restoration.info
    check_output(info)
    exif, profile = make_exif(info, stops, strength), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with ExitStack() as whole:
        dng, jpeg = (
            whole.enter_context(paths.write_atomically(file)) for file in name_pictures(info.path, info.frames)
        )
        strips = restoration.render_strips(stops, strength=strength)
        write_jpeg(jpeg, strips, restoration.shape[0], exif=exif, icc_profile=profile)
        image = whole.enter_context(Image.open(jpeg))
        image.thumbnail((PREVIEW_PX, PREVIEW_PX), reducing_gap=1.5)  # decoded at half its size, if it is large
        write_dng(dng, restoration, image, exif, restoration.stops if stops is None else stops, strength)


def write_jpeg(path, strips, height, **options):
    """Write a picture of a height as JPEG from (number of the first row, rows), see Restoration.render_strips.

    Each strip is a restart interval, so that the whole picture, 4 bytes per pixel in Pillow, is never in memory.
    Source: ITU-T T.81, section B.2. options: of the first strip, see Pillow's JPEG writer.
    """
    scan = {"quality": 95, "subsampling": 0, "restart_marker_rows": STRIP_PX // 8}
    with open(path, "wb") as file:
        for top, rows in strips:
            part, image = io.BytesIO(), Image.fromarray(((rows + 128.0) // 257).astype(np.uint8))
            image.save(part, "jpeg", **scan, **({} if top else options))
            part = bytearray(part.getvalue())
            start = part.rindex(b"\xff\xda")  # of the scan
            if top:
                file.write(bytes([0xFF, 0xD0 + (top // STRIP_PX - 1) % 8]))  # RST0 to RST7
                file.write(part[start + 2 + part[start + 3] : -2])
            else:
                frame = part.rindex(b"\xff\xc0", 0, start)
                part[frame + 5 : frame + 7] = struct.pack(">H", height)
                file.write(part[:-2])
        file.write(b"\xff\xd9")


def make_exif(info, stops=None, strength=1):
    """Return the metadata of a CaptureInfo as Pillow's Exif, for an upright picture."""
    exif, exposure = Image.Exif(), info.exposure
    tags = {271: info.make, 272: info.model, 274: 1, SOFTWARE: info.sign(stops, strength)}
    tags |= {tag: info.tags[tag] for tag in TEXTS if tag in info.tags}
    exif.update({tag: value.encode() if isinstance(value, str) else value for tag, value in tags.items() if value})
    details = exif.get_ifd(EXIF_IFD)
    if exposure:
        numbers = {33434: exposure.shutter_speed, 33437: exposure.aperture, 37386: exposure.focal_length}
        details.update({tag: number for tag, number in numbers.items() if 0 < number < np.inf})
        if 0 < exposure.iso_speed < np.inf:
            details[34855] = round(min(exposure.iso_speed, 65535))
        if exposure.timestamp.year > 1970:
            details[36867] = exposure.timestamp.strftime("%Y:%m:%d %H:%M:%S")
    details.update(info.tags.get(EXIF_IFD, {}))
    exif.get_ifd(GPS_IFD).update(info.tags.get(GPS_IFD, {}))
    return exif


def write_dng(path, restoration, preview, exif, stops, strength=1):
    """Write a Restoration as a linear DNG of 16 bits, compressed without loss.

    preview: Pillow's image of it. exif: see make_exif. stops, strength: see Restoration.render.
    Source of the tags: Adobe's DNG specification 1.4.
    """
    info, mosaic, noise, jpeg = restoration.info, restoration.mosaic, restoration.noise, io.BytesIO()
    height, width, _ = restoration.shape
    levels = restoration.map_strips(lambda light: np.quantile(light, MOST), strength=strength)
    brightest = np.log2(max(0.0, *(level for _, level in levels)) + 2.0**-32)
    above_white = np.ceil(stops + brightest)
    baseline = min(stops, max(0, above_white), HEADROOM_STOPS)
    gain, across = 2.0 ** (stops - baseline), -(-width // 32) * 16  # LibRaw reads no tile wider than the picture

    def encode_strip(light):
        counts = np.rint(np.clip(light * np.float32(gain * WHITE), 0, WHITE)).astype(np.uint16)
        counts = np.pad(counts, [(0, STRIP_PX - len(counts)), (0, 2 * across - width), (0, 0)], "edge")
        tiles = np.ascontiguousarray(counts[:, :across]), np.ascontiguousarray(counts[:, across:])
        return [imagecodecs.jpeg_encode(tile, lossless=True, bitspersample=16) for tile in tiles]

    ifds = [make_ifd(number, exif.get_ifd(number)) for number in PLACES if exif.get_ifd(number)]
    as_in_daylight = np.linalg.inv(SRGB_TO_XYZ @ mosaic.ccm * mosaic.white_balance)
    tags = dict(exif) | {PLACES[ifd.group]: 0 for ifd in ifds} | {"DNGVersion": (1, 4, 0, 0)}
    tags |= {"UniqueCameraModel": f"{info.make} {info.model}".encode()}
    tags |= {"CalibrationIlluminant1": D65, "ColorMatrix1": as_in_daylight}
    tags |= {name: value for name, value in info.tags.items() if isinstance(name, str)}
    tags |= {"AsShotNeutral": mosaic.white_balance.min() / mosaic.white_balance}
    tags |= {"BaselineExposure": baseline, "PreviewColorSpace": SRGB}
    raw_tags = {"BlackLevel": [0] * 3, "WhiteLevel": [WHITE] * 3}  # left out, RawTherapee takes those of its camera
    if strength < 1:  # else only what the network leaves, of which no such line is known
        scale = gain / (mosaic.white - mosaic.black.mean())
        line = scale * noise.gain_dn, (scale * noise.read_dn) ** 2
        raw_tags["NoiseProfile"] = [(1 - strength) ** 2 * share * level for share in BILINEAR_NOISE for level in line]
    preview.save(jpeg, "jpeg", quality=90, subsampling=0)
    options = {"compression": "jpeg", "metadata": None, "software": tags.pop(SOFTWARE)}
    with tifffile.TiffWriter(path, bigtiff=False, byteorder="<") as tiff:
        first = {"photometric": "ycbcr", "subsampling": (1, 1), "rowsperstrip": preview.height, "subfiletype": 1}
        first |= {"shape": (preview.height, preview.width, 3), "dtype": np.uint8, "subifds": 1}
        tiff.write(iter([jpeg.getvalue()]), extratags=pack_tags(tags), **first, **options)
        second = {"photometric": "linear_raw", "bitspersample": 16, "tile": (STRIP_PX, across)}
        second |= {"shape": (height, width, 3), "dtype": np.uint16}
        tiles = (tile for _, strip in restoration.map_strips(encode_strip, strength=strength) for tile in strip)
        tiff.write(tiles, extratags=pack_tags(raw_tags), **second, **options)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for ifd in ifds:
            begin = tiff.filehandle.seek(0, os.SEEK_END)
            begin += tiff.filehandle.write(bytes(begin % 2))  # at an even place
            tiff.filehandle.write(ifd.tobytes(begin))
            tiff.filehandle.seek(tiff.pages[0].tags[PLACES[ifd.group]].offset)
            tiff.filehandle.write(struct.pack("<2H2I", ifd.group, 4, 1, begin))  # one LONG


def make_ifd(number, tags):
    """Return EXIF or GPS tags in the form in which Pillow writes them, without those in LEFT_OUT and too long ones."""
    ifd = ImageFileDirectory_v2(group=number)
    ifd.update({tag: value for tag, value in tags.items() if tag not in LEFT_OUT and len(str(value)) <= LONGEST})
    ifd.tagtype.update({tag: 7 for tag, value in ifd.items() if tag and isinstance(value, bytes)})  # UNDEFINED
    return ifd


def pack_tags(tags):
    """Return {name or number: value} as tifffile's extratags, with the types of TYPES; others are texts."""
    packed = []
    for tag, value in tags.items():
        dtype = TYPES.get(tag, "s")
        values = value if dtype == "s" else np.ravel(value).tolist()
        count = len(values)
        if dtype in ("2i", "2I"):
            values = [part for x in values for part in Fraction(float(x)).limit_denominator(10**6).as_integer_ratio()]
        packed.append((tag, dtype, count, values, True))
    return packed
