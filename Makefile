# The two commands: `make run` and `make test`. Both set everything up first.
PYTHON ?= python3
PY := .venv/bin/python
export SID_DATASET ?= sample

REPORT := results/$(SID_DATASET)/report
NOTEBOOKS := $(sort $(wildcard notebooks/0*.ipynb))
NBCONVERT := $(PY) -m jupyter nbconvert --log-level ERROR
EXECUTE := $(NBCONVERT) --execute --KernelManager.transport_encryption=auto --ExecutePreprocessor.record_timing=False --to notebook
KEPT := ! -name votes.csv ! -name own
COALESCE := $(NBCONVERT) --inplace --coalesce-streams

.PHONY: run test lab panel study bench lint reference clean

run: .venv/ready  ## from RAW files to the comparison of trained models, with a report of every figure
	@for notebook in $(NOTEBOOKS); do echo "Running $$notebook"; $(EXECUTE) --output-dir $(REPORT) $$notebook || exit 1; done
	@$(COALESCE) $(REPORT)/*.ipynb
	@sed -i.bak -e 's/\(0[0-9]_[a-z_]*\)\.ipynb/\1.html/g' -e 's#\.\./README\.md#../../../README.md#g' $(REPORT)/*.ipynb  # links
	@$(NBCONVERT) --to html $(REPORT)/*.ipynb
	@rm $(REPORT)/*.ipynb $(REPORT)/*.bak
	@echo "Done. Open $(REPORT)/05_evaluation.html; the table is results/$(SID_DATASET)/summary.csv"

test: .venv/ready  ## the helpers, the notebooks in fast mode, and the panel where a Chromium is found
	$(PY) -m pytest

lab: .venv/ready  ## JupyterLab
	$(PY) -m jupyter lab notebooks

panel: .venv/ready  ## the human-check panel alone, as a web page for this machine's browser
	$(PY) -m voila notebooks/panel.ipynb --Voila.ip=127.0.0.1

study: .venv/ready  ## all trainings that notebook 06 compares: hours; interrupt it and go on whenever you like
	$(PY) -c "from sidlib import catalog, preprocess, sample, study; \
		'$(SID_DATASET)' != 'sample' or sample.build_sample(); \
		study.run_study(preprocess.develop_pairs(catalog.load_pairs('$(SID_DATASET)')))"

bench: .venv/ready  ## speed and memory, as ratios
	$(PY) -m pytest tests/benchmarks -o python_files='bench_*.py' -o python_functions='bench_*' -s -q

lint: .venv/ready
	.venv/bin/ruff check
	.venv/bin/ruff format --check

reference: export SID_DATASET = sample
reference: .venv/ready  ## run the sample and its study anew, and keep outputs, tables and figures in git: hours
	$(MAKE) bench
	mkdir -p results/sample
	find results/sample -mindepth 1 -maxdepth 1 $(KEPT) -exec rm -rf {} +
	rm -rf data/sample results/reference
	mkdir -p results/reference
	cp -r results/benchmarks results/reference/
	$(EXECUTE) --inplace $(filter-out %/06_beyond_the_course.ipynb,$(NOTEBOOKS))
	$(MAKE) study
	$(EXECUTE) --inplace notebooks/06_beyond_the_course.ipynb notebooks/panel.ipynb
	$(COALESCE) $(NOTEBOOKS) notebooks/panel.ipynb
	cd results/sample && cp -r summary.csv study.csv study_scores.csv best.keras figures ../reference/
	$(PY) -m pytest -m browser
	cp results/fast/sample/panel.png results/reference/figures/

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

clean:  ## everything that is computed; data sets, the environment, votes and saved pictures stay
	find results -mindepth 2 -maxdepth 2 ! -path 'results/reference/*' $(KEPT) -exec rm -rf {} +
	rm -rf data/*/png data/*/signal
