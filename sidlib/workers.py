"""Share work among this machine's cores, or among the workers of the Dask cluster that SID_SCHEDULER names.

SID_SCHEDULER is the address of a Dask scheduler (tcp://host:8786) or the path of its scheduler file. Its workers need
this project, its packages and its data under the same paths as this process: see data/README.md.
"""

import json
import logging
import os
import sys
from functools import partial
from pathlib import Path

import joblib
from tqdm import tqdm

TIMEOUT_S = 10  # in which a scheduler answers
ALONE = {"training": 1}  # the resource of a Dask worker that a training takes
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_log = logging.getLogger(__name__)


def share(function, items, title, unit, alone=False):
    """Yield (item, function(item)) for each hashable item: here in order, from a cluster as soon as one is done.

    The first exception is raised with its type; items that have not begun by then are cancelled.

    Args:
        title, unit: of the progress bar.
        alone: the function trains or runs a network. Here each item has one thread, in a process of its own and without
            a progress bar, or with a GPU its turn in this process; a worker of a cluster takes one at a time.
    Raises:
        ConnectionError: the scheduler does not answer, or was lost. ModuleNotFoundError: Dask is not installed.
        RuntimeError: no worker of the cluster does trainings.
    """
    items, cluster = list(items), os.environ.get("SID_SCHEDULER")
    if not items:
        return
    outcomes = _share_on_cluster(cluster, function, items, alone) if cluster else _share_here(function, items, alone)
    with tqdm(total=len(items), desc=title, unit=unit, file=sys.stdout, disable=alone and not cluster) as progress:
        for outcome in outcomes:
            progress.update()
            yield outcome


def _share_here(function, items, alone):
    jobs = -1
    if alone:
        from sidlib.backend import tf  # only networks need it

        if tf.config.list_physical_devices("GPU"):
            jobs = 1
        else:
            function = partial(_work_alone, function, 1)
    results = joblib.Parallel(jobs, return_as="generator")(joblib.delayed(function)(item) for item in items)
    yield from zip(items, results, strict=True)


def _share_on_cluster(cluster, function, items, alone):
    """As _share_here; joblib's own Dask backend would run everything here while there is one worker."""
    try:
        from distributed import CancelledError, Client, as_completed
        from distributed.comm import CommClosedError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"SID_SCHEDULER is {cluster}, which needs Dask: pip install -e .[cluster]") from error
    try:
        address = cluster if "://" in cluster else json.loads(Path(cluster).read_text())["address"]
        client = Client(address, timeout=TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError, KeyError) as error:
        advice = "start one with `dask scheduler`, or unset SID_SCHEDULER to work on this machine alone"
        raise ConnectionError(f"No Dask scheduler answers at SID_SCHEDULER={cluster}: {advice} ({error})") from error
    with client:
        _await_workers(client, alone)
        work = partial(_work_alone, function, None) if alone else function
        tasks = dict(zip(client.map(work, items, pure=False, resources=ALONE if alone else None), items, strict=True))
        try:
            for task in as_completed(tasks, loop=client.loop):
                yield tasks[task], task.result()
        except (CancelledError, CommClosedError) as error:  # between two results, or while one was fetched
            raise ConnectionError(f"The scheduler {cluster} was lost. Call again to resume") from error


def _await_workers(client, alone):
    """Wait for the first worker, however long it queues; raise a RuntimeError if no worker does trainings."""
    address = client.scheduler.address
    if not client.scheduler_info()["workers"]:
        _log.warning("%s has no workers yet: waiting for the first", address)
        client.wait_for_workers(1)
    found = client.scheduler_info()["workers"].values()
    if alone and not any("training" in worker["resources"] for worker in found):
        raise RuntimeError(f"No worker does trainings: start them with `dask worker {address} --resources training=1`")


def _work_alone(function, threads, item):
    """Call the function in a worker process with so many TensorFlow threads; None: as many as Dask's worker has."""
    if threads is None:
        from distributed import get_worker

        threads = get_worker().state.nthreads
    for pool in THREADS:  # TensorFlow reads them when it first computes
        os.environ.setdefault(pool, str(threads))
    with joblib.parallel_config("sequential"):  # the other cores have trainings of their own
        return function(item)
