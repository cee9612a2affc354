# make demo, make test: each does its own set-up, in .venv. make help lists the rest.

PYTHON ?=
FULL ?=
ARGS ?=
# Some tests start many processes of their own: more workers than this make them slower.
WORKERS ?= 4

BIN := .venv/bin
# Dependency groups came to pip with 25.1.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint bench clean FORCE

help:
	@echo "make demo           run notebooks/01_quickstart.ipynb and show what it tracked"
	@echo "make test           lint and all tests; FULL=1 for full counts, ARGS='-k name' for pytest"
	@echo "make lint           ruff and mypy"
	@echo "make bench          the measurements of benchmarks/"
	@echo "make clean          remove .venv, .demo and caches"
	@echo "With PYTHON=/path/to/python3.12 the environment is made with that Python."

demo: .venv/installed-demo
	@$(BIN)/python notebooks/demo.py

test: lint
	@.ci/system-packages
	$(BIN)/python -m pytest -n auto --maxprocesses $(WORKERS) --dist loadgroup -q $(if $(FULL),--full) $(ARGS)

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy notebooks/demo.py notebooks/strip.py docs/tables.py docs/pictures.py

bench: .venv/installed-test
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv .demo build dist .hypothesis .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Touched only when the environment is made anew: what is installed stays installed otherwise.
.venv/made-for: FORCE
	@.ci/make-venv $(PYTHON)

.venv/installed-demo: .venv/made-for pyproject.toml
	@echo "Installing what the demo needs (the first time takes a minute or two)"
	@$(PIP_INSTALL) --upgrade 'pip>=25.1'
	@$(PIP_INSTALL) --editable '.[pandas]' --group demo
	@touch $@

.venv/installed-test: .venv/made-for pyproject.toml
	@echo "Installing what the tests need (the first time takes a minute or two)"
	@$(PIP_INSTALL) --upgrade 'pip>=25.1'
	@$(PIP_INSTALL) --editable '.[jupyter,pandas,parquet,s3,server]' --group test
	@touch $@
