import numpy as np
import pandas as pd
import pytest

from sidlib import paths
from sidlib.beyond import evidence, study
from tests.flat_colours import FLAT_COLOURS, score_flat


def test_the_committed_model_leaves_flat_colours_flat_at_odd_sizes():
    best = study.load_best(paths.REFERENCE)
    for colour in FLAT_COLOURS.values():
        noisy = np.random.default_rng(0).normal(colour, 6, (1, 65, 97, 3)).clip(0, 255).astype(np.float32)
        found = score_flat(best.predict_on_batch(noisy)[0, 16:-16, 16:-16], colour)
        assert found["grid"] < 3 and found["off"] < 5


def test_a_checkerboard_and_a_wrong_colour_are_measured():
    painted = np.full((64, 96, 3), (20, 30, 220.0))
    painted[::2, ::2] += 12  # at one of four positions: 3 in the mean
    assert score_flat(painted, (20, 30, 220)) == {"grid": 12, "off": 3}


def test_frames_and_then_scenes_of_a_photograph_are_averaged_first():
    rows = [("a", "1", 1.0), ("a", "1", 3.0), ("a", "2", 5.0), ("a", "2", 7.0), ("b", "3", 9.0)]
    scores = pd.DataFrame(rows, columns=["photograph", "scene", "mae"]).assign(seed=0)
    assert evidence.average_photographs(scores)[0].to_dict() == {"a": 4, "b": 9}
    assert evidence.average_photographs(scores.assign(seed=[0, 1, 0, 1, 0])).columns.tolist() == [0, 1]


def test_a_difference_is_told_only_where_photographs_and_seeds_agree():
    photographs = [f"{number:02d}" for number in range(8)]
    base = pd.DataFrame({0: np.random.default_rng(0).uniform(10, 50, 8)}, photographs)
    noise = pd.DataFrame({0: np.random.default_rng(1).normal(0, 1, 8)}, photographs)
    noise -= noise.mean()
    seeds_apart = pd.concat([base - 5, base + 1], axis=1, keys=["a", "b"]) + noise[0].to_numpy()[:, None]
    unclear = {"equal": base + noise, "seeds apart": seeds_apart, "one photograph": (base - 2)[:1]}
    expected = dict.fromkeys(unclear, "cannot be told") | {"less": "lower", "more": "higher"}
    for kind, scores in (unclear | {"less": base - 2 + noise, "more": base + 2 + noise}).items():
        assert evidence.compare_photographs(scores, base[: len(scores)])["verdict"] == expected[kind], kind
    found = evidence.compare_photographs((base - 2 + noise)[::-1], base)  # paired by photograph, not by position
    assert found["low"] < found["difference"] < found["high"] and found["high"] - found["low"] < 2
    with pytest.raises(ValueError, match="'06', '07'"):
        evidence.compare_photographs(base, base[:-1])
