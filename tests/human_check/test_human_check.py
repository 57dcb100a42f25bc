import shutil
import tempfile
from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import binomtest

from sidlib import evaluation, human_check
from sidlib.evaluation import score_picture
from sidlib.full_size import burst, restore, save
from sidlib.human_check import own_capture, votes
from sidlib.human_check.captures import INPUTS
from sidlib.human_check.viewer import View
from sidlib.raw import turn
from tests.full_size.conftest import DEMOSAIC
from tests.test_cameras import XTRANS, lay, write_raw

MODELS = {"as it is": evaluation.identity, "white": lambda x: x * 0 + 255, "grey": lambda x: x * 0 + 99}
SHOWN = [*INPUTS, *MODELS, "truth"]


def open_panel(models, pairs, folder):
    """A panel where every picture has been chosen."""
    check = human_check.HumanCheck(models, pairs, folder)
    check.viewer.shown = check.viewer.offered
    return check


@pytest.fixture
def check(tiny_pairs, tmp_path):
    return open_panel(MODELS, tiny_pairs, tmp_path)


def read_names(check):
    """What the browser is given to stand under each picture, on one line for its name and whole scores."""
    return [": ".join(filter(None, (each["title"], each["caption"]))) for each in check.viewer.pictures]


def read_pixels(check):
    return [picture["pixels"].data for picture in check.viewer.pictures]


def read_part(part):
    """The levels of a part of a picture at full size."""
    return np.frombuffer(part["pixels"], np.uint8).reshape(part["height"], part["width"], 3)


def upload(check, *files):
    """Do what the browser does when files are chosen, each a name and its bytes."""
    check.viewer.mode = "Your own capture"
    known = {"type": "", "last_modified": 0}
    value = [{"name": name, "size": len(content), "content": memoryview(content)} | known for name, content in files]
    check.own.upload.set_state({"value": value})


def open_own(check, pairs, name="night.arw", number=0):
    upload(check, (name, pairs.short[number].read_bytes()))


def open_path(check, path):
    check.viewer.mode = "Your own capture"
    check.own.path.value = str(path)
    check.own.open.click()


def test_what_a_human_check_cannot_be_made_of_is_refused(tiny_pairs):
    for pairs, models, error in (
        (tiny_pairs[tiny_pairs.split == "train"], MODELS, "needs a test pair. Received: 6 pairs"),
        (tiny_pairs, {}, "at least one model. Received: none"),
        *((tiny_pairs, {name: MODELS["white"]}, "Received: models called") for name in ("input", "truth", "")),
    ):
        for show in (human_check.compare, partial(human_check.HumanCheck, folder=None)):
            with pytest.raises(ValueError, match=error):
                show(models, pairs)


def test_pictures_come_as_input_outputs_truth_and_the_figure_shows_each_with_its_score(tiny_pairs):
    pair = human_check.choose_pair(tiny_pairs)
    pictures = human_check.collect_pictures(MODELS, pair)
    assert list(pictures) == SHOWN
    assert pictures["RAW, amplified"].mean() > 3 * pictures["input"].mean()
    np.testing.assert_array_equal(pictures["as it is"], pictures["input"])
    np.testing.assert_array_equal(pictures["truth"], np.asarray(Image.open(pair.long_png.item())))
    titles = [axis.get_title() for axis in human_check.compare(MODELS, tiny_pairs).axes]
    assert titles[0].startswith(f"input\nMAE {score_picture(pictures['input'], pictures['truth'])['mae']:.1f}")
    assert titles[-1] == "truth\nlong exposure"


def test_the_panel_opens_on_the_fixed_picture_and_runs_what_is_chosen_once_a_picture_under_a_sign(tiny_pairs, tmp_path):
    signs, models = [], {"first": MODELS["white"], "others": None, "best": MODELS["grey"]}
    models["others"] = lambda x: signs.append((check.viewer.busy, check.viewer.status)) or x
    check = human_check.HumanCheck(models, tiny_pairs, tmp_path)
    shown = check._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in shown and "kernel" in shown["text/plain"]
    viewer, before = check.viewer, read_pixels(check)
    assert [picture["name"] for picture in viewer.pictures] == ["input", "first", "best", "truth"] and signs == []
    assert viewer.choices[0] == viewer.status and "scene 10001, frame 0" in viewer.status
    viewer.shown = ["others", *viewer.shown]
    assert [picture["name"] for picture in viewer.pictures] == ["input", "first", "others", "best", "truth"]
    viewer.zoom, viewer.stops = 2, 1
    viewer.choice = 1
    assert read_pixels(check)[0] not in before
    viewer.choice = 0
    assert signs == [(True, "The models run …")] * 2 and not viewer.busy  # no name: the vote may be blind


def test_the_visible_part_has_scores_and_what_the_browser_has_of_pictures_is_not_sent_again(check):
    viewer = check.viewer
    given, before = viewer.pictures, dict(viewer.sent)
    assert viewer.visible["scores"] == {}
    with viewer.hold_trait_notifications():  # as the browser does it: all at once
        viewer.zoom, viewer.across, viewer.stops = 3, 0.2, 1
    assert viewer.pictures is given
    assert viewer.visible.items() >= {"zoom": 3, "across": 0.2, "down": 0.5}.items()
    assert list(viewer.visible["scores"]) == SHOWN[:-1] and "MAE" in viewer.visible["scores"]["input"]
    viewer.shown = [name for name in SHOWN if name != "white"]
    assert len(viewer.sent) == len(before) - 1
    viewer.shown = SHOWN
    assert viewer.sent.keys() == before.keys()
    assert [data for data in before if viewer.sent[data] is not before[data]] == [read_pixels(check)[3]]


def test_nobody_votes_before_the_pictures_are_shown_or_on_fewer_than_two(check):
    offered, check.viewer.mode = [], "Vote blind"
    assert [button.description[:4] for button in check.blind.ballot.children] == ["A is", "B is", "C is", "They"]
    check.viewer.models["grey"] = lambda x: offered.extend(check.blind.ballot.children) or x
    check.viewer.choice = 1
    check.viewer.shown = ["as it is"]
    assert offered == [*check.blind.ballot.children] == [] and "at least two" in check.blind.ranking.value


def test_a_blind_vote_tells_no_name_before_it_is_cast(check, tmp_path):
    given, viewer = [], check.viewer
    viewer.observe(lambda change: given.append(change.new), "pictures")
    viewer.zoom = 2
    viewer.mode = "Vote blind"
    assert given[0] == []  # while the models run
    assert read_names(check)[2:-1] == ["A", "B", "C"] and not viewer.scored
    told = [[picture[key] for key in ("name", "title", "caption")] for picture in viewer.pictures]
    assert not any(name in str((told, viewer.visible, viewer.status)) for name in [*MODELS, "MAE"])
    labels = dict(check.blind.labels)
    check.blind.ballot.children[1].click()
    [vote] = votes.load_votes(tmp_path / "votes.jsonl").itertuples()
    assert vote.best == labels["B"] and vote.shown == list(labels.values()) and vote.scene == "10001"
    revealed = [name.split(": MAE")[0] for name in read_names(check)[2:-1]]
    assert revealed == [f"{label}: {name}" for label, name in labels.items()]
    assert f"You chose B, which is {vote.best}" in viewer.status
    assert vote.best in check.blind.ranking.value and "1 vote," in check.blind.ranking.value
    check.blind.vote("A")  # too late
    assert len(votes.load_votes(tmp_path / "votes.jsonl")) == 1


def test_each_vote_has_labels_and_a_picture_of_its_own_also_after_the_kernel_died(check, tiny_pairs, tmp_path):
    check.viewer.mode = "Vote blind"
    seen, orders = [], set()
    for _ in range(4):
        orders.add(tuple(check.blind.labels.values()))
        check.blind.vote("")
        check.blind.next.click()
        seen.append(check.viewer.choice)
        assert check.blind.hides
    assert sorted(seen) == [0, 1, 2, 3] and len(orders) > 1
    again = open_panel(MODELS, tiny_pairs, tmp_path)
    again.viewer.choice = check.viewer.choice
    again.viewer.mode = "Vote blind"
    assert again.blind.labels == check.blind.labels
    again.blind.vote("A")
    assert "5 votes, 4 of them for none" in again.blind.ranking.value


def test_a_results_folder_that_cannot_be_written_is_said(tiny_pairs, tmp_path):
    (tmp_path / "results").write_text("a file")
    check = human_check.HumanCheck(MODELS, tiny_pairs, tmp_path / "results")
    check.viewer.mode = "Vote blind"
    check.blind.vote("A")
    assert check.viewer.status.startswith("Keeping the vote failed: ") and check.blind.hides
    open_own(check, tiny_pairs)
    check.own.save8.click()
    assert check.viewer.status.startswith("Saving grey failed: ")


def test_values_that_are_no_numbers_are_said_in_every_mode(tiny_pairs, tmp_path):
    check = open_panel(MODELS | {"broken": lambda x: x * np.nan}, tiny_pairs, tmp_path)
    said = "2112 of 2112 values are NaN or infinite"
    assert f"broken: {said}" in read_names(check)
    check.viewer.mode = "Vote blind"
    assert sum(said in name for name in read_names(check)) == 1 and "broken" not in "".join(read_names(check))
    open_own(check, tiny_pairs)
    assert f"broken: {said}" in read_names(check)
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


def test_uploaded_files_of_any_name_are_shown_one_after_the_other_also_again_and_not_kept(
    check, tiny_pairs, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for number, name in enumerate(["a.arw", "a.arw", "", "/etc/passwd", "夜景.ARW", "a\0b.arw"]):
        check.viewer.status = ""
        open_own(check, tiny_pairs, name, number % 2)
        assert "exposure ratio estimated" in check.viewer.status and check.own.upload.value == ()
        assert [path.name for path in tmp_path.iterdir()] == ["own"] * (number > 0)
        check.own.save8.click()
        assert check.viewer.status.startswith(f"Saved {tmp_path / 'own'}")


def test_ones_own_capture_is_shown_turned_and_saved_whatever_a_model_is_called(tiny_pairs, tmp_path):
    names = ["A", "../up", "<b>", 'the "best"\nof all 夜景']
    check = open_panel(dict.fromkeys(names, MODELS["white"]), tiny_pairs, tmp_path / "results")
    check.viewer.mode = "Your own capture"
    assert check.viewer.pictures == check.viewer.choices == [] and check.own.saved.disabled
    open_own(check, tiny_pairs)
    assert read_names(check) == [*INPUTS, *names] and not check.viewer.scored
    assert check.own.ratio.value == pytest.approx(check.own.capture.ratio, abs=0.1)
    before = read_pixels(check)
    check.own.ratio.value = 2 * check.own.ratio.value
    assert read_pixels(check) != before and check.own.capture.ratio == check.own.ratio.value
    for name in [*names, "RAW, amplified"]:
        check.own.saved.value = name
        check.own.save16.click()
    saved = list((tmp_path / "results" / "own").glob("night.arw-*-x*-16bit.png"))
    assert len(saved) == 5 and any(f"Saved {file}" == check.viewer.status for file in saved)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_what_is_no_raw_file_gets_a_message_and_the_panel_lives_on(check, tiny_pairs, tmp_path):
    open_path(check, tiny_pairs.short[0])
    shown = check.viewer.pictures
    for name, content in {"empty.ARW": b"", "cut.dng": tiny_pairs.short[0].read_bytes()[:999]}.items():
        upload(check, (name, content))
        assert check.viewer.status.startswith(f"Developing {name} failed: ")
        assert tempfile.gettempdir() not in check.viewer.status
    for path, reason in {
        tmp_path: "Is a directory",
        tmp_path / ("long" * 100): "File name too long",
        "~nobody.here/night.arw": "No such file",
        "nul\0": "null",
    }.items():
        open_path(check, path)
        assert reason in check.viewer.status and not check.viewer.busy
    assert check.viewer.pictures is shown
    check.viewer.mode = "Compare"
    assert "scene 10001" in check.viewer.status


@pytest.fixture(scope="module")
def restored(tiny_pairs):
    return restore.restore_capture(tiny_pairs.short[0], DEMOSAIC)


@pytest.fixture
def own(check, monkeypatch):
    """A panel in the mode of one's own capture."""
    monkeypatch.setattr(restore, "load_network", lambda: DEMOSAIC)
    monkeypatch.setattr(own_capture, "SCREEN_PX", 100)
    check.viewer.mode = "Your own capture"
    return check.own


def test_ones_own_capture_is_restored_at_full_size_and_sharp_where_one_looks(own, check, tiny_pairs, restored):
    viewer = check.viewer
    assert own.restore.disabled and own.save_full.disabled
    open_own(check, tiny_pairs)
    before, said = dict(viewer.sent), []
    viewer.observe(lambda change: said.append(change.new), "status")
    own.restore.click()
    assert "Restoring night.arw … 0 %" in said
    assert viewer.status.startswith("night.arw: restored at full size, noise by calibration") and not viewer.busy
    assert own.restore.disabled and not own.save_full.disabled and own.said.value == viewer.status
    *small, whole = viewer.pictures
    assert [picture["title"] for picture in small] == SHOWN[:-1]
    assert all(viewer.sent[data] is before[data] for data in before)
    assert whole["size"] == [320, 214] and (whole["height"], whole["width"]) == (54, 80) and viewer.details == []
    assert whole["part"] == [0, 0, 1, pytest.approx(216 / 214)]
    with viewer.hold_trait_notifications():
        viewer.zoom, viewer.across, viewer.down = 4, 1, 0
    (detail,) = viewer.details
    assert viewer.pictures[-1] is whole and detail["title"] == whole["title"]
    assert np.multiply(detail["part"], [320, 214, 320, 214]) == pytest.approx((240, 0, 80, 54))
    expected = restored.render(np.log2(own.capture.ratio))[:54, 240:]
    np.testing.assert_array_equal(read_part(detail), np.rint(expected / 257))
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
    assert read_part(viewer.details[0]).mean() > read_part(detail).mean()
    assert len(viewer.sent.keys() - before.keys()) == len(before.keys() - viewer.sent.keys()) == 1
    assert f"{np.log2(own.capture.ratio) + 1:+.1f} stops" in viewer.pictures[-1]["caption"]
    assert viewer.pictures[-1]["stops"] == viewer.details[0]["stops"] == 1
    viewer.mode = "Compare"
    assert viewer.details == [] and viewer.pictures[-1]["title"] == "truth"
    open_own(check, tiny_pairs, "another.arw", 4)
    assert viewer.details == [] and "size" not in viewer.pictures[-1] and not own.restore.disabled


def test_it_is_saved_as_dng_and_jpeg_with_exif_beside_the_other_pictures(own, check, tiny_pairs, tmp_path, restored):
    open_own(check, tiny_pairs, "../ni:ght.arw")
    own.restore.click()
    own.ratio.value, check.viewer.stops = 4, 1
    own.save_full.click()
    dng, jpeg = (tmp_path / "own" / f"ni_ght restored{suffix}" for suffix in (".dng", ".jpg"))
    assert check.viewer.status == f"Saved {dng} and {jpeg.name}"
    for file in (dng, jpeg):  # of the DNG its preview
        with Image.open(file) as image:
            assert np.abs(np.asarray(image.convert("RGB")) - restored.render(3) / 257).mean() < 4
            assert image.getexif().get_ifd(save.EXIF_IFD)[33434] > 0
    dng.write_bytes(b"another's")
    own.save_full.click()
    assert f"failed: {dng} is there" in check.viewer.status and dng.read_bytes() == b"another's"


def test_files_chosen_together_and_a_folder_are_a_burst(own, check, tiny_pairs, tmp_path):
    frames = tiny_pairs.short[:3].tolist()
    upload(check, *((path.name, path.read_bytes()) for path in frames), ("empty.arw", b""))
    assert own.capture.name == frames[0].name and check.viewer.status.endswith("a burst of 4 frames")
    own.restore.click()
    assert check.viewer.status.startswith(f"{frames[0].name}: restored at full size")
    assert "Left out: frame 4: the file is empty" in check.viewer.status
    expected = burst.restore_burst(frames, DEMOSAIC)
    np.testing.assert_array_equal(own.full_view.restoration.stable, expected.stable)
    for path in frames:
        shutil.copy(path, tmp_path)
    open_path(check, tmp_path)
    assert own.files == sorted(tmp_path.glob("*.*")) and not own.restore.disabled


def test_whatever_went_wrong_is_said_and_it_can_be_tried_again(own, check, tiny_pairs, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryDirectory", Mock(side_effect=OSError(28, "No space left on device")))
        open_own(check, tiny_pairs)
    assert check.viewer.status == "Developing night.arw failed: [Errno 28] No space left on device"
    path = write_raw(tmp_path / "fuji.dng", lay(np.full((240, 240, 3), 0.1), XTRANS), XTRANS)
    upload(check, ("fuji.raf", path.read_bytes()))
    shown = check.viewer.pictures
    own.restore.click()
    assert "fuji.raf failed: full size needs a Bayer pattern" in check.viewer.status
    assert check.viewer.pictures is shown and own.save_full.disabled and not own.restore.disabled
    monkeypatch.setattr(own_capture, "restore_burst", Mock(side_effect=Exception("no memory on the GPU")))
    own.restore.click()
    assert "no memory on the GPU" in check.viewer.status and not check.viewer.busy and not own.restore.disabled


@pytest.mark.parametrize(("flip", "zoom"), [(0, 1), (3, 2), (5, 2), (6, 1)])
def test_an_overlay_marks_the_tiles_where_more_than_noise_was_taken(flip, zoom, own, restored):
    spread = np.ones_like(restored.trust.spread)
    spread[0, -1] = 2  # of the sensor's upper right
    trust, mosaic = restored.trust._replace(spread=spread), replace(restored.mosaic, flip=flip)
    shown = own_capture.FullView(replace(restored, trust=trust, mosaic=mosaic))
    corner = np.zeros((214, 320), bool)
    corner[:64, 256:] = True
    corner = turn(corner, flip)
    view = View(zoom, *((np.argwhere(corner)[0] > 0)[::-1]))
    plain, marked, electrons = (shown.show(0, view, name) for name in (None, "spread", "electrons"))
    changed = (read_part(marked) != read_part(plain)).any(axis=2)
    step = round(plain["part"][2] * len(corner[0]) / plain["width"])
    left, top = np.multiply(plain["part"][:2], corner.shape[::-1]).round().astype(int)
    expected = corner[top::step, left::step][: plain["height"], : plain["width"]]
    assert np.mean(changed[: len(expected), : len(expected[0])] != expected) < 0.03
    assert (read_part(electrons) != read_part(plain)).mean() > 0.8 and "electrons per pixel" in electrons["caption"]


def test_some_of_the_noise_can_be_left_whole_and_in_parts(own, restored):
    shown = own_capture.FullView(replace(restored, stable=np.full_like(restored.stable, restored.stable.mean())))
    for view in (View(), View(5)):
        parts = [read_part(shown.show(0, view, None, strength)) for strength in (1, 0.5, 0)]
        spreads = [part.std(axis=(0, 1)).mean() for part in parts]
        assert spreads[0] == 0 < spreads[1] < spreads[2]


VOTE = {"dataset": "tiny", "scene": "10001", "frame": 0, "short_s": 0.1, "shown": ["unet", "cnn"], "best": "unet"}
VOTE |= {"zoom": 1, "across": 0.5, "down": 0.5, "stops": 0}


def test_a_vote_is_read_as_it_was_cast_for_a_model_of_any_name_in_any_locale(tmp_path):
    file, names = tmp_path / "results" / "votes.jsonl", ['the "best"', "two\r\nlines\u2028\0", "夜景"]
    assert votes.load_votes(file).empty
    for best in [*names, ""]:
        votes.append_vote(file, VOTE | {"shown": names, "best": best})
    kept = votes.load_votes(file)
    assert file.read_bytes().isascii() and list(kept.columns) == votes.COLUMNS
    assert kept.shown.tolist() == [names] * 4 and kept.best.tolist() == [*names, ""]
    assert kept.scene.tolist() == ["10001"] * 4 and pd.to_datetime(kept.time).notna().all()


def test_a_line_that_was_cut_off_anywhere_or_zeros_that_a_power_cut_left_cost_no_other_vote(tmp_path):
    file = tmp_path / "votes.jsonl"
    votes.append_vote(file, VOTE)
    line = file.read_bytes()
    for damage in (b"\0" * 4096, *(line[:length] for length in range(0, len(line), 5))):
        file.write_bytes(line + damage)
        votes.append_vote(file, VOTE | {"scene": "10002"})
        scenes = votes.load_votes(file).scene.tolist()
        assert scenes in (["10001", "10002"], ["10001", "10001", "10002"])


def test_models_are_ranked_by_their_share_with_its_uncertainty():
    rows = [(["a", "b"], "a")] * 6 + [(["a", "b"], "b")] * 2 + [(["a", "b", "c", "d"], "")] * 2
    ranks = votes.rank_votes(pd.DataFrame(rows, columns=["shown", "best"]))
    assert ranks.index.tolist()[:2] == ["a", "b"]
    assert ranks.shown.to_dict() == {"a": 10, "b": 10, "c": 2, "d": 2}
    assert ranks.best.to_dict() == {"a": 6, "b": 2, "c": 0, "d": 0}
    assert ranks.chance["a"] == pytest.approx((8 / 2 + 2 / 4) / 10) and ranks.chance["c"] == 1 / 4
    interval = binomtest(6, 10).proportion_ci(method="wilson")
    assert (ranks.low["a"], ranks.share["a"], ranks.high["a"]) == pytest.approx((interval.low, 0.6, interval.high))
