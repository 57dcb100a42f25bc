import tempfile
from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from sidlib import evaluation, human_check
from sidlib.backend import tf
from sidlib.evaluation import score_picture
from sidlib.experiment import Experiment
from sidlib.full_size import burst, network, restore, save
from sidlib.human_check import own_capture
from sidlib.human_check.captures import INPUTS
from sidlib.human_check.viewer import View
from sidlib.human_check.votes import load_votes
from sidlib.raw import turn
from tests.test_cameras import XTRANS, lay, write_raw

MODELS = {"as it is": evaluation.identity, "white": lambda x: x * 0 + 255, "grey": lambda x: x * 0 + 99}


def open_panel(models, pairs, folder):
    """A panel where every picture has been chosen."""
    check = human_check.HumanCheck(models, pairs, folder)
    check.viewer.shown = [*INPUTS, *models, "truth"]
    return check


@pytest.fixture
def check(tiny_pairs, tmp_path):
    return open_panel(MODELS, tiny_pairs, tmp_path)


def hide(check, *names):
    check.viewer.shown = [name for name in check.viewer.shown if name not in names]


def read_names(check):
    """What the browser is given to stand under each picture, on one line for its name and whole scores."""
    scores = check.viewer.visible["scores"]
    lines = [
        (": ".join(filter(None, (picture["title"], picture["caption"]))), scores.get(picture["title"]))
        for picture in check.viewer.pictures
    ]
    return [line + (f"\nvisible: {visible}" if visible else "") for line, visible in lines]


def read_pixels(check):
    return [picture["pixels"].data for picture in check.viewer.pictures]


def upload(check, *files):
    """Do what the browser does when files are chosen, each a name and its bytes."""
    known = {"type": "", "last_modified": 0}
    value = [{"name": name, "size": len(content), "content": memoryview(content)} | known for name, content in files]
    check.own.upload.set_state({"value": value})


def open_own(check, pairs, name="night.arw", number=0):
    """Upload one of the short exposures in the mode of your own capture."""
    check.viewer.mode = "Your own capture"
    upload(check, (name, pairs.short[number].read_bytes()))


def test_the_same_test_picture_is_chosen_by_default(tiny_pairs):
    first = human_check.choose_pair(tiny_pairs)
    assert first.split.tolist() == ["test"]
    shuffled = human_check.choose_pair(tiny_pairs[tiny_pairs.split != "train"])
    assert shuffled.scene.tolist() == first.scene.tolist()


def test_what_a_human_check_cannot_be_made_of_is_refused(tiny_pairs):
    none = tiny_pairs[tiny_pairs.split == "train"]
    for pairs, models, error in (
        (none, MODELS, "needs a test pair. Received: 6 pairs"),
        (tiny_pairs, {}, "at least one model. Received: none"),
        *((tiny_pairs, {name: MODELS["white"]}, "Received: models called") for name in ("input", "truth", "")),
    ):
        for show in (human_check.compare, partial(human_check.HumanCheck, folder=None)):
            with pytest.raises(ValueError, match=error):
                show(models, pairs)


def test_pictures_come_as_input_outputs_truth_and_the_figure_shows_each_with_its_score(tiny_pairs):
    pair = human_check.choose_pair(tiny_pairs)
    pictures = human_check.collect_pictures(MODELS, pair)
    assert list(pictures) == ["input", "input, amplified", *MODELS, "truth"]
    assert pictures["input, amplified"].mean() > 3 * pictures["input"].mean()
    np.testing.assert_array_equal(pictures["as it is"], pictures["input"])
    np.testing.assert_array_equal(pictures["truth"], np.asarray(Image.open(pair.long_png.item())))
    titles = [axis.get_title() for axis in human_check.compare(MODELS, tiny_pairs).axes]
    assert titles[0].startswith(f"input\nMAE {score_picture(pictures['input'], pictures['truth'])['mae']:.1f}")
    assert titles[-1] == "truth\nlong exposure"


def test_models_are_loaded_where_their_training_has_ended(tmp_path):
    done, half, none = (Experiment("cnn", "relu", "mae", augment=False, seed=seed) for seed in range(3))
    for experiment in (done, half):
        (tmp_path / experiment.name).mkdir()
        experiment.build_model().save(tmp_path / experiment.name / "best.keras")
    (tmp_path / half.name / "checkpoint-3.keras").touch()
    assert list(human_check.load_models([done, half, none], tmp_path)) == ["CNN, ReLU, MAE, no flips"]


def test_the_panel_opens_on_the_fixed_picture_and_shows_what_is_chosen(check):
    assert [name.split(":")[0] for name in read_names(check)] == ["input", "input, amplified", *MODELS, "truth"]
    assert check.viewer.choices[0] == check.viewer.status and "scene 10001, frame 0" in check.viewer.status
    hide(check, "as it is")
    assert len(read_names(check)) == 5
    before = read_pixels(check)
    check.viewer.choice = 1
    assert read_pixels(check) != before


def test_at_first_the_input_the_first_model_the_last_and_the_truth_are_shown_and_the_others_have_not_run(
    tiny_pairs, tmp_path
):
    runs = []
    models = {"first": MODELS["white"], "others": lambda x: runs.append(1) or x, "best": MODELS["grey"]}
    viewer = human_check.HumanCheck(models, tiny_pairs, tmp_path).viewer
    assert [picture["name"] for picture in viewer.pictures] == ["input", "first", "best", "truth"] and not runs
    viewer.shown = [*viewer.shown, "others"]
    assert [picture["name"] for picture in viewer.pictures] == ["input", "first", "others", "best", "truth"] and runs


def test_the_panel_runs_each_model_once_a_picture_and_shows_a_sign_meanwhile(tiny_pairs, tmp_path):
    signs = []
    check = human_check.HumanCheck({"counted": MODELS["white"]}, tiny_pairs, tmp_path)
    check.viewer.models["counted"] = lambda x: signs.append((check.viewer.busy, check.viewer.status)) or x
    hide(check, "counted")
    check.viewer.choice = 1
    check.viewer.shown = ["counted", "truth"]
    check.viewer.zoom, check.viewer.stops = 2, 1
    check.viewer.choice = 0
    check.viewer.choice = 1
    assert signs == [(True, "The models run …")] and not check.viewer.busy  # no name: the vote may be blind


def test_scores_of_the_visible_part_stand_below_those_of_the_whole(check):
    whole = read_names(check)
    assert "visible" not in whole[0]
    check.viewer.zoom = 2
    zoomed = read_names(check)
    assert all(z.startswith(w + "\nvisible: MAE") for w, z in zip(whole[:-1], zoomed[:-1], strict=True))
    assert check.viewer.visible.items() >= {"zoom": 2, "across": 0.5, "down": 0.5}.items()


def test_what_the_browser_has_of_pictures_is_not_sent_again(check):
    given = check.viewer.pictures
    with check.viewer.hold_trait_notifications():  # as the browser does it: all at once
        check.viewer.zoom, check.viewer.across, check.viewer.stops = 3, 0.2, 1
    assert check.viewer.pictures is given
    everything, before = check.viewer.shown, dict(check.viewer.sent)
    hide(check, "white")
    assert len(check.viewer.sent) == len(before) - 1
    check.viewer.shown = everything
    after = check.viewer.sent
    assert after.keys() == before.keys()
    assert [data for data in after if after[data] is not before[data]] == [b"\xff" * len(read_pixels(check)[3])]


def test_nobody_votes_before_the_pictures_are_shown(check):
    check.viewer.mode = "Vote blind"
    check.blind.vote("A")
    disabled = []

    def look(pictures):
        disabled.append([button.disabled for button in check.blind.ballot.children])
        return pictures

    check.viewer.models["grey"] = look
    check.viewer.choice = 1
    assert disabled == [[True] * 5]
    assert [button.disabled for button in check.blind.ballot.children] == [False] * 4 + [True]


def test_a_blind_vote_tells_no_name_before_it_is_cast(check, tmp_path):
    given = []
    check.viewer.observe(lambda change: given.append(change.new), "pictures")
    check.viewer.mode = "Vote blind"
    assert given[0] == []  # while the models run
    assert read_names(check)[2:-1] == ["A", "B", "C"]
    viewer = check.viewer
    told = [[picture[key] for key in ("name", "title", "caption")] for picture in viewer.pictures]
    assert not any(name in str((told, viewer.visible, viewer.status)) for name in [*MODELS, "MAE"])
    viewer.zoom = 2
    assert viewer.visible["scores"] == {}
    viewer.zoom = 1
    assert not viewer.scored and check.blind.next.disabled
    labels = dict(check.blind.labels)
    check.blind.ballot.children[1].click()
    vote = load_votes(tmp_path / "votes.jsonl").iloc[0]
    assert vote.best == labels["B"] and vote.shown == list(labels.values()) and vote.scene == "10001"
    revealed = [name.split(": MAE")[0] for name in read_names(check)[2:-1]]
    assert revealed == [f"{label}: {name}" for label, name in labels.items()]
    assert f"You chose B, which is {vote.best}" in check.viewer.status
    assert vote.best in check.blind.ranking.value and "1 vote," in check.blind.ranking.value
    check.blind.vote("A")  # too late
    assert len(load_votes(tmp_path / "votes.jsonl")) == 1


def test_votes_go_on_after_the_kernel_died_and_every_picture_gets_its_turn(check, tiny_pairs, tmp_path):
    check.viewer.mode = "Vote blind"
    seen = []
    for _ in range(4):
        check.blind.vote("")
        check.blind.next.click()
        seen.append(check.viewer.choice)
        assert check.blind.hides
    assert sorted(seen) == [0, 1, 2, 3]
    again = open_panel(MODELS, tiny_pairs, tmp_path)
    again.viewer.choice = check.viewer.choice
    again.viewer.mode = "Vote blind"
    assert again.blind.labels == check.blind.labels
    again.blind.vote("A")
    assert "5 votes, 4 of them for none" in again.blind.ranking.value


def test_where_no_vote_can_be_taken_the_reason_is_said(check):
    check.viewer.mode = "Vote blind"
    hide(check, "white", "grey")
    assert "at least two" in check.blind.ranking.value
    assert all(button.disabled for button in check.blind.ballot.children)


def test_a_results_folder_that_cannot_be_written_is_said(tiny_pairs, tmp_path):
    (tmp_path / "results").write_text("a file")
    check = human_check.HumanCheck(MODELS, tiny_pairs, tmp_path / "results")
    check.viewer.mode = "Vote blind"
    check.blind.vote("A")
    assert "could not be kept" in check.blind.ranking.value and check.blind.hides
    open_own(check, tiny_pairs)
    check.own.save8.click()
    assert check.viewer.status.startswith("Saving grey failed: ")


def test_a_model_may_be_called_what_it_likes(tiny_pairs, tmp_path):
    names = ["off", "A", "a | b", "../up", "<b>", "夜景", 'the "best"\nof all']
    check = open_panel(dict.fromkeys(names, MODELS["white"]), tiny_pairs, tmp_path / "results")
    assert [picture["title"] for picture in check.viewer.pictures[2:-1]] == names
    check.viewer.mode = "Vote blind"
    check.blind.vote("G")
    assert load_votes(tmp_path / "results" / "votes.jsonl").best.tolist() == [check.blind.labels["G"]]
    open_own(check, tiny_pairs)
    for name in names:
        check.own.saved.value = name
        check.own.save16.click()
        assert check.viewer.status.startswith("Saved ")
    assert len(list((tmp_path / "results" / "own").glob("night.arw-*-16bit.png"))) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_pairs_may_be_of_different_sizes_and_small(check):
    captures = [check.comparison.load(place) for place in range(3)]

    def cut(capture, height, width):
        camera_rgb = capture.signal.camera_rgb[:height, :width]
        signal = capture.signal._replace(camera_rgb=camera_rgb)
        return replace(capture, signal=signal, truth=capture.truth[:height, :width])

    captures = [captures[0], cut(captures[1], 20, 11), cut(captures[2], 10, 9)]
    check.comparison.load = captures.__getitem__
    check.viewer.zoom = 4
    for place, capture in enumerate(captures):
        check.viewer.choice = place
        assert capture.name in check.viewer.status and len(read_names(check)) == 6
        assert ("SSIM" in "".join(read_names(check))) == (place < 2)


def test_values_that_are_no_numbers_are_said_in_every_mode(tiny_pairs, tmp_path):
    models = MODELS | {"broken": lambda x: x * np.nan}
    said = "2112 of 2112 values are NaN or infinite"
    assert f"broken\n{said}" in [axis.get_title() for axis in human_check.compare(models, tiny_pairs).axes]
    check = open_panel(models, tiny_pairs, tmp_path)
    assert f"broken: {said}" in read_names(check)
    check.viewer.mode = "Vote blind"
    assert sum(said in name for name in read_names(check)) == 1 and "broken" not in "".join(read_names(check))
    open_own(check, tiny_pairs)
    assert f"broken: {said}" in read_names(check)
    check.own.saved.value = "broken"
    check.own.save16.click()
    assert check.viewer.status == f"Saving broken failed: {said}" and not (tmp_path / "own").exists()


def test_a_model_that_fails_on_a_picture_is_said_and_the_panel_lives_on(check):
    shown = check.viewer.status
    check.viewer.models["white"] = Mock(spec=[], side_effect=ZeroDivisionError("no such size"))
    with pytest.raises(ZeroDivisionError):  # which the notebook's log keeps
        check.viewer.choice = 1
    assert check.viewer.status == "This cannot be shown: no such size" and not check.viewer.busy
    assert read_names(check) == []
    check.viewer.choice = 0
    assert check.viewer.status == shown and len(read_names(check)) == 6


def test_uploaded_files_are_shown_one_after_the_other_also_again_and_not_kept(check, tiny_pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = []
    check.viewer.observe(lambda _: names.append(check.own.capture and check.own.capture.name), "status")
    check.viewer.mode = "Your own capture"
    for number in (0, 4):
        open_own(check, tiny_pairs, f"{number}.arw", number)
    assert list(dict.fromkeys(filter(None, names))) == ["0.arw", "4.arw"]
    for _ in range(2):
        check.viewer.status = ""
        open_own(check, tiny_pairs)
        assert check.viewer.status.startswith("night.arw: exposure ratio estimated")
        assert check.own.upload.value == ()
    upload(check, ("holiday.arw", b"text"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "/etc/passwd", "夜景.ARW", "a\0b.arw", "long" * 100, "no suffix"])
def test_an_uploaded_file_may_have_any_name(check, tiny_pairs, tmp_path, name):
    open_own(check, tiny_pairs, name)
    assert "exposure ratio estimated" in check.viewer.status
    check.own.save8.click()
    if len(name) < 100:
        assert check.viewer.status.startswith("Saved ")
        assert [path.parent for path in tmp_path.rglob("*.png")] == [tmp_path / "own"]
    else:
        assert "File name too long" in check.viewer.status


def test_ones_own_capture_is_shown_turned_and_saved(check, tiny_pairs, tmp_path):
    check.viewer.mode = "Your own capture"
    assert check.viewer.pictures == check.viewer.choices == [] and check.own.saved.disabled
    open_own(check, tiny_pairs)
    assert read_names(check) == ["input", "input, amplified", *MODELS] and not check.viewer.scored
    assert "night.arw: exposure ratio estimated" in check.viewer.status
    assert check.own.ratio.value == pytest.approx(check.own.capture.ratio, abs=0.1)
    before = read_pixels(check)
    check.own.ratio.value = 2 * check.own.ratio.value
    assert read_pixels(check) != before and check.own.capture.ratio == check.own.ratio.value
    check.own.saved.value = "input, amplified"
    check.own.save16.click()
    (saved,) = (tmp_path / "own").iterdir()
    assert str(saved) in check.viewer.status and saved.name.startswith("night.arw-input, amplified-x")


def test_what_is_no_raw_file_gets_a_message_and_the_panel_lives_on(check, tiny_pairs, tmp_path):
    check.viewer.mode = "Your own capture"
    check.own.path.value = str(tiny_pairs.short[0])
    check.own.open.click()
    shown = check.viewer.pictures
    for name, content in {"empty.ARW": b"", "cut.dng": tiny_pairs.short[0].read_bytes()[:999]}.items():
        upload(check, (name, content))
        assert check.viewer.status.startswith(f"Developing {name} failed: ")
        assert tempfile.gettempdir() not in check.viewer.status
        assert check.viewer.pictures is shown and not check.viewer.busy
    for path, reason in {
        tmp_path / "gone.ARW": "No such file",
        tmp_path / ("long" * 100): "File name too long",
        "~nobody.here/night.arw": "No such file",
        "nul\0": "null",
    }.items():
        check.own.path.value = str(path)
        check.own.open.click()
        assert reason in check.viewer.status and not check.viewer.busy
    assert check.viewer.pictures is shown
    check.viewer.mode = "Compare"
    assert "scene 10001" in check.viewer.status


@pytest.fixture(scope="module")
def demosaic():
    """An untrained network, which corrects nothing."""
    return network.build_residual_unet((4, 8))


@pytest.fixture
def own(check, demosaic, monkeypatch):
    """A panel in the mode of one's own capture."""
    monkeypatch.setattr(restore, "load_network", lambda: demosaic)
    monkeypatch.setattr(own_capture, "SCREEN_PX", 100)
    check.viewer.mode = "Your own capture"
    return check.own


def test_ones_own_capture_is_restored_at_full_size_and_sharp_where_one_looks(own, check, tiny_pairs):
    viewer, path = check.viewer, tiny_pairs.short[0]
    assert own.restore.disabled and own.save_full.disabled
    upload(check, ("night.arw", path.read_bytes()))
    before, said = dict(viewer.sent), []
    viewer.observe(lambda change: said.append(change.new), "status")
    own.restore.click()
    assert "Restoring night.arw … 0 %" in said
    assert viewer.status.startswith("night.arw: restored at full size, noise by calibration") and not viewer.busy
    assert own.restore.disabled and not own.save_full.disabled and own.said.value == viewer.status
    *small, whole = viewer.pictures
    assert [picture["title"] for picture in small] == ["input", "input, amplified", *MODELS]
    assert all(viewer.sent[data] is before[data] for data in before)
    restored = restore.restore_capture(path)
    width, height = whole["size"]
    assert (height, width) == restored.shape[:2] == (214, 320)
    assert (whole["height"], whole["width"]) == (54, 80) and whole["part"] == [0, 0, 1, pytest.approx(216 / 214)]
    assert viewer.details == []
    with viewer.hold_trait_notifications():
        viewer.zoom, viewer.across, viewer.down = 4, 1, 0
    (detail,) = viewer.details
    assert viewer.pictures[-1] is whole and detail["title"] == whole["title"]
    left, top, wide, high = np.multiply(detail["part"], [width, height, width, height])
    assert (left, top, wide, high) == pytest.approx((240, 0, 80, 54))
    expected = restored.render(np.log2(own.capture.ratio))[:54, 240:]
    pixels = np.frombuffer(detail["pixels"], np.uint8).reshape(54, 80, 3)
    np.testing.assert_array_equal(pixels, np.rint(expected / 257))
    viewer.zoom = 2
    assert viewer.details[0]["width"] == 80  # reduced, so that it fits a screen


def test_its_brightness_is_another_without_the_network_or_the_other_pictures(own, check, tiny_pairs, monkeypatch):
    open_own(check, tiny_pairs)
    own.restore.click()
    monkeypatch.setattr(own_capture, "restore_burst", None)
    own.restore.click()
    viewer = check.viewer
    viewer.zoom = 4
    before, detail = dict(viewer.sent), viewer.details[0]
    viewer.stops = 1
    darker, brighter = (np.frombuffer(part["pixels"], np.uint8).mean() for part in (detail, viewer.details[0]))
    assert brighter > darker
    assert len(viewer.sent.keys() - before.keys()) == len(before.keys() - viewer.sent.keys()) == 1
    assert f"{np.log2(own.capture.ratio) + 1:+.1f} stops" in viewer.pictures[-1]["caption"]
    assert viewer.pictures[-1]["stops"] == viewer.details[0]["stops"] == 1
    viewer.mode = "Compare"
    assert viewer.details == [] and viewer.pictures[-1]["title"] == "truth"
    viewer.mode = "Your own capture"
    assert viewer.pictures[-1]["size"] == [320, 214] and own.restore.disabled
    open_own(check, tiny_pairs, "another.arw", 4)
    assert viewer.details == [] and "size" not in viewer.pictures[-1] and not own.restore.disabled


@pytest.mark.parametrize("opened", ["by its path", "uploaded"])
def test_it_is_saved_as_dng_and_jpeg_with_exif_beside_the_other_pictures(own, check, tiny_pairs, tmp_path, opened):
    if opened == "uploaded":
        open_own(check, tiny_pairs, "../ni:ght.arw")
    else:
        own.path.value = str(tiny_pairs.short[0])
        own.open.click()
    own.restore.click()
    own.ratio.value, check.viewer.stops = 4, 1
    own.save_full.click()
    stem = "ni_ght" if opened == "uploaded" else tiny_pairs.short[0].stem
    dng, jpeg = (tmp_path / "own" / f"{stem} restored{suffix}" for suffix in (".dng", ".jpg"))
    assert check.viewer.status == f"Saved {dng} and {jpeg.name}"
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [dng.name, jpeg.name]
    expected = restore.restore_capture(tiny_pairs.short[0]).render(3) / 257
    for file in (dng, jpeg):  # of the DNG its preview
        with Image.open(file) as image:
            assert np.abs(np.asarray(image.convert("RGB")) - expected).mean() < 4
            assert image.getexif().get_ifd(save.EXIF_IFD)[33434] > 0
    dng.write_bytes(b"another's")
    own.save_full.click()
    assert f"failed: {dng} is there" in check.viewer.status and dng.read_bytes() == b"another's"


def test_files_chosen_together_and_a_folder_are_a_burst(own, check, tiny_pairs, tmp_path):
    frames = [tiny_pairs.short[number] for number in (0, 1, 2)]
    upload(check, *((path.name, path.read_bytes()) for path in frames))
    assert own.capture.name == frames[0].name and check.viewer.status.endswith("a burst of 3 frames")
    own.restore.click()
    assert check.viewer.status.startswith(f"{frames[0].name}: restored at full size") and not check.viewer.busy
    expected = burst.restore_burst(frames, restore.load_network())
    np.testing.assert_array_equal(own.full_view.restoration.stable, expected.stable)
    folder = tmp_path / "night"
    folder.mkdir()
    for path in frames:
        (folder / path.name).write_bytes(path.read_bytes())
    own.path.value = str(folder)
    own.open.click()
    assert own.files == sorted(folder.iterdir()) and not own.restore.disabled


def test_what_has_no_bayer_pattern_is_said_and_shown_as_before(own, check, tmp_path):
    path = write_raw(tmp_path / "fuji.dng", lay(np.full((240, 240, 3), 0.1), XTRANS), XTRANS)
    upload(check, ("fuji.raf", path.read_bytes()))
    shown = check.viewer.pictures
    own.restore.click()
    assert "fuji.raf failed: full size needs a Bayer pattern" in check.viewer.status
    assert not check.viewer.busy
    assert check.viewer.pictures is shown and own.save_full.disabled
    own.ratio.value = 20
    assert own.capture.ratio == 20 and len(check.viewer.pictures) == len(shown)


def test_after_whatever_went_wrong_it_can_be_tried_again(own, check, tiny_pairs, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryDirectory", Mock(side_effect=OSError(28, "No space left on device")))
        open_own(check, tiny_pairs)
    assert check.viewer.status == "Developing night.arw failed: [Errno 28] No space left on device"
    open_own(check, tiny_pairs)
    exhausted = tf.errors.ResourceExhaustedError(None, None, "no memory on the GPU")
    monkeypatch.setattr(own_capture, "restore_burst", Mock(side_effect=exhausted))
    own.restore_file()
    assert "no memory on the GPU" in check.viewer.status and not check.viewer.busy and not own.restore.disabled


def test_what_is_large_is_shown_in_as_many_pixels_as_fit_a_screen(own, tiny_pairs):
    shown = own_capture.FullView(restore.restore_capture(tiny_pairs.short[0]))
    assert [level.shape[:2] for level in shown.halve()] == [(214, 320), (107, 160), (54, 80)]
    for zoom in (1, 1.5, 2, 3, 5):
        part = shown.show(0, View(zoom, 0.3, 0.9))
        assert 50 < max(part["width"], part["height"]) <= 100
        left, top, wide, high = part["part"]
        assert left == pytest.approx(0.3 * (1 - 1 / zoom), abs=0.02)
        assert top == pytest.approx(0.9 * (1 - 1 / zoom), abs=0.02)
        assert wide == pytest.approx(1 / zoom, abs=0.02) and high == pytest.approx(1 / zoom, abs=0.02)


@pytest.mark.parametrize("flip", [0, 3, 5, 6])
def test_an_overlay_marks_the_tiles_where_more_than_noise_was_taken(flip, own, tiny_pairs):
    restored = restore.restore_capture(tiny_pairs.short[0])
    spread = np.ones_like(restored.trust.spread)
    spread[0, -1] = 2  # of the sensor's upper right
    trust = restored.trust._replace(spread=spread)
    shown = own_capture.FullView(replace(restored, trust=trust, mosaic=replace(restored.mosaic, flip=flip)))
    plain, marked, electrons = (shown.show(0, View(), name) for name in (None, "spread", "electrons"))
    size = plain["height"], plain["width"], 3
    changed = [
        np.frombuffer(each["pixels"], "u1") != np.frombuffer(plain["pixels"], "u1") for each in (marked, electrons)
    ]
    upright = turn(changed[0].reshape(size).any(axis=2), {5: 6, 6: 5}.get(flip, flip))  # as the sensor lay
    rows, columns = upright.nonzero()
    assert rows.max() < 0.35 * len(upright) and columns.min() > 0.5 * len(upright[0])
    assert changed[1].mean() > 0.8 and "electrons per pixel" in electrons["caption"]


def test_some_of_the_noise_can_be_left_whole_and_in_parts(own, tiny_pairs, monkeypatch):
    monkeypatch.setattr(restore, "load_network", lambda: network.build_residual_unet((4, 8)))
    restored = restore.restore_capture(tiny_pairs.short[0])
    smooth = replace(restored, stable=np.full_like(restored.stable, restored.stable.mean()))
    shown = own_capture.FullView(smooth)
    for view in (View(), View(5)):
        spreads = []
        for strength in (1, 0.5, 0):
            part = shown.show(0, view, None, strength)
            spreads.append(np.frombuffer(part["pixels"], "u1").reshape(-1, 3).std(axis=0).mean())
        assert spreads[0] == 0 < spreads[1] < spreads[2]
