"""Baselines, which learn nothing: the picture amplified, denoised, or given the brightness of its truth.

A baseline takes a raw.Signal, the exposure ratio and the ISO, as sources.SOURCES do, and returns a picture, float
(height, width, 3) in 0…255.
"""

import logging
from functools import partial

import numpy as np
from scipy.optimize import minimize_scalar
from skimage.restoration import denoise_nl_means, estimate_sigma

from sidlib import camera
from sidlib.camera import decode_srgb, encode_srgb
from sidlib.dataset import read_picture
from sidlib.evaluation import predict, score_outputs
from sidlib.preprocess import load_signal
from sidlib.sources import SOURCES

VERSION = 1  # raise it when a baseline gives other pictures than before
DENOISERS = {  # of a picture (height, width, 3) in 0…1 and the standard deviation of its noise
    "non-local means": lambda picture, strength: denoise_nl_means(  # Buades et al. 2005
        picture, patch_size=5, patch_distance=6, h=0.8 * strength, sigma=strength, fast_mode=True, channel_axis=-1
    ),
}
STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5)  # relative to the noise of a picture
NEEDS_CALIBRATION = ("amplified, black corrected", "black corrected, non-local means", "stabilised, non-local means")
_log = logging.getLogger(__name__)


def amplify_rounded(signal, ratio, iso):
    """The course's 8-bit input, amplified in linear light after it was rounded."""
    return 255 * encode_srgb(decode_srgb(SOURCES["dark8"](signal, ratio, iso) / 255) * ratio)


def denoise_picture(signal, ratio, iso, source, denoiser, strength):
    """A source's picture, denoised by strength × the noise that is estimated from it.

    Source: Donoho and Johnstone (1994), the median of the finest wavelet coefficients.
    """
    picture = SOURCES[source](signal, ratio, iso) / 255
    return 255 * DENOISERS[denoiser](picture, strength * estimate_sigma(picture, average_sigmas=True, channel_axis=-1))


def denoise_stabilised(signal, ratio, iso, denoiser, strength):
    """A capture of the calibrated camera, black corrected, denoised by strength × its calibrated noise, amplified."""
    clean = denoise_signal(camera.correct_black(signal, iso), *camera.reduced_noise(iso), denoiser, strength)
    return 255 * encode_srgb(camera.render(clean, signal.white_balance, signal.ccm, ratio))


def denoise_signal(values, gain, variance, denoiser, strength):
    """Return a signal that is denoised between the generalised Anscombe transform and its unbiased inverse.

    Args:
        values: float (height, width, channels), black 0, in any unit.
        gain, variance: its noise has a variance of gain × signal + variance; numbers, or one per channel.
        denoiser: one of DENOISERS. strength: relative to the noise.
    Source: Mäkitalo and Foi, IEEE Transactions on Image Processing 2013.
    """
    noise = gain * values + variance  # the variance at each pixel
    stable = 2 / gain * np.sqrt(np.maximum(noise + 3 / 8 * gain**2, 0))
    low, span = stable.min(), np.ptp(stable)
    clean = low + span * DENOISERS[denoiser]((stable - low) / span, strength / span)
    return ((clean * gain / 2) ** 2 - gain**2 / 8 - variance) / gain


def list_baselines(usual_ratio):
    """Return {name: [baselines]}: one, or one per strength, of which the best on val is to be taken.

    Args:
        usual_ratio: the most common ratio of the training pairs, for baselines that do not know a picture's own.
    """

    def try_strengths(denoise, **options):
        return [partial(denoise, **options, denoiser="non-local means", strength=strength) for strength in STRENGTHS]

    return {
        "input as it is": [SOURCES["dark8"]],
        "dark, 8 bit, × usual ratio": [lambda signal, ratio, iso: amplify_rounded(signal, usual_ratio, iso)],
        "dark, 8 bit, × ratio": [amplify_rounded],
        "amplified × usual ratio": [lambda signal, ratio, iso: SOURCES["amplified16"](signal, usual_ratio, iso)],
        "amplified": [SOURCES["amplified16"]],
        "amplified, black corrected": [SOURCES["corrected16"]],
        "amplified, non-local means": try_strengths(denoise_picture, source="amplified16"),
        "black corrected, non-local means": try_strengths(denoise_picture, source="corrected16"),
        "stabilised, non-local means": try_strengths(denoise_stabilised),
    }


def find_baselines(pairs):
    """Return the names of the baselines that fit pairs; the log names those that lack their camera's calibration."""
    names, scored = list_baselines(1), pairs[pairs.split != "train"]
    captures = zip(scored.short_signal, scored.iso, strict=True)
    if any(camera.find_calibration(load_signal(file), iso) is None for file, iso in captures):
        _log.warning("Captures without a calibration of their camera and ISO: no %s", "; ".join(NEEDS_CALIBRATION))
        return [name for name in names if name not in NEEDS_CALIBRATION]
    return list(names)


def score_baseline(baseline, pairs):
    """Return the scores of a baseline: a DataFrame as that of evaluation.score_model."""
    shown = (baseline(load_signal(pair.short_signal), pair.ratio, pair.iso) for pair in pairs.itertuples())
    truths = (read_picture(str(path)).numpy() for path in pairs.long_png)
    return score_outputs(zip(shown, truths, strict=True), pairs)


def score_named(name, pairs):
    """Return the scores of one of find_baselines on the splits val and test, with the strength of the lowest val MAE.

    Each is a DataFrame as that of evaluation.score_model.
    """
    baselines = list_baselines(float(pairs.ratio[pairs.split == "train"].mode()[0]))[name]
    val, test = (pairs[pairs.split == split] for split in ("val", "test"))
    val_scores = [score_baseline(baseline, val) for baseline in baselines]
    best = int(np.argmin([scores.mae.mean() for scores in val_scores]))
    return val_scores[best], score_baseline(baselines[best], test)


def score_baselines(pairs):
    """Return the scores of all of find_baselines on the splits val and test: {name: (val, test)}."""
    return {name: score_named(name, pairs) for name in find_baselines(pairs)}


def score_oracle_gain(model, pairs):
    """Return the scores of a model's pictures after fit_gain: a DataFrame as that of evaluation.score_model.

    No method can know this gain: the error that remains is not one of brightness.
    """
    return score_outputs(((fit_gain(output, truth), truth) for _, output, truth in predict(model, pairs)), pairs)


def fit_gain(output, truth):
    """Return a picture in 0…255, times the gain in linear light that brings it closest to its truth."""
    linear = decode_srgb(np.clip(output, 0, 255) / 255)

    def brighten(stops):
        return 255 * encode_srgb(linear * 2**stops)

    fit = minimize_scalar(lambda stops: np.square(brighten(stops) - truth).mean(), bounds=(-3, 3), method="bounded")
    return brighten(fit.x)
