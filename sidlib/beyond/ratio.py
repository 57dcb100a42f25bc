"""How well can the exposure ratio be told where there is no long exposure? Ways to estimate it, compared in stops."""

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV

from sidlib.beyond.sources import correct_black
from sidlib.catalog import MAX_RATIO
from sidlib.human_check.captures import find_bright
from sidlib.preprocess import load_signal
from sidlib.sample import camera, name_photographs

# How bright a capture is, in one number: functions of a raw.Signal. A ratio is how much brighter long exposures are.
STATISTICS = {
    "mean": lambda signal: signal.camera_rgb.mean(),
    "90th percentile": lambda signal: np.percentile(signal.camera_rgb * signal.white_balance, 90),
    "99th percentile": find_bright,
    "maximum": lambda signal: signal.camera_rgb.max(),
}


def compare_estimates(pairs, seed=None):
    """Return how far each estimate is from the true ratio, in stops: the mean |error| of each photograph's pairs.

    What an estimate has to know is taken from all photographs but the one that it is tried on. Drawn scenes are left
    out: they are no brighter or darker than chance.

    Args:
        pairs: DataFrame of preprocess.develop_pairs.
        seed: None for the recorded short exposures; else others of the same scenes are simulated from it, whose ratios
            are anything between 3 and 300, where SID has only three.
    Returns:
        DataFrame, a row a photograph; columns: STATISTICS, the first and third also "black corrected", "learned" (ridge
        regression on all of these), and "usual ratio" (the most common one).
    """
    shown = name_photographs(pairs)
    pairs, shown = pairs[shown != "drawn"], shown[shown != "drawn"]
    longs = {path: load_signal(path) for path in pairs.long_signal.unique()}
    ratios = pairs.ratio if seed is None else _draw_ratios(pairs, seed)
    shorts = map(load_signal, pairs.short_signal) if seed is None else _retake(pairs, longs, ratios, seed)
    short = pd.DataFrame([_measure(*each) for each in zip(shorts, pairs.iso, strict=True)], pairs.index)
    of_long = {path: _measure(signal, iso=None) for path, signal in longs.items()}
    long = pd.DataFrame([of_long[path] for path in pairs.long_signal], pairs.index)
    ratio = np.log2(ratios)
    errors = {}
    for photograph in shown.unique():
        own, others = shown == photograph, shown != photograph
        estimates = long[others].groupby(shown[others]).mean().mean() - short[own]
        weights = 1 / shown[others].map(shown.value_counts())  # each photograph counts alike
        learned = RidgeCV(np.logspace(-3, 1, 5)).fit(short[others], ratio[others], weights)
        estimates["learned"] = learned.predict(short[own])
        estimates["usual ratio"] = np.log2(pairs.ratio[others].mode()[0])
        errors[photograph] = estimates.clip(0, np.log2(MAX_RATIO)).sub(ratio[own], axis=0).abs().mean()
    return pd.DataFrame(errors).T


def _draw_ratios(pairs, seed):
    return pd.Series(np.exp(np.random.default_rng(seed).uniform(np.log(3), np.log(MAX_RATIO), len(pairs))), pairs.index)


def _retake(pairs, longs, ratios, seed):
    rng = np.random.default_rng(seed)
    for path, ratio, iso in zip(pairs.long_signal, ratios, pairs.iso, strict=True):
        long = longs[path]
        yield long._replace(camera_rgb=camera.expose_reduced(long.camera_rgb, ratio, iso, rng))


def _measure(signal, iso):
    """The logarithms (base 2) of STATISTICS; where there is light enough, black's error does not count: ISO None."""
    corrected = signal if iso is None else signal._replace(camera_rgb=correct_black(signal, iso))
    values = {name: statistic(signal) for name, statistic in STATISTICS.items()}
    for name in ("mean", "99th percentile"):
        values[f"{name}, black corrected"] = STATISTICS[name](corrected)
    return {name: np.log2(max(value, 1e-6)) for name, value in values.items()}
