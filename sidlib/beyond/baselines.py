"""What can be had without learning: the picture amplified, denoised, or given the brightness of its truth.

A baseline is a function like those of dataset.SOURCES: it takes a raw.Signal, the exposure ratio and the ISO, and
returns a picture, float (height, width, 3) in 0…255.
"""

from functools import partial
from itertools import product

import numpy as np
from scipy.optimize import minimize_scalar
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, estimate_sigma

from sidlib.beyond.sources import correct_black
from sidlib.dataset import SOURCES, read_picture
from sidlib.evaluation import predict, run, score_outputs
from sidlib.models import source_of
from sidlib.preprocess import load_signal
from sidlib.raw import decode_srgb, encode_srgb, render
from sidlib.sample import camera

# A denoiser takes a picture (height, width, 3) in 0…1 and a strength: the standard deviation of the noise for
# non-local means (Buades et al. 2005), the weight of smoothness for total variation (Chambolle 2004).
DENOISERS = {
    "non-local means": lambda picture, strength: denoise_nl_means(
        picture, patch_size=5, patch_distance=6, h=0.8 * strength, sigma=strength, fast_mode=True, channel_axis=-1
    ),
    "total variation": lambda picture, strength: denoise_tv_chambolle(picture, weight=strength, channel_axis=-1),
}
STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5)  # times the noise that a picture has


def amplify_rounded(signal, ratio, iso):
    """The course's 8-bit input, multiplied in linear light: what was lost when it was rounded stays lost."""
    return 255 * encode_srgb(decode_srgb(SOURCES["dark8"](signal, ratio, iso) / 255) * ratio)


def denoise_picture(signal, ratio, iso, show, denoiser, strength):
    """A source's picture, denoised as strongly as it needs: strength × its own noise.

    Source of the estimate: Donoho and Johnstone (1994), the median of the finest wavelet coefficients.
    """
    picture = show(signal, ratio, iso) / 255
    return 255 * DENOISERS[denoiser](picture, strength * estimate_sigma(picture, average_sigmas=True, channel_axis=-1))


def denoise_stable(signal, ratio, iso, denoiser, strength):
    """The capture without its known black error, denoised as the noise of the camera's calibration asks, amplified."""
    clean = denoise_signal(correct_black(signal, iso), *camera.average_noise(iso), denoiser, strength)
    return 255 * encode_srgb(render(clean, signal.white_balance, signal.to_srgb, ratio))


def denoise_signal(values, gain, variance, denoiser, strength):
    """Return a signal denoised where its noise is the same everywhere.

    Args:
        values: float (height, width, channels), black 0, in any unit.
        gain, variance: of its noise, whose variance is gain × signal + variance; numbers or one a channel.
        denoiser: one of DENOISERS. strength: times the noise.
    Source: the generalised Anscombe transform and its asymptotically unbiased inverse (Mäkitalo and Foi, IEEE
    Transactions on Image Processing 2013).
    """
    of_noise = gain * values + variance  # the variance at each place, as the signal itself tells it
    stable = 2 / gain * np.sqrt(np.maximum(of_noise + 3 / 8 * gain**2, 0))  # now it is 1 everywhere
    low, span = stable.min(), np.ptp(stable)
    clean = low + span * DENOISERS[denoiser]((stable - low) / span, strength / span)
    return ((clean * gain / 2) ** 2 - gain**2 / 8 - variance) / gain


def list_baselines(usual_ratio):
    """Return {name: [baselines]}: one each, or one for each of STRENGTHS, of which the best on val is to be taken.

    Args:
        usual_ratio: the most common ratio of the training pairs, for those that are not told the picture's own.
    """

    def as_usual(show):
        return lambda signal, ratio, iso: show(signal, usual_ratio, iso)

    amplified, corrected = SOURCES["amplified16"], SOURCES["corrected16"]
    named = {
        "input as it is": [SOURCES["dark8"]],
        f"dark, 8 bit, × {usual_ratio:g}": [as_usual(amplify_rounded)],
        "dark, 8 bit, × ratio": [amplify_rounded],
        f"amplified × {usual_ratio:g}": [as_usual(amplified)],
        "amplified": [amplified],
        "amplified, black corrected": [corrected],
    }
    for (name, show), denoiser in product((("amplified", amplified), ("black corrected", corrected)), DENOISERS):
        options = {"show": show, "denoiser": denoiser}
        named[f"{name}, {denoiser}"] = [partial(denoise_picture, **options, strength=by) for by in STRENGTHS]
    for denoiser in DENOISERS:
        options = {"denoiser": denoiser}
        named[f"stabilised, {denoiser}"] = [partial(denoise_stable, **options, strength=by) for by in STRENGTHS]
    return named


def score_baseline(baseline, pairs):
    """Return the scores of a baseline: a DataFrame as that of evaluation.score_model."""
    shown = (baseline(load_signal(pair.short_signal), pair.ratio, pair.iso) for pair in pairs.itertuples())
    truths = (read_picture(str(path)).numpy() for path in pairs.long_png)
    return score_outputs(zip(shown, truths, strict=True), pairs)


def find_baselines(pairs):
    """Return list_baselines for pairs: the usual ratio is that of their split train."""
    return list_baselines(pairs.ratio[pairs.split == "train"].mode()[0])


def score_named(name, pairs):
    """Return the scores of one of find_baselines on the splits val and test.

    Each is a DataFrame as that of evaluation.score_model. The strength of a denoiser is the one of the lowest MAE on
    val.
    """
    val, test = (pairs[pairs.split == split] for split in ("val", "test"))
    baselines = find_baselines(pairs)[name]
    of_val = [score_baseline(baseline, val) for baseline in baselines]
    best = int(np.argmin([table.mae.mean() for table in of_val]))
    return of_val[best], score_baseline(baselines[best], test)


def score_baselines(pairs):
    """Return the scores of everything that does not learn, on the splits val and test: {name: (val, test)}."""
    return {name: score_named(name, pairs) for name in find_baselines(pairs)}


def average_flips(model):
    """Return a function like the model that shows it each batch in all four flips and averages what it makes of them.

    Four times the cost. Source: the geometric self-ensemble of Lim et al. (EDSR, CVPR Workshops 2017).
    """

    def average(pictures):
        outputs = []
        for axes in ([], [1], [2], [1, 2]):
            outputs.append(np.flip(run(model, np.flip(pictures, axes)), axes))
        return np.mean(outputs, axis=0)

    average.source = source_of(model)
    return average


def score_oracle_gain(model, pairs):
    """Return the scores of a model's pictures, each multiplied in linear light by the factor that fits its truth best.

    No method can know this factor: what remains is the error that brightness does not explain. A DataFrame as that of
    evaluation.score_model.
    """
    return score_outputs(((fit_gain(output, truth), truth) for _, output, truth in predict(model, pairs)), pairs)


def fit_gain(output, truth):
    """Return a picture in 0…255, times the factor in linear light that brings it closest to its truth."""
    linear = decode_srgb(np.clip(output, 0, 255) / 255)

    def brighten(exponent):
        return 255 * encode_srgb(linear * 2**exponent)

    fit = minimize_scalar(lambda by: np.square(brighten(by) - truth).mean(), bounds=(-3, 3), method="bounded")
    return brighten(fit.x)
