# Two commands from a bare machine with Python >= 3.11:  make demo   make test
# The environment lives in .venv and is built once; touching pyproject.toml brings it up to date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A wider range would do for users; this one is what development and CI run.
TORCH := torch==2.13.0
INSTALL := -m pip install --quiet --disable-pip-version-check
# Tests share the cores; one thread each keeps torch from fighting over them.
THREADS ?= 1
# What Python compiles is kept, also where the environment says otherwise: else every worker and every command that a
# test starts would compile it again.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest
WORKERS ?= auto
PLAN := --sigma 1.1 --n 60000 --batch 256 --epochs 60

.PHONY: help demo test test-all test-browser check check-package format lint types docs bench bench-train bench-noise bench-audit clean

help:
	@echo "make demo      plan, solve, compare and train (installs what each needs just before it)"
	@echo "make test      the tests (installs what they need first)"
	@echo "make test-all  the tests, the long sweeps and the pages in a browser"
	@echo "make test-browser  the pages alone, in headless Chromium or Chrome, which has to be there"
	@echo "make check     format, lint, types, tests, documents and package: what has to pass before a change lands"
	@echo "make check-package  build what is published, install it bare and with the lowest versions, use it"
	@echo "make lint      format and lint alone"
	@echo "make types     types alone"
	@echo "make docs      the tests of the documents alone"
	@echo "make format    put the code into the agreed form"
	@echo "make bench     accountants and rates of attack beside other libraries', in an environment of its own"
	@echo "make bench-train  training steps beside those of other libraries, likewise"
	@echo "make bench-noise  noise that steps share beside independent noise, at one epsilon"
	@echo "make bench-audit  an audit of Opacus and of dpplan on the same digits, likewise"
	@echo "make clean     remove the environments, caches and builds; runs/ stays"
	@echo
	@echo "PYTHON=python3.12 chooses the Python, WORKERS=4 the processes that run tests,"
	@echo "THREADS=2 the threads of each. MKL_CBWR, where it is set, is left as it is."

# Planning needs no torch, so it is shown before torch is fetched. One target after the other, whatever -j says.
demo: $(VENV)/.plan
	$(BIN)/dpplan epsilon $(PLAN)
	@echo
	$(BIN)/dpplan solve --target-eps 3 --n 60000 --batch 256 --epochs 60
	@echo
	$(BIN)/dpplan compare accountants $(PLAN)
	@echo
	@$(MAKE) --no-print-directory $(VENV)/.train
	$(BIN)/dpplan train recipes/digits.yaml --device cpu

test: $(VENV)/.dev
	$(PYTEST) -n $(WORKERS) --dist worksteal

test-all: $(VENV)/.dev
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not gpu"

test-browser: $(VENV)/.dev
	$(PYTEST) -m browser

check: lint types test check-package

# What is published, tried as its users get it: bare, and with the lowest versions that it allows. Needs an index.
check-package: $(VENV)/.dev
	$(BIN)/python tests/package.py bare
	$(BIN)/python tests/package.py lowest

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

# `make test` runs these too.
docs: $(VENV)/.dev
	$(PYTEST) tests/test_docs.py

bench: $(VENV)-bench/.done
	OMP_NUM_THREADS=1 $(VENV)-bench/bin/python tests/benchmarks/accountants.py
	OMP_NUM_THREADS=1 $(VENV)-bench/bin/python tests/benchmarks/planning.py
	OMP_NUM_THREADS=1 $(VENV)-bench/bin/python tests/benchmarks/allocations.py
	OMP_NUM_THREADS=1 $(VENV)-bench/bin/python tests/benchmarks/schemes.py
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(VENV)-bench/bin/python tests/benchmarks/risk_rates.py
	OMP_NUM_THREADS=1 $(VENV)-bench/bin/python tests/benchmarks/interop.py

bench-train: $(VENV)-bench/.done
	OMP_NUM_THREADS=1 $(VENV)-bench/bin/python tests/benchmarks/train.py

bench-noise: $(VENV)/.train
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore tests/benchmarks/correlated_noise.py

bench-audit: $(VENV)-bench/.done
	OMP_NUM_THREADS=1 $(VENV)-bench/bin/python -W ignore tests/benchmarks/audit_digits.py

clean:
	rm -rf $(VENV) $(VENV)-bench build dist .mypy_cache .ruff_cache .hypothesis

# Not compiled: Python does that with the few modules that planning loads, when it loads them.
$(VENV)/.plan: pyproject.toml | $(BIN)/python
	@echo "Installing dpplan and what it plans with into $(VENV). Only now and when pyproject.toml changes."
	$(BIN)/python $(INSTALL) --no-compile -e .
	@touch $@

$(VENV)/.train: pyproject.toml | $(BIN)/python
	@echo "Installing dpplan and what it trains with into $(VENV). Only now and when pyproject.toml changes."
	$(BIN)/python $(INSTALL) "$(TORCH)" -e ".[train]"
	@touch $@ $(VENV)/.plan

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing dpplan and what tests, types and lint need into $(VENV). Only now and when pyproject.toml changes."
	$(BIN)/python $(INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/.plan $(VENV)/.train

# The other libraries bring dependencies of their own, so they get their own environment.
$(VENV)-bench/.done: pyproject.toml | $(VENV)-bench/bin/python
	@echo "Installing dpplan and the other libraries into $(VENV)-bench. Only now and when pyproject.toml changes."
	$(VENV)-bench/bin/python $(INSTALL) "$(TORCH)" -e ".[bench]"
	@touch $@

# A half-made environment would look like a whole one the next time, so it is removed.
$(VENV)/bin/python $(VENV)-bench/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is not Python 3.11 or newer. Try make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(@:/bin/python=) || { rm -rf $(@:/bin/python=); exit 2; }
