import errno
import io
import shutil
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageCms

from sidlib import paths, raw
from sidlib.backend import tf
from sidlib.full_size import __main__ as command
from sidlib.full_size import network, restore, save
from tests.test_cameras import lay, write_raw

DEMOSAIC = network.build_residual_unet((4, 8))  # untrained it corrects nothing
DARK = np.linspace(0.01, 0.06, 200 * 300 * 3).reshape(200, 300, 3)


@pytest.fixture
def photo(tmp_path):
    tags = [("Make", "s", 0, "Maker"), ("Orientation", "H", 1, 6)]
    return write_raw(tmp_path / "my photo é.dng", lay(DARK, "RGGB"), tags=tags)


@pytest.fixture
def trained(monkeypatch):
    monkeypatch.setattr(command, "load_network", lambda: DEMOSAIC)


def refuse(match, *arguments):
    with pytest.raises(SystemExit, match=match):
        command.main([*map(str, arguments)])


def decode_png(file):
    return tf.io.decode_png(file.read_bytes(), dtype=tf.uint16).numpy()


def test_png_and_jpeg_are_saved_with_exif_and_profile(photo, trained, capsys):
    command.main([str(photo), "--stops", "0"])
    png, jpeg = files = save.name_pictures(photo)
    assert [file.name for file in files] == ["my photo é restored.png", "my photo é restored.jpg"]
    expected = restore.restore_capture(photo, DEMOSAIC).render(0)
    np.testing.assert_array_equal(decode_png(png), expected)
    with Image.open(jpeg) as image:
        assert np.abs(np.asarray(image) - expected / 257).mean() < 2
    for file in files:
        with Image.open(file) as image:
            exif = image.getexif()
            assert image.size == (200, 300) and exif[271] == "Maker" and exif[274] == 1
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert "Noise, by estimate" in capsys.readouterr().out
    command.main([str(photo)])  # its own files it writes again
    assert decode_png(png).mean() > expected.mean()
    assert "stops, estimated" in capsys.readouterr().out


def test_the_jpeg_of_a_large_picture_has_all_of_its_pixels(tmp_path):
    info, rows = save.CaptureInfo(tmp_path / "large.dng"), np.full((50, 8200, 3), 30_000, np.uint16)
    save.save_pictures(((top, rows) for top in range(0, 5000, 50)), (5000, 8200, 3), info)  # 41 megapixels
    assert [Image.open(file).size for file in save.name_pictures(info.path)] == [(8200, 5000)] * 2


def test_exif_holds_how_it_was_exposed(tiny_folder):
    path = sorted((tiny_folder / "short").glob("*.dng"))[0]
    info, known = restore.read_capture(path)[2], raw.read_exposure(path)
    details = save.make_exif(info).get_ifd(save.EXIF_IFD)
    assert float(details[33434]) == pytest.approx(known["exposure_s"]) and details[34855] == known["iso"]
    assert 37386 not in details and 36867 not in details  # the file has neither focal length nor date
    assert save.make_exif(replace(info, exposure=None)).get_ifd(save.EXIF_IFD) == {}
    numbers = {"shutter_speed": np.inf, "aperture": 2.8, "focal_length": np.nan, "iso_speed": np.inf}
    broken = SimpleNamespace(**numbers, timestamp=datetime(2026, 1, 2))
    assert set(save.make_exif(save.CaptureInfo("a.arw", exposure=broken)).get_ifd(save.EXIF_IFD)) == {33437, 36867}


@pytest.mark.parametrize("taken", [0, 1])
def test_a_file_of_others_is_never_overwritten_which_is_said_before_the_work(taken, photo, monkeypatch):
    monkeypatch.setattr(command, "restore_mosaic", None)
    file = save.name_pictures(photo)[taken]
    Image.new("RGB", (9, 9)).save(file)
    before = file.read_bytes()
    refuse("was not restored from this my photo é.dng: move it away", photo)
    assert file.read_bytes() == before and len(list(photo.parent.iterdir())) == 2


def test_the_picture_of_another_capture_of_the_same_name_is_never_overwritten(photo, trained, tmp_path):
    command.main([str(photo)])
    (tmp_path / "copy").mkdir()
    for file in (photo, *save.name_pictures(photo)):
        shutil.copyfile(file, tmp_path / "copy" / file.name)
    command.main([str(tmp_path / "copy" / photo.name)])  # the same photograph elsewhere
    write_raw(photo, lay(DARK / 2, "RGGB"))  # of another card
    refuse("was not restored from this my photo é.dng", photo)


def test_nothing_half_written_stays_where_the_disk_is_full(photo, trained, monkeypatch):
    def fill(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill)
    refuse("No space left on device: '.*restored.jpg'", photo)
    assert [file.name for file in photo.parent.iterdir()] == [photo.name]


def test_a_missing_network_and_a_read_only_folder_are_said_before_the_work(photo, monkeypatch, tmp_path):
    monkeypatch.setattr(command, "restore_mosaic", None)
    for folder in ("RESULTS", "REFERENCE"):
        monkeypatch.setattr(paths, folder, tmp_path)
    restore.load_network.cache_clear()
    refuse("make full-size", photo)
    monkeypatch.setattr(save.os, "access", lambda folder, mode: False)
    refuse("cannot be written: copy my photo é.dng to another folder", photo)


def test_without_a_raw_file_one_sentence_says_what_is_needed(tmp_path):
    refuse("^A RAW file is needed, as in make restore RAW=.* Received: nothing$", "--", "")
    refuse(f"^A RAW file is needed, .* Received: the folder {tmp_path}$", tmp_path)


def test_what_cannot_be_read_is_named_in_a_line(photo, tmp_path):
    (tmp_path / "text.arw").write_text("no photograph" * 99)
    (tmp_path / "cut.dng").write_bytes(photo.read_bytes()[:50_000])
    for name, reason in (("text.arw", "not a RAW file"), ("cut.dng", "cut off"), ("none.nef", "No such file")):
        refuse(f"{name}: .*{reason}", tmp_path / name)


@pytest.mark.parametrize("stops", ["nan", "2000", "bright"])
def test_stops_that_no_picture_has_are_refused_before_anything_is_done(photo, stops, capsys):
    refuse("2", photo, "--stops", stops)
    assert "--stops" in capsys.readouterr().err
    assert [file.name for file in photo.parent.iterdir()] == [photo.name]
