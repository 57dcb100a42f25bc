"""What can be had without learning: the picture amplified, denoised, or given the brightness of its truth."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, estimate_sigma

from sidlib.evaluation import predict, run, score_model, score_picture
from sidlib.models import source_of
from sidlib.raw import decode_srgb, encode_srgb

# A denoiser takes a picture (height, width, 3) in 0…1 and a strength: the standard deviation of the noise for
# non-local means (Buades et al. 2005), the weight of smoothness for total variation (Chambolle 2004).
DENOISERS = {
    "non-local means": lambda picture, strength: denoise_nl_means(
        picture, patch_size=5, patch_distance=6, h=0.8 * strength, sigma=strength, fast_mode=True, channel_axis=-1
    ),
    "total variation": lambda picture, strength: denoise_tv_chambolle(picture, weight=strength, channel_axis=-1),
}
STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5)  # times the noise that a picture is estimated to have


def denoise_by_its_noise(picture, denoiser, strength):
    """Return a picture (height, width, 3) in 0…1 denoised as strongly as it needs: strength × its own noise.

    Source of the estimate: Donoho and Johnstone (1994), the median of the finest wavelet coefficients.
    """
    return DENOISERS[denoiser](picture, strength * estimate_sigma(picture, average_sigmas=True, channel_axis=-1))


@dataclass(frozen=True)
class Baseline:
    """A model that does not learn: a function from batch to batch, like a trained one.

    Attributes:
        source: what of a short exposure it sees, see dataset.SOURCES.
        denoise: from a picture (height, width, 3) in 0…1 to a picture; None leaves it as it is.
    """

    source: str
    denoise: Callable | None = None

    def __call__(self, pictures):
        if self.denoise is None:
            return pictures
        return np.stack([255 * self.denoise(np.asarray(picture) / 255) for picture in pictures])


def choose_strength(source, denoiser, pairs):
    """Return the Baseline of a denoiser at the strength that has the lowest MAE on the pairs of split val."""
    validation = pairs[pairs.split == "val"]
    candidates = [
        Baseline(source, partial(denoise_by_its_noise, denoiser=denoiser, strength=strength)) for strength in STRENGTHS
    ]
    return min(candidates, key=lambda candidate: score_model(candidate, validation).mae.mean())


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
    rows = []
    for _, output, truth in predict(model, pairs):
        linear = decode_srgb(np.clip(output, 0, 255) / 255)

        def brighten(exponent, linear=linear):
            return 255 * encode_srgb(linear * 2**exponent)

        fit = minimize_scalar(
            lambda exponent, truth=truth, brighten=brighten: np.square(brighten(exponent) - truth).mean(),
            bounds=(-3, 3),
            method="bounded",
        )
        rows.append(score_picture(brighten(fit.x), truth))
    return pairs[["scene", "frame", "ratio", "iso"]].join(pd.DataFrame(rows, index=pairs.index))


def score_baselines(pairs):
    """Return the scores of everything that does not learn, on the splits val and test: {name: (val, test)}.

    Each is a DataFrame as that of evaluation.score_model. First without, then with the correction of the camera's known
    black level error. Strengths are set on val.
    """
    splits = [pairs[pairs.split == split] for split in ("val", "test")]

    def score(model, scorer=score_model):
        return tuple(scorer(model, split) for split in splits)

    scores = {"input as it is": score(Baseline("dark8"))}
    for source, name in (("amplified16", "amplified"), ("corrected16", "amplified, black corrected")):
        scores[name] = score(Baseline(source))
        scores[f"{name}, oracle gain"] = score(Baseline(source), score_oracle_gain)
        for denoiser in DENOISERS:
            scores[f"{name}, {denoiser}"] = score(choose_strength(source, denoiser, pairs))
    return scores
