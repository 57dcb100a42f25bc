from functools import partial

import numpy as np
import pandas as pd
import pytest

from sidlib import raw
from sidlib.beyond.full_size import evaluate, network, stable
from sidlib.evaluation import METRICS


@pytest.fixture(scope="module")
def pairs(photograph_scenes):
    """A val and a test scene of the sharp data set: two pairs each."""
    return photograph_scenes("10010", "20002")


@pytest.fixture
def two_methods(monkeypatch):
    """The network is untrained: it demosaics."""
    demosaic = network.build_residual_unet((4, 8))
    methods = {
        "amplified": evaluate.Method(evaluate.develop_amplified),
        "full size": evaluate.Method(lambda path, ratio: evaluate.restore_with(path, ratio, demosaic), "1"),
    }
    monkeypatch.setattr(evaluate, "list_methods", lambda val: methods)
    return methods


def test_packing_is_undone():
    mosaic = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(stable.unpack(stable.pack(mosaic)), mosaic)


def test_the_curve_is_that_of_libraw(pairs):
    """LibRaw's curve over its linear development."""
    path = pairs.long.iloc[0]
    with evaluate.open_raw(path) as (file, _):
        linear = file.postprocess(**evaluate.LIBRAW, gamma=(1, 1)) / 65535
    off = evaluate.encode_bt709(linear) / 257 - evaluate.develop_truth(path) / 257
    assert np.abs(off).max() < 0.5


def test_all_methods_show_the_same_picture_in_its_place(pairs, two_methods):
    pair = pairs[pairs.split == "test"].iloc[-1]
    truth = evaluate.develop_truth(pair.long).astype(float)
    for method in two_methods.values():
        picture = method.restore(pair.short, pair.ratio).astype(float)
        assert picture.shape == truth.shape
        block = [np.add.reduceat(np.add.reduceat(p, range(0, 500, 20)), range(0, 500, 20), 1) for p in (picture, truth)]
        assert np.corrcoef(*(each.ravel() for each in block))[0, 1] > 0.9


def test_denoising_lowers_the_error_and_keeps_odd_sizes(pairs):
    denoise = partial(evaluate.develop_amplified, denoiser="total variation")
    for pair in pairs[pairs.split == "test"].itertuples():
        scores = evaluate.score_pair(pair, {"plain": evaluate.develop_amplified, "denoised": denoise})
        assert scores.fitted_db["denoised"] > scores.fitted_db["plain"] + 1
        assert (scores.fitted_db >= scores.psnr_db).all() and (scores.ratio == pair.ratio).all()


def test_colours_are_fitted_one_by_one():
    truth = np.random.default_rng(0).uniform(50, 200, (20, 30, 3))
    np.testing.assert_allclose(evaluate.fit_colours((truth - [10, 20, 30]) / [2, 1, 0.8], truth), truth)


def test_a_table_goes_on_where_it_was_and_is_made_anew_for_other_weights(pairs, two_methods, tmp_path, monkeypatch):
    whole = evaluate.score_methods(pairs, tmp_path)
    assert list(whole.method) == ["amplified"] * 2 + ["full size"] * 2 and whole[METRICS].notna().all(axis=None)
    pd.read_csv(tmp_path / "full_size.csv")[:3].to_csv(tmp_path / "full_size.csv", index=False)
    calls = []
    two_methods["full size"] = evaluate.Method(
        lambda *of: calls.append(of) or two_methods["amplified"].restore(*of), "1"
    )
    again = evaluate.score_methods(pairs, tmp_path)
    assert len(calls) == 1 and again.mae[:3].tolist() == pytest.approx(whole.mae[:3].round(4))
    two_methods["full size"] = two_methods["full size"]._replace(version="2")
    evaluate.score_methods(pairs, tmp_path)
    assert len(calls) == 3
    turned = evaluate.score_methods(pairs[::-1], tmp_path)  # a method's rows are in the order of the pairs
    assert turned.ratio.tolist() == whole.ratio.tolist()[::-1]


def test_a_table_does_not_grow_where_two_pairs_are_the_same_files(pairs, two_methods, tmp_path):
    twice = pd.concat([pairs, pairs[pairs.split == "test"]], ignore_index=True)
    sizes = [len(evaluate.score_methods(twice, tmp_path)) for _ in range(3)]
    assert sizes == [8, 8, 8]


@pytest.mark.parametrize("changed", ["long", "ratio"])
def test_a_row_is_made_anew_where_its_long_exposure_or_ratio_is_another(pairs, tmp_path, monkeypatch, changed):
    calls = []
    method = evaluate.Method(lambda *of: calls.append(of) or evaluate.develop_amplified(*of))
    monkeypatch.setattr(evaluate, "list_methods", lambda val: {"amplified": method})
    evaluate.score_methods(pairs, tmp_path)
    others = {"long": tmp_path / "long.dng", "ratio": 200.0}
    others["long"].write_bytes(pairs.long.iloc[0].read_bytes() + b"x")
    evaluate.score_methods(pairs.assign(**{changed: others[changed]}), tmp_path)
    assert len(calls) == 4


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_missing_split_is_named(pairs, two_methods, tmp_path, split):
    with pytest.raises(ValueError, match="splits val and test are needed.*Received"):
        evaluate.score_methods(pairs[pairs.split == split], tmp_path)


def test_an_interruption_loses_no_row(pairs, two_methods, tmp_path):
    evaluate.score_methods(pairs, tmp_path)
    pd.read_csv(tmp_path / "full_size.csv")[1:].to_csv(tmp_path / "full_size.csv", index=False)

    def interrupt(path, ratio):
        raise KeyboardInterrupt

    two_methods["amplified"] = evaluate.Method(interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate.score_methods(pairs, tmp_path)
    assert list(pd.read_csv(tmp_path / "full_size.csv").method) == ["amplified"] + ["full size"] * 2


def test_rawtherapee_is_told_what_to_do(pairs, monkeypatch):
    """It writes a picture as its profile says; here in its place something that checks it."""
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
        return pd.DataFrame({"fitted_db": {key: -abs(key[1] - 1.6) for key in tried}})

    monkeypatch.setattr(evaluate, "score_pair", score)
    monkeypatch.setattr(evaluate, "find_network", lambda name: None)
    methods = evaluate.list_methods(pairs[pairs.split == "val"])
    assert methods["stabilised, total variation"].restore.keywords["strength"] == 1.6
    assert set(seen) == {"val"}


def test_a_damaged_file_is_named(pairs, tmp_path):
    (tmp_path / "no.dng").write_bytes(b"nothing" * 99)
    with pytest.raises(raw.RawError, match="no.dng"):
        evaluate.develop_amplified(tmp_path / "no.dng", 100)
