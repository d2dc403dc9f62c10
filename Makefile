# What there is to do here: make help

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
ROOT := $(shell test "$$(id -u)" = 0 || echo sudo)

# Without compiled modules, every process of the tests compiles them again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install install-browser install-mariadb demo screenshots test crash fuzz check bench dist lock clean

help:  ## Print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(READY)  ## Make .venv and install openbulk with its locked dependencies

$(READY): requirements/dev.txt requirements/console/package-lock.json pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("openbulk needs Python 3.11 or newer; name one with PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/npm ci --prefix requirements/console --ignore-scripts --no-audit --no-fund --loglevel=error
	mkdir -p src/openbulk/console/vendor
	cp requirements/console/node_modules/htmx.org/dist/htmx.min.js requirements/console/node_modules/htmx.org/LICENSE src/openbulk/console/vendor
	@touch $@

install-browser:  ## Install Chromium for the tests of the console (Debian, Ubuntu)
	@command -v chromium >/dev/null || { $(ROOT) apt-get update -q && $(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; }

install-mariadb:  ## Install MariaDB's server for the tests (Debian, Ubuntu)
	@command -v mariadbd >/dev/null || test -x /usr/sbin/mariadbd || { $(ROOT) apt-get update -q && $(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends mariadb-server; }

demo: install  ## Run the two flows against the sandboxes and show all of it; KEEP=1 leaves a console
	@$(BIN)/python examples/demo.py $(if $(KEEP),--keep)

screenshots: install  ## Take pictures of every page of the console into docs/screenshots
	@PYTHONPATH=tests $(BIN)/python tools/screenshots.py

test: install  ## Run all tests
	$(BIN)/python -m pytest -q -n 5 --dist worksteal

crash: install  ## Kill and freeze everything, seed after seed: SEEDS=300, or SEED=1234 alone
	@PYTHONPATH=tests $(BIN)/python -m crash $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),300)) $(CRASH)

fuzz: install  ## Make up bad files, queries and numbers for an hour: FUZZ_SECONDS=60, FUZZ_SEED=7
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),3600) $(BIN)/python -m pytest -q tests/fuzz tests/acceptance/test_openapi.py

check: install  ## Lint, format, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install  ## Measure speed and memory beside others, and write the table (half an hour)
	@$(BIN)/python bench/run.py

dist: install  ## Build the wheel and the source distribution into dist/
	rm -rf dist
	$(BIN)/python -m hatchling build

lock:  ## Pin the newest versions that pyproject.toml allows
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --group dev -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group peers -o bench/peers-requirements.txt

clean:  ## Remove what was installed and cached
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
