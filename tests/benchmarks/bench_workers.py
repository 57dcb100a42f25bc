"""What a cluster costs: developing and training over Dask workers, beside joblib's processes, in turns in one run.

A worker has one thread, and so has a process of joblib's. `make bench` writes the table to
results/benchmarks/workers.csv.
"""

import time
from dataclasses import replace
from functools import partial

import joblib
import pandas as pd
import pytest
from distributed import LocalCluster
from joblib.externals.loky import get_reusable_executor

from sidlib import preprocess, training, workers
from sidlib.experiment import Experiment
from tests.benchmarks.conftest import keep_table

WORKERS = (1, 2, 4)
ROUNDS = 3
FILES = 24
TRAININGS = 4
EXPERIMENT = Experiment("cnn", "relu", "mae", augment=True, epochs=20, patience=20)
measured = []


@pytest.fixture(scope="module", params=WORKERS)
def pools(request):
    """Two functions like workers.share, of joblib's processes and of as many workers."""
    with pytest.MonkeyPatch.context() as patch:
        for pool in workers.THREADS:
            patch.setenv(pool, "1")
        options = {"n_workers": request.param, "threads_per_worker": 1, "dashboard_address": ":0"}
        with LocalCluster(**options, resources=workers.ALONE) as cluster:
            patch.setenv("SID_SCHEDULER", cluster.scheduler_address)
            # joblib's engine itself: joblib.Parallel(1) would work in this process, with all of its threads
            processes = get_reusable_executor(max_workers=request.param)
            yield {
                "joblib": lambda function, items: list(processes.map(function, items)),
                "cluster": lambda function, items: list(workers.share(function, items, "Sharing", "item", alone=True)),
            }
            processes.shutdown()


def measure(work, pools, request, function, rounds):
    """Note the best rate of each pool in items an hour; each round has its own items, the first is not counted."""
    rates = {name: [] for name in pools}
    for items in rounds:
        for name, share in pools.items():
            start = time.perf_counter()
            share(function, [(name, *item) for item in items])
            rates[name].append(len(items) / (time.perf_counter() - start))
    best = {name: 3600 * max(of[1:]) for name, of in rates.items()}
    count = request.node.callspec.params["pools"]
    row = {"work": work, "workers": count, **best, "overhead": best["joblib"] / best["cluster"] - 1}
    measured.append(row)


def develop(item):
    _, file = item
    return preprocess.develop_file(file)


def bench_developing(pools, request, full_size):
    copies = [full_size.with_name(f"{number}.dng") for number in range(FILES)]
    for copy in copies[1:]:
        copy.exists() or copy.hardlink_to(full_size)
    measure("pictures", pools, request, develop, [[(copy,) for copy in copies]] * (ROUNDS + 1))


def train(item, pairs, folder):
    place, seed = item
    training.train(replace(EXPERIMENT, seed=seed), pairs, folder / place)


def bench_training(pools, request, tiny_pairs, tmp_path):
    count = request.node.callspec.params["pools"]
    seeds = range(TRAININGS, TRAININGS + count), range(TRAININGS)  # in the first TensorFlow starts
    of_tiny = partial(train, pairs=tiny_pairs, folder=tmp_path)
    measure("trainings", pools, request, of_tiny, [[(seed,) for seed in each] for each in seeds])


def bench_overhead():
    table = pd.DataFrame(measured)
    keep_table(table.set_index("work"), "workers", {"joblib": 0, "cluster": 0, "overhead": 3})
    assert table.overhead[table.workers <= joblib.cpu_count()].median() <= 0.1
