"""A cluster of real processes on this machine: what it does is what one process does, whatever is killed meanwhile."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd
import pytest
from distributed import LocalCluster

from sidlib import catalog, paths, preprocess, raw, workers
from sidlib.beyond import study
from sidlib.training import Experiment, load_run


@pytest.fixture(scope="module")
def cluster():
    """Two workers of two threads each."""
    with LocalCluster(n_workers=2, threads_per_worker=2, resources=workers.ALONE, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def over(monkeypatch):
    """A function that makes a scheduler the one in use."""
    return lambda scheduler: monkeypatch.setenv("SID_SCHEDULER", str(scheduler))


@pytest.fixture
def over_cluster(cluster, over):
    over(cluster.scheduler_address)


def share(function, items, **options):
    return workers.share(function, items, "Testing", "item", **options)


def wait_for(condition, timeout_s=60):
    """Return what the condition gives as soon as it is true."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


@contextmanager
def meanwhile(action):
    """Do something while the block runs, and fail if it fails."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(action)
        yield
        done.result()


def test_without_a_scheduler_all_is_done_here_in_order():
    assert list(share(abs, [-3, 1, -2])) == [(-3, 3), (1, 1), (-2, 2)]
    assert list(share(abs, [])) == []
    assert dict(share(lambda _: os.getpid(), "ab", alone=True)) == dict.fromkeys("ab", os.getpid())


def test_dask_is_imported_only_where_a_scheduler_is_named():
    script = "import sys; from sidlib import preprocess; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=paths.ROOT).returncode == 0


def test_a_cluster_says_how_far_it_is(over_cluster, capsys):
    assert dict(share(abs, range(-3, 1))) == {-3: 3, -2: 2, -1: 1, 0: 0}
    assert "Testing: 100%" in capsys.readouterr().out


@pytest.mark.parametrize("error", [FloatingPointError("NaN"), raw.RawError("cut off"), PermissionError(13, "no", "x")])
@pytest.mark.parametrize("alone", [False, True])
def test_an_exception_keeps_its_type(over_cluster, error, alone):
    def fail(item):
        raise error

    with pytest.raises(type(error)) as caught:
        list(share(fail, [1, 2], alone=alone))
    assert str(caught.value) == str(error)


def test_a_cluster_develops_the_same_bytes_and_does_nothing_twice(over_cluster, tiny_pairs, tmp_path, monkeypatch):
    folder = shutil.copytree(tiny_pairs.short[0].parent.parent, tmp_path / "copy")
    shutil.rmtree(folder / "png"), shutil.rmtree(folder / "signal")
    broken = folder / "short" / tiny_pairs.short.iloc[-1].name
    broken.write_bytes(broken.read_bytes()[:4000])
    developed = preprocess.develop_pairs(catalog.load_pairs(folder))
    assert [problem["file"] for problem in developed.attrs["problems"]] == [str(broken)]
    assert len(developed) == len(tiny_pairs) - 1
    for column in ("short_png", "long_png", "short_signal", "long_signal"):
        for made, expected in zip(developed[column], tiny_pairs[column][:-1], strict=True):
            assert made.read_bytes() == expected.read_bytes()
    broken.write_bytes(tiny_pairs.short.iloc[-1].read_bytes())
    monkeypatch.setattr(workers, "share", lambda _, items, *__: [(item, items.remove(item)) for item in [broken]])
    assert len(preprocess.develop_pairs(catalog.load_pairs(folder))) == len(tiny_pairs)  # only that one was missing


def test_the_work_of_a_killed_worker_is_done_by_another(over_cluster, tmp_path):
    mark = tmp_path / "pid"

    def work(item):
        if item == 5 and not mark.exists():
            mark.write_text(str(os.getpid()))
            time.sleep(60)
        return os.getpid()

    def kill():
        os.kill(int(wait_for(lambda: mark.exists() and mark.read_text())), signal.SIGKILL)

    with meanwhile(kill):
        pids = dict(share(work, range(10)))
    assert pids.keys() == {*range(10)} and pids[5] != int(mark.read_text())


def test_a_worker_trains_one_at_a_time_with_all_its_threads(cluster, over_cluster):
    cluster.wait_for_workers(2)  # one was killed before

    def work(item):
        start = time.time()
        time.sleep(0.2)
        return os.getpid(), start, time.time(), [os.environ[pool] for pool in workers.THREADS]

    table = pd.DataFrame(dict(share(work, range(6), alone=True)), ["pid", "start", "end", "threads"]).T
    assert table.pid.nunique() == 2 and table.threads.tolist() == [["2", "2"]] * 6
    for _, of_worker in table.sort_values("start").groupby("pid"):
        assert (of_worker.start[1:].to_numpy() >= of_worker.end[:-1].to_numpy()).all()


def test_a_study_over_a_cluster_has_the_rows_of_one_machine_though_workers_are_killed(
    cluster, over_cluster, tiny_pairs, tmp_path, monkeypatch
):
    first = Experiment("cnn", "relu", "mae", augment=True, epochs=20, batch_size=6, patience=20)
    experiments = [first, replace(first, epochs=1, seed=1)]
    monkeypatch.setattr(study, "find_baselines", lambda _: ["input as it is", "amplified"])  # the others take longer

    def kill():
        wait_for(lambda: list((tmp_path / "shared" / first.name).glob("last-[1-9]*.keras")))
        for nanny in cluster.workers.values():
            os.kill(nanny.process.pid, signal.SIGKILL)

    with meanwhile(kill):
        shared = study.run_study(tiny_pairs, tmp_path / "shared", experiments)
    monkeypatch.delenv("SID_SCHEDULER")
    alone = study.run_study(tiny_pairs, tmp_path / "alone", experiments)
    order = ["experiment", "seed"]
    for one, other in zip(study.load_study(tmp_path / "shared"), study.load_study(tmp_path / "alone"), strict=True):
        by = order + [column for column in ("scene", "frame") if column in one]
        pd.testing.assert_frame_equal(*(table.sort_values(by, ignore_index=True) for table in (one, other)))
    assert len(shared) == len(alone) == 4
    histories = [load_run(first, tmp_path / folder)[1] for folder in ("shared", "alone")]
    pd.testing.assert_frame_equal(*(history.drop(columns="seconds") for history in histories))


def test_workers_may_come_late(over):
    def work(item):
        time.sleep(0.4)
        return os.getpid()

    with LocalCluster(n_workers=0, threads_per_worker=1, resources=workers.ALONE, dashboard_address=":0") as cluster:
        over(cluster.scheduler_address)
        known = []

        def scale():
            cluster.scale(1)
            wait_for(lambda: known)
            cluster.scale(2)

        with meanwhile(scale):
            for _, pid in share(work, range(20), alone=True):
                known.append(pid)
    assert len(known) == 20 and len(set(known)) == 2


def test_a_lost_scheduler_is_said_and_a_new_one_goes_on(over, tmp_path):
    file = tmp_path / "scheduler.json"

    def work(item):
        (tmp_path / f"{item}.begun").touch()
        time.sleep(0.3)
        return item

    @contextmanager
    def start():
        file.unlink(missing_ok=True)
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        dask = [sys.executable, "-m", "dask"]
        scheduler = subprocess.Popen(
            [*dask, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file], **options
        )
        wait_for(file.exists)
        worker = subprocess.Popen([*dask, "worker", "--no-dashboard", "--scheduler-file", file], **options)
        try:
            yield scheduler
        finally:
            for process in (worker, scheduler):
                process.terminate()
                process.wait()

    over(file)

    def kill():
        wait_for((tmp_path / "3.begun").exists)
        scheduler.kill()

    with start() as scheduler, meanwhile(kill), pytest.raises(ConnectionError, match="Call again"):
        list(share(work, range(100)))
    with start():
        assert sorted(share(work, range(4))) == [(item, item) for item in range(4)]


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:9", "no://where", "no/file.json"])
def test_a_scheduler_that_does_not_answer_is_named(over, scheduler, monkeypatch):
    monkeypatch.setattr(workers, "TIMEOUT_S", 0.5)
    over(scheduler)
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=f"SID_SCHEDULER={scheduler}: start one"):
        list(share(abs, [1]))
    assert time.monotonic() - start < 5


def test_workers_that_do_no_trainings_are_refused_for_them(over):
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster:
        over(cluster.scheduler_address)
        with pytest.raises(RuntimeError, match="--resources training=1"):
            list(share(abs, [1], alone=True))


def test_dask_that_is_missing_is_asked_for(over, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    over("tcp://127.0.0.1:9")
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e \.\[cluster\]"):
        list(share(abs, [1]))
