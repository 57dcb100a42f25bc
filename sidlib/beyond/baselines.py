"""Baselines, which learn nothing: functions of a raw.Signal, the exposure ratio and the ISO, as sources.SOURCES.

They return a picture, float (height, width, 3) in 0…255.
"""

import logging
from functools import partial

import numpy as np
from scipy.optimize import minimize_scalar
from skimage.restoration import denoise_nl_means

from sidlib import camera
from sidlib.camera import decode_srgb, encode_srgb
from sidlib.catalog import pick_splits
from sidlib.dataset import read_picture
from sidlib.evaluation import predict, score_outputs
from sidlib.preprocess import load_signal
from sidlib.sources import SOURCES

VERSION = 1  # raise it when a baseline gives other pictures than before
STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5)  # relative to the noise of a picture
NEEDS_CALIBRATION = ("amplified, black corrected", "stabilised, non-local means")
_log = logging.getLogger(__name__)


def denoise_stabilised(signal, ratio, iso, strength):
    """A capture of the calibrated camera, black corrected, denoised by strength × its calibrated noise, amplified."""
    values, noise = camera.correct_black(signal, iso), camera.reduced_noise(iso)
    clean = denoise_signal(values, *noise, strength)
    return 255 * encode_srgb(camera.render(clean, signal.white_balance, signal.ccm, ratio))


def denoise_signal(values, gain, variance, strength):
    """Return values denoised by non-local means, between the generalised Anscombe transform and its unbiased inverse.

    Their noise, float (height, width, channels), has a variance of gain × values + variance, each a number or one per
    channel. The strength is relative to it. Sources: Buades et al. 2005; Mäkitalo and Foi, IEEE Transactions on Image
    Processing 2013.
    """
    stable = 2 / gain * np.sqrt(np.maximum(gain * values + variance + 3 / 8 * gain**2, 0))
    low, span = stable.min(), np.ptp(stable)
    sigma, window = strength / span, {"patch_size": 5, "patch_distance": 6, "fast_mode": True, "channel_axis": -1}
    clean = low + span * denoise_nl_means((stable - low) / span, h=0.8 * sigma, sigma=sigma, **window)
    return ((clean * gain / 2) ** 2 - gain**2 / 8 - variance) / gain


def list_baselines(usual_ratio):
    """Return {name: [baseline, or one per strength]}; some use the usual ratio instead of a picture's own."""
    return {
        "input as it is": [SOURCES["dark8"]],
        "dark, 8 bit, × usual ratio": [lambda signal, ratio, iso: SOURCES["rounded8"](signal, usual_ratio, iso)],
        "dark, 8 bit, × ratio": [SOURCES["rounded8"]],
        "amplified × usual ratio": [lambda signal, ratio, iso: SOURCES["amplified16"](signal, usual_ratio, iso)],
        "amplified": [SOURCES["amplified16"]],
        "amplified, black corrected": [SOURCES["corrected16"]],
        "stabilised, non-local means": [partial(denoise_stabilised, strength=strength) for strength in STRENGTHS],
    }


def find_baselines(pairs):
    """Return the names of the baselines that fit pairs; the log names those that lack their camera's calibration."""
    names, scored = list(list_baselines(1)), pairs[pairs.split != "train"]
    captures = zip(scored.short_signal, scored.iso, strict=True)
    if any(camera.find_calibration(load_signal(file).camera, iso) is None for file, iso in captures):
        _log.warning("Captures without a calibration of their camera and ISO: no %s", "; ".join(NEEDS_CALIBRATION))
        names = [name for name in names if name not in NEEDS_CALIBRATION]
    return names


def score_baseline(baseline, pairs):
    """Return the scores of a baseline, a DataFrame as that of evaluation.score_model."""
    shown = (baseline(load_signal(pair.short_signal), pair.ratio, pair.iso) for pair in pairs.itertuples())
    truths = (read_picture(str(path)).numpy() for path in pairs.long_png)
    return score_outputs(zip(shown, truths, strict=True), pairs)


def score_named(name, pairs):
    """Return a baseline's scores on val and on test, at the strength of the lowest val MAE; each split needs pairs."""
    train, val, test = pick_splits(pairs, "train", "val", "test")
    baselines = list_baselines(float(train.ratio.mode()[0]))[name]
    val_scores = [score_baseline(baseline, val) for baseline in baselines]
    best = int(np.argmin([scores.mae.mean() for scores in val_scores]))
    return val_scores[best], score_baseline(baselines[best], test)


def score_oracle_gain(model, pairs):
    """Return evaluation.score_model after fit_gain, which no method can know: the errors left are not of brightness."""
    return score_outputs(((fit_gain(output, truth), truth) for _, output, truth in predict(model, pairs)), pairs)


def fit_gain(output, truth):
    """Return a picture in 0…255, times the gain in linear light that brings it closest to its truth."""
    linear = decode_srgb(np.clip(output, 0, 255) / 255)

    def brighten(stops):
        return 255 * encode_srgb(linear * 2**stops)

    fit = minimize_scalar(lambda stops: np.square(brighten(stops) - truth).mean(), bounds=(-3, 3), method="bounded")
    return brighten(fit.x)
