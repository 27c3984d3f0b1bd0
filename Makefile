# Everything a user or CI calls. `make` or `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PORT ?= 5000
PREFECT_PORT ?= 4200
SERVE_PORT ?= 8000
DEMO_PORT ?= 7860
MODEL ?= models:/movie-genre-classifier@champion
KIND ?= process
STORE := $${MLFLOW_TRACKING_URI:-sqlite:///$${GENREFLOW_MLRUNS_DIR:-$(CURDIR)/mlruns}/mlflow.db}
TWO_FILES := --numprocesses 2 --dist loadfile --no-loadscope-reorder
QUIET := DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true PREFECT_SERVER_ANALYTICS_ENABLED=false

.PHONY: help install run test lint audit format ui serve demo deploy bench bench-quick bench-scale drill drill-full tidy screenshots lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

install: .venv/installed ## create .venv and install the pinned versions (reused until they change)

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11; use make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: install ## the full pipeline on the embedded sample
	$(BIN)/python flows/full_pipeline.py

test: install lint ## lint, types, layout contracts and tests, two files of them at a time
	$(BIN)/python -m pytest $(TWO_FILES)

lint: install ## lint, formatting, types, import directions, and bandit's search for insecure code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive flows tasks benchmarks docs deployments

audit: install ## known vulnerabilities of the pinned packages (asks the package index)
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

format: install ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: install ## MLflow on http://127.0.0.1:5000 and Prefect on http://127.0.0.1:4200, until Ctrl-C
	@echo "MLflow: http://127.0.0.1:$(PORT)   Prefect: http://127.0.0.1:$(PREFECT_PORT)"
	@trap 'kill 0' EXIT; $(QUIET) $(BIN)/prefect server start --host 127.0.0.1 --port $(PREFECT_PORT) & \
	$(QUIET) MLFLOW_BACKEND_STORE_URI="$(STORE)" $(BIN)/mlflow ui --host 127.0.0.1 --port $(PORT) --workers 1

serve: install ## the champion (or MODEL=models:/...) over HTTP on http://127.0.0.1:8000, until Ctrl-C
	@MLFLOW_TRACKING_URI="$(STORE)" $(BIN)/python flows/predict.py --model "$(MODEL)" --text "is it there, and whole?" >/dev/null
	@$(QUIET) MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false MLFLOW_TRACKING_URI="$(STORE)" PATH="$(abspath $(BIN)):$$PATH" \
	$(BIN)/mlflow models serve --model-uri "$(MODEL)" --env-manager local --host 127.0.0.1 --port $(SERVE_PORT)

demo: install ## a page to try the models on: http://127.0.0.1:7860, until Ctrl-C
	$(BIN)/python flows/demo.py --port $(DEMO_PORT)

deploy: install ## register pool (KIND=process, docker or kubernetes), deployments and automations at PREFECT_API_URL
	@test -n "$$PREFECT_API_URL" || { echo "error: start a server (make ui) and set PREFECT_API_URL=http://127.0.0.1:$(PREFECT_PORT)/api"; exit 1; }
	$(QUIET) $(BIN)/python deployments/register.py --kind $(KIND)
	@echo 'start a worker:  PREFECT_API_URL=$$PREFECT_API_URL $(BIN)/prefect worker start --pool genreflow'
	@echo 'run one:         $(BIN)/prefect deployment run full-pipeline/local --watch'

bench: install ## all benchmarks on real listings (LISTINGS=folder) or on the sample: benchmarks/results/
	$(BIN)/python benchmarks/suite.py $(LISTINGS)

bench-quick: install ## start-up, the pipeline, cleaning and splitting in small
	$(BIN)/python benchmarks/suite.py $(LISTINGS) --size quick

bench-scale: install ## cleaning, annotating, splitting and predicting up to millions of rows
	$(BIN)/python benchmarks/suite.py $(LISTINGS) --size scale

screenshots: run ## pictures of the MLflow UI, the report and the demo for the README, of the embedded sample (needs Chromium)
	$(BIN)/python docs/screenshots.py

drill: install ## break things on purpose: kill, full disk, damaged files, stores away, wild input (the quick form)
	$(BIN)/python -m pytest $(TWO_FILES) tests/drill

drill-full: install ## the same with 40 kills, longer locks and thousands of wild inputs each
	GENREFLOW_DRILL=full $(BIN)/python -m pytest $(TWO_FILES) tests/drill

tidy: install ## remove old runs, logs and fetched copies, never a champion (flows/tidy.py --help)
	$(BIN)/python flows/tidy.py

lock: ## resolve pyproject.toml afresh and write constraints.txt
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	.venv-lock/bin/python -m pip install --quiet --editable '.[dev]'
	{ echo "# The exact versions that CI runs; made by \`make lock\` on Python $$(.venv-lock/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')."; \
	  .venv-lock/bin/python -m pip freeze --exclude-editable; } > constraints.txt
	rm -rf .venv-lock

clean: ## remove all outputs (data/, mlruns/) and caches; the environment stays
	find data mlruns -mindepth 1 -not -name README.md -delete
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
