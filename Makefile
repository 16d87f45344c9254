# Everything here needs make and Python 3.11 or later, nothing else: the rest goes into .venv.
.DEFAULT_GOAL := help
.PHONY: help setup develop demo sandbox test soak bench check format sbom

# The first of these that is new enough; say `make PYTHON=...` for another.
PYTHONS ?= python3 python3.14 python3.13 python3.12 python3.11
PYTHON ?= $(shell for python in $(PYTHONS); do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
# What running needs is installed; what developing, testing and the demo need as well.
RUNS := .venv/.runs
DEVELOPS := .venv/.develops
COMMAND := $(BIN)/earwitness
T ?=
# Most tests wait for processes and sockets of theirs four fifths of their time: four times as many
# as there are cores keep these busy.
PROCESSES ?= $(shell $(BIN)/python -c 'import os; print(4 * (os.cpu_count() or 1))')

help: ## Show this table
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(COMMAND) ## Install the runtime packages and the command .venv/bin/earwitness
	@:

develop: $(DEVELOPS) $(COMMAND) ## Add what the tests, the checks and the demo need
	@:

demo: develop ## Run everything against simulated providers and show one night's work (ONCE=1: then end)
	@$(BIN)/python -m worker demo

sandbox: develop ## Simulate the providers on port 8090 and write accounts for them, until Ctrl-C
	@$(BIN)/python -m tests.simulators --sandbox --port 8090 --into var/sandbox

test: develop ## Run the tests (T=... selects: T=tests/test_logging.py, T='-k masks')
	@$(BIN)/python -m tests.page_packages
	@$(BIN)/python -m tests.emulators.packages
	@$(BIN)/python -m tests.caller_environments newest
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal -m "not soak" $(T)

soak: develop ## Run the long and heavy tests, one after the other
	@$(BIN)/python -m tests.emulators.packages
	@$(BIN)/python -m tests.caller_environments
	@$(BIN)/python -m pytest -m soak $(T)

bench: develop ## Measure speed beside peers in the same run (T=calls: some rows; T=--full; T=--help)
	@$(BIN)/python -m tests.bench $(T)

check: develop ## Check format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(wildcard config providers archive ledger tasks worker demo client/src)

sbom: develop ## Write sbom.cdx.json: what runs, package by package, as CycloneDX
	@$(BIN)/cyclonedx-py requirements requirements.runtime.lock --pyproject pyproject.toml \
		--mc-type application --output-reproducible --output-file sbom.cdx.json
	@echo "written: sbom.cdx.json"

format: develop ## Format the code and repair what ruff can repair
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

$(COMMAND): $(RUNS) worker/earwitness
	@install -m 755 worker/earwitness $@

# Made anew as a whole whenever the lock changes, so that .venv holds exactly what the lock says.
$(RUNS): requirements.runtime.lock
	$(make_venv)
	@echo "Installing the runtime packages into .venv (once; about a minute) ..."
	$(call install,requirements.runtime.lock)
	@touch $(RUNS)

# Added to what runs, unless this lock has changed.
$(DEVELOPS): requirements.lock | $(RUNS)
	$(if $(wildcard $(DEVELOPS)),$(make_venv))
	@echo "Installing the development packages into .venv (once; about a minute) ..."
	$(call install,requirements.lock)
	@touch $(RUNS) $(DEVELOPS)

install = @$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)

define make_venv
@test -n "$(PYTHON)" || { echo "Earwitness needs Python 3.11 or later; none of these is: $(PYTHONS)." \
	"Install one, or run make PYTHON=/path/to/python3." >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "Earwitness needs Python 3.11 or later, and $(PYTHON) is not:" \
	"run make PYTHON=/path/to/a/newer/python3." >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "$(PYTHON) cannot create virtual environments: its modules venv and ensurepip are missing." \
	"On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
@$(PYTHON) -m venv --clear .venv
endef
