"""A cluster of real processes on this machine gives what one process gives."""

import json
import os
import shutil
import subprocess
import sys
import time

import joblib
import pandas as pd
import pytest
from distributed import LocalCluster

from sidlib import backend, catalog, paths, preprocess, raw, workers
from sidlib.backend import tf

SCHEDULER = """
from distributed import LocalCluster
print(LocalCluster(n_workers=1, processes=False, protocol="tcp", dashboard_address=":0").scheduler_address, flush=True)
input()
"""


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of two workers of two threads each."""
    options = {"threads_per_worker": 2, "resources": workers.ALONE, "dashboard_address": ":0"}
    with pytest.MonkeyPatch.context() as patch:
        for pool in workers.THREADS:
            patch.delenv(pool, raising=False)
        with LocalCluster(n_workers=2, **options) as cluster:
            yield cluster.scheduler_address


def share(function, items, **options):
    return workers.share(function, items, "Testing", "item", **options)


def test_without_a_scheduler_all_is_done_here_in_order():
    with joblib.parallel_config("loky"):
        assert list(share(abs, [-3, 1, -2])) == [(-3, 3), (1, 1), (-2, 2)]
        assert list(share(abs, [])) == []


def test_trainings_here_run_in_other_processes_of_one_thread_or_take_turns_in_this_one_with_a_gpu(capsys, monkeypatch):
    before = {pool: os.environ.get(pool) for pool in workers.THREADS}
    with joblib.parallel_config("loky"):
        found = dict(share(lambda _: (os.getpid(), os.environ[workers.THREADS[0]]), "ab", alone=True))
    assert all(pid != os.getpid() and threads == "1" for pid, threads in found.values())
    assert {pool: os.environ.get(pool) for pool in workers.THREADS} == before
    assert "Testing" not in capsys.readouterr().out  # each training shows its own progress
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["GPU:0"])
    assert dict(share(lambda _: os.getpid(), "ab", alone=True)) == dict.fromkeys("ab", os.getpid())


def test_dask_and_tensorflow_are_imported_only_where_they_are_needed():
    script = "import sys; from sidlib import preprocess; sys.exit(bool({'distributed', 'keras'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", script], cwd=paths.ROOT).returncode == 0


def test_a_cluster_develops_the_same_bytes(cluster, tiny_pairs, tmp_path, caplog, capsys, monkeypatch):
    monkeypatch.setenv("SID_SCHEDULER", cluster)
    folder = shutil.copytree(tiny_pairs.short[0].parent.parent, tmp_path / "copy")
    shutil.rmtree(folder / "png"), shutil.rmtree(folder / "signal")
    broken = folder / "short" / tiny_pairs.short.iloc[-1].name
    broken.write_bytes(broken.read_bytes()[:4000])
    developed = preprocess.develop_pairs(catalog.load_pairs(folder))
    assert str(broken) in caplog.text and len(developed) == len(tiny_pairs) - 1
    assert "Developing: 100%" in capsys.readouterr().out
    for column in ("short_png", "long_png", "short_signal", "long_signal"):
        for made, expected in zip(developed[column], tiny_pairs[column][:-1], strict=True):
            assert made.read_bytes() == expected.read_bytes()


def test_a_worker_trains_one_at_a_time_with_all_its_threads_and_its_error_keeps_its_type(cluster, monkeypatch):
    def work(item):
        start = time.time()
        time.sleep(0.2)
        if item == "cut":
            raise raw.RawError("cut off")
        return os.getpid(), start, time.time(), [os.environ[pool] for pool in workers.THREADS]

    monkeypatch.setenv("SID_SCHEDULER", cluster)
    table = pd.DataFrame(dict(share(work, range(6), alone=True)), ["pid", "start", "end", "threads"]).T
    assert table.pid.nunique() == 2 and table.threads.tolist() == [["2", "2"]] * 6
    for _, of_worker in table.sort_values("start").groupby("pid"):
        assert (of_worker.start[1:].to_numpy() >= of_worker.end[:-1].to_numpy()).all()
    with pytest.raises(raw.RawError, match="^cut off$"):
        list(share(work, ["cut"], alone=True))


def test_a_lost_scheduler_and_workers_that_do_no_trainings_are_said(monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", SCHEDULER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    monkeypatch.setenv("SID_SCHEDULER", process.stdout.readline().decode().strip())
    with pytest.raises(RuntimeError, match="--resources training=1"):
        list(share(abs, [1], alone=True))
    with pytest.raises(ConnectionError, match="Call again"):
        for _ in share(time.sleep, [0.2] * 50):
            process.kill()
    process.wait()


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:9", "no/file.json"])
def test_a_scheduler_that_does_not_answer_or_dask_that_is_missing_is_named(scheduler, monkeypatch):
    monkeypatch.setattr(workers, "TIMEOUT_S", 0.5)
    monkeypatch.setenv("SID_SCHEDULER", scheduler)
    with pytest.raises(ConnectionError, match=f"SID_SCHEDULER={scheduler}: start one"):
        list(share(abs, [1]))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e \.\[cluster\]"):
        list(share(abs, [1]))


BUILD = """
import os, sys
import sidlib.full_size.__main__
loaded = {*sys.modules}
from sidlib.models import build_model
os.fstat(2)  # there is a standard error
print("mine", file=sys.stderr)
print("loaded:", *loaded & {"sidlib.human_check", "sidlib.plots", "sidlib.beyond", "ipywidgets", "skimage"})
print(build_model("unet", "relu").output.shape)
"""


@pytest.mark.parametrize(("streams", "said"), [("", "mine\n"), ("2>&-", "")], ids=["usual", "no standard error"])
def test_models_are_built_whatever_the_users_keras_says_and_only_python_writes_to_stderr(streams, said, tmp_path):
    """And to restore at full size loads neither the panel nor figures nor metrics; Keras itself loads Matplotlib."""
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps({"image_data_format": "channels_first"}))
    command = ["sh", "-c", f'exec "$0" -c "$1" {streams}', sys.executable, BUILD]
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT), "HOME": str(tmp_path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.stdout.endswith("loaded:\n(None, None, None, 3)\n") and run.stderr == said


@pytest.mark.parametrize(("device", "hidden", "warned"), [(True, "0", True), (True, "-1", False), (False, "0", False)])
def test_a_gpu_that_tensorflow_does_not_find_is_said_once(device, hidden, warned, tmp_path, monkeypatch, caplog):
    if device:
        (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(backend.tf.config, "list_physical_devices", lambda _: [])
    backend._check_gpu(tmp_path)
    assert caplog.text.count("pip install 'tensorflow[and-cuda]") == warned
    caplog.clear()
    monkeypatch.setattr(backend.tf.config, "list_physical_devices", lambda _: ["GPU:0"])
    backend._check_gpu(tmp_path)
    assert not caplog.text
