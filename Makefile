# Carillon's front door for people; `.ci/run` is the one for machines.
.DEFAULT_GOAL := help
.PHONY: help setup run demo env test test-slow test-long coverage covered compose-test bench lint format types walls check constraints clean

VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PYTHON ?= $(shell command -v python3.11 || command -v python3)
WORKERS ?= 5
# Without bytecode every process of the tests would compile all modules anew.
export PYTHONDONTWRITEBYTECODE :=
CONTAINERS := $(filter containers,$(STACK))
# COVERAGE=yes measures every process that the tests start, and adds to what was measured before.
COVERED := $(if $(COVERAGE),--cov --cov-append --cov-report=)
INTEGRATION := $(addprefix tests/,clicks deploy gateway scheduler senders shared)

help:  ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## Create .venv and install Carillon into it (the other targets do this by themselves)
	@echo "Carillon is installed in $(VENV); see what there is to do with: make help"

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Carillon needs Python 3.11 or newer; no python3 is on the PATH." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Carillon needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" -V 2>&1). Another one: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@"$(PY)" -m pip --version >/dev/null 2>&1 || { \
	    echo "Creating $(VENV) with $$("$(PYTHON)" -V 2>&1)"; "$(PYTHON)" -m venv --clear "$(VENV)"; }
	@echo "Installing Carillon and its development tools into $(VENV); this takes about a minute"
	@"$(PY)" -m pip install -qq --disable-pip-version-check --no-input --root-user-action=ignore \
	    -e '.[dev]' -c constraints.txt
	@touch "$@"

run: $(INSTALLED)  ## Start everything on this machine; Ctrl-C stops it (options: ARGS="--ephemeral")
	@echo "Starting Carillon with its own NATS, PostgreSQL, Telegram, mail and push; data stays in .carillon/"
	@exec "$(PY)" -m carillon up $(ARGS)

demo: $(INSTALLED)  ## Tell the whole story on a throwaway stack in under a minute (options: ARGS="--json")
	@exec "$(PY)" -m carillon demo $(ARGS)

env: $(INSTALLED)  ## Write .env for docker compose, with keys and passwords made up
	@test ! -e .env || { echo ".env is there already; its keys and passwords would be lost" >&2; exit 1; }
	@(umask 077; "$(PY)" -m deploy.keys <.env.example >.env)
	@echo "Wrote .env; next: docker compose --profile sim up --build"

test: $(INSTALLED)  ## Run the tests on embedded servers (options: PYTEST_ARGS="tests/clicks -k press", STACK=containers)
	@echo "Running the $(if $(CONTAINERS),integration tests on containers,tests on embedded servers)"
	@"$(PY)" -m pytest -n $(WORKERS) --dist loadgroup -m "not slow and not long and not containers" $(COVERED) \
	    $(if $(CONTAINERS),$(INTEGRATION) tests/journeys/test_given_parts.py) $(PYTEST_ARGS)

test-slow: $(INSTALLED)  ## Run the tests that take their time: broken demos, clocks that jump
	@echo "Running the slow tests"
	@"$(PY)" -m pytest -n logical --maxprocesses 2 --dist load -m "slow and not containers" $(COVERED) \
	    $(PYTEST_ARGS)

test-long: $(INSTALLED)  ## Run the tests that take many minutes each: floods, whole APIs, every death of a scheduler
	@echo "Running the long tests; this takes most of an hour"
	@"$(PY)" -m pytest -n 0 -m "long and not containers" $(PYTEST_ARGS)

compose-test: $(INSTALLED)  ## Try the containers for real: build, flow, kill each, down and up (needs a Docker engine)
	@echo "Trying the containers; this takes five to ten minutes"
	@"$(PY)" -m pytest -p no:cacheprovider -m containers tests/containers $(PYTEST_ARGS)

coverage: $(INSTALLED)  ## Run the tests, slow ones too, and measure every process that they start (at least 90 %)
	@"$(PY)" -m coverage erase
	@$(MAKE) --no-print-directory test test-slow COVERAGE=yes
	@$(MAKE) --no-print-directory covered

covered: $(INSTALLED)  ## Show what the tests have covered since `make coverage` or COVERAGE=yes began
	@"$(PY)" -m coverage report

bench: $(INSTALLED)  ## Measure beside raw limits and rivals, and write bench/README.md (options: ARGS="presses")
	@"$(PY)" -c 'import apscheduler, httptools, starlette, uvicorn' 2>/dev/null || { \
	    echo "Installing what is measured beside Carillon"; "$(PY)" -m pip install -qq --disable-pip-version-check \
	    --no-input --root-user-action=ignore -e '.[bench]' -c constraints.txt; }
	@exec "$(PY)" -m bench $(or $(ARGS),--write)

lint: $(INSTALLED)  ## Check style and formatting
	@echo "Checking style"
	@"$(PY)" -m ruff check .
	@"$(PY)" -m ruff format --check .

format: $(INSTALLED)  ## Repair what can be repaired of style and formatting
	@"$(PY)" -m ruff check --fix-only --exit-zero .
	@"$(PY)" -m ruff format .

types: $(INSTALLED)  ## Check types
	@echo "Checking types"
	@"$(PY)" -m mypy

walls: $(INSTALLED)  ## Check who may import whom
	@echo "Checking the walls"
	@"$(VENV)/bin/lint-imports" --no-cache

check: lint types walls test  ## All of lint, types, walls and test

constraints: $(INSTALLED)  ## Write the newest versions that fit together into constraints.txt
	@test -x "$(VENV)/bin/uv" || "$(PY)" -m pip install -qq --disable-pip-version-check --root-user-action=ignore uv
	@echo "Resolving"
	@"$(VENV)/bin/uv" pip compile pyproject.toml --python "$(PY)" --all-extras --upgrade --quiet \
	    --no-emit-index-url --no-annotate --no-header --output-file constraints.txt

clean:  ## Remove .venv, caches and builds; data in .carillon/ stays
	@rm -rf "$(VENV)" build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
