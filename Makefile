# make up          install into .venv and run Turnlog;  ARGS="--port 9000" passes options
# make test        run all tests but the slow fault tests
# make test-faults run the tests that kill, pause and cut off real processes
# make test-oldest run the integration tests on Redis 6.2 and PostgreSQL 15
# make campaign    a long fault campaign;  ARGS="--seed 7 --minutes 30"
# make check       linters, types, import rules

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
# Tests mostly wait for servers: more processes than cores. A file of tests stays in one process.
PARALLEL := -n 4 --dist loadfile
# What only concerns HTTP is the same on any servers.
HTTP_ALONE := --ignore tests/client --ignore tests/api/test_openapi_walk.py --ignore tests/api/test_injections.py
STAMP := .venv/.installed

.PHONY: up test test-faults test-oldest campaign check install

up: $(STAMP)
	@exec $(BIN)/turnlog up $(ARGS)

test: $(STAMP)
	$(BIN)/pytest $(PARALLEL) -m "not fault" $(ARGS)

test-faults: $(STAMP)
	$(BIN)/pytest -n 2 -m fault $(ARGS)

test-oldest: $(STAMP)
	TURNLOG_TEST_SERVERS=oldest $(BIN)/pytest $(PARALLEL) -m "integration and not fault" $(HTTP_ALONE) $(ARGS)

campaign: $(STAMP)
	PYTHONPATH=tests $(BIN)/python tests/faults/campaign.py $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

install: $(STAMP)

# The stamp is written last: an installation that was broken off is done again.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Turnlog needs Python 3.11 or later and $(PYTHON) is not: name one that is," \
	    "such as make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Creating .venv"; $(PYTHON) -m venv .venv; }
	@echo "Installing Turnlog and its tools into .venv (a minute or two, the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
