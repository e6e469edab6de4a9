# Every target creates .venv if it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
COZEPY := .venv-conformance
COZE_JS := .node-conformance
COZE_SITE := .venv-conformance-site
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)
# One process per core; the tests of a file stay together, so that they share one server.
PARALLEL := -n auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo unit test browser test-browser conformance lint format docs docs-site pictures dist bench bench-smoke soak fuzz engine nightly clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("langchain-coze needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 … / 需要 Python 3.11 或更新版本" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[local]"
	@touch $@

$(READY): $(INSTALLED)
	$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[local,oauth,aiohttp]" --group dev
	@touch $@

demo: $(INSTALLED) ## see an agent answer with sources and run a workflow, no account needed
	@$(BIN)/python examples/quickstart.py

unit: $(READY) ## run the fast tests, in well under a minute
	$(BIN)/python -m pytest -q -m "not slow" tests/unit_tests

test: $(READY) ## run every test, offline, on all cores
	@$(BIN)/python tests/conformance/install.py cozepy $(COZEPY)
	@$(BIN)/python tests/conformance/install.py coze-js $(COZE_JS)
	@$(BIN)/python tests/conformance/install.py coze-site $(COZE_SITE)
	$(BIN)/python -m pytest $(PARALLEL)

browser: $(READY) ## install Debian's Chromium for the browser tests, unless it is there
	@command -v chromium >/dev/null || { $(AS_ROOT) apt-get update -qq && $(AS_ROOT) apt-get install -y -qq --no-install-recommends chromium; }

test-browser: browser ## run the tests in a browser
	$(BIN)/python -m pytest -q tests/browser_tests

conformance: $(READY) ## try the official SDKs on the local server, print the results as a table
	@$(BIN)/python tests/conformance/install.py cozepy $(COZEPY)
	@$(BIN)/python tests/conformance/install.py coze-js $(COZE_JS)
	@$(BIN)/python -m tests.conformance

lint: $(READY) ## run ruff, mypy --strict and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## format the code and apply automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## run every snippet of the README, the docs and the docstrings
	$(BIN)/python -m pytest -q tests/unit_tests/test_docs.py

pictures: $(READY) ## draw the pictures of the README from runs of the demo
	$(BIN)/python docs/pictures/draw.py

docs-site: $(READY) ## build the documentation site, in English and Chinese, into build/site
	$(BIN)/python docs/sphinx/build_site.py

dist: $(READY) ## build the wheel and the source archive twice, compare them, check the wheel
	@$(BIN)/python .ci/build.py dist

bench: $(READY) ## compare timings with other integrations
	@$(BIN)/python -m pip install -q --disable-pip-version-check --group bench
	@$(BIN)/python tests/conformance/install.py cozepy $(COZEPY)
	$(BIN)/python -m tests.benchmarks

bench-smoke: $(READY) ## check that the benchmarks still run
	@$(BIN)/python -m pip install -q --disable-pip-version-check --group bench
	$(BIN)/python -m tests.benchmarks --quick --only stream-burst invoke

soak: $(READY) ## run many clients against a server with faults, MINUTES=30
	@$(BIN)/python -m tests.soak $(or $(MINUTES),30)

fuzz: ## change recordings at random and parse them, SECONDS=60
	@$(PYTHON) .ci/environment.py .venv-fuzz fuzz
	@.venv-fuzz/bin/python -m tests.fuzz $(or $(SECONDS),60)

engine: ## test the example of a distributed engine (Ray)
	@$(PYTHON) .ci/environment.py .venv-engine engine
	.venv-engine/bin/python -m pytest -q tests/engine

nightly: $(READY) ## run what takes too long for each change
	@$(PYTHON) .ci/nightly.py

clean: ## remove environments and caches
	rm -rf build dist $(VENV) .venv-* $(COZE_JS) .mypy_cache .ruff_cache .pytest_cache .hypothesis
