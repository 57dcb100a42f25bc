import errno
import io
import shutil
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
import rawpy
import tifffile
from PIL import Image, ImageCms

from sidlib import camera, paths
from sidlib.full_size import __main__ as command
from sidlib.full_size import capture, restore, save
from sidlib.full_size.noise import Noise
from sidlib.raw import Mosaic
from sidlib.sample import load_photograph
from tests.full_size.conftest import DEMOSAIC
from tests.test_cameras import WHITE_BALANCE, lay, write_raw

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


def read_tags(path, preview=False):
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0].pages[0] if preview else tiff.pages[0]
        return {tag.name: tag.value for tag in page.tags}


def develop(dng):
    """LibRaw's development of a DNG with the brightness that it states, and that brightness in stops."""
    numerator, denominator = read_tags(dng)["BaselineExposure"]
    options = {"use_camera_wb": True, "no_auto_bright": True, "adjust_maximum_thr": 0, "gamma": (2.4, 12.92)}
    with rawpy.imread(str(dng)) as file:
        picture = file.postprocess(bright=2 ** (numerator / denominator), output_bps=16, **options)
    return picture, numerator / denominator


@pytest.mark.parametrize("size", [(40, 31), (33, 300)])
def test_a_jpeg_that_is_written_in_strips_is_that_of_the_whole_picture(size, tmp_path):
    picture, whole = np.asarray(load_photograph("astronaut").resize(size), np.uint16), io.BytesIO()
    strips = ((top, 257 * picture[top : top + 32]) for top in range(0, len(picture), 32))
    save.write_jpeg(tmp_path / "a.jpg", strips, len(picture))
    Image.fromarray(picture.astype(np.uint8)).save(whole, "jpeg", quality=95, subsampling=0)
    assert np.array_equal(Image.open(tmp_path / "a.jpg"), Image.open(whole))


def test_libraw_develops_the_dng_as_the_jpeg_is_and_both_have_exif(photo, trained, capsys):
    command.main([str(photo), "--stops", "0"])
    dng, jpeg = files = save.name_pictures(photo)
    assert [file.name for file in files] == ["my photo é restored.dng", "my photo é restored.jpg"]
    expected = restore.restore_capture(photo, DEMOSAIC).render(0)
    np.testing.assert_allclose(develop(dng)[0] / 257, expected / 257, atol=1)
    with Image.open(jpeg) as image:
        assert np.abs(np.asarray(image) - expected / 257).mean() < 2
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
    for file in files:
        with Image.open(file) as image:  # of the DNG its preview
            assert image.size == (200, 300) and image.getexif()[271] == "Maker" and image.getexif()[274] == 1
            assert np.abs(np.asarray(image.convert("RGB")) - expected / 257).mean() < 3
    assert "Noise, by estimate" in capsys.readouterr().out
    command.main([str(photo)])  # with another brightness its own files are written again
    assert develop(dng)[0].mean() > expected.mean() and "stops, estimated" in capsys.readouterr().out


def test_the_dng_keeps_light_above_white_and_the_colours_of_its_capture(tmp_path, trained):
    lit = DARK.copy()
    lit[50:90, 50:90] = np.linspace(0.26, 0.34, 40)[:, None, None]
    matrix = [part for value in camera.XYZ_TO_CAMERA.flat for part in (int(value) + 50, 10_000)]
    tags = [("CalibrationIlluminant2", "H", 1, 17), ("ColorMatrix2", "2i", 9, matrix)]
    path = write_raw(tmp_path / "a.dng", lay(lit, "RGGB"), tags=tags)
    command.main([str(path), "--stops", "3"])
    dng = save.name_pictures(path)[0]
    picture, baseline = develop(dng)
    assert baseline == 2 and (picture[60:80, 60:80] == 65535).all()
    with rawpy.imread(str(path)) as before, rawpy.imread(str(dng)) as after:
        lamp = after.raw_image_visible[60:80, 60:80, :3].mean((0, 1))
        np.testing.assert_allclose(lamp / 65535, 0.3 * 2 ** (3 - baseline), rtol=0.01)
        np.testing.assert_array_equal(after.color_matrix, before.color_matrix)
        np.testing.assert_allclose(after.camera_whitebalance, before.camera_whitebalance, rtol=1e-5)
    before, after = read_tags(path), read_tags(dng)
    for tag in ("ColorMatrix1", "ColorMatrix2"):
        old, new = (np.reshape(tags[tag], (9, 2)) for tags in (before, after))
        np.testing.assert_allclose(new[:, 0] / new[:, 1], old[:, 0] / old[:, 1], atol=1e-6)
    assert after["CalibrationIlluminant2"] == 17 and after["UniqueCameraModel"] == "Test camera"


def test_sizes_are_whole_and_only_the_preview_is_reduced(tmp_path):
    mosaic = Mosaic(None, "RGGB", np.full(4, 512.0), 16383.0, np.array(WHITE_BALANCE), camera.CCM, 0)
    stable = np.random.default_rng(0).uniform(0, 9, (41, 2101, 3)).astype(np.float16)
    info = save.CaptureInfo(tmp_path / "wide.arw")
    save.save_pictures(restore.Restoration(stable, mosaic, Noise(3.0, 5.0, 0.0, ""), 5, info, np.ones(3), None))
    dng, jpeg = save.name_pictures(info.path)
    assert Image.open(jpeg).size == (2101, 41) and Image.open(dng).size[0] == 2048
    with rawpy.imread(str(dng)) as file:  # its colours are those of the matrix: this file has none of its own
        assert file.raw_image_visible.shape[:2] == (41, 2101)
        np.testing.assert_allclose(file.color_matrix[:, :3], camera.CCM, atol=1e-4)


def test_some_of_the_noise_can_be_left_and_is_told(photo, trained):
    counts = camera.expose(15871 * camera.mosaic(DARK), 1, 3200, np.random.default_rng(0))
    write_raw(photo, counts, tags=[("Orientation", "H", 1, 6)])
    command.main([str(photo), "--strength", "0.5"])
    dng = save.name_pictures(photo)[0]
    profile = read_tags(dng, preview=True)["NoiseProfile"]
    noise = restore.read_capture(photo)[1]
    assert profile[2] / profile[0] == pytest.approx(10 / 9) and 0 < profile[2] < noise.gain_dn
    command.main([str(photo), "--strength", "1"])
    assert "NoiseProfile" not in read_tags(dng, preview=True)


def test_exif_of_a_file_that_is_no_tiff_is_what_libraw_knows():
    names = "shutter_speed", "aperture", "focal_length", "iso_speed"
    for numbers, year, expected in (
        ((0.1, 2.8, 35, 99999), 2026, {33434: 0.1, 33437: 2.8, 37386: 35, 34855: 65535, 36867: "2026:01:02 00:00:00"}),
        ((np.inf, 2.8, np.nan, np.inf), 1970, {33437: 2.8}),
    ):
        known = SimpleNamespace(**dict(zip(names, numbers, strict=True)), timestamp=datetime(year, 1, 2))
        assert save.make_exif(save.CaptureInfo("a.arw", exposure=known)).get_ifd(save.EXIF_IFD) == expected


def test_lens_time_zone_place_and_author_are_those_of_the_capture(tmp_path, photo):
    exif = Image.Exif()
    exif[315], exif[274] = "José".encode(), 6
    exif.get_ifd(save.EXIF_IFD).update({42036: "35mm F2.8", 36881: "+02:00", 37500: b"maker's own", 37380: -1.0})
    exif.get_ifd(save.EXIF_IFD)[59932] = bytes(20_000)  # padding
    exif.get_ifd(save.GPS_IFD).update({0: b"\2\3\0\0", 1: "N", 2: (52.0, 30.0, 0.0)})
    (tmp_path / "a.tif").write_bytes(exif.tobytes().removeprefix(b"Exif\0\0"))
    restoration = restore.restore_capture(photo, DEMOSAIC)
    info = replace(restoration.info, tags=save.read_tags(tmp_path / "a.tif"))
    save.save_pictures(replace(restoration, info=info))
    for file in save.name_pictures(photo):
        with Image.open(file) as image:
            found = image.getexif()
            details, place = found.get_ifd(save.EXIF_IFD), found.get_ifd(save.GPS_IFD)
        assert found[315].encode("latin-1").decode() == "José" and found[274] == 1
        assert details[42036] == "35mm F2.8" and details[36881] == "+02:00"
        assert place[1] == "N" and place[2] == (52.0, 30.0, 0.0) and not {37500, 37380, 59932} & set(details)


@pytest.mark.parametrize("taken", [0, 1])
def test_a_file_of_others_is_never_overwritten_which_is_said_before_the_work(taken, photo, monkeypatch):
    monkeypatch.setattr(command, "restore_mosaic", None)
    file = save.name_pictures(photo)[taken]
    Image.new("RGB", (9, 9)).save(file, "tiff")
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
    with monkeypatch.context() as patch:
        patch.setattr(save.os, "access", lambda folder, mode: False)
        refuse("cannot be written: name another folder, as in OUT=", photo)
        refuse(f"{tmp_path}/elsewhere cannot be written", photo, "--out", tmp_path / "elsewhere")
    for folder in ("RESULTS", "REFERENCE"):
        monkeypatch.setattr(paths, folder, tmp_path)
    refuse("make full-size", photo)


def test_what_is_missing_or_cannot_be_read_is_named_in_a_line(photo, tmp_path):
    (tmp_path / "empty").mkdir()
    for given, received in (("", "nothing"), (tmp_path / "empty", tmp_path / "empty")):
        refuse(f"^A RAW file is needed, as in make restore RAW=.* Received: {received}$", "--", given)
    (tmp_path / "text.arw").write_text("no photograph" * 99)
    (tmp_path / "cut.dng").write_bytes(photo.read_bytes()[:50_000])
    for name, reason in (("text.arw", "not a RAW file"), ("cut.dng", "cut off"), ("none.nef", "No such file")):
        refuse(f"{name}: .*{reason}", tmp_path / name)


def test_files_of_a_folder_are_restored_once_one_after_the_other_and_failures_are_listed(photo, trained, capsys):
    folder, out = photo.parent, photo.parent / "a new folder"
    write_raw(folder / "B[1].DNG", lay(DARK / 2, "RGGB"))
    for name in ("c.arw", "text.txt", "._my photo é.dng"):
        (folder / name).write_text("no photograph" * 99)
    refuse("^1 of 3 failed:\n[^\n]*c.arw: [^\n]*not a RAW file[^\n]*$", folder, "--out", out)
    assert len(list(folder.iterdir())) == 6
    assert sorted(file.name[:2] for file in out.iterdir()) == ["B[", "B[", "my", "my"]
    assert "3 of 3: my photo é.dng" in capsys.readouterr().out
    times = [file.stat().st_mtime_ns for file in sorted(out.iterdir())]
    command.main([str(folder / "*.[dD]*"), str(folder / "B[1].DNG"), "--out", str(out)])
    assert times == [file.stat().st_mtime_ns for file in sorted(out.iterdir())]
    assert capsys.readouterr().out.count("restored before") == 3
    command.main([str(photo)])  # beside it, whence a folder is not restored again
    assert len(capture.find_files(folder)) == 3


def test_frames_of_a_burst_make_one_picture(photo, trained, monkeypatch, capsys):
    def restore_burst(frames, network, on_tile):
        assert frames == [photo.with_name("another.dng"), photo]
        restoration = restore.restore_capture(photo, network, on_tile)
        return replace(restoration, info=replace(restoration.info, frames=2))

    monkeypatch.setattr(command, "restore_burst", restore_burst)
    shutil.copyfile(photo, photo.with_name("another.dng"))
    command.main([str(photo.parent), "--burst"])
    pictures = save.name_pictures(photo, frames=2)
    assert len(list(photo.parent.iterdir())) == 4 and all(file.exists() for file in pictures)
    command.main([str(photo)])  # its picture alone is another
    assert "restored before" not in capsys.readouterr().out
    assert len(list(photo.parent.iterdir())) == 6 and len(capture.find_files(photo.parent)) == 2


@pytest.mark.parametrize("option", [("stops", "nan"), ("stops", "2000"), ("stops", "bright"), ("strength", "1.1")])
def test_what_no_picture_has_is_refused_before_anything_is_done(photo, option, capsys):
    refuse("2", photo, f"--{option[0]}", option[1])
    assert f"--{option[0]}" in capsys.readouterr().err
    assert [file.name for file in photo.parent.iterdir()] == [photo.name]
