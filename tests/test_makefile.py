"""The Makefile in a checkout of its own, whose path has a space, among what other environments leave about."""

import glob
import json
import os
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
    """Makefile, package and two tiny notebooks; this environment as its .venv, which nothing may set up again."""
    root = tmp_path / "a check out"
    for kind in ("short", "long"):
        (root / "elsewhere" / "ann's night" / kind).mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(paths.ROOT / name, root)
    shutil.copytree(paths.ROOT / "sidlib", root / "sidlib", ignore=shutil.ignore_patterns("__pycache__"))
    (root / ".venv").symlink_to(sys.prefix)
    (root / "notebooks").mkdir()
    first = [nbformat.v4.new_markdown_cell("[next](02_next.ipynb)"), nbformat.v4.new_code_cell(CELL)]
    for name, cells in {"01_tiny": first, "02_next": [nbformat.v4.new_code_cell("1 / 0")]}.items():
        nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks" / f"{name}.ipynb")
    return root


def make(checkout, *arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "SID_"))}
    return subprocess.run(["make", *arguments], cwd=checkout, env=clean | environment, capture_output=True, text=True)


def write(folder, *files, content="x"):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(content)


@pytest.fixture
def hostile(tmp_path):
    """What another environment leaves: a command, a kernel and modules of the same names, none of which works."""
    spec = {"argv": [f"{tmp_path}/bin/python", "{connection_file}"], "display_name": "x", "language": "python"}
    files = dict.fromkeys(["bin/python", "bin/python3"], "#!/bin/sh\nexit 7\n")
    kernels = [f"{share}/kernels/python3/kernel.json" for share in ("share", ".local/share/jupyter")]
    files |= dict.fromkeys(kernels, json.dumps(spec))
    files |= dict.fromkeys(["modules/sidlib.py", "modules/nbformat.py"], "raise SystemExit('of another')")
    for file, content in files.items():
        write(tmp_path, file, content=content)
        (tmp_path / file).chmod(0o755)
    return {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "JUPYTER_PATH": str(tmp_path / "share"),
        "PYTHONPATH": str(tmp_path / "modules"),
        "PYTHONHOME": str(tmp_path),
        "MPLBACKEND": "of another environment",
    }


def test_run_reports_on_any_data_set_with_what_is_of_this_checkout_until_a_cell_fails(checkout, hostile):
    before = (checkout / "notebooks" / "01_tiny.ipynb").read_bytes()
    run = make(checkout, "-o", ".venv/ready", "run", SID_DATASET="elsewhere/ann's night/", **hostile)
    assert run.returncode != 0 and "ZeroDivisionError" in run.stderr and "Done" not in run.stderr
    page = (checkout / "results/ann's night/report/01_tiny.html").read_text("utf-8")
    folders = "elsewhere/ann's night", ".venv", "sidlib/__init__.py", "notebooks"
    expected = ["told", *(str(checkout / folder) for folder in folders)]
    assert str(expected) in page.replace("&#39;", "'").replace("&#34;", '"').replace("&quot;", '"')
    assert 'href="02_next.html"' in page
    written = [str(path.relative_to(checkout / "results")) for path in (checkout / "results").rglob("*.*")]
    assert written == ["ann's night/report/01_tiny.html"]
    assert (checkout / "notebooks" / "01_tiny.ipynb").read_bytes() == before


PYTHON = """#!/bin/sh
echo "$PYTHONPATH: $@" >> asked
case "$*" in *venv\\ --clear*) mkdir -p .venv/bin && rm -f .venv/bin/python && cp stand-in .venv/bin/python;; esac
"""


@pytest.fixture
def recorded(checkout):
    """The checkout without an environment, and a stand-in for python3 that only notes what it is asked to do."""
    (checkout / ".venv").unlink()
    (checkout / "stand-in").write_text(PYTHON)
    (checkout / "stand-in").chmod(0o755)
    return checkout


def ask(checkout, *arguments, **environment):
    """Run make with the stand-in; return what it was asked to do."""
    run = make(checkout, "PYTHON=./stand-in", *arguments, **environment)
    assert run.returncode == 0, run.stderr
    asked = (checkout / "asked").read_text().splitlines()
    (checkout / "asked").unlink()
    return asked


EXTRAS = {"restore": None, "panel": "panel", "export": "export", "test": "test", "test-quick": "test", "lint": "test"}


@pytest.mark.parametrize("target", EXTRAS)
def test_a_target_sets_up_what_it_needs_once_and_again_when_its_python_was_taken_away(recorded, target):
    python = recorded / ".venv" / "bin" / "python"
    for _ in range(2):
        asked = ask(recorded, target)
        installed = [line.split("install ")[1].split("-r ")[1] for line in asked if "pip install" in line]
        assert installed == ["requirements.txt"] + [f"requirements.txt -e .[{EXTRAS[target]}]"] * bool(EXTRAS[target])
        assert [line for line in asked if "-m venv --clear .venv" in line]
        asked = ask(recorded, target)
        assert asked and not [line for line in asked if "install" in line or "venv --clear" in line]
        python.unlink()
        python.symlink_to("taken-away")


def test_a_python_that_is_too_old_or_lacks_venv_is_named_at_once(recorded):
    (recorded / "stand-in").write_text("#!/bin/sh\nexit 1\n")
    run = make(recorded, ".venv/ready", "PYTHON=./stand-in")
    assert run.returncode != 0
    assert "Python 3.11 or newer with venv is needed, and ./stand-in is none" in run.stderr
    assert not (recorded / ".venv").exists()


MADE = [f"results/{file}" for file in ("night/summary.csv", "fast/night/cnn/best.keras", "benchmarks/panel.csv")]
MADE += ["results/made/home/ann/night/png/a.png", "data/night/exposures.csv", "data/night/png/short/a.png"]
MADE += ["data/night/signal/short/a.safetensors", "data/night/full/a.png"]
OWN = [f"results/{of}/{file}" for of in ("night", "fast/night") for file in ("votes.jsonl", "own/a.png")]
OWN += ["data/night/short/a.dng", "data/night/plan.json", "data/README.md", "results/reference/best.keras"]


@pytest.mark.parametrize("results", ["results", "else where"])
def test_clean_removes_what_is_computed_and_nothing_of_a_persons_own(checkout, results):
    made, own = ([file.replace("results", results) for file in files] for files in (MADE, OWN))
    write(checkout, *made, *own)
    run = make(checkout, "clean", SID_RESULTS="" if results == "results" else results)
    assert run.returncode == 0, run.stderr
    assert [file for file in made if (checkout / file).exists()] == []
    assert [file for file in own if not (checkout / file).exists()] == []


def test_a_new_reference_is_made_of_nothing_that_was_kept(recorded):
    kept = ["results/sample/votes.jsonl", "results/benchmarks/a.csv"]
    old = ["data/sample/png/a.png", "data/sharp/short/a.dng", "results/sharp/full_size.csv", "results/sample/study.csv"]
    write(recorded, *old, *kept)
    run = make(recorded, "reference", "PYTHON=./stand-in")
    assert "study.csv" in run.stderr  # the stand-in made none
    assert [file for file in old if (recorded / file).exists()] == []
    assert all((recorded / file).exists() for file in [*kept, "results/reference/benchmarks/a.csv"])


def test_the_package_list_holds_every_folder_and_every_file_beside_its_modules():
    setup = tomllib.loads((paths.ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    modules = [file.relative_to(paths.ROOT) for file in (paths.ROOT / "sidlib").rglob("*.py")]
    assert {".".join(file.parent.parts) for file in modules} == set(setup["packages"])
    found = {str(file) for file in (paths.ROOT / "sidlib").rglob("*.*") if file.suffix not in (".py", ".pyc", ".md")}
    for package, patterns in setup["package-data"].items():
        for one in patterns:
            found -= {*glob.glob(f"{paths.ROOT}/{package.replace('.', '/')}/{one}", recursive=True)}
    assert found == set()
