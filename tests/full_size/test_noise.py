from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn, idctn

from sidlib import camera
from sidlib.full_size import noise, trust
from sidlib.full_size.checks import SONY, photograph
from sidlib.raw import Mosaic
from sidlib.sample import expose_mosaic, load_photograph
from sidlib.sample.drawn import draw_scene
from sidlib.sample.photographs import decode_linear

SIZE_PX = (480, 320)
BARE = np.full(4, 512.0), 16383.0, np.ones(3), np.eye(3), 0


def ramp():
    light = np.linspace(0.02, 0.9, SIZE_PX[0], dtype=np.float32)[None, :, None]
    return Image.fromarray(camera.quantize(np.broadcast_to(light, (SIZE_PX[1], SIZE_PX[0], 3))))


CONTENT = {
    "ramp": ramp,
    "drawn": lambda: Image.fromarray(camera.quantize(draw_scene(2, SIZE_PX))),
    "drawn, textured": lambda: Image.fromarray(camera.quantize(draw_scene(1, SIZE_PX))),
    "photograph": lambda: load_photograph("china"),
    "photograph, textured": lambda: load_photograph("astronaut").resize((400, 400), Image.Resampling.BICUBIC),
}


def capture(content, iso, mean_e, seed=0):
    """A Mosaic of so many electrons a pixel on average, and the true gain and read noise."""
    picture, known = CONTENT[content](), camera.load_noise_table().loc[iso]
    signal = expose_mosaic(picture, None, (2.0, 1.0, 1.6), picture.size)
    signal *= mean_e * known.gain_dn_per_e / signal.mean()
    counts = camera.expose(signal, 1, iso, np.random.default_rng(seed))
    return Mosaic(counts, "RGGB", *BARE), known.gain_dn_per_e, np.hypot(known.read_sigma_dn, noise.ROUNDING_DN), known


@pytest.mark.parametrize("content", CONTENT)
@pytest.mark.parametrize("iso", [160, 1600, 2000, 12800])
@pytest.mark.parametrize("mean_e", [1, 10, 100])
def test_the_mosaic_tells_how_strong_its_noise_is_whatever_it_shows(content, iso, mean_e):
    mosaic, gain, read, known = capture(content, iso, mean_e)
    found_gain, found_read, _ = noise.estimate_noise(mosaic, known.black_error_dn)
    # What counts is the noise where the picture is: the deviation at its mean, and in its shadows.
    for signal in np.array([0.1, 1]) * mean_e * gain:
        deviation = np.sqrt((found_gain * signal + found_read**2) / (gain * signal + read**2))
        assert deviation == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("content", ["ramp", "drawn", "photograph"])
def test_gain_and_read_noise_are_told_apart_where_there_is_light_and_shadow(content):
    found = []
    for iso in (1600, 2000, 6400, 12800):
        mosaic, gain, read, known = capture(content, iso, 10)
        found.append(np.array(noise.estimate_noise(mosaic, known.black_error_dn)[:2]) / (gain, read))
    np.testing.assert_allclose(np.mean(found, axis=0), 1, atol=0.1)
    np.testing.assert_allclose(found, 1, atol=0.15)


def test_a_black_frame_and_a_tiny_one_have_the_noise_that_they_have():
    for size, tolerance in (((400, 600), 0.03), ((40, 60), 0.3)):
        rng = np.random.default_rng(0)
        mosaic = Mosaic(camera.expose(np.zeros(size), 1, 12800, rng), "RGGB", *BARE)
        gain, read, _ = noise.estimate_noise(mosaic)
        assert read == pytest.approx(camera.load_noise_table().read_sigma_dn[12800], rel=tolerance)
        assert 0 < gain < 2 * read
    assert noise.estimate_noise(Mosaic(np.full((400, 600), 512, np.uint16), "RGGB", *BARE))[1] > 0


@pytest.mark.parametrize("clipped", [15892, 16383])
def test_blocks_that_clip_below_the_stated_white_or_are_cut_off_tell_nothing(clipped):
    mosaic, gain, read, _ = capture("photograph", 12800, 10)
    mosaic.counts[40:100, 60:130] = clipped
    assert noise.estimate_noise(mosaic)[:2] == pytest.approx((gain, read), rel=0.15)
    mosaic.counts[200:, :120] = np.random.default_rng(0).integers(0, 2, mosaic.counts[200:, :120].shape) * 700
    assert noise.estimate_noise(mosaic)[0] == pytest.approx(gain, rel=0.15)


def test_an_even_bright_picture_has_the_noise_that_it_has():
    counts = np.rint(np.random.default_rng(0).normal(8000, 60, (200, 300))).astype(np.uint16)
    gain, read, _ = noise.estimate_noise(Mosaic(counts, "RGGB", *BARE))
    assert np.sqrt(gain * (8000 - 512) + read**2) == pytest.approx(60, rel=0.1)


def test_the_best_source_is_taken_and_said():
    mosaic, gain, read, known = capture("ramp", 12800, 30)
    calibrated, refuted = noise.find_noise(mosaic, "Sony ILCE-7SM2", 12800, profile=(1e-4, 1e-6))
    assert calibrated == pytest.approx((gain, read, known.black_error_dn, 0)[:3] + (calibrated.source,))
    assert calibrated.source == "calibration" and not refuted
    wide = replace(mosaic, counts=4 * mosaic.counts, black=4 * mosaic.black, white=65535.0)  # of another converter
    assert noise.find_noise(wide, "Sony ILCE-7SM2", 12800)[0].source == "estimate"
    span = 16383 - 512
    profile = (gain / span * 0.5, (read / span) ** 2, gain / span * 1.5, (read / span) ** 2)
    stated, _ = noise.find_noise(mosaic, "Sony ILCE-7SM2", 123, profile=profile)
    assert stated.source == "NoiseProfile" and stated[:2] == pytest.approx((gain, read))
    for broken in (None, (), (0.0, 0.0), (np.nan, 1.0), (1e-4,), (-1e-4, 1e-6), (1e-4, -1e-6)):
        estimated, _ = noise.find_noise(mosaic, "another", 12800, profile=broken)
        assert estimated.source == "estimate" and estimated.gain_dn == pytest.approx(gain, rel=0.1)


def test_masked_pixels_tell_the_error_of_each_positions_black_unless_they_are_not_dark():
    mosaic, rng = capture("ramp", 12800, 1)[0], np.random.default_rng(0)
    true = np.array([2.0, 4, 6, 8])
    masked = np.rint(rng.normal(512 + true[:, None], 14, (4, 5000)))
    assert noise.measure_black_errors(masked, mosaic) == pytest.approx(true, abs=0.7)
    lit = np.concatenate([masked, np.full((4, 100), 2000.0)], axis=1)  # of some, light leaks in
    assert noise.measure_black_errors(lit, mosaic) == pytest.approx(true, abs=0.7)
    for wrong in ((), masked[:, :100], 0 * masked, masked + 100, 10 * masked, np.full((4, 5000), 513)):
        assert not noise.measure_black_errors(wrong, mosaic).any()
    told, _ = noise.find_noise(mosaic, black_dn=5.0)
    assert told.black_dn == 5 and told.black_doubt_dn < 0.1 * told.read_dn


@pytest.mark.parametrize(("scale", "offset"), [(1 / 64, 1 / 4096), (10, 10), (2, 2), (0.5, 0.25), (8000, 0)])
def test_a_false_claim_is_refuted_by_the_mosaic_and_that_is_said(scale, offset):
    mosaic, gain, read, _ = capture("photograph", 3200, 30)
    profile = gain * scale / (16383 - 512), read**2 * offset / (16383 - 512) ** 2
    found, (remark,) = noise.find_noise(mosaic, profile=profile)
    assert found.source == "estimate" and found.gain_dn == pytest.approx(gain, rel=0.2)
    assert "NoiseProfile is not believed" in remark
    mean = np.mean([capture("photograph", 3200, 30, seed)[0].counts for seed in range(8)], axis=0)
    stacked = replace(mosaic, counts=np.rint(mean).astype(np.uint16))
    found, (remark,) = noise.find_noise(stacked, "Sony ILCE-7SM2", 3200)
    assert found.source == "estimate" and "calibration is not believed" in remark


def test_the_noise_is_told_through_lossy_compression():
    for content in ("photograph", "ramp"):
        mosaic, gain, read, _ = capture(content, 1600, 100)
        squeezed = replace(mosaic, counts=squeeze(mosaic.counts, 1.5 * np.hypot(10 * gain, read)))
        found_gain, found_read, _ = noise.estimate_noise(squeezed)
        assert 0.6 * gain < found_gain < 1.5 * gain and found_read < 3 * read
    linear = np.outer(np.linspace(0.002, 1, 400) ** 3, np.ones(600))[..., None] * np.ones(3)
    mosaic, told = photograph(linear, SONY, 300, np.random.default_rng(0))
    squeezed = replace(mosaic, counts=squeeze(mosaic.counts, 2 * np.hypot(60**0.5 * told.gain_dn, told.read_dn)))
    _, found_read, _ = noise.estimate_noise(squeezed)
    assert found_read == pytest.approx(told.read_dn, rel=0.3)  # although the dark parts are flattened


def test_a_table_of_few_levels_is_no_codec_that_takes_noise():
    mosaic, told = photograph(decode_linear(load_photograph("coffee")), SONY, 5, np.random.default_rng(0))
    table = np.rint(np.square(np.rint(np.sqrt(np.arange(16384) / 16383) * 255) / 255) * 16383).astype(np.uint16)
    assert noise.estimate_noise(replace(mosaic, counts=table[mosaic.counts]))[1] < 2 * told.read_dn


def squeeze(counts, step):
    """Cosine coefficients of 8 × 8 blocks of each CFA position, rounded to multiples of a step."""
    squeezed = counts.astype(float)
    for row, column in np.ndindex(2, 2):
        plane = squeezed[row::2, column::2]
        height, width = (side // 8 * 8 for side in plane.shape)
        blocks = plane[:height, :width].reshape(height // 8, 8, width // 8, 8)
        blocks[:] = idctn(np.round(dctn(blocks, axes=(1, 3), norm="ortho") / step) * step, axes=(1, 3), norm="ortho")
    return np.rint(squeezed).clip(0, 16383).astype(np.uint16)


FLAT = np.full((256, 320, 3), 10.0, np.float32)  # a stabilised picture
KNOWN, BLACK = noise.Noise(2.0, 5.0, 0.0, "calibration"), np.full(4, 512.0)


def measure(deviation, mean=0.0, grain=None):
    taken = deviation * np.random.default_rng(0).normal(size=FLAT.shape[:2]) + mean
    return trust.measure_trust(FLAT, camera.destabilise(FLAT[..., 0] + taken, 2.0, 5.0) + 512, BLACK, KNOWN)


@pytest.mark.parametrize(("deviation", "sentence"), [(1, None), (1.3, "more noise"), (0.7, "less noise")])
def test_what_was_taken_is_trusted_if_it_is_noise_and_not_if_its_size_is_wrong(deviation, sentence):
    found = measure(deviation)
    assert found.spread.shape == (4, 5) and np.allclose(found.spread, deviation, atol=0.1)
    remarks = trust.remark_trust(found)
    assert sentence in remarks[0] if sentence else remarks == []
    assert found.electrons == pytest.approx(10 * (10 / 4 + 2.5), rel=0.01)


def test_counts_below_black_tell_a_wrong_black_level():
    dark = np.zeros_like(FLAT)
    counts = camera.destabilise(np.random.default_rng(0).normal(-1, 1, FLAT.shape[:2]), 2.0, 5.0) + 512
    remarks = trust.remark_trust(trust.measure_trust(dark, counts, BLACK, KNOWN))
    assert any("black level" in remark for remark in remarks)
    found = measure(1)
    for counted, number in ((1, 1), (30, 0)):  # in the light texture alone correlates
        alike = found._replace(alike=found.alike + 0.2, counted=0 * found.counted + counted)
        assert len(trust.remark_trust(alike)) == number


def test_a_capture_smaller_than_a_tile_has_no_map():
    assert trust.measure_trust(FLAT[:32, :32], np.full((32, 32), 600), BLACK, KNOWN) is None


def test_the_likely_error_grows_with_the_noise_and_with_what_was_lost():
    found = measure(1)
    error = trust.predict_error(found, KNOWN, 100)
    assert (trust.predict_error(found._replace(lost=found.lost + 0.3), KNOWN, 100) > error).all()
    assert (trust.predict_error(found, KNOWN._replace(read_dn=20.0), 100) > error).all()
