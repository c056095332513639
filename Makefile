# Every target sets up what it needs, on a machine that has only Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test test-slow torture mutants lint bench soak lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/tocsin: requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tocsin needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(BIN)/tocsin ## the whole path on this machine: broker, workers, 120,000 payments, a summary
	$(BIN)/tocsin demo

test: lint ## everything, in three processes, each with a real Kafka if it needs one
	$(BIN)/python -m pytest -n 3

test-slow: $(BIN)/tocsin ## the large form of the tests that have one
	$(BIN)/python -m pytest -n 2 --large

torture: $(BIN)/tocsin ## faults with production's time-outs, larger and more of them; a million mutated records; var/torture.md
	$(BIN)/python -m pytest tests/faults --torture
	$(BIN)/python -m tests.fuzz.run --records 1000000

mutants: $(BIN)/tocsin var/mutants/venv/bin/cosmic-ray ## small changes to the code: which does no test notice (20 minutes)
	PYTHONPATH=. var/mutants/venv/bin/python -m tests.mutants.run

# In an environment of its own: it needs a later click than Faust allows.
var/mutants/venv/bin/cosmic-ray:
	$(PYTHON) -m venv var/mutants/venv
	var/mutants/venv/bin/python -m pip install --quiet cosmic-ray==8.7.0

lint: $(BIN)/tocsin ## ruff, mypy strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(BIN)/tocsin var/quix/bin/python ## one scorer on one core beside what users would pick instead (15 minutes)
	$(BIN)/tocsin bench --figures var/bench/figures.json

# Quix Streams in an environment of its own: it allows only an older pydantic-settings than Tocsin needs.
var/quix/bin/python: services/bench/quix.txt
	$(PYTHON) -m venv var/quix
	var/quix/bin/python -m pip install --quiet --requirement services/bench/quix.txt
	@touch $@

soak: $(BIN)/tocsin ## ten million decisions over four years through the learner's join: nothing grows
	$(BIN)/tocsin bench --soak 10000000

lock: $(BIN)/tocsin ## resolve the lock files anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q pyproject.toml --extra broker --extra dev --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate -o requirements-dev.lock --upgrade
	$(BIN)/uv pip compile -q pyproject.toml --extra onnx --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate -c requirements-dev.lock -o requirements.lock --upgrade

clean: ## remove what was built here
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis var
