# The two commands: `make run` and `make test`. Both set everything up first.
PYTHON ?= python3
PY := .venv/bin/python
export SID_DATASET ?= sample

# What runs is this checkout's code in this environment, whatever else is installed or active
export PYTHONPATH := $(CURDIR)
export JUPYTER_PREFER_ENV_PATH := 1
unexport PYTHONHOME JUPYTER_PATH MPLBACKEND

NOTEBOOKS := $(sort $(wildcard notebooks/0*.ipynb))
NBCONVERT := $(PY) -m nbconvert --log-level ERROR
EXECUTE := $(NBCONVERT) --execute --KernelManager.transport_encryption=auto --ExecutePreprocessor.record_timing=False --to notebook
KEPT := ! -name votes.csv ! -name own
COALESCE := $(NBCONVERT) --inplace --coalesce-streams

.NOTPARALLEL:  # two targets would train and write the same
.PHONY: run test lab panel study full-size restore export bench lint reference clean

run: .venv/ready  ## from RAW files to the comparison of trained models, with a report of every figure
	@$(PY) -m sidlib.report

test: .venv/ready  ## the helpers, the notebooks in fast mode, and the panel where a Chromium is found
	$(PY) -m pytest

lab: .venv/ready  ## JupyterLab
	$(PY) -m jupyterlab notebooks

panel: .venv/ready  ## the human-check panel alone, as a web page for this machine's browser
	JUPYTER_PATH=sidlib/human_check $(PY) -m voila notebooks/panel.ipynb --template=offline --Voila.ip=127.0.0.1

study: .venv/ready  ## all trainings that notebook 06 compares: hours; interrupt it and go on whenever you like
	$(PY) -c "import os; from sidlib import catalog, preprocess, sample; from sidlib.beyond import study; \
		name = os.environ['SID_DATASET']; name != 'sample' or sample.build_sample(); \
		pairs = preprocess.develop_pairs(catalog.load_pairs(name)); \
		study.run_study(pairs); name != 'sample' or study.leave_one_out(pairs)"

full-size: .venv/ready  ## train the network that restores RAW files at full size, its rival, and score all: interrupt it like the study
	$(PY) -c "from sidlib import catalog; from sidlib.sample import sharp; from sidlib.beyond.full_size import evaluate, experiment; \
		experiment.train_full_size(); experiment.train_full_size(experiment=experiment.PAPER); \
		sharp.build_sharp(); evaluate.score_methods(catalog.load_pairs('sharp'))"

restore: .venv/ready  ## a dark RAW file to a picture at full size beside it: make restore RAW="my photo.arw" [STOPS=5]
	@$(PY) -m sidlib.beyond.full_size.restore $(if $(STOPS),--stops "$$STOPS") -- "$$RAW"

export: .venv/ready  ## the best model as ONNX and LiteRT, for programs without Keras, checked against Keras
	@$(PY) -c "import os; from sidlib import paths; from sidlib.beyond import export; \
		print(*export.export_networks(paths.results_folder(os.environ['SID_DATASET'])), sep='\n')"

bench: .venv/ready  ## speed and memory, as ratios
	$(PY) -m pytest tests/benchmarks -o python_files='bench_*.py' -o python_functions='bench_*' -s -q

lint: .venv/ready
	$(PY) -m ruff check
	$(PY) -m ruff format --check

reference: export SID_DATASET = sample
reference: .venv/ready  ## run the sample and its study anew, and keep outputs, tables and figures in git: hours
	$(MAKE) bench
	mkdir -p results/sample
	find results/sample -mindepth 1 -maxdepth 1 $(KEPT) -exec rm -rf {} +
	rm -rf data/sample results/reference
	mkdir -p results/reference
	cp -r results/benchmarks results/reference/
	$(EXECUTE) --inplace $(filter notebooks/01% notebooks/02% notebooks/03% notebooks/04%,$(NOTEBOOKS))
	$(MAKE) study full-size
	cd results/sample && cp study.csv study_scores.csv leave_one_out.csv best.keras full-size.keras ../reference/
	cp results/sharp/full_size.csv results/reference/
	$(EXECUTE) --inplace $(filter notebooks/05% notebooks/06% notebooks/07%,$(NOTEBOOKS)) notebooks/panel.ipynb
	$(COALESCE) $(NOTEBOOKS) notebooks/panel.ipynb
	cd results/sample && cp -r summary.csv figures ../reference/
	cp results/sharp/figures/*.png results/reference/figures/
	$(PY) -m pytest -m browser
	cp results/fast/sample/panel.png results/reference/figures/

USABLE := import sys, pip; sys.exit(sys.version_info < (3, 11))
CAPABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
.venv/ready: requirements.txt pyproject.toml $(PY)
	@$(PY) -c '$(USABLE)' 2>/dev/null || $(PYTHON) -c '$(CAPABLE)' 2>/dev/null || { \
		echo "Python 3.11 or newer with venv is needed, and $(PYTHON) is none:" \
			"install one (Debian: python3-venv) or name it, as in make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PY) -c '$(USABLE)' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(PY):  # without it, or when its Python was taken away, everything is set up again

clean:  ## everything that is computed; data sets, the environment, votes and saved pictures stay
	find results -mindepth 2 -maxdepth 2 ! -path 'results/reference/*' $(KEPT) -exec rm -rf {} +
	rm -rf data/*/png data/*/signal
