import pandas as pd
import pytest
from scipy.stats import binomtest

from sidlib.human_check import votes

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
