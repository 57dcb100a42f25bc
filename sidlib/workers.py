"""Who does the work: this machine's cores, or the workers of the Dask cluster that SID_SCHEDULER names.

SID_SCHEDULER is the address of a Dask scheduler (tcp://host:8786) or the path of its scheduler file. Its workers have
this project, its packages and its data under the same paths as whoever asks them: see data/README.md.
"""

import logging
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import joblib
from tqdm import tqdm

_log = logging.getLogger(__name__)

TIMEOUT_S = 10  # in which a scheduler answers
ALONE = {"training": 1}  # what a worker offers once, and each training takes
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def share(function, items, title, unit, alone=False):
    """Yield (item, function(item)) of each item: here in their order, from a cluster as soon as one is known.

    There is one progress bar. An exception of the function comes with its type and ends the work: what has not begun
    by then is not done.

    Args:
        function: one that other processes can import, or a functools.partial of it.
        items: what it is called with, and can be hashed.
        title, unit: of the progress bar.
        alone: the function trains or runs a network. Here that is one item after the other in this process, with all
            cores and a bar of its own; a worker of a cluster does one at a time, with as many threads as it has.
    Raises:
        ConnectionError: the scheduler does not answer, or was lost; what is done is kept, so call again to go on.
        ModuleNotFoundError: SID_SCHEDULER is set, and Dask is not installed.
        RuntimeError: no worker of the cluster does trainings.
    """
    items, cluster = list(items), os.environ.get("SID_SCHEDULER")
    if not items:
        return
    outcomes = _share_out(cluster, function, items, alone) if cluster else _share_here(function, items, alone)
    with tqdm(total=len(items), desc=title, unit=unit, file=sys.stdout, disable=alone and not cluster) as progress:
        for outcome in outcomes:
            progress.update()
            yield outcome


def _share_here(function, items, alone):
    results = joblib.Parallel(1 if alone else -1, return_as="generator")(joblib.delayed(function)(i) for i in items)
    yield from zip(items, results, strict=True)


def _share_out(cluster, function, items, alone):
    """As _share_here, over a cluster: Dask's own map, since joblib's Dask backend runs all here if one worker is there.

    A task whose worker is gone is done by another. Those that wait when a worker joins are done by it, too.
    """
    with _connect(cluster) as client:
        from distributed import CancelledError, as_completed
        from distributed.comm import CommClosedError

        _await_workers(client, alone)
        work = partial(_work_alone, function) if alone else function
        tasks = dict(zip(client.map(work, items, pure=False, resources=ALONE if alone else None), items, strict=True))
        try:
            for task in as_completed(tasks, loop=client.loop):
                yield tasks[task], task.result()
        except (CancelledError, CommClosedError) as error:  # between two results, or while one was fetched
            raise ConnectionError(f"The scheduler {cluster} was lost. Call again to go on where it stood") from error


@contextmanager
def _connect(cluster):
    """A client of the scheduler at an address or of a scheduler file."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"SID_SCHEDULER is {cluster}, which needs Dask: pip install -e .[cluster]") from error
    by_address = "://" in cluster
    try:
        if not by_address and not Path(cluster).is_file():
            raise FileNotFoundError("there is no such scheduler file")
        where = {"address": cluster} if by_address else {"scheduler_file": cluster}
        client = Client(**where, timeout=TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        advice = "start one with `dask scheduler`, or unset SID_SCHEDULER to work on this machine alone"
        raise ConnectionError(f"No Dask scheduler answers at SID_SCHEDULER={cluster}: {advice} ({error})") from error
    with client:
        yield client


def _await_workers(client, alone):
    """Wait for the first worker, however long it queues; refuse to wait for trainings that none of them does."""
    address = client.scheduler.address
    if not client.scheduler_info()["workers"]:
        _log.warning("%s has no workers yet: waiting for the first", address)
        client.wait_for_workers(1)
    offered = [worker["resources"] for worker in client.scheduler_info()["workers"].values()]
    if alone and not any(ALONE.keys() <= resources.keys() for resources in offered):
        raise RuntimeError(f"No worker does trainings: start them with `dask worker {address} --resources training=1`")


def _work_alone(function, item):
    """Call the function on a worker, with as many of TensorFlow's threads as the worker has."""
    from distributed import get_worker

    for pool in THREADS:  # TensorFlow reads them when it first computes
        os.environ.setdefault(pool, str(get_worker().state.nthreads))
    with joblib.parallel_config("sequential"):  # the other workers have trainings of their own
        return function(item)
