from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from sidlib import camera
from sidlib.full_size import burst, restore
from sidlib.full_size.checks import CAMERAS, SONY, photograph
from sidlib.full_size.save import CaptureInfo
from sidlib.rawfile import RawError
from sidlib.sample import load_photograph
from tests.full_size.conftest import DEMOSAIC
from tests.test_cameras import lay, write_raw

SIZE, MARGIN = (400, 560), 40


def look_at(name, shift=(0, 0), degrees=0.0, tilt=0.0):
    """A photograph in linear light, seen by a camera that moved by a shift in pixels, turned and tilted: (*SIZE, 3)."""
    picture = camera.decode_srgb(np.asarray(load_photograph(name).resize((640, 480))) / 255)
    down, right = np.indices(SIZE) - np.reshape(SIZE, (2, 1, 1)) / 2
    down, right = (each / (1 + tilt * right / SIZE[1]) for each in (down, right))
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    at = [cos * down + sin * right + 240 + shift[0], cos * right - sin * down + 320 + shift[1]]
    return np.stack([ndimage.map_coordinates(colour, at) for colour in np.moveaxis(picture, -1, 0)], -1).clip(0, 1)


def expose(linear, number=0, white_e=60, by=SONY, **info):
    mosaic, noise = photograph(linear, by, white_e, np.random.default_rng(number))
    return mosaic, noise, CaptureInfo(f"{number}.raw", "a", "b", fingerprint=str(number), **info)


def find_error(merged, linear, white_e=60, by=SONY):
    """How far each pixel is from its noise-free value, in units of the noise that is stated where all take part."""
    known = by.describe()
    clean = camera.mosaic(camera.unprocess(linear, known.white_balance, known.ccm), by.pattern) * white_e * by.gain_dn
    levels = merged.noise.gain_dn, merged.noise.read_dn
    return camera.stabilise(merged.mosaic.counts - float(by.black), *levels) - camera.stabilise(clean, *levels)


def jump(down, right, step, radius, count):
    """Where a disc is that jumps to the right, by frame."""
    down, right = np.indices(SIZE) - np.reshape([down, right], (2, 1, 1))
    return [np.hypot(down, right - step * number) < radius for number in range(count)]


def find_reference(merged, of):
    return of[int(merged.info.name[0])]


def spread(cells):
    """What is known by cell, by pixel."""
    return ndimage.zoom(cells, 16, order=0, grid_mode=True, mode="nearest")[: SIZE[0], : SIZE[1]]


@pytest.fixture(scope="module")
def coffee():
    return look_at("coffee")


def test_one_frame_and_its_copy_give_the_same_bytes_as_restore(coffee, tmp_path):
    path = write_raw(tmp_path / "a.dng", lay(coffee[:200, :300] / 20, "GRBG"), "GRBG")
    single = restore.restore_capture(path, DEMOSAIC)
    assert burst.merge_burst([path, path]).remarks == ("Left out: a.dng is a copy of a.dng",)
    for paths in ([path], [path, path]):
        found = burst.restore_burst(paths, DEMOSAIC)
        assert np.array_equal(found.render(), single.render())


@pytest.mark.parametrize("once, twice", [(0, 1), (1, 0)])
def test_a_copy_is_left_out_whichever_frame_is_the_reference(coffee, once, twice):
    merged = burst.merge_burst([expose(coffee, number) for number in (twice, once, twice)])
    assert merged.remarks == (f"Left out: {twice}.raw is a copy of {twice}.raw",)
    assert merged.noise.gain_dn == pytest.approx(SONY.gain_dn / 2, rel=0.01)


def test_frames_from_a_tripod_are_averaged_and_their_noise_is_known(coffee):
    captures = [expose(coffee, number) for number in range(4)]
    merged = burst.merge_burst(captures)
    assert merged.noise.gain_dn == pytest.approx(captures[0][1].gain_dn / 4, rel=0.01)
    assert merged.noise.read_dn == pytest.approx(captures[0][1].read_dn / 2, rel=0.01)
    assert np.median(merged.maps[0]) == pytest.approx(merged.noise.gain_dn) and not merged.remarks
    assert find_error(merged, coffee)[MARGIN:-MARGIN].std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", ["Sony α7S II", "Panasonic S1"])
@pytest.mark.parametrize("white_e", [4000, 60, 4])
def test_hand_held_frames_are_aligned_to_a_fraction_of_a_pixel_even_in_near_darkness(name, white_e):
    poses = [((0, 0), 0), ((17.3, -9.6), 0.5, 0.02), ((-12.2, 19.1), -0.4, -0.02), ((3.5, 8.7), 0.2, 0.02)]
    scenes, by = [look_at("coffee", *pose) for pose in poses], CAMERAS[name]
    merged = burst.merge_burst([expose(scene, number, white_e, by) for number, scene in enumerate(scenes)])
    error = find_error(merged, find_reference(merged, scenes), white_e, by)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert not merged.remarks and error.std() < (1.15 if white_e < 4000 else 2)  # one alone has 2
    assert white_e > 4 or np.abs(ndimage.gaussian_filter(error, 8)).max() < 0.4


def test_three_of_ten_frames_that_show_another_scene_are_named(coffee):
    scenes = [look_at("chelsea") if number in (0, 4, 9) else coffee for number in range(10)]
    merged = burst.merge_burst([expose(scene, number, 15) for number, scene in enumerate(scenes)])
    assert merged.remarks == tuple(f"Left out: {number}.raw shows another scene" for number in (0, 4, 9))
    assert find_error(merged, coffee, 15).std() == pytest.approx(1, abs=0.1)


def test_what_does_not_fit_is_named_with_the_reason(coffee, tmp_path):
    (tmp_path / "damaged.dng").write_bytes(b"II*")
    mosaic, noise, info = expose(coffee, 5)
    captures = [expose(coffee, number, 300) for number in range(3)] + [
        expose(np.stack([ndimage.gaussian_filter(colour, 6) for colour in np.moveaxis(coffee, -1, 0)], -1), 3, 300),
        expose(coffee[:-2], 4),
        (mosaic, noise, replace(info, model="c")),
        tmp_path / "damaged.dng",
    ]
    damaged, *others = burst.merge_burst(captures).remarks
    reasons = [f"3.raw {burst.MISFIT}", "4.raw has another size", "5.raw has another camera"]
    assert sorted(others) == [f"Left out: {reason}" for reason in reasons] and "damaged.dng" in damaged
    tiny = [expose(coffee[:24, :24], number) for number in range(2)]
    assert burst.merge_burst(tiny).remarks[0].endswith(burst.TOO_LITTLE)
    with pytest.raises(RawError, match="damaged.dng"):
        burst.merge_burst([tmp_path / "damaged.dng"] * 2)


def test_what_moves_is_taken_from_one_frame_alone(coffee):
    discs = jump(200, 120, 90, 40, 4)
    scenes, moved = [np.where(disc[..., None], 1 - coffee, coffee) for disc in discs], np.any(discs, axis=0)
    captures = [expose(scene, number, 60) for number, scene in enumerate(scenes)]
    merged = burst.merge_burst(captures)
    own = find_error(merged, find_reference(merged, scenes))
    assert np.abs(ndimage.gaussian_filter(own, 4)).max() < 1.5  # a ghost would be 5 to 10
    fewer = spread(merged.maps[0])
    assert (fewer > 1.2 * merged.noise.gain_dn)[moved].mean() > 0.95
    assert (fewer > 1.4 * merged.noise.gain_dn)[~ndimage.binary_dilation(moved, iterations=120)].mean() < 0.2
    assert not merged.remarks
    stops = np.log2(SONY.find_gain(60))
    restored = burst.restore_merged(merged, DEMOSAIC)
    dark = replace(restored, gains=np.float32([0, 1, 0]))  # red and blue without light
    assert np.isfinite(burst._restore_alone(merged, merged.maps[2] > 0.9, DEMOSAIC, dark)).all()
    picture = restored.render(stops) / 65535
    single = restore.restore_mosaic(find_reference(merged, captures), DEMOSAIC).render(stops) / 65535
    alone = ndimage.binary_erosion(fewer == fewer.max(), iterations=16)
    assert alone.any() and np.abs(picture - single)[alone].max() < 0.01
    truth = camera.encode_srgb(find_reference(merged, scenes))
    assert np.abs(ndimage.gaussian_filter(picture - truth, (8, 8, 0)))[MARGIN:-MARGIN, MARGIN:-MARGIN].max() < 0.2


@pytest.mark.parametrize("count, white_e, name", [(8, 4, "coffee"), (2, 60, "coffee"), (2, 15, "china")])
def test_what_moves_by_little_is_seen_over_time_in_blocks_or_where_alignment_follows_it(count, white_e, name):
    discs, scene, rocket = jump(200, 240, 6, 45, count), look_at(name), look_at("rocket")
    shown = [scene + 0.19 if count > 2 else np.roll(rocket, 6 * number, axis=1) for number in range(count)]
    shown = shown if name == "coffee" else [np.flip(scene, (0, 1))] * 2
    scenes = [np.where(disc[..., None], each, scene) for disc, each in zip(discs, shown, strict=True)]
    alone = burst.merge_burst([expose(scene, number, white_e) for number, scene in enumerate(scenes)]).maps[2] == 1
    assert spread(alone)[np.any(discs, axis=0) & ~np.all(discs, axis=0)].mean() > 0.7


def test_a_frame_counts_less_where_something_may_have_moved(coffee):
    discs, other = jump(200, 240, 6, 35, 2), 0.6 * coffee + 0.4 * np.flip(coffee, (0, 1))
    captures = [expose(np.where(disc[..., None], other, coffee), 10 + n, 15) for n, disc in enumerate(discs)]
    shares = spread(burst.merge_burst(captures).maps[2])  # of the reference: half, if both count alike
    assert shares[discs[0] ^ discs[1]].mean() > 0.6 > 0.53 > shares.mean()


def test_something_small_on_a_tripod_is_taken_from_the_frame_that_shows_it_in_much_light():
    scene, discs = look_at("chelsea"), jump(80, 230, 40, 4, 4)
    captures = [expose(np.where(disc[..., None], 0.02, scene), number, 1000) for number, disc in enumerate(discs)]
    merged = burst.merge_burst(captures)
    assert not merged.remarks and spread(merged.maps[2])[find_reference(merged, discs)].mean() > 0.9


def test_banding_leaves_no_frame_out(coffee):
    captures, rng = [expose(coffee, number, 15) for number in range(4)], np.random.default_rng(0)
    for mosaic, noise, _ in captures:
        mosaic.counts[:] = np.rint(mosaic.counts + rng.normal(0, noise.read_dn / 2, (SIZE[0], 1)))
    merged = burst.merge_burst(captures)
    assert not merged.remarks and merged.maps[2].mean() < 0.6


def test_frames_of_one_exposure_are_of_one_brightness_in_the_dark_too():
    merged = burst.merge_burst([expose(look_at("rocket"), number, 4) for number in range(8)])
    assert merged.noise.gain_dn == pytest.approx(SONY.gain_dn / 8, rel=0.05)


def test_noise_does_not_make_a_darker_exposure_seem_brighter(coffee):
    rng, (_, noise, _) = np.random.default_rng(0), expose(coffee)
    light, error = rng.exponential(2, (80, 100)), noise.read_dn / 16
    one, two = (part + rng.normal(0, error, light.shape) for part in (light, light / 8))
    assert burst._find_ratio(one, two, noise, 16) == pytest.approx(1 / 8, rel=0.03)


def test_noise_at_the_border_is_no_more_evidence_of_motion_than_inside():
    cells, dark = np.random.default_rng(0).normal(size=(100, 12, 12, 4)), np.zeros((12, 12, 4))
    found = np.mean([burst._test(each, dark + 1, dark, 0, dark, dark[..., 0])[0] for each in cells], axis=0)
    assert found[::11, ::11].mean() < 1.2 * found[4:8, 4:8].mean()


def test_each_exposure_counts_by_what_it_knows_and_saturated_pixels_do_not(coffee):
    bright, dark = 12000, 3000  # electrons for white: the brighter ones saturate at 7900
    captures = [expose(coffee, 0, dark), expose(coffee, 1, bright), expose(coffee, 2, bright)]
    merged = burst.merge_burst(captures)
    assert not merged.remarks and merged.info.name == "0.raw"  # the one that is not clipped
    assert merged.noise.gain_dn == pytest.approx(captures[0][1].gain_dn / 9, rel=0.03)
    error, clipped = find_error(merged, coffee, dark), captures[1][0].counts > 0.9 * SONY.white
    near = ndimage.binary_dilation(clipped, iterations=64)  # where the first counts alone, with 3 times the noise
    assert abs(error.mean()) < 0.3 and error.std() < 3 and error[~near].std() < 1.3


@pytest.mark.parametrize("whites_e", [(300, 1200, 24000), (1000, 4000, 16000), (16000, 4000, 1000)])
def test_all_frames_of_an_exposure_bracket_take_part(coffee, whites_e):
    merged = burst.merge_burst([expose(coffee, number, white_e) for number, white_e in enumerate(whites_e)])
    assert not merged.remarks and merged.noise.gain_dn < 1.9


@pytest.mark.parametrize("name", ["rocket", "china"])
def test_the_light_of_hand_held_frames_is_compared_where_they_are_aligned(name):
    captures = [expose(look_at(name, (5, -9), -0.46), 0, 1500), expose(look_at(name, (-19, 12), 0.41), 1, 6000)]
    merged = burst.merge_burst(captures)
    assert not merged.remarks and merged.noise.gain_dn == pytest.approx(SONY.gain_dn * 6000 / 7500, rel=0.01)


def test_lamps_that_move_leave_no_frame_out(coffee):
    scenes = [coffee * 0.3 for _ in range(4)]
    for number, scene in enumerate(scenes):
        scene[300:307, 100 + 80 * number : 107 + 80 * number] = 60
    merged = burst.merge_burst([expose(scene, number, 40) for number, scene in enumerate(scenes)])
    assert not merged.remarks and np.median(merged.maps[0]) < 0.3 * SONY.gain_dn


def test_a_frame_that_clips_something_small_in_every_cell_is_left_out_as_overexposed(coffee):
    scene = coffee / 20
    scene[np.all(np.indices(SIZE) % 16 // 2 == 3, axis=0)] = 1
    merged = burst.merge_burst([expose(scene, number, white_e) for number, white_e in enumerate((6000, 24000))])
    assert merged.info.name == "0.raw" and merged.remarks == (f"Left out: 1.raw {burst.OVEREXPOSED}",)
    assert merged.noise.gain_dn == pytest.approx(SONY.gain_dn)


@pytest.mark.parametrize("black", [0, 1])
def test_a_frame_without_light_is_left_out_wherever_it_stands(coffee, black):
    merged = burst.merge_burst([expose(coffee * (number != black), number, 15) for number in range(2)])
    assert merged.info.name == f"{1 - black}.raw" and len(merged.remarks) == 1
