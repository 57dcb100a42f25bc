"""The Makefile in a checkout of its own, whose path has a space, among what other environments leave about."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import nbformat
import pytest

from sidlib import paths

CELL = "import os, sys, sidlib; print(['told', os.environ['SID_DATASET'], sys.prefix, sidlib.__file__, os.getcwd()])"


@pytest.fixture
def checkout(tmp_path):
    """Makefile, package and one tiny notebook; this environment as its .venv, which nothing may set up again."""
    root = tmp_path / "a check out"
    for folder in ("data/ann's data/short", "data/ann's data/long", "elsewhere/night/short", "elsewhere/night/long"):
        (root / folder).mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(paths.ROOT / name, root)
    shutil.copytree(paths.ROOT / "sidlib", root / "sidlib", ignore=shutil.ignore_patterns("__pycache__"))
    (root / ".venv").symlink_to(sys.prefix)
    (root / "notebooks").mkdir()
    cells = [nbformat.v4.new_markdown_cell("[next](02_next.ipynb)"), nbformat.v4.new_code_cell(CELL)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks" / "01_tiny.ipynb")
    return root


def make(checkout, *arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "SID_"))}
    command = ["make", "-o", ".venv/ready", *arguments]
    return subprocess.run(command, cwd=checkout, env=clean | environment, capture_output=True, text=True)


@pytest.fixture
def hostile(tmp_path):
    """What another environment leaves: commands, a kernel and modules of the same names, none of which works."""
    for name in ("jupyter", "jupyter-nbconvert", "jupyter-lab", "python3", "python"):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text("#!/bin/sh\nexit 7\n")
        command.chmod(0o755)
    for kernel in (tmp_path / "share" / "kernels" / "python3", tmp_path / ".local/share/jupyter/kernels/python3"):
        kernel.mkdir(parents=True)
        spec = {
            "argv": [str(tmp_path / "bin" / "python"), "{connection_file}"],
            "display_name": "x",
            "language": "python",
        }
        (kernel / "kernel.json").write_text(json.dumps(spec))
    for module in ("sidlib", "numpy", "nbformat"):
        (tmp_path / "modules").mkdir(exist_ok=True)
        (tmp_path / "modules" / f"{module}.py").write_text("raise SystemExit('of another environment')")
    return {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "JUPYTER_PATH": str(tmp_path / "share"),
        "PYTHONPATH": str(tmp_path / "modules"),
        "PYTHONHOME": str(tmp_path),
        "CONDA_PREFIX": str(tmp_path),
        "MPLBACKEND": "of another environment",
    }


@pytest.mark.parametrize(
    ("given", "told", "name"),
    [("ann's data", "ann's data", "ann's data"), ("elsewhere/night/", "{}/elsewhere/night", "night")],
)
def test_run_reports_on_any_data_set_with_what_is_of_this_checkout(checkout, hostile, given, told, name):
    (checkout / "results" / "other" / "report").mkdir(parents=True)
    (checkout / "results" / "other" / "report" / "01_tiny.ipynb").write_text("kept")
    before = (checkout / "notebooks" / "01_tiny.ipynb").read_bytes()
    run = make(checkout, "run", SID_DATASET=given, **hostile)
    assert run.returncode == 0, run.stderr
    assert f"results/{name}/report/05_evaluation.html" in run.stderr
    page = (checkout / "results" / name / "report" / "01_tiny.html").read_text("utf-8")
    package = checkout / "sidlib" / "__init__.py"
    expected = ["told", told.format(checkout), str(checkout / ".venv"), str(package), str(checkout / "notebooks")]
    assert str(expected) in page.replace("&#39;", "'").replace("&#34;", '"').replace("&quot;", '"')
    assert 'href="02_next.html"' in page
    written = {str(path.relative_to(checkout / "results")) for path in (checkout / "results").rglob("*.*")}
    assert written == {f"{name}/report/01_tiny.html", "other/report/01_tiny.ipynb"}
    assert (checkout / "notebooks" / "01_tiny.ipynb").read_bytes() == before


def test_a_data_set_that_is_not_there_is_refused_at_once(checkout):
    run = make(checkout, "run", "SID_DATASET=an 'other one")
    assert run.returncode != 0
    assert "No data set" in run.stderr and "an 'other one" in run.stderr
    assert "Running" not in run.stderr and not (checkout / "results").exists()


def test_a_notebook_that_fails_stops_the_run_and_shows_the_cell(checkout):
    notebook = checkout / "notebooks" / "01_tiny.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), notebook)
    run = make(checkout, "run", SID_DATASET="ann's data")
    assert run.returncode != 0
    assert "ZeroDivisionError" in run.stderr and "Done" not in run.stderr


TARGETS = "run test lab panel study full-size restore export bench lint reference"


@pytest.mark.parametrize("target", TARGETS.split())
def test_nothing_is_started_that_another_environment_could_have(checkout, target):
    commands = make(checkout, "-n", target).stdout
    assert not re.search(r"\bjupyter\b", commands)
    started = re.findall(r"(\S+) -[mc] (?!venv|browser)", commands)
    assert set(started) <= {".venv/bin/python", "python3"}
    assert ".venv/bin/python" in started


def set_up(checkout, python):
    """Run `make .venv/ready` with a stand-in for python3; never with the .venv that is this environment."""
    assert not (checkout / ".venv").is_symlink()
    (checkout / "stand-in").write_text(python)
    (checkout / "stand-in").chmod(0o755)
    command = ["make", ".venv/ready", "PYTHON=./stand-in"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True)


def test_a_python_that_is_too_old_or_lacks_venv_is_named_at_once(checkout):
    (checkout / ".venv").unlink()
    run = set_up(checkout, "#!/bin/sh\nexit 1\n")
    assert run.returncode != 0
    assert "Python 3.11 or newer with venv is needed, and ./stand-in is none" in run.stderr
    assert not (checkout / ".venv").exists()


VENV = """#!/bin/sh
echo "$@" >> asked
case "$*" in *venv\\ --clear*) mkdir -p .venv/bin && rm -f .venv/bin/python && cp stand-in .venv/bin/python;; esac
"""


def test_an_environment_whose_python_was_taken_away_is_set_up_again(checkout):
    (checkout / ".venv").unlink()
    assert set_up(checkout, VENV).returncode == 0
    (checkout / ".venv" / "bin" / "python").unlink()
    (checkout / ".venv" / "bin" / "python").symlink_to("taken-away")
    for _ in range(2):  # the second finds nothing to do
        run = set_up(checkout, VENV)
        assert run.returncode == 0, run.stderr
    asked = (checkout / "asked").read_text()
    assert asked.count("-m venv --clear .venv") == 2
    assert asked.count("-m pip install") == 2


def test_the_package_list_holds_every_folder_and_every_file_beside_its_modules():
    setup = tomllib.loads((paths.ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    files = [path.relative_to(paths.ROOT) for path in (paths.ROOT / "sidlib").rglob("*.*") if path.suffix != ".pyc"]
    assert {".".join(file.parent.parts) for file in files if file.suffix == ".py"} == set(setup["packages"])
    for file in files:
        if file.suffix != ".py":
            package = file.parents[-3] if len(file.parents) > 2 else file.parent
            beside = setup["package-data"][".".join(package.parts)]
            found = {
                path for one in beside for path in glob.glob(f"{package}/{one}", root_dir=paths.ROOT, recursive=True)
            }
            assert str(file) in found, file
