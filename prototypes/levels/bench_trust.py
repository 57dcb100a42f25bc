"""Bench of trust.py on the sharp data set's test captures: rank correlation with the true error, alarms, detection."""

import numpy as np
import pandas as pd
from bench import load_network
from scipy.stats import spearmanr
from trust import TILE_PX, measure_trust, predict_error, remark_trust

from sidlib import catalog
from sidlib.beyond.full_size.evaluate import develop_truth, encode_bt709
from sidlib.beyond.full_size.restore import read_capture, restore_mosaic
from sidlib.raw import decode_srgb


def tiles(x):
    height, width = (side // TILE_PX * TILE_PX for side in x.shape[:2])
    return x[:height, :width].reshape(height // TILE_PX, TILE_PX, width // TILE_PX, TILE_PX, -1).mean(axis=(1, 3, 4))


def main():
    network, pairs = load_network(), catalog.load_pairs("sharp")
    rows, alarms = [], []
    for pair in pairs[pairs.split == "test"].itertuples():
        mosaic, right, shot = read_capture(pair.short)
        truth = develop_truth(pair.long) / 65535
        for label, gain, read, black in (
            ("right", 1, 1, 0),
            ("K × 2", 2, 1, 0),
            ("K / 2", 0.5, 1, 0),
            ("K × 4", 4, 1, 0),
            ("K / 4", 0.25, 1, 0),
            ("both × 2", 2, 2, 0),
            ("both / 2", 0.5, 0.5, 0),
            ("black 1 σ high", 1, 1, 1),
            ("black 1 σ low", 1, 1, -1),
            ("black 0.5 σ high", 1, 1, 0.5),
            ("black 3 σ low", 1, 1, -3),
        ):
            noise = right._replace(
                gain_dn=right.gain_dn * gain,
                read_dn=right.read_dn * read,
                black_dn=right.black_dn + black * right.read_dn,
            )
            restoration = restore_mosaic(mosaic, noise, shot, network)
            trust = measure_trust(restoration.stable, mosaic.counts, mosaic.black + noise.black_dn, noise)
            output = encode_bt709(decode_srgb(restoration.render(np.log2(pair.ratio)) / 65535)) / 65535
            psnr = -10 * np.log10(np.mean((output - truth) ** 2))
            alarm = remark_trust(trust)
            alarms.append(
                (
                    label,
                    pair.iso,
                    pair.ratio,
                    psnr,
                    *np.percentile(trust.spread, (10, 50, 90)),
                    np.percentile(trust.alike, 90),
                    np.percentile(trust.counted, 2),
                    "; ".join(alarm),
                )
            )
            if label == "right":
                error = np.sqrt(tiles((output - truth) ** 2)).ravel()
                spans = (mosaic.white - mosaic.black.mean()) / noise.gain_dn / pair.ratio
                scores = {name: getattr(trust, name).ravel() for name in trust._fields}
                scores["predicted"] = predict_error(trust, noise, spans).ravel()
                rows.append(
                    {"iso": pair.iso, "ratio": pair.ratio}
                    | {name: spearmanr(value, error)[0] for name, value in scores.items()}
                    | {"true": error.mean(), "said": scores["predicted"].mean()}
                )
    rows = pd.DataFrame(rows)
    (
        pd.set_option("display.width", 250),
        pd.set_option("display.max_columns", 30),
        pd.set_option("display.max_colwidth", 60),
        pd.set_option("display.max_rows", 400),
    )
    print(rows.round(2))
    print(rows.mean().round(2), "across captures:", spearmanr(rows.true, rows.said)[0])
    alarms = pd.DataFrame(
        alarms, columns=["label", "iso", "ratio", "psnr", "p10", "p50", "p90", "alike", "counted", "alarm"]
    )

    base = alarms[alarms.label == "right"].set_index(["iso", "ratio"]).psnr
    lost = alarms.psnr.to_numpy().reshape(-1, 11)
    alarms["lost_db"] = (lost[:, :1] - lost).ravel()
    alarms["alarmed"] = alarms.alarm != ""
    print(alarms.groupby("label").agg(alarmed=("alarmed", "mean"), lost=("lost_db", "mean")))
    print(
        "alarmed where more than 1 dB is lost",
        alarms[alarms.lost_db > 1].groupby("label").alarmed.agg(["mean", "size"]),
    )


main()
