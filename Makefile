# Needs Python 3.11 or newer, make and git; everything else goes into a virtual environment of its own.
VENV ?= .venv
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
RUN = $(VENV)/bin/python -m
# The locks name every package with its hashes, so pip has nothing to choose: newer releases change nothing.
PIP_INSTALL = $(RUN) pip install --quiet --disable-pip-version-check --no-deps
PIP_INSTALL_LOCK = $(PIP_INSTALL) --require-hashes --requirement
PIP_CHECK = $(RUN) pip --disable-pip-version-check check
# A lock holds for every Python from 3.11 on and every system. It names no index, so any mirror will do.
COMPILE_LOCK = $(RUN) uv pip compile pyproject.toml --group build --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate
# make touches these files after an install, and installs again after a lock or pyproject.toml changes.
INSTALLED = $(VENV)/installed
INSTALLED_DEV = $(VENV)/installed-dev
# For example: make test ARGS="-k watermark"
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install venv demo docs references screenshots quick test test-all browser-test cover faults drawn mutate lint format format-check types check check-migrations wheel-check bench bench-quick scale lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install what the command needs into the virtual environment (requirements.lock)

venv: $(INSTALLED_DEV) ## Install what the tests and the other targets need, too (requirements-dev.lock)

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV) ..."
	@$(PIP_INSTALL_LOCK) requirements.lock
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@$(PIP_CHECK)
	@echo "the command is $(VENV)/bin/kore-etl"
	@touch $@

$(INSTALLED_DEV): requirements-dev.lock $(INSTALLED)
	@echo "installing what development needs into $(VENV) ..."
	@$(PIP_INSTALL_LOCK) requirements-dev.lock
	@$(PIP_CHECK)
	@touch $@

demo: install ## See it work: a server, a first sync, some changes, a second sync, three answers
	@$(RUN) etl demo --keep demo

quick: venv ## Run the quick tests, in under a minute: the units, and what SQLite stores
	@$(RUN) pytest -n logical --maxprocesses 4 --dist worksteal -m "not slow and not browser" \
		$(or $(ARGS),tests/unit tests/integration/load)

test: venv ## Run the tests, on real SQLite and real PostgreSQL
	@echo "left out are tests that mostly repeat others (make test-all), and those in a real browser (make browser-test)"
	@$(RUN) pytest -n 4 --dist worksteal $(ARGS)

test-all: venv ## Run every test but browser-test, each case, on both databases
	@$(RUN) pytest -n 4 --dist worksteal -m "not browser" $(ARGS)

browser-test: venv ## See the report in a real browser (needs chromium on the system)
	@$(RUN) pytest -m browser tests/browser $(ARGS)

cover: venv ## Run every test and say which branches none of them takes
	@$(RUN) pytest -n logical --maxprocesses 4 --dist worksteal -m "not browser" --cov --cov-report term --cov-report html $(ARGS)

screenshots: venv ## Make the pictures of docs/images from the demo's data (needs chromium): look at each
	@$(RUN) docs.screenshots

docs: venv ## Build the site of the documentation in site/; a link that leads nowhere fails it
	@$(RUN) sphinx --fail-on-warning --keep-going --nitpicky --quiet --fresh-env --builder html docs site
	@echo "the site is in site/index.html"

references: venv ## Write the pages of docs that are made from the program
	@for page in docs/generate/*.py; do $(VENV)/bin/python $$page || exit; done

faults: venv ## Break things hundreds of times around the command, and write docs/reliability.md
	@rm -f faults.jsonl
	@FAULTS=long FAULTS_LEDGER=$(CURDIR)/faults.jsonl \
		$(RUN) pytest -n logical --maxprocesses 4 --dist worksteal -m "" $(ARGS) tests/faults
	@$(VENV)/bin/python tests/faults/table.py faults.jsonl docs/reliability.md

drawn: venv ## Draw 2,000 servers with a history each, and check what exit 0 says of them (within an hour)
	@DRAWN=$(or $(SERVERS),2000) $(RUN) pytest -n 4 --dist worksteal $(ARGS) \
		tests/integration/jobs/test_drawn_servers.py

lint: venv ## Look for defects
	@$(RUN) ruff check .

format: venv ## Lay the code out
	@$(RUN) ruff format .

format-check: venv ## Say what is not laid out
	@$(RUN) ruff format --check .

types: venv ## Check the types
	@$(RUN) mypy

check: lint format-check types ## All that needs no test run

check-migrations: venv ## See that models, views and migrations agree on both databases
	@$(RUN) pytest --quiet tests/integration/load/test_migrations.py tests/integration/load/test_new_database.py

wheel-check: venv ## Build the wheel and run it from an empty environment in another folder
	@.ci/wheel-check $(VENV)/bin/python

mutate: venv ## Change one thing at a time in the core, and list the changes that no test notices (ARGS="--sample 20")
	@$(VENV)/bin/python tests/mutate.py $(ARGS)

bench: venv ## Measure against the limit and dlt and write docs/performance.md (ARGS=--quick: two minutes, not an hour)
	@$(RUN) benchmarks $(ARGS)

bench-quick: venv ## See that a sync takes no more requests, statements, steps, rows and bytes than before
	@$(RUN) benchmarks.counting

scale: venv ## Let two workers sync 500 sources of 50 accounts, and say what it takes (10 minutes; ARGS="--sources 10 --accounts 5")
	@$(RUN) benchmarks.scale $(ARGS)

lock: | $(VENV)/bin/uv ## Choose the newest versions that pyproject.toml allows, for both locks
	@$(COMPILE_LOCK) --upgrade --all-extras --output-file requirements-dev.lock
	@$(COMPILE_LOCK) --extra report --constraint requirements-dev.lock --output-file requirements.lock

# Only uv is needed, and no pip check: it fails when pyproject.toml asks for more than the locks hold.
$(VENV)/bin/uv: | $(VENV)/bin/python
	@$(PIP_INSTALL_LOCK) requirements-dev.lock

clean: ## Remove what was made, the virtual environment too
	rm -rf $(VENV) site demo dist build htmlcov .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
