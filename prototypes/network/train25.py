"""Train the network of the real dark, or go on: python lab/train25.py NAME [--rate 2e-4] [--until EPOCH] [--tail FROM TO] [--branch OTHER]

results/lab25/NAME/last.keras: trainer, optimizer, average of the weights; the epoch is that of its updates. Written
whole after each epoch, and ema.keras (the network alone, averaged weights: what is used) and history.csv with it.
--tail FROM TO: from epoch FROM to TO the rate falls to 0 along a cosine. --branch OTHER: begin with OTHER's last.keras.
"""

import argparse
import os
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
import pandas as pd

import network25
import stream25
from sidlib import paths
from sidlib.backend import keras, tf
from sidlib.beyond.full_size.experiment import coarse_log_mse_loss

UPDATES, BATCH = int(os.environ.get("LAB_UPDATES", 250)), 8
VAL = int(os.environ.get("LAB_VAL", 64))


@contextmanager
def write(path):
    with paths.write_whole(path) as temporary:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


def draw_val():
    """Validation patches by kind: dark and light without lamps, lamps, charts."""
    pools, kinds = stream25.load_pools("val"), {}
    kept = dict(vars(stream25))
    usual = {"CHARTS": 0, "LIGHTS": 0, "DEFECTS": 0, "CUT": 0, "CAP": (1.5, 1.5), "CAPPED": 1}
    log = lambda low, high: ((1.0, (low, high)),)
    for place, (kind, changed) in enumerate(
        {
            "dark": usual | {"WHITE_E": log(3, 60)},
            "light": usual | {"WHITE_E": log(60, 5000)},
            "day": usual | {"WHITE_E": log(5000, 60000)},
            "lamps": usual | {"LIGHTS": 1, "CAP": (1.5, 3), "WHITE_E": log(5, 2000)},
            "charts": usual | {"CHARTS": 1, "WHITE_E": log(5, 2000)},
        }.items()
    ):
        vars(stream25).update(changed)
        patches = [stream25.make_patch(*pools, (1, 1, place), n) for n in range(VAL)]
        kinds[kind] = [np.stack(part) for part in zip(*patches)]
        vars(stream25).update({name: kept[name] for name in changed})
    return kinds


def score_val(trainer, kinds):
    return {
        kind: float(np.mean([coarse_log_mse_loss(truth[i : i + 8], trainer.predict_on_batch([packed[i : i + 8], look[i : i + 8]])).numpy().mean() for i in range(0, VAL, 8)]))
        for kind, (packed, look, truth) in kinds.items()
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--until", type=int, default=100000)
    parser.add_argument("--tail", type=int, nargs=2)
    parser.add_argument("--branch")
    parser.add_argument("--seed", type=int, default=0, help="of the patches")
    parser.add_argument("--start", help="a network to begin with")
    parser.add_argument("--end", help="HH:MM, by when the rate falls to 0 from now on, along a cosine")
    parser.add_argument("--momentum", type=float, default=0.999)
    options = parser.parse_args()
    started = time.time()
    finish = started if not options.end else time.mktime((*time.localtime()[:3], *map(int, options.end.split(":")), 0, 0, 0, -1))
    folder = paths.RESULTS / "lab25" / options.name
    folder.mkdir(parents=True, exist_ok=True)
    last, table = folder / "last.keras", folder / "history.csv"
    if options.branch and not last.is_file():
        shutil.copy(folder.parent / options.branch / "history.csv", table)
        shutil.copy(folder.parent / options.branch / "last.keras", last)
    make = network25.build_pair
    keras.utils.set_random_seed(25)
    if last.is_file():
        trainer = keras.saving.load_model(last)
        optimizer = trainer.optimizer
        rows = pd.read_csv(table).to_dict("records") if table.is_file() else []
    else:
        if options.start:
            old = keras.saving.load_model(options.start, compile=False)
            old = network25.take_network(old) if old.name == 'trainer' else old
            trainer = network25.build_trainer(network25.take_over(make(), old))
        else:
          olds = {b: keras.saving.load_model(folder.parent / f"start_{b}.keras", compile=False) for b in network25.BRANCHES}
          trainer = network25.build_trainer(network25.pair_up(make(), olds))
        optimizer = keras.optimizers.Adam(options.rate, clipnorm=1.0, use_ema=True, ema_momentum=options.momentum)
        trainer.compile(optimizer, coarse_log_mse_loss)
        optimizer.build(trainer.trainable_variables)
        rows = []
    optimizer.ema_momentum = options.momentum
    epoch = int(optimizer.iterations.numpy()) // UPDATES
    rows = rows[: epoch + 1]
    shadow = make()
    shown, kinds, pools = network25.build_trainer(shadow), draw_val(), stream25.load_pools("train")

    def average():
        averages = optimizer._model_variables_moving_average
        for variable, mean in zip(shadow.trainable_variables, averages):
            variable.assign(mean)

    @tf.function(reduce_retracing=True)
    def update(packed, look, truth):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(coarse_log_mse_loss(truth, trainer([packed, look], training=True)))
        optimizer.apply(tape.gradient(loss, trainer.trainable_variables), trainer.trainable_variables)
        return loss

    if not rows:
        shadow.set_weights(network25.take_network(trainer).get_weights())
        rows.append({"epoch": 0, "loss": np.nan, "rate": 0} | score_val(shown, kinds) | {"seconds": 0})
        print(rows[-1], flush=True)
    while epoch < options.until and not (options.end and time.time() > finish):
        begun, losses = time.time(), []
        numbers = range(epoch * UPDATES * BATCH, (epoch + 1) * UPDATES * BATCH)
        for place, ((packed, look), truth) in enumerate(stream25.make_stream((25, options.seed), numbers, pools, BATCH)):
            done = epoch + place / UPDATES
            rate = options.rate * min(1, (int(optimizer.iterations) + 1) / 200)
            if options.end:  # by the clock, from now on
                rate *= 0.5 * (1 + np.cos(np.pi * np.clip((time.time() - started) / (finish - started), 0, 1)))
            if options.tail and done >= options.tail[0]:
                share = min(1, (done - options.tail[0]) / (options.tail[1] - options.tail[0]))
                rate *= 0.5 * (1 + np.cos(np.pi * share))
            optimizer.learning_rate.assign(rate)
            losses.append(float(update(packed, look, truth)))
            if not np.isfinite(losses[-1]):
                raise FloatingPointError(f"the loss became {losses[-1]} in epoch {epoch + 1}")
        epoch += 1
        average()
        rows.append({"epoch": epoch, "loss": np.mean(losses), "rate": rate} | score_val(shown, kinds) | {"seconds": time.time() - begun})
        with write(folder / "ema.keras") as path:
            shadow.save(path)
        with write(table) as path:
            pd.DataFrame(rows).round(4).to_csv(path, index=False)
        with write(last) as path:
            trainer.save(path)
        print({key: round(float(value), 3) for key, value in rows[-1].items()}, flush=True)


main()
