import numpy as np
import pytest

from sidlib import camera
from sidlib.camera import decode_srgb
from sidlib.evaluation import score_picture
from sidlib.full_size import checks, noise
from sidlib.full_size.evaluate import INNER
from sidlib.full_size.restore import load_network, restore_mosaic
from sidlib.sample import load_photograph
from tests.flat_colours import FLAT_COLOURS, score_flat
from tests.full_size.conftest import DEMOSAIC


@pytest.mark.parametrize("name", checks.CAMERAS)
def test_a_camera_photographs_what_demosaicing_shows_again(name):
    picture = np.asarray(load_photograph("flower").resize((320, 214)), float)
    output = checks.restore_photograph(DEMOSAIC, decode_srgb(picture / 255), checks.CAMERAS[name], 5000)
    assert output.shape == picture.shape
    assert np.abs(output.mean((0, 1)) - picture.mean((0, 1))).max() < 3


def test_brightness_is_kept_from_a_third_of_an_electron_up():
    for electrons in (0.3, 1, 3, 10, 30, 100, 300):
        grey = np.full((*[1024 if electrons < 3 else 384] * 2, 3), 0.18)
        picture = checks.restore_photograph(load_network(), grey, checks.SONY, electrons / 0.18)[INNER]
        off = decode_srgb(picture / 255).mean() / 0.18 - 1
        assert abs(off) < (0.02 if electrons < 30 else 0.01), electrons


@pytest.mark.parametrize("name", FLAT_COLOURS)
def test_flat_colours_stay_flat_and_their_colour(name):
    linear = np.broadcast_to(decode_srgb(np.array(FLAT_COLOURS[name]) / 255), (256, 256, 3))
    flat, noisy = (checks.restore_photograph(by, linear, checks.SONY, 40)[INNER] for by in (load_network(), DEMOSAIC))
    gains = np.array(checks.SONY.white_balance)
    seen = camera.render(camera.unprocess(linear[0, 0], gains), gains, camera.CCM)  # within the sensor's colours
    found = score_flat(flat, 255 * camera.encode_srgb(seen))
    assert found["grid"] <= 1 and found["off"] <= 7
    assert noisy.std((0, 1)).max() > max(10, flat.std((0, 1)).max())


def test_a_frame_without_light_stays_dark():
    def show(model, iso):
        mosaic = checks.SONY.describe(camera.expose(np.zeros((512, 512)), 300, iso, np.random.default_rng(0)))
        restored = restore_mosaic((mosaic, noise.find_noise(mosaic, camera.MODEL, iso)[0], None), model)
        return restored.render(np.log2(300)).mean() / 257

    levels = [show(load_network(), iso) for iso in (400, 3200, 12800)]
    assert max(levels[:2]) < 2 and levels[2] < 3, levels
    noisy = show(DEMOSAIC, 3200)  # its means are matched, too
    assert noisy > 30 and levels[1] < noisy / 25, (levels, noisy)


def test_little_is_lost_with_estimated_noise():
    table = checks.compare_cameras(load_network(), ["flower"], [30])
    assert list(table.index) == list(checks.CAMERAS)
    assert (table.known_db - table.estimated_db < 0.5).all(), table


def test_it_is_better_than_no_network():
    picture = np.asarray(load_photograph("astronaut"), float)
    linear = decode_srgb(picture / 255)
    shown = [checks.restore_photograph(by, linear, checks.SONY, 30) for by in (load_network(), DEMOSAIC)]
    assert np.diff([score_picture(each, picture)["psnr_db"] for each in shown]) < -6


def test_a_demosaic_without_noise_is_nearly_the_picture_and_the_better_algorithm_is_nearer():
    picture = np.asarray(load_photograph("china"))[:240, :320]
    clean = camera.mosaic(camera.unprocess(decode_srgb(picture / 255), checks.SONY.white_balance))
    errors = [np.square(checks.develop_light(clean, name) - picture).mean() for name in ("LINEAR", "AHD")]
    assert errors[1] < errors[0] < 1000


def test_a_mistaken_noise_is_remarked_on_and_a_right_one_is_not(photograph_scenes):
    pairs = photograph_scenes("00005").head(1)
    found = checks.check_trust(pairs, load_network(), {"none": (1, 1, 0), "K × 4": (4, 1, 0)})
    assert found.alarmed.tolist() == [0, 1] and found.lost_db["K × 4"] > 0.3 and found["rank"]["none"] > 0.4
