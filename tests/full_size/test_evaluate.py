from functools import partial

import numpy as np
import pandas as pd
import pytest

from sidlib.evaluation import METRICS
from sidlib.full_size import evaluate
from sidlib.full_size.capture import read_capture
from tests.full_size.conftest import DEMOSAIC


@pytest.fixture(scope="module")
def pairs(photograph_scenes):
    """A val and a test scene of the sharp data set: two pairs each."""
    return photograph_scenes("10010", "20002")


@pytest.fixture
def methods(monkeypatch):
    """Two methods with their versions, and a list of those that were scored: no pictures are made."""
    scored = []

    def score(pair, method):
        scored.append(method)
        row = {"method": method, "scene": pair.scene, "ratio": pair.ratio, "motion": None, "frames": None}
        return pd.DataFrame([row])

    methods = {name: (partial(score, method=name), "1") for name in ("amplified", "full size")}
    monkeypatch.setattr(evaluate, "list_methods", lambda val: methods)
    return methods, scored


def test_the_curve_is_that_of_libraw(pairs):
    path = pairs.long.iloc[0]
    srgb = evaluate.develop_truth(path, gamma=(2.4, 12.92))
    off = evaluate.change_curve(srgb) / 257 - evaluate.develop_truth(path) / 257
    assert np.abs(off).max() < 0.5


def test_all_methods_show_the_same_picture_in_its_place(pairs):
    pair = pairs[pairs.split == "test"].iloc[-1]
    truth = evaluate.develop_truth(pair.long).astype(float)
    for restore in (evaluate.develop_amplified, partial(evaluate.restore_with, network=DEMOSAIC)):
        picture = restore(pair.short, pair.ratio).astype(float)
        assert picture.shape == truth.shape
        block = [np.add.reduceat(np.add.reduceat(p, range(0, 500, 20)), range(0, 500, 20), 1) for p in (picture, truth)]
        assert np.corrcoef(*(each.ravel() for each in block))[0, 1] > 0.9


def test_denoising_lowers_the_error_and_keeps_odd_sizes(pairs):
    denoise = partial(evaluate.develop_amplified, strength=1.0)
    for pair in pairs[pairs.split == "test"].itertuples():
        scores = evaluate.score_pair(pair, {"plain": evaluate.develop_amplified, "denoised": denoise})
        assert scores.fitted_db[1] > scores.fitted_db[0] + 1 and scores[METRICS].notna().all(axis=None)
        assert (scores.fitted_db >= scores.psnr_db).all() and (scores.ratio == pair.ratio).all()


def test_colours_are_fitted_one_by_one():
    truth = np.random.default_rng(0).uniform(50, 200, (20, 30, 3))
    assert evaluate.score_fitted((truth - [10, 20, 30]) / [2, 1, 0.8], truth) > 200
    assert evaluate.score_fitted((truth[..., ::-1] - 10) / 2, truth) < 20


def test_a_table_goes_on_where_it_was_and_what_has_changed_is_made_anew(pairs, methods, tmp_path, monkeypatch):
    methods, scored = methods
    whole = evaluate.score_methods(pairs, tmp_path)
    assert list(whole.method) == ["amplified"] * 2 + ["full size"] * 2
    table = pd.read_csv(tmp_path / "full_size.csv", dtype=str)
    table.iloc[:3].to_csv(tmp_path / "full_size.csv", index=False)  # an interruption
    pd.testing.assert_frame_equal(evaluate.score_methods(pairs, tmp_path), whole)
    assert len(scored) == 5
    methods["full size"] = methods["full size"][0], "2"  # other weights
    turned = evaluate.score_methods(pairs[::-1], tmp_path)  # a method's rows are in the order of the pairs
    assert turned.ratio.tolist() == whole.ratio.tolist()[::-1] and scored[5:] == ["full size"] * 2
    twice = pd.concat([pairs, pairs], ignore_index=True)
    assert len(evaluate.score_methods(twice, tmp_path)) == 8 and len(evaluate.load_scores(tmp_path)[0]) == 4
    (tmp_path / "long.dng").write_bytes(pairs.long.iloc[0].read_bytes() + b"x")
    for changed in ({"long": tmp_path / "long.dng"}, {"ratio": 200.0}, {}):
        scored.clear()
        monkeypatch.setattr(evaluate, "VERSION", evaluate.VERSION + (not changed))
        assert len(evaluate.score_methods(pairs.assign(**changed), tmp_path)) == len(scored) == 4


def test_the_table_of_the_repository_has_each_method_on_each_capture(tmp_path):
    single, bursts = evaluate.load_scores(tmp_path)
    methods = ["amplified", "amplified, FBDD", "stabilised, non-local means", "RawTherapee"]
    assert single.method.value_counts().to_dict() == dict.fromkeys([*methods, "the paper's U-Net", "full size"], 24)
    assert (bursts.value_counts(["method", "motion", "frames"]) == 24).all() and len(bursts) == 24 * 24


@pytest.mark.parametrize("motion", evaluate.MOTIONS)
def test_a_burst_shows_one_scene_that_stands_still_but_for_its_motion(pairs, motion, tmp_path):
    pair = pairs[pairs.split == "test"].iloc[0]
    first, second = evaluate.take_burst(pair, motion, tmp_path, 2).values()
    moved = np.argwhere((first != second).any(axis=-1))
    assert (tmp_path / "1.dng").is_file() and np.isfinite(read_capture(tmp_path / "1.dng")[1].gain_dn)
    if motion == "tripod":
        assert not len(moved)
    elif motion == "moving":
        assert set(moved[:, 0]) == {*range(512)[evaluate.CROSSED]} and np.ptp(moved[:, 1]) < 120
    else:
        assert len(moved) > 0.5 * first[..., 0].size


def test_more_frames_from_a_tripod_are_better(pairs, monkeypatch):
    monkeypatch.setattr(evaluate, "FRAMES", (1, 3))
    scores = evaluate.score_burst(pairs[pairs.split == "test"].iloc[0], "tripod", DEMOSAIC)
    assert scores.frames.tolist() == sorted([*evaluate.FRAMES] * 2)
    assert (scores.groupby("method").fitted_db.diff().dropna() > 0.3).all()


def test_rawtherapee_gets_its_profile(pairs, monkeypatch):
    short = pairs.short.iloc[0]

    def run(command, **options):
        profile = command[command.index("-p") + 1].read_text()
        assert "Compensation=6.644" in profile and "CMethod=AUT" in profile and command[-1] == short
        evaluate.tifffile.imwrite(command[command.index("-o") + 1], np.full((4, 6, 3), 65535, np.uint16))

    monkeypatch.setattr(evaluate.subprocess, "run", run)
    assert (evaluate.develop_by_rawtherapee(short, 100) == 65535).all()


def test_strengths_are_chosen_on_val(pairs, monkeypatch):
    seen = []

    def score(pair, tried):
        seen.append(pair.split)
        return pd.DataFrame({"method": list(tried), "fitted_db": [-abs(strength - 1.6) for strength in tried]})

    monkeypatch.setattr(evaluate, "score_pair", score)
    rival = "stabilised, non-local means"
    score, version = evaluate.list_methods(pairs[pairs.split == "val"])[rival]
    assert score.keywords["restores"][rival].keywords["strength"] == 1.6 and version == "1.6" and set(seen) == {"val"}
