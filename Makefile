# Two commands from a bare machine with Python >= 3.11:  make demo   make test
# The environment lives in .venv and is built once; touching pyproject.toml rebuilds it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A wider torch would do for users; this one is what development and CI run.
TORCH := torch==2.13.0
# Tests share the cores; one thread each keeps torch from fighting over them.
RUN := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
WORKERS ?= auto
TARGET := --sigma 1.1 --n 60000 --batch 256 --epochs 60 --delta 1e-5

.PHONY: help demo test test-all check format lint types docs bench clean

help:
	@echo "make demo      plan, solve, compare and train in one go (installs what it needs first)"
	@echo "make test      the tests (installs what they need first)"
	@echo "make test-all  the tests and the long sweeps"
	@echo "make check     format, lint, types, tests, docs: what has to pass before a change lands"
	@echo "make format    put the code into the agreed form"
	@echo "make bench     accuracy and speed beside the other libraries, in an environment of its own"
	@echo "make clean     remove the environments and caches"

demo: $(VENV)/.train
	$(BIN)/dpplan epsilon $(TARGET)
	@echo
	$(BIN)/dpplan solve --target-eps 3 --n 60000 --batch 256 --epochs 60 --delta 1e-5
	@echo
	$(BIN)/dpplan compare accountants $(TARGET)
	@echo
	$(BIN)/dpplan train recipes/digits.yaml --device cpu

test: $(VENV)/.dev
	$(RUN) -n $(WORKERS)

test-all: $(VENV)/.dev
	$(RUN) -n $(WORKERS) -m "not gpu"

check: lint types test

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

# The documentation alone; `make test` runs these too.
docs: $(VENV)/.dev
	$(RUN) tests/test_docs.py

bench: $(VENV)-bench/.done
	OMP_NUM_THREADS=1 $(VENV)-bench/bin/python tests/benchmarks/accountants.py

clean:
	rm -rf $(VENV) $(VENV)-bench build dist .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is not Python >= 3.11. Try make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)" -e ".[train]"
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.train

# The other libraries bring dependencies of their own, so they get their own environment.
$(VENV)-bench/.done: pyproject.toml
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)" -e ".[bench]"
	@touch $@
