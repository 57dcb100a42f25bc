import re

import ipywidgets as widgets
import numpy as np
import pytest
from PIL import Image

from sidlib import human_check, training
from sidlib.evaluation import score_picture
from sidlib.human_check.votes import load_votes

MODELS = {"as it is": lambda x: x, "white": lambda x: x * 0 + 255, "grey": lambda x: x * 0 + 99}


@pytest.fixture
def check(tiny_pairs, tmp_path):
    return human_check.HumanCheck(MODELS, tiny_pairs, folder=tmp_path)


def read_names(check):
    """What the panel shows: the alternative text of each picture."""
    return re.findall(r'<figure><img alt="([^"]*)"', check.stage.html)


def test_the_same_test_picture_is_chosen_by_default(tiny_pairs):
    first = human_check.choose_pair(tiny_pairs)
    assert first.split.tolist() == ["test"]
    shuffled = human_check.choose_pair(tiny_pairs[tiny_pairs.split != "train"])
    assert shuffled.scene.tolist() == first.scene.tolist()


def test_a_test_pair_that_is_not_there_is_refused(tiny_pairs):
    with pytest.raises(IndexError, match="Received: 999"):
        human_check.choose_pair(tiny_pairs, 999)


def test_pictures_come_as_input_outputs_truth(tiny_pairs):
    pair = human_check.choose_pair(tiny_pairs)
    pictures = human_check.collect_pictures(MODELS, pair)
    assert list(pictures) == ["input", "input, amplified", *MODELS, "truth"]
    assert pictures["input, amplified"].mean() > 3 * pictures["input"].mean()
    np.testing.assert_array_equal(pictures["as it is"], pictures["input"])
    np.testing.assert_array_equal(pictures["truth"], np.asarray(Image.open(pair.long_png.item())))


def test_a_check_without_models_is_refused(tiny_pairs):
    with pytest.raises(ValueError, match="at least one model"):
        human_check.compare({}, tiny_pairs)


def test_a_model_does_not_take_the_name_of_another_picture(tiny_pairs):
    with pytest.raises(ValueError, match="Received.*truth"):
        human_check.HumanCheck({"truth": MODELS["white"]}, tiny_pairs)


def test_models_are_loaded_where_their_training_has_ended(tiny_pairs, tmp_path):
    done, half, none = (training.Experiment("cnn", "relu", "mae", False, epochs=1, seed=seed) for seed in range(3))
    for experiment in (done, half):
        training.train(experiment, tiny_pairs, tmp_path)
    (tmp_path / half.name / "last.keras").touch()
    assert list(human_check.load_models([done, half, none], tmp_path)) == [done.name]


def test_the_figure_shows_every_picture_with_its_score(tiny_pairs):
    figure = human_check.compare(MODELS, tiny_pairs)
    titles = [axis.get_title() for axis in figure.axes]
    pictures = human_check.collect_pictures(MODELS, human_check.choose_pair(tiny_pairs))
    mae = score_picture(pictures["input"], pictures["truth"])["mae"]
    assert titles[0].startswith(f"input\nMAE {mae:.1f}")
    assert titles[-1] == "truth\nlong exposure"


def test_the_panel_opens_on_the_fixed_picture_and_shows_what_is_chosen(check):
    assert [name.split(":")[0] for name in read_names(check)] == ["input", "input, amplified", *MODELS, "truth"]
    assert "scene 10001, frame 0" in check.stage.status
    check.shown["as it is"].value = False
    assert len(read_names(check)) == 5
    before = check.stage.html
    check.picture.value = 1
    assert check.stage.html != before


def test_the_panel_refuses_a_picture_that_is_not_there(tiny_pairs, tmp_path):
    with pytest.raises(IndexError, match="Received: 99"):
        human_check.HumanCheck(MODELS, tiny_pairs, number=99, folder=tmp_path)


def test_the_panel_runs_each_model_once_a_picture(tiny_pairs, tmp_path):
    runs = []
    check = human_check.HumanCheck({"counted": lambda x: runs.append(1) or x}, tiny_pairs, folder=tmp_path)
    check.shown["counted"].value = False
    check.shown["counted"].value = True
    check.stage.zoom, check.stage.stops, check.errors.value = 2, 1, True
    check.picture.value = 1
    check.picture.value = 0
    assert len(runs) == 2


def test_a_sign_is_shown_while_a_model_runs(tiny_pairs, tmp_path):
    signs = []
    check = human_check.HumanCheck({"fast": MODELS["white"]}, tiny_pairs, folder=tmp_path)
    check.models["fast"] = lambda x: signs.append((check.stage.busy, check.stage.status)) or x
    check.picture.value = 1
    assert signs == [(True, "The models run …")] and not check.stage.busy  # no name: the vote may be blind


def test_scores_of_the_visible_part_stand_below_those_of_the_whole(check):
    whole = read_names(check)
    assert "visible" not in whole[0]
    check.stage.zoom = 2
    zoomed = read_names(check)
    assert all(z.startswith(w + "\nvisible: MAE") for w, z in zip(whole[:-1], zoomed[:-1], strict=True))
    check.stage.stops = 2
    assert read_names(check) == zoomed and "scores are not" in check.stage.status


def test_changes_that_come_together_are_shown_once(check, monkeypatch):
    rows = []
    monkeypatch.setattr(human_check, "show_row", lambda *_: rows.append(1) or "")
    check.stage.zoom = 2
    with check.stage.hold_trait_notifications():
        check.stage.across, check.stage.down = 0.2, 0.3
    assert len(rows) == 2


def test_a_wipe_needs_two_pictures(check):
    check.left.value = "as it is"
    assert not check.stage.wiping and len(read_names(check)) == 6
    check.right.value = "truth"
    assert check.stage.wiping and read_names(check)[0] == "wipe: as it is | truth"
    check.shown["as it is"].value = False  # what is gone cannot be wiped
    assert not check.stage.wiping and check.left.value == "off"


def test_a_blind_vote_tells_no_name_before_it_is_cast(check, tmp_path):
    check.mode.value = human_check.BLIND
    assert read_names(check)[2:-1] == ["A", "B", "C"]
    assert not any(name in check.stage.html for name in [*MODELS, "MAE"])
    assert check.errors.disabled and check.next.disabled
    assert not set(MODELS) & set(check.left.options)
    labels = dict(check.labels)
    check.vote_box.children[1].click()
    vote = load_votes(tmp_path / "votes.csv").iloc[0]
    assert vote.best == labels["B"] and vote.shown == list(labels.values()) and vote.scene == "10001"
    assert [name.split("\n")[0].split(": MAE")[0] for name in read_names(check)[2:-1]] == [
        f"{label}: {name}" for label, name in labels.items()
    ]
    assert f"You chose B, which is {vote.best}" in check.stage.status
    assert vote.best in check.ranking.value and "1 vote," in check.ranking.value
    check.vote("A")  # too late
    assert len(load_votes(tmp_path / "votes.csv")) == 1


def test_votes_go_on_after_the_kernel_died(check, tiny_pairs, tmp_path):
    check.mode.value = human_check.BLIND
    check.vote("")
    check.next.click()
    assert not check.revealed
    again = human_check.HumanCheck(MODELS, tiny_pairs, folder=tmp_path)
    again.picture.value = check.picture.value
    again.mode.value = human_check.BLIND
    assert again.labels == check.labels
    again.vote("A")
    assert "2 votes, 1 of them for none" in again.ranking.value


def test_every_picture_gets_its_turn(check):
    check.mode.value = human_check.BLIND
    seen = []
    for _ in range(4):
        check.vote("")
        check.next.click()
        seen.append(check.picture.value)
        assert not check.revealed
    assert sorted(seen) == [0, 1, 2, 3]


def test_one_model_alone_is_not_voted_on(check):
    check.mode.value = human_check.BLIND
    for name in ("white", "grey"):
        check.shown[name].value = False
    assert all(button.disabled for button in check.vote_box.children) and "at least two" in check.ranking.value


def test_a_vote_that_cannot_be_kept_is_not_cast(check, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    check.mode.value = human_check.BLIND
    monkeypatch.setattr(human_check, "append_vote", refuse)
    check.vote("A")
    assert "No space left" in check.ranking.value and not check.revealed


def upload(check, name, content, piece=700_000):
    """What the browser sends: a file in pieces."""
    for start in range(0, max(len(content), 1), piece):
        end = min(start + piece, len(content))
        message = {"name": name, "size": len(content), "start": start, "end": end}
        check.stage._handle_custom_msg(message, [memoryview(content[start:end])])


def test_ones_own_capture_is_shown_turned_and_saved(check, tiny_pairs, tmp_path):
    check.mode.value = human_check.OWN
    assert check.stage.html == "" and check.saved.disabled
    upload(check, "night.arw", tiny_pairs.short[0].read_bytes())
    assert read_names(check) == ["input", "input, amplified", *MODELS] and check.errors.disabled
    assert "night.arw: exposure ratio estimated" in check.stage.status
    assert check.ratio.value == pytest.approx(check.own.ratio, abs=0.1)
    before = check.stage.html
    check.ratio.value = 2 * check.ratio.value
    assert check.stage.html != before and check.own.ratio == check.ratio.value
    check.saved.value = "input, amplified"
    check.save16.click()
    (saved,) = (tmp_path / "own").iterdir()
    assert str(saved) in check.stage.status and saved.name.startswith("night-input, amplified-x")


def test_what_is_no_raw_file_gets_a_message_and_the_panel_lives_on(check, tiny_pairs, tmp_path):
    check.mode.value = human_check.OWN
    check.path.value = str(tiny_pairs.short[0])
    check.open.click()
    shown = check.stage.html
    for name, content in {
        "holiday.ARW": b"text",
        "empty.ARW": b"",
        "cut.dng": tiny_pairs.short[0].read_bytes()[:999],
    }.items():
        upload(check, name, content)
        assert check.stage.status.startswith(f"{name}: ") and str(tmp_path) not in check.stage.status
        assert check.stage.html == shown and not check.stage.busy
    for path, reason in {
        tmp_path / "gone.ARW": "No such file",
        tmp_path / ("long" * 100): "File name too long",
        "~nobody.here/night.arw": "home",
        "nul\0": "null",
    }.items():
        check.path.value = str(path)
        check.open.click()
        assert reason in check.stage.status and not check.stage.busy
    check.stage._handle_custom_msg({"name": "huge.ARW", "size": 10**10, "start": 0, "end": 0}, [memoryview(b"")])
    assert "huge.ARW: too large, 9537 MB" in check.stage.status
    assert check.stage.html == shown
    check.mode.value = human_check.COMPARE
    assert "scene 10001" in check.stage.status


def test_every_control_of_the_panel_has_a_name(check):
    def controls(widget):
        children = getattr(widget, "children", ())
        return [control for child in children for control in controls(child)] if children else [widget]

    check.mode.value = human_check.BLIND
    named = [control for control in controls(check.panel) if isinstance(control, widgets.DOMWidget)]
    others = (human_check.Stage, widgets.HTML)
    assert len(named) > 15
    assert all(control.description for control in named if not isinstance(control, others))
