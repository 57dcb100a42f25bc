import numpy as np
import pytest

from sidlib.beyond import ratio


@pytest.fixture
def shown(tiny_pairs, monkeypatch):
    """Four scenes of four photographs, and one that is drawn."""
    names = dict(zip(tiny_pairs.scene.unique(), ["drawn", "a", "b", "c", "d"], strict=True))
    monkeypatch.setattr(ratio, "name_photographs", lambda pairs: pairs.scene.map(names))
    return names


def test_each_way_has_an_error_in_stops_for_each_photograph_but_not_for_what_is_drawn(tiny_pairs, shown):
    for seed in (None, 0):
        errors = ratio.compare_estimates(tiny_pairs, seed)
        assert errors.index.tolist() == ["a", "b", "c", "d"]
        assert {*ratio.STATISTICS, "learned", "usual ratio"} <= set(errors.columns)
        assert (errors >= 0).all(axis=None) and errors["99th percentile"].max() < 4


def test_the_usual_ratio_is_right_where_all_are_alike_and_wrong_by_a_stop_where_one_is_doubled(tiny_pairs, shown):
    alike = tiny_pairs.assign(ratio=100.0)
    assert (ratio.compare_estimates(alike)["usual ratio"] == 0).all()
    photograph = alike.scene.map(shown)
    doubled = alike.assign(ratio=alike.ratio.where(photograph != "c", 200.0))
    assert ratio.compare_estimates(doubled)["usual ratio"].to_dict() == {"a": 0, "b": 0, "c": 1, "d": 0}


def test_other_ratios_come_from_the_seed(tiny_pairs, shown):
    one, same, other = (ratio.compare_estimates(tiny_pairs, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
