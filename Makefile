# The two commands: `make run` and `make test`. Both set everything up first.
PYTHON ?= python3
PY := .venv/bin/python
export SID_DATASET ?= sample

REPORT := results/$(SID_DATASET)/report
NOTEBOOKS := $(sort $(wildcard notebooks/0*.ipynb))
NBCONVERT := $(PY) -m jupyter nbconvert --log-level ERROR
EXECUTE := $(NBCONVERT) --execute --ExecutePreprocessor.record_timing=False --to notebook
COALESCE := $(NBCONVERT) --inplace --coalesce-streams

.PHONY: run test lab bench lint reference clean

run: .venv/ready  ## from RAW files to the comparison of trained models, with a report of every figure
	@for notebook in $(NOTEBOOKS); do echo "Running $$notebook"; $(EXECUTE) --output-dir $(REPORT) $$notebook || exit 1; done
	@$(COALESCE) $(REPORT)/*.ipynb
	@sed -i.bak 's/\(0[0-9]_[a-z_]*\)\.ipynb/\1.html/g' $(REPORT)/*.ipynb  # links among the pages
	@$(NBCONVERT) --to html $(REPORT)/*.ipynb
	@rm $(REPORT)/*.ipynb $(REPORT)/*.bak
	@echo "Done. Open $(REPORT)/05_evaluation.html; the table is results/$(SID_DATASET)/summary.csv"

test: .venv/ready  ## the helpers, then the notebooks in fast mode
	$(PY) -m pytest

lab: .venv/ready  ## JupyterLab
	$(PY) -m jupyter lab notebooks

bench: .venv/ready  ## speed and memory, as ratios
	$(PY) -m pytest tests/benchmarks -o python_files='bench_*.py' -o python_functions='bench_*' -s -q

lint: .venv/ready
	.venv/bin/ruff check
	.venv/bin/ruff format --check

reference: .venv/ready  ## run the sample anew and keep its outputs, tables and figures in git
	$(MAKE) bench
	rm -rf results/sample results/reference
	mkdir -p results/reference
	cp -r results/benchmarks results/reference/
	SID_DATASET=sample $(EXECUTE) --inplace $(NOTEBOOKS)
	$(COALESCE) $(NOTEBOOKS)
	cp -r results/sample/summary.csv results/sample/figures results/reference/

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

clean:  ## everything that is computed; data sets and the environment stay
	rm -rf $(filter-out results/reference,$(wildcard results/*)) data/*/png data/*/signal
