from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from sidlib import evaluation, models, training
from sidlib.backend import keras, tf
from sidlib.evaluation import ScoreTable
from sidlib.experiment import COURSE_EXPERIMENTS, Experiment
from sidlib.losses import LOSSES, ssim_loss
from tests.test_models import differentiate

rng = np.random.default_rng(0)
TRUTH = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
OUTPUT = np.clip(TRUTH + rng.normal(0, 20, TRUTH.shape), 0, 255)


def test_scores_are_those_of_scikit_image_numpy_and_the_loss():
    scores = evaluation.score_picture(OUTPUT, TRUTH)
    assert scores["mae"] == pytest.approx(np.abs(OUTPUT - TRUTH.astype(float)).mean())
    assert scores["mse"] == pytest.approx(mean_squared_error(TRUTH.astype(float), OUTPUT))
    assert scores["psnr_db"] == pytest.approx(peak_signal_noise_ratio(TRUTH.astype(float), OUTPUT, data_range=255))
    loss = ssim_loss(TRUTH[None].astype("float32"), OUTPUT[None].astype("float32"))
    assert scores["ssim"] == pytest.approx(1 - float(loss[0]), abs=1e-4)


def test_scores_are_right_at_their_limits():
    black, white = np.zeros((12, 12, 3), np.uint8), np.full((12, 12, 3), 255, np.uint8)
    assert evaluation.score_picture(black, white)["mae"] == 255  # integers do not wrap around
    assert evaluation.score_picture(white, black)["psnr_db"] == 0
    assert evaluation.score_picture(TRUTH, TRUTH) == {"mae": 0, "mse": 0, "psnr_db": np.inf, "ssim": pytest.approx(1)}
    small = evaluation.score_picture(OUTPUT[:10], TRUTH[:10])  # the window of SSIM does not fit
    assert np.isnan(small["ssim"]) and small["mae"] == pytest.approx(np.abs(OUTPUT[:10] - TRUTH[:10]).mean())


def test_values_of_0_to_1_are_refused_where_a_range_of_255_would_flatter_them():
    flattered = peak_signal_noise_ratio(TRUTH / 255, OUTPUT / 255, data_range=255)
    assert flattered == pytest.approx(evaluation.score_picture(OUTPUT, TRUTH)["psnr_db"] + 20 * np.log10(255))
    with pytest.raises(ValueError, match=r"in 0…255\. Received: a truth whose highest value is 1"):
        evaluation.score_picture(OUTPUT / 255, TRUTH / 255)
    dark = np.rint(TRUTH / 255)  # levels of 0 and 1 are those of a dark place
    assert evaluation.score_picture(dark + 3, dark)["mae"] == pytest.approx(3)
    with pytest.raises(ValueError, match="one shape"):
        evaluation.score_picture(OUTPUT, TRUTH[:10])


def test_each_picture_has_its_row(tiny_pairs):
    test = tiny_pairs[tiny_pairs.split == "test"]
    scores = evaluation.score_model(evaluation.identity, test)
    assert scores[["scene", "frame", "ratio", "iso"]].equals(test[["scene", "frame", "ratio", "iso"]])
    for mae, pair in zip(scores.mae, test.itertuples(), strict=True):
        short, long = (np.asarray(Image.open(path), float) for path in (pair.short_png, pair.long_png))
        assert mae == pytest.approx(np.abs(short - long).mean())


def test_a_prediction_is_what_a_model_or_a_function_makes_of_each_short_exposure(tiny_pairs):
    batches = []

    def turn(pictures):
        batches.append(len(pictures))
        return np.flip(pictures, 1).astype(float)

    unet = models.build_model("unet", "relu")
    for model in (turn, unet):
        for short, output, truth in evaluation.predict(model, tiny_pairs[:3]):
            assert output.dtype == truth.dtype == np.float32 and output.shape == truth.shape
            np.testing.assert_allclose(output, np.asarray(model(short[None]))[0], atol=0.01)
    assert batches == [1] * 6


@pytest.fixture(scope="module")
def trained(tiny_pairs, tmp_path_factory):
    """The folder and the summary of two short trainings."""
    folder = tmp_path_factory.mktemp("results")
    first = Experiment("cnn", "relu", "mae", augment=False, epochs=1, seed=7, updates=1)
    experiments = [first, replace(first, loss="mse")]
    for experiment in experiments:
        training.train(experiment, tiny_pairs, folder)
    return folder, experiments, evaluation.summarize(experiments, tiny_pairs, folder)


def test_the_summary_begins_with_the_input_and_has_a_row_per_experiment(trained, tiny_pairs):
    folder, experiments, summary = trained
    assert summary.experiment.tolist() == ["input as it is", *(e.name for e in experiments)]
    test = tiny_pairs[tiny_pairs.split == "test"]
    scores = evaluation.score_model(evaluation.identity, test)
    assert summary.mae[0] == pytest.approx(scores.mae.mean())
    assert summary.psnr_db[0] == pytest.approx(scores.psnr_db.mean())  # the mean of the PSNRs
    assert set(summary.dataset) == {"tiny"} and set(summary.split) == {"test"} and set(summary.pictures) == {4}
    assert pd.read_csv(folder / "summary.csv").mae.tolist() == pytest.approx(summary.mae.tolist(), abs=1e-3)


def test_kept_scores_are_read_again_and_not_taken_for_those_of_anything_else(trained, tiny_pairs, monkeypatch):
    folder, (experiment, _), _ = trained
    model, _ = training.load_run(experiment, folder)
    test = tiny_pairs.index[tiny_pairs.split == "test"]
    kept = evaluation.score_model(model, tiny_pairs.loc[test])
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "score_model", lambda *_: pytest.fail("it was scored again"))
        pd.testing.assert_frame_equal(evaluation.score_experiment(experiment, tiny_pairs, folder), kept, rtol=1e-6)
    fewer = evaluation.score_experiment(experiment, tiny_pairs[tiny_pairs.scene != tiny_pairs.scene[test[0]]], folder)
    assert fewer.index.tolist() == test[2:].tolist()
    changed = tiny_pairs.assign(ratio=tiny_pairs.ratio.mask(tiny_pairs.index == test[0], 77))
    other = evaluation.score_experiment(experiment, changed, folder)
    assert other.ratio.iloc[0] == 77 and other.mae.tolist() == pytest.approx(kept.mae.tolist())
    model.set_weights([weight * 0.5 for weight in model.get_weights()])
    model.save(folder / experiment.name / "best.keras")
    assert not np.allclose(evaluation.score_experiment(experiment, tiny_pairs, folder).mae, kept.mae)
    with pytest.raises(FileNotFoundError, match="holds no finished training"):
        evaluation.score_experiment(replace(experiment, seed=8), tiny_pairs, folder)


def test_the_decks_figures_stand_beside_its_own_experiments():
    results = evaluation.COURSE_RESULTS
    best = COURSE_EXPERIMENTS[results.index.get_loc(results.course_mae.idxmin())]
    assert (best.model, best.loss, best.name) == ("dense_cnn", "mse", results.course_mse.idxmin())
    assert results.loc[best.name].tolist() == [34.337, 1921.527]


ROWS = pd.DataFrame({"method": ["a", "a", "b"], "scene": ["00001", "00002", "00001"], "mae": [0.1, 1 / 3, 3.0]})


def test_a_score_table_gives_back_what_was_added_under_a_key_and_replaces_the_rows_of_its_key_alone(tmp_path):
    table = ScoreTable(tmp_path / "run" / "scores.csv")
    assert table.rows("00e1").empty
    for key in ("00e1", "12", "00e1"):
        table.add(key, ROWS)
    pd.testing.assert_frame_equal(table.rows("00e1"), ROWS)
    assert pd.read_csv(table.file).columns[0] == "key" and len(pd.read_csv(table.file)) == 6
    table.add("00e1", ROWS[:1])
    pd.testing.assert_frame_equal(table.rows("00e1"), ROWS[:1])
    table.prune(["12"])
    assert table.rows("00e1").empty
    pd.testing.assert_frame_equal(table.rows("12"), ROWS)


def test_several_writers_lose_no_rows(tmp_path):
    def add(number):
        ScoreTable(tmp_path / "scores.csv").add(f"key{number}", ROWS)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(16)))
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 16 * len(ROWS)


def test_a_score_table_of_no_bytes_is_named_with_what_to_do(tmp_path):
    (tmp_path / "scores.csv").touch()
    with pytest.raises(ValueError, match=r"scores\.csv is damaged: remove it to score anew"):
        ScoreTable(tmp_path / "scores.csv").rows("key")


NOISE = rng.uniform(0, 255, (2, 24, 30, 3)).astype("float32")
FLAT = np.full_like(NOISE, 200.3)
PICTURES = {
    "black": np.zeros_like(NOISE),
    "flat": FLAT,
    "nearly flat": FLAT + rng.normal(0, 1e-3, NOISE.shape).astype("float32"),
    "white": np.full_like(NOISE, 255),
    "huge noise": NOISE * 1e30,
    "hugely negative": NOISE * -1e30,
    "noise": NOISE,
}


def test_value_and_gradient_of_the_ssim_loss_are_finite_on_any_pictures_and_identical_ones_lose_nothing():
    for truth, output in product(PICTURES, PICTURES):
        loss = np.asarray(ssim_loss(PICTURES[truth], PICTURES[output]))
        gradient = differentiate(partial(ssim_loss, PICTURES[truth]), PICTURES[output])
        assert np.isfinite(loss).all() and np.isfinite(gradient).all()
        assert (loss > -1e-3).all() and (loss < 2.001).all()
        assert output != truth or np.abs(loss).max() < 1e-4


def test_the_ssim_loss_is_one_minus_the_ssim_of_scikit_image_and_of_tensorflow():
    output = np.clip(NOISE * 0.7 + rng.normal(20, 30, NOISE.shape), 0, 255).astype("float32")
    loss = ssim_loss(NOISE, output)
    options = {"channel_axis": -1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [structural_similarity(a, b, data_range=255, **options) for a, b in zip(NOISE, output, strict=True)]
    np.testing.assert_allclose(1 - loss, expected, atol=1e-4)
    np.testing.assert_allclose(1 - loss, tf.image.ssim(NOISE, output, 255), atol=1e-4)


def test_pictures_smaller_than_the_window_of_ssim_are_refused():
    with pytest.raises(ValueError, match=r"at least 11 × 11.*\(1, 10, 20, 3\)"):
        ssim_loss(np.zeros((1, 10, 20, 3)), np.zeros((1, 10, 20, 3)))


@pytest.mark.parametrize("name", LOSSES)
def test_a_model_compiled_with_a_loss_is_saved_and_loaded_with_it(name, tmp_path):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1)])
    model.compile("adam", LOSSES[name])
    model.fit(NOISE, NOISE, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(NOISE, FLAT, verbose=0) == pytest.approx(model.evaluate(NOISE, FLAT, verbose=0))
