# Everything happens in this folder: a virtual environment in .venv, the demo's files in .demo.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := $(VENV)/.demo

# Tests and demo start a hundred processes of Python: each would compile anew what the first may keep.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo ui docs test quick versions lowest lint campaign fuzz guided canaries fab hygiene scale bench npm-clients witnesses clean

help:
	@echo "make demo   a local org, a real Airflow, a load and an extract, and a report"
	@echo "make ui     the same, and leave Airflow's UI running"
	@echo "make docs   the documentation as a site, in build/docs/site; warnings are errors"
	@echo "make test   lint, types and tests"
	@echo "make quick  lint, types and the tests of client and operators: before a commit"
	@echo "make versions  the same on every Python that is here, after make lowest; needs uv"
	@echo "make lowest  its tests with the lowest dependencies; needs uv"
	@echo "make lint   lint and types alone"
	@echo "make campaign  the long tests, every kill point, 100,000 schedules of faults, and properties with many examples"
	@echo "make scale  Celery, Redis, PostgreSQL, S3, two triggerers, and everything killed; needs redis-server and postgresql"
	@echo "make fuzz   made-up replies, connections, rows and ledgers for an hour; SECONDS=N for another time"
	@echo "make guided  the parsers under bytes that coverage guides (atheris); SECONDS=N for another time than ten minutes"
	@echo "make canaries  secrets and cells searched for in everything that a real Airflow writes, at DEBUG"
	@echo "make fab    the page's permissions under the FAB auth manager, on a real Airflow"
	@echo "make hygiene  licences, bill of materials, two builds of one hash"
	@echo "make npm-clients  jsforce against the local org; with CLI=1 also the Salesforce CLI; needs node and npm"
	@echo "make witnesses  clients of others against the local org, each in an environment of its own; with NPM=1 also those from npm"
	@echo "make bench  who moves the same rows how fast: this provider, bare scripts, other clients"
	@echo "make clean  remove the virtual environment and the demo's files"

demo: $(DEMO)
	$(BIN)/sfbulk-demo

ui: $(DEMO)
	$(BIN)/sfbulk-demo --ui

docs: $(VENV)/.docs
	NO_COLOR=1 $(BIN)/python -m docs_site

test: lint
	$(BIN)/python -m pytest

# What most changes break first; the rest takes minutes.
QUICK := tests/client tests/test_imports.py tests/test_public_names.py tests/parity/test_parity.py \
	tests/provider/ingest/test_ingest_operator.py tests/provider/query/test_query_operator.py \
	tests/provider/operators/test_arguments.py tests/provider/task tests/provider/sensors

quick: lint
	$(BIN)/python -m pytest -q $(QUICK)

# Each in an environment of its own, in .versions. A path to a Python will do, too.
VERSIONS := 3.11 3.12 3.13 3.14

versions: lowest
	@for version in $(VERSIONS); do \
		python=$$(uv python find --system --no-python-downloads $$version 2>/dev/null) || { echo "no Python $$version here"; continue; }; \
		folder=.versions/$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		echo "$$python in $$folder"; \
		uv venv --quiet --clear --python $$python $$folder && \
		uv pip install --quiet --python $$folder --editable '.[dev]' && touch $$folder/.ready && \
		$(MAKE) quick VENV=$$folder || exit 1; \
	done

# Warnings are no errors here: old versions of others warn of what newer Pythons deprecate.
lowest:
	uv venv --quiet --clear --python 3.11 .versions/lowest
	uv pip install --quiet --python .versions/lowest --resolution lowest-direct --editable '.[test]'
	.versions/lowest/bin/python -m pytest -q -W default $(QUICK)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

campaign: $(READY)
	$(BIN)/python -m pytest -q -m long
	$(BIN)/python -m tests.kills
	$(BIN)/python -m tests.simulator --schedules 100000
	$(BIN)/python -m tests.hostile --seconds 600
	SFBULK_EXAMPLES=20 $(BIN)/python -m pytest -q -m hypothesis

fuzz: $(READY)
	$(BIN)/python -m tests.hostile --seconds $(or $(SECONDS),3600)

guided: $(READY)
	$(BIN)/python -m pip install --quiet --only-binary :all: atheris
	$(BIN)/python -W ignore -m tests.hostile.guided -max_total_time=$(or $(SECONDS),600)

canaries: $(READY)
	SFBULK_CANARIES=1 $(BIN)/python -m pytest -n0 tests/airflow/test_canaries.py

fab: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[fab]'
	SFBULK_FAB=1 $(BIN)/python -m pytest -n0 tests/airflow/page/test_fab.py

hygiene: $(READY)
	$(BIN)/python -m tests.hygiene

scale: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[scale]'
	$(BIN)/python -m tests.scale

npm-clients: $(READY)
	$(BIN)/python -m tests.npm $(if $(CLI),--cli)

witnesses: $(READY)
	$(BIN)/python -m tests.witnesses $(if $(NPM),--npm)

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.settle
	$(BIN)/python -m benchmarks.mapped
	$(BIN)/python -m benchmarks --rows 10000 100000 1000000 --runs 1 --who sfbulk --picture docs/images/cost-by-rows.svg

$(VENV)/.bench: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

# A stamp is written last, so a set-up that failed is done again. The demo needs a fraction of what the tests need, and runs a
# fraction of that: what is compiled on its first import is a third less work than everything.
$(READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(DEMO) $(READY)

$(DEMO): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[demo]'
	@touch $(DEMO)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

clean:
	rm -rf $(VENV) .versions .demo
