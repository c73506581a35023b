# Needs Python 3.11 or newer, make and git; everything else goes into a virtual environment of its own.
VENV ?= .venv
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
RUN = $(VENV)/bin/python -m
INSTALLED = $(VENV)/installed
# For example: make test ARGS="-k watermark"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help venv demo docs references screenshots test browser-test cover faults lint format format-check types check check-migrations wheel-check bench bench-quick lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## Make the virtual environment, from the lock file alone (once)

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "installing into $(VENV) ..."
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(RUN) pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(RUN) pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: venv ## See it work: a server, a first sync, some changes, a second sync, three answers
	@$(RUN) etl demo --keep demo

test: venv ## Run every test but browser-test, on real SQLite and real PostgreSQL
	@echo "the tests in a real browser are left out: make browser-test"
	@$(RUN) pytest -n logical --maxprocesses 4 --dist worksteal $(ARGS)

browser-test: venv ## See the report in a real browser (needs chromium on the system)
	@$(RUN) pytest -m browser tests/browser $(ARGS)

cover: venv ## Run every test and say which branches none of them takes
	@$(RUN) pytest -n logical --maxprocesses 4 --dist worksteal --cov --cov-report term --cov-report html $(ARGS)

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
		$(RUN) pytest -n logical --maxprocesses 4 --dist worksteal $(ARGS) tests/faults
	@$(VENV)/bin/python tests/faults/table.py faults.jsonl docs/reliability.md

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
	@$(RUN) pytest --quiet tests/integration/test_migrations.py tests/integration/test_new_database.py

wheel-check: venv ## Build the wheel and run it from an empty environment in another folder
	@.ci/wheel-check $(VENV)/bin/python

bench: venv ## Measure against the limit and dlt and write docs/performance.md (ARGS=--quick: two minutes, not an hour)
	@$(RUN) benchmarks $(ARGS)

bench-quick: venv ## See that a sync takes no more requests, statements, steps, rows and bytes than before
	@$(RUN) benchmarks.counting

lock: venv ## Choose the newest versions that pyproject.toml allows
	@$(RUN) uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --output-file requirements.lock

clean: ## Remove what was made, the virtual environment too
	rm -rf $(VENV) site demo dist build htmlcov .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
