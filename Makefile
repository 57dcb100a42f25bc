# `make run` and `make test` set up everything that they need first, and so does every other target.
PYTHON ?= python3
PY := .venv/bin/python
export SID_DATASET ?= sample

# What runs is this checkout's code in this environment, whatever else is installed or active
export PYTHONPATH := $(CURDIR)
export JUPYTER_PREFER_ENV_PATH := 1
unexport PYTHONHOME JUPYTER_PATH MPLBACKEND

NOTEBOOKS := $(sort $(wildcard notebooks/0*.ipynb))
NBCONVERT := $(PY) -m nbconvert --log-level ERROR
EXECUTE := $(NBCONVERT) --execute --KernelManager.transport_encryption=auto --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False --to notebook
COALESCE := $(NBCONVERT) --inplace --coalesce-streams
PYTEST := $(PY) -m pytest
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
# Bytes of an uploaded RAW file, at most; both servers' own limit is 10 MB
UPLOADS := tornado_settings="{'websocket_max_message_size': 1073741824}"
RESULTS := $(or $(SID_RESULTS),results)
KEPT := ! -name 'votes.*' ! -name own

.NOTPARALLEL:  # two targets would train and write the same
.PHONY: run test test-quick lab panel study full-size restore export bench lint reference clean

run: .venv/ready  ## from RAW files to the comparison of trained models, with a report of every figure
	@$(PY) -m sidlib.report

test: .venv/ready-test  ## the helpers, the notebooks in fast mode, and the panel where a Chromium is found
	$(PYTEST) $(SIDE_BY_SIDE)

test-quick: .venv/ready-test  ## the helpers alone, in two minutes
	$(PYTEST) $(SIDE_BY_SIDE) -m "not notebooks and not browser"

lab: .venv/ready  ## JupyterLab
	$(PY) -m jupyterlab notebooks --ServerApp.$(UPLOADS)

panel: .venv/ready-panel  ## the human-check panel alone, as a web page for this machine's browser
	JUPYTER_PATH=sidlib/human_check $(PY) -m voila notebooks/panel.ipynb --template=offline --Voila.ip=127.0.0.1 --Voila.$(UPLOADS)

study: .venv/ready  ## all trainings that notebook 06 compares: hours; interrupt it and go on whenever you like
	$(PY) -m sidlib.beyond.study

full-size: .venv/ready  ## train the network that restores RAW files at full size, its rival, and score all: interrupt it like the study
	$(PY) -m sidlib.full_size.experiment

restore: .venv/ready  ## dark RAW files to pictures at full size: make restore RAW="my photo.arw or a folder" (or BURST="a folder", merged) [STOPS=5] [STRENGTH=0.8] [OUT="a folder"]
	@$(PY) -m sidlib.full_size $(if $(STOPS),--stops "$$STOPS") $(if $(STRENGTH),--strength "$$STRENGTH") \
		$(if $(OUT),--out "$$OUT") $(if $(BURST),--burst) -- "$${BURST:-$$RAW}"

export: .venv/ready-export  ## the best model and the network for full size as ONNX, checked against Keras
	@$(PY) -c "import os; from sidlib import export, paths; \
		print(*export.export_networks(paths.results_folder(paths.dataset_folder(os.environ['SID_DATASET']))), sep='\n')"

bench: .venv/ready-test  ## speed and memory, as ratios
	$(PYTEST) tests/benchmarks -o python_files='bench_*.py' -o python_functions='bench_*' -s -q

lint: .venv/ready-test
	$(PY) -m ruff check
	$(PY) -m ruff format --check

reference: export SID_DATASET = sample
reference: export SID_RESULTS =
reference: .venv/ready-test  ## run the sample and its study anew, and keep outputs, tables and figures in git: hours
	$(MAKE) bench
	mkdir -p results/sample results/sharp
	find results/sample results/sharp -mindepth 1 -maxdepth 1 $(KEPT) -exec rm -rf {} +
	rm -rf data/sample data/sharp results/reference
	mkdir -p results/reference
	cp -r results/benchmarks results/reference/
	$(EXECUTE) --inplace $(filter notebooks/01% notebooks/02% notebooks/03% notebooks/04%,$(NOTEBOOKS))
	$(MAKE) study full-size
	cd results/sample && cp study.csv study_scores.csv leave_one_out.csv *.keras ../reference/
	cp results/sharp/full_size.csv results/reference/
	$(EXECUTE) --inplace $(filter notebooks/05% notebooks/06% notebooks/07%,$(NOTEBOOKS)) notebooks/panel.ipynb
	$(COALESCE) $(NOTEBOOKS) notebooks/panel.ipynb
	cd results/sample && cp -r summary.csv figures ../reference/
	cp results/sharp/figures/*.png results/reference/figures/
	SID_SCREENSHOT=results/reference/figures/panel.png $(PYTEST) -m browser
	$(PY) -m tests.reference

USABLE := import sys, pip; sys.exit(sys.version_info < (3, 11))
CAPABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check
.venv/ready: requirements.txt pyproject.toml $(PY)
	@$(PY) -c '$(USABLE)' 2>/dev/null || $(PYTHON) -c '$(CAPABLE)' 2>/dev/null || { \
		echo "Python 3.11 or newer with venv is needed, and $(PYTHON) is none:" \
			"install one (Debian: python3-venv) or name it, as in make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PY) -c '$(USABLE)' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(INSTALL) -r requirements.txt
	@touch $@

.venv/ready-%: .venv/ready  # an extra of pyproject.toml
	$(INSTALL) -r requirements.txt -e '.[$*]'
	@touch $@

$(PY):  # without it, or when its Python was taken away, everything is set up again

clean:  ## everything that is computed; data sets, the environment, votes and saved pictures stay
	mkdir -p "$(RESULTS)/fast"
	find "$(RESULTS)" -mindepth 2 -maxdepth 2 ! -path "$(RESULTS)/reference/*" ! -path "$(RESULTS)/fast/*" $(KEPT) -exec rm -rf {} +
	find "$(RESULTS)/fast" -mindepth 2 -maxdepth 2 $(KEPT) -exec rm -rf {} +
	rm -rf data/*/png data/*/signal data/*/full data/*/exposures.csv
