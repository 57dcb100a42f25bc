import gc
import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from sidlib import evaluation, models, training
from sidlib.backend import keras

rng = np.random.default_rng(0)
TRUTH = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
OUTPUT = np.clip(TRUTH + rng.normal(0, 20, TRUTH.shape), 0, 255)


def test_scores_are_those_of_scikit_image_and_numpy():
    scores = evaluation.score_picture(OUTPUT, TRUTH)
    assert scores["mae"] == pytest.approx(np.abs(OUTPUT - TRUTH.astype(float)).mean())
    assert scores["mse"] == pytest.approx(mean_squared_error(TRUTH.astype(float), OUTPUT))
    assert scores["psnr_db"] == pytest.approx(peak_signal_noise_ratio(TRUTH.astype(float), OUTPUT, data_range=255))
    assert scores["psnr_db"] == pytest.approx(10 * np.log10(255**2 / scores["mse"]))


def test_the_ssim_is_that_of_the_loss():
    from sidlib.losses import ssim_loss

    loss = ssim_loss(TRUTH[None].astype("float32"), OUTPUT[None].astype("float32"))
    assert evaluation.score_picture(OUTPUT, TRUTH)["ssim"] == pytest.approx(1 - float(loss[0]), abs=1e-4)


def test_integers_do_not_wrap_around():
    black, white = np.zeros((12, 12, 3), np.uint8), np.full((12, 12, 3), 255, np.uint8)
    assert evaluation.score_picture(black, white)["mae"] == 255
    assert evaluation.score_picture(white, black)["psnr_db"] == 0


def test_values_of_0_to_1_are_refused_where_a_range_of_255_would_flatter_them():
    flattered = peak_signal_noise_ratio(TRUTH / 255, OUTPUT / 255, data_range=255)
    assert flattered == pytest.approx(evaluation.score_picture(OUTPUT, TRUTH)["psnr_db"] + 20 * np.log10(255))
    with pytest.raises(ValueError, match=r"in 0…255\. Received: a truth whose highest value is 1"):
        evaluation.score_picture(OUTPUT / 255, TRUTH / 255)
    dark = np.rint(TRUTH / 255)  # levels of 0 and 1 are those of a dark place
    assert evaluation.score_picture(dark + 3, dark)["mae"] == pytest.approx(3)
    with pytest.raises(ValueError, match="one shape"):
        evaluation.score_picture(OUTPUT, TRUTH[:10])


def test_the_psnr_of_a_test_split_is_the_mean_of_its_pictures(tiny_pairs):
    scores = evaluation.score_model(evaluation.show_input, tiny_pairs)
    of_the_mean = 10 * np.log10(255**2 / scores.mse.mean())
    assert scores.psnr_db.mean() > of_the_mean + 0.01  # the logarithm is concave: the two are not the same
    assert scores.psnr_db.tolist() == pytest.approx((10 * np.log10(255**2 / scores.mse)).tolist())


def test_a_picture_that_the_window_of_ssim_does_not_fit_has_no_ssim():
    scores = evaluation.score_picture(OUTPUT[:10], TRUTH[:10])
    assert np.isnan(scores["ssim"]) and scores["mae"] == pytest.approx(np.abs(OUTPUT[:10] - TRUTH[:10]).mean())


def test_identical_pictures_have_no_error():
    assert evaluation.score_picture(TRUTH, TRUTH) == {"mae": 0, "mse": 0, "psnr_db": np.inf, "ssim": pytest.approx(1)}


def test_each_picture_has_its_row(tiny_pairs):
    test = tiny_pairs[tiny_pairs.split == "test"]
    scores = evaluation.score_model(evaluation.show_input, test)
    assert scores.index.equals(test.index)
    assert scores[["scene", "frame", "ratio", "iso"]].equals(test[["scene", "frame", "ratio", "iso"]])
    for place, pair in test.iterrows():
        short, long = (np.asarray(Image.open(path), float) for path in (pair.short_png, pair.long_png))
        assert scores.mae[place] == pytest.approx(np.abs(short - long).mean())


@pytest.fixture(scope="module")
def trained(tiny_pairs, tmp_path_factory):
    """The folder and the summary of two short trainings."""
    folder = tmp_path_factory.mktemp("results")
    experiments = [training.Experiment("cnn", "relu", loss, augment=False, epochs=1, seed=7) for loss in ("mae", "mse")]
    for experiment in experiments:
        training.train(experiment, tiny_pairs, folder)
    return folder, experiments, evaluation.summarize(experiments, tiny_pairs, folder)


def test_the_summary_begins_with_the_input_and_has_a_row_an_experiment(trained, tiny_pairs):
    folder, experiments, summary = trained
    assert summary.experiment.tolist() == ["input as it is", *(e.name for e in experiments)]
    test = tiny_pairs[tiny_pairs.split == "test"]
    scores = evaluation.score_model(evaluation.show_input, test)
    assert summary.mae[0] == pytest.approx(scores.mae.mean())
    assert summary.psnr_db[0] == pytest.approx(scores.psnr_db.mean())  # the mean of the PSNRs
    assert set(summary.dataset) == {"tiny"} and set(summary.split) == {"test"} and set(summary.pictures) == {4}
    assert pd.read_csv(folder / "summary.csv").mae.tolist() == pytest.approx(summary.mae.tolist(), abs=1e-3)


def test_scores_are_kept_and_read_again(trained, tiny_pairs, monkeypatch):
    folder, (experiment, _), summary = trained
    monkeypatch.setattr(evaluation, "score_model", lambda *_: pytest.fail("it was scored again"))
    scores = evaluation.score_experiment(experiment, tiny_pairs, folder)
    assert scores.mae.mean() == pytest.approx(summary.mae[1])
    assert scores.scene.str.len().eq(5).all()


def test_kept_scores_are_not_taken_for_those_of_other_pictures(trained, tiny_pairs):
    folder, experiments, _ = trained
    scene = tiny_pairs.scene[tiny_pairs.split == "test"].iloc[0]
    fewer = tiny_pairs[tiny_pairs.scene != scene]
    everything = evaluation.score_experiment(experiments[0], tiny_pairs, folder)
    some = evaluation.score_experiment(experiments[0], fewer, folder)
    assert len(some) == 2 and len(everything) == 4 and scene not in set(some.scene)
    assert evaluation.score_experiment(experiments[0], tiny_pairs, folder).index.tolist() == everything.index.tolist()


def test_kept_scores_are_not_taken_for_those_of_changed_pictures(trained, tiny_pairs, tmp_path):
    folder, (experiment, _), _ = trained
    row = tiny_pairs.index[tiny_pairs.split == "test"][0]
    png = tmp_path / tiny_pairs.long_png[row].name
    Image.fromarray(255 - np.asarray(Image.open(tiny_pairs.long_png[row]))).save(png)
    before = evaluation.score_experiment(experiment, tiny_pairs, folder).mae
    changed = tiny_pairs.assign(long_png=tiny_pairs.long_png.where(tiny_pairs.index != row, png))
    after = evaluation.score_experiment(experiment, changed, folder).mae
    assert after[row] != before[row]
    assert after.drop(row).tolist() == pytest.approx(before.drop(row).tolist())


def test_what_is_not_trained_is_named_and_not_trained(trained, tiny_pairs, monkeypatch):
    folder, (experiment, _), _ = trained
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("it was trained"))
    missing = replace(experiment, seed=8)
    for ask in (evaluation.score_experiment, lambda e, *others: evaluation.summarize([e], *others)):
        with pytest.raises(FileNotFoundError, match=f"{missing.name} holds no finished training: training.train"):
            ask(missing, tiny_pairs, folder)


def test_the_decks_figures_stand_beside_its_own_experiments():
    results = evaluation.COURSE_RESULTS
    best = training.COURSE_EXPERIMENTS[results.index.get_loc(results.course_mae.idxmin())]
    assert (best.model, best.loss, best.name) == ("dense_cnn", "mse", results.course_mse.idxmin())
    assert results.loc[best.name].tolist() == [34.337, 1921.527]


SIZES = [(8, 8), (22, 32), (32, 22), (9, 41)]


def draw_batch(height, width, count=1):
    return np.random.default_rng(height).uniform(0, 60, (count, height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("name", models.MODELS)
def test_a_compiled_model_makes_what_it_makes_eagerly_of_every_size(name):
    model = models.build_model(name, "relu")
    for size in SIZES:
        batch = draw_batch(*size, count=2)
        output = evaluation.run(model, batch)
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, np.asarray(model(batch)), atol=0.01)


def build_traced(traces, shape=(None, None, 3), units=3):
    class Traced(keras.layers.Layer):
        def call(self, pictures):
            traces.append(pictures.shape)
            return 2 * pictures

    x = picture = keras.Input(shape, name="dark8")
    return keras.Model(picture, keras.layers.Dense(units, kernel_initializer="identity")(Traced()(x)))


def test_a_model_is_compiled_once_for_all_sizes_and_sees_its_new_weights():
    traces = []
    model = build_traced(traces)
    traces.clear()  # of when it was built
    for size in SIZES:
        evaluation.run(model, draw_batch(*size))
    assert len(traces) == 1
    model.set_weights([2 * weight for weight in model.get_weights()])
    np.testing.assert_allclose(evaluation.run(model, draw_batch(8, 8)), 4 * draw_batch(8, 8), rtol=1e-6)


def test_a_model_that_was_compiled_goes_with_its_last_user():
    model = build_traced([])
    evaluation.run(model, draw_batch(8, 8))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_model_of_one_size_and_a_sequence_are_run_too():
    sequence = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(2)])
    fixed = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Reshape((8, 8, 3))])
    for model, factor in ((sequence, 2), (fixed, 1), (build_traced([], (8, 8, 3)), 2)):
        np.testing.assert_allclose(evaluation.run(model, draw_batch(8, 8)), factor * draw_batch(8, 8), rtol=1e-6)


def test_other_functions_are_called_each_time_as_they_are():
    calls = []

    def model(pictures):
        calls.append(1)
        return np.flip(pictures, 1) * len(calls)

    first, second = (evaluation.run(model, draw_batch(8, 9)) for _ in range(2))
    np.testing.assert_array_equal(second, 2 * first)
