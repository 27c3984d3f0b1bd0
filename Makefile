# Everything a user or CI calls. `make` or `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PORT ?= 5000
PREFECT_PORT ?= 4200
SERVE_PORT ?= 8000
DEMO_PORT ?= 7860
MODEL ?= champion
KIND ?= process
STORE := $${MLFLOW_TRACKING_URI:-sqlite:///$${GENREFLOW_MLRUNS_DIR:-$(CURDIR)/mlruns}/mlflow.db}
PYTEST = $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)
QUIET := MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true PREFECT_SERVER_ANALYTICS_ENABLED=false

.PHONY: help install run test test-services lint audit format ui serve demo deploy bench bench-quick bench-scale drill drill-full tidy screenshots lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

run: .venv/core ## run the full pipeline on the embedded sample; installs what it needs, without torch
	$(BIN)/python flows/full_pipeline.py

install: .venv/all ## install everything into .venv: encoders, word vectors, label audit, demo, tools (TORCH=cu130 for another torch)

PINS := pyproject.toml constraints.txt deployments/install.py

.venv/core: $(PINS)
	@$(PYTHON) deployments/install.py
	@touch $@

.venv/all: $(PINS)
	@TORCH=$(TORCH) $(PYTHON) deployments/install.py all dev
	@touch .venv/core $@

test: install lint ## lint, type checks, layout, and the tests that a change must pass, in two processes
	$(PYTEST) --ignore tests/drill -m "not services"

test-services: install ## tests with databases, servers, workers, Dask and a browser
	$(PYTEST) --ignore tests/drill -m services

lint: install ## ruff, mypy, import-linter and bandit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive flows tasks benchmarks docs deployments genreflow.py

audit: install ## list known vulnerabilities of the pinned packages (asks the package index)
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

format: install ## format the code and apply automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: .venv/core ## start MLflow on http://127.0.0.1:5000 and Prefect on http://127.0.0.1:4200, until Ctrl-C
	@echo "MLflow: http://127.0.0.1:$(PORT)   Prefect: http://127.0.0.1:$(PREFECT_PORT)"
	@trap 'kill 0' EXIT; $(QUIET) PREFECT_SERVER_UI_API_URL=http://127.0.0.1:$(PREFECT_PORT)/api $(BIN)/python -m flows.prefect_server --host 127.0.0.1 --port $(PREFECT_PORT) & \
	$(QUIET) MLFLOW_BACKEND_STORE_URI="$(STORE)" $(BIN)/mlflow ui --host 127.0.0.1 --port $(PORT) --workers 1 & \
	wait -n; echo "error: one of the two servers has ended, see above; if its port is taken, choose another: make ui PREFECT_PORT=4201 PORT=5001"; exit 1

serve: .venv/core ## serve the champion (or MODEL=models:/...) over HTTP on http://127.0.0.1:8000, until Ctrl-C
	$(BIN)/python flows/serve.py --model "$(MODEL)" --port $(SERVE_PORT)

demo: install ## start a page to try the models on: http://127.0.0.1:7860, until Ctrl-C
	$(BIN)/python flows/demo.py --port $(DEMO_PORT)

deploy: install ## register the work pool (KIND=process, docker or kubernetes), deployments and automations at PREFECT_API_URL
	@test -n "$$PREFECT_API_URL" || { echo "error: start a server (make ui) and set PREFECT_API_URL=http://127.0.0.1:$(PREFECT_PORT)/api"; exit 1; }
	$(QUIET) $(BIN)/python deployments/register.py --kind $(KIND)
	@echo 'start a worker:  PREFECT_API_URL=$$PREFECT_API_URL $(BIN)/prefect worker start --pool genreflow'
	@echo 'run one:         $(BIN)/prefect deployment run full-pipeline/local --watch'

bench: install ## run all benchmarks on real listings (LISTINGS=folder) or on the sample: benchmarks/results/
	$(BIN)/python benchmarks/suite.py $(LISTINGS)

bench-quick: install ## run small benchmarks: start-up, the pipeline, cleaning and splitting
	$(BIN)/python benchmarks/suite.py $(LISTINGS) --size quick

bench-scale: install ## benchmark cleaning, annotating, splitting and predicting with up to millions of rows
	$(BIN)/python benchmarks/suite.py $(LISTINGS) --size scale

screenshots: install ## take the screenshots of the README, on the embedded sample (needs Chromium)
	$(BIN)/python flows/full_pipeline.py
	$(BIN)/python docs/screenshots.py

drill: install ## inject faults: kills, full disks, damaged files, unavailable stores, damaged input (quick form)
	$(PYTEST) tests/drill

drill-full: install ## the same with 40 kills, longer locks and thousands of damaged inputs
	GENREFLOW_DRILL=full $(PYTEST) tests/drill

tidy: .venv/core ## remove old runs, logs and fetched copies, never a champion (flows/tidy.py --help)
	$(BIN)/python flows/tidy.py

lock: install ## resolve pyproject.toml for Python 3.11 to 3.13 and write constraints.txt with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11.5 --all-extras --generate-hashes --no-annotate \
	  --no-header --upgrade pyproject.toml --output-file .venv/locked.txt
	{ echo "# The versions and hashes that \`make install\` takes, for Python 3.11 to 3.13; made by \`make lock\`."; \
	  echo "# The build of torch differs by machine: it is pinned by its version alone, and what it brings not at all."; \
	  awk '/^[^ ]/ {skip = /^(cuda-|nvidia-|triton=)/; torch = /^torch==/} skip || (torch && /^ /) {next} \
	    torch {print $$1; next} {print}' .venv/locked.txt; } > constraints.txt

clean: .venv/core ## remove outputs that a run makes again, and caches; keeps your files, downloads, mlruns/ and the environment
	$(BIN)/python flows/tidy.py --outputs
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
