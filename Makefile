.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= $(shell command -v python3.13 || command -v python3 || echo python3.13)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Bytecode is kept wherever make runs: without it each worker compiles all tests, and each command the package.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup backtest sandbox browser test test-all coverage lint types contracts check bench sample calibration schema lock test-next clean

help: ## list the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv from the lock file

$(STAMP): requirements.lock pyproject.toml .python-version
	@command -v $(PYTHON) >/dev/null || { echo "error: Python 3.13 is needed and $(PYTHON) was not found; name yours with make PYTHON=..."; exit 2; }
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 13) else f"error: Python 3.13 is needed, was {v[0]}.{v[1]}")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q mm_nautilus
	@touch $@

backtest: setup ## set up and run the main job: the sample catalog through configs/backtest.yaml
	$(BIN)/python run_backtest.py

sandbox: setup ## trade on paper for two minutes against a local venue; needs no network
	$(BIN)/python run_sandbox.py configs/sandbox_local.yaml

browser: ## install Debian's Chromium for the browser tests, where apt-get and root are at hand
	@if [ ! -x "$${MM_CHROMIUM:-/usr/bin/chromium}" ] && [ -z "$${MM_CHROMIUM:-}" ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends chromium; } >/dev/null 2>&1 \
		|| echo "note: Chromium could not be installed with apt-get; the browser tests need one"; \
	fi

test: setup browser ## set up and run the tests, but for the long ones
	$(BIN)/python -m pytest -n 3 -m "not long"

test-all: setup browser ## run all tests, the long ones too
	$(BIN)/python -m pytest -n 3

coverage: setup browser ## run the tests; pricing, risk and trading have to be covered to 95 %
	$(BIN)/python -m pytest -n 3 -m "not long" --cov=mm_nautilus --cov-report=term-missing:skip-covered
	@for floor in pricing risk trading; do $(BIN)/python -m coverage report --include="mm_nautilus/$$floor/*" --fail-under=95; done

lint: setup ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## check types
	$(BIN)/mypy

contracts: setup ## check which part may import which
	$(BIN)/lint-imports

check: lint types contracts test-all ## all that CI checks

bench: setup ## measure speed and memory (a quarter of an hour)
	$(BIN)/python benchmarks/backtest.py
	$(BIN)/python benchmarks/command_line.py
	$(BIN)/python benchmarks/report.py

sample: setup ## rebuild the simulated sample catalog
	rm -rf catalog/data
	$(BIN)/mm-nautilus data simulate catalog

calibration: setup ## estimate the sample catalog's calibration file anew
	$(BIN)/mm-nautilus calibrate catalog --out calibration/sample.yaml --force

schema: setup ## regenerate the JSON schema of configurations
	$(BIN)/mm-nautilus config schema --out mm_nautilus/schema/run.schema.json
	$(BIN)/mm-nautilus config schema --sandbox --out mm_nautilus/schema/sandbox.schema.json

lock: ## resolve the dependencies again (needs uv)
	uv pip compile --quiet --python-version 3.13 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements.lock

test-next: ## run the tests on the engine's newest pre-release, in a venv of its own
	$(PYTHON) -m venv .venv-next
	.venv-next/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	.venv-next/bin/python -m pip install --quiet --pre --upgrade nautilus_trader
	.venv-next/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	.venv-next/bin/python -c 'import nautilus_trader; print("engine", nautilus_trader.__version__)'
	.venv-next/bin/python -m pytest -n 2

clean: ## remove what the tasks made, but for runs/
	rm -rf $(VENV) .venv-next .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage *.egg-info
