# Everything a developer needs is here: `make help`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MEDIA ?=
FAULTS ?= short
AREA ?= stream latency gateway sinks engine sweep replay backlog workers

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults test-each-fault bench up lint fmt lock clean jars

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) jars ## Run the whole system on real parts; MEDIA=folder takes your own files
	@$(BIN)/python -m devstack.demo $(if $(MEDIA),--media "$(MEDIA)")

test: $(STAMP) jars ## Run every test lane that runs on this machine
	@$(BIN)/pytest -n 2 --dist loadfile

test-faults: $(STAMP) jars ## Strike the whole system with all faults; FAULTS=long goes on for FAULTS_MINUTES
	@FAULTS=$(FAULTS) $(BIN)/pytest -n 2 tests/faults \
	    --ignore tests/faults/test_each_fault.py --ignore tests/faults/test_seeded.py
	@FAULTS=$(FAULTS) $(BIN)/pytest -s tests/faults/test_seeded.py

test-each-fault: $(STAMP) jars ## Strike the whole system with each fault alone
	@FAULTS=short $(BIN)/pytest -n 2 tests/faults/test_each_fault.py

bench: $(STAMP) jars ## Measure Mediagate beside what a user would pick instead; AREA=sinks is one of them
	@for area in $(AREA); do \
	    $(BIN)/python -m benchmarks $$area --results benchmarks/results/latest.json || exit 1; \
	done
	@$(BIN)/python -m benchmarks page benchmarks/results/latest.json

up: $(STAMP) jars ## Run Mediagate and its services until Ctrl-C
	@$(BIN)/mediagate up --embedded

lint: $(STAMP) ## Check style, types and layering
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## Resolve the dependencies anew (needs uv)
	@uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -q -o requirements/dev.lock
	@uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 -c requirements/dev.lock \
	    --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -q -o requirements/runtime.lock

clean: ## Remove the virtual environment, caches and the embedded services' data
	@rm -rf $(VENV) .devstack .benchmarks .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

jars: $(STAMP)
	@$(BIN)/python -m devstack fetch

# The lock is complete and hashed; the project itself is installed without resolving anything.
$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	@echo "Installing the dependencies (once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
