import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from sidlib.human_check import votes

VOTE = {
    "dataset": "tiny",
    "scene": "10001",
    "frame": 0,
    "short_s": 0.1,
    "shown": ["unet", "cnn, plain"],
    "best": "unet",
    "seed": 3,
    "zoom": 1,
    "across": 0.5,
    "down": 0.5,
    "stops": 0,
}


def test_labels_are_shuffled_by_seed_and_number_alone():
    names = ["a", "b", "c", "d"]
    drawn = [votes.shuffle_names(names, 0, number) for number in range(30)]
    assert all(list(labels) == list("ABCD") and sorted(labels.values()) == names for labels in drawn)
    assert drawn[5] == votes.shuffle_names(names, 0, 5) != votes.shuffle_names(names, 1, 5)
    firsts = [labels["A"] for labels in drawn]
    assert set(firsts) == set(names)


def test_a_vote_is_read_as_it_was_cast(tmp_path):
    file = tmp_path / "results" / "votes.csv"
    assert votes.load_votes(file).empty
    votes.append_vote(file, VOTE)
    votes.append_vote(file, VOTE | {"best": ""})
    kept = votes.load_votes(file)
    assert list(kept.columns) == votes.COLUMNS
    assert kept.shown.tolist() == [VOTE["shown"]] * 2 and kept.best.tolist() == ["unet", ""]
    assert kept.scene.tolist() == ["10001"] * 2 and pd.to_datetime(kept.time).notna().all()


def test_a_vote_for_what_was_not_shown_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Received: 'rcan'"):
        votes.append_vote(tmp_path / "votes.csv", VOTE | {"best": "rcan"})
    assert not (tmp_path / "votes.csv").exists()


@pytest.mark.parametrize("cut", [1, 10, 30, 60])
def test_a_line_that_was_cut_off_costs_no_other_vote(tmp_path, cut):
    file = tmp_path / "votes.csv"
    votes.append_vote(file, VOTE)
    votes.append_vote(file, VOTE)
    file.write_bytes(file.read_bytes()[:-cut])
    votes.append_vote(file, VOTE | {"scene": "10002"})
    kept = votes.load_votes(file)
    assert kept.scene.tolist() in (["10001", "10002"], ["10001", "10001", "10002"])
    assert kept.scene.iloc[-1] == "10002"


@pytest.mark.parametrize(
    "names",
    [
        ["a | b", "b"],
        ["cnn, plain", 'the "best"', '"best"', "\\n", "[1]", '["a"]', "time"],
        ["two\nlines", "two\r\nlines", "two\u2028lines", "tab\t", "nul\0"],
        ["gaußsche Störung", "夜景", "🌃", "\udc80 of a file name that is not UTF-8"],
    ],
)
def test_a_vote_is_for_a_model_of_any_name(tmp_path, names):
    file = tmp_path / "votes.csv"
    for best in [*names, ""]:
        votes.append_vote(file, VOTE | {"shown": names, "best": best, "dataset": names[0]})
    kept = votes.load_votes(file)
    assert kept.shown.tolist() == [names] * (len(names) + 1) and kept.best.tolist() == [*names, ""]
    assert set(kept.dataset) == {names[0]}
    assert votes.rank_votes(kept).best.to_dict() == dict.fromkeys(names, 1)


@pytest.mark.parametrize("saved_by_a_spreadsheet", [False, True])
def test_votes_that_were_kept_in_the_old_way_still_count(tmp_path, saved_by_a_spreadsheet):
    file = tmp_path / "votes.csv"
    content = (
        ",".join(votes.COLUMNS)
        + '\n2024-01-01T00:00:00+00:00,tiny,10001,0,0.1,"unet | cnn, plain",unet,3,1,0.5,0.5,0\n'
        + "2024-01-01T00:00:01+00:00,tiny,10001,0,0.1,a | gaußsch,,3,1,0.5,0.5,0\n"
    )
    if saved_by_a_spreadsheet:
        content = "\ufeff" + content.replace("\n", "\r\n")
    file.write_text(content, encoding="utf-8", newline="")
    votes.append_vote(file, VOTE | {"shown": ["a | gaußsch", "b"], "best": "b"})
    kept = votes.load_votes(file)
    assert kept.shown.tolist() == [["unet", "cnn, plain"], ["a", "gaußsch"], ["a | gaußsch", "b"]]
    assert kept.best.tolist() == ["unet", "", "b"]


def test_votes_are_the_same_in_a_locale_that_is_not_utf_8(tmp_path):
    file = tmp_path / "votes.csv"
    vote = VOTE | {"shown": ["gaußsch", "夜景"], "best": "夜景"}
    votes.append_vote(file, vote)
    code = f"""if True:
        import locale, pathlib
        from sidlib.human_check import votes
        file = pathlib.Path({str(file)!r})
        votes.append_vote(file, {vote!a})
        print(locale.getencoding(), ascii(votes.load_votes(file).best.tolist()))"""
    environment = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    said = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, check=True)
    encoding, best = said.stdout.decode().strip().split(" ", 1)
    assert encoding != "utf-8" and best == ascii([vote["best"]] * 2)
    assert votes.load_votes(file).best.tolist() == [vote["best"]] * 2


LONG = VOTE | {"shown": [f"{'long ' * 30}{number}" for number in range(100)], "best": ""}  # more than one buffer holds


def _cast(file):
    for _ in range(20):
        votes.append_vote(file, VOTE)
        votes.append_vote(file, LONG)


def test_panels_of_several_processes_vote_into_one_file(tmp_path):
    file = tmp_path / "votes.csv"
    panels = [multiprocessing.get_context("spawn").Process(target=_cast, args=(file,)) for _ in range(3)]
    for panel in panels:
        panel.start()
    for panel in panels:
        panel.join()
    kept = votes.load_votes(file)
    assert len(kept) == 120 and (kept.shown.str.len() == 100).sum() == 60


def test_models_are_ranked_by_their_share_with_its_uncertainty():
    rows = [(["a", "b"], "a")] * 6 + [(["a", "b"], "b")] * 2 + [(["a", "b", "c", "d"], "")] * 2
    ranks = votes.rank_votes(pd.DataFrame(rows, columns=["shown", "best"]))
    assert ranks.index.tolist()[:2] == ["a", "b"]
    assert ranks.shown.to_dict() == {"a": 10, "b": 10, "c": 2, "d": 2}
    assert ranks.best.to_dict() == {"a": 6, "b": 2, "c": 0, "d": 0}
    assert ranks.chance["a"] == pytest.approx((8 / 2 + 2 / 4) / 10) and ranks.chance["c"] == 1 / 4
    interval = binomtest(6, 10).proportion_ci(method="wilson")
    assert (ranks.low["a"], ranks.share["a"], ranks.high["a"]) == pytest.approx((interval.low, 0.6, interval.high))


def test_votes_at_random_leave_no_model_ahead():
    rng = np.random.default_rng(0)
    shown = list("abc")
    ahead = 0
    for _ in range(40):
        best = rng.choice(shown, 30)
        ranks = votes.rank_votes(pd.DataFrame({"shown": [shown] * 30, "best": best}))
        ahead += ((ranks.low > ranks.chance) | (ranks.high < ranks.chance)).sum()
    assert ahead / 120 < 0.1
