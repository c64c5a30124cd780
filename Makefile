# make run: start the app.   make dev: start it again when a file changes.
# make check: the fast checks.   make test: every check.   make nightly: what takes hours.
# Each sets up what it needs, with nothing but Python, git and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q --dist loadgroup --no-loadscope-reorder
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Bytecode is kept, also where images for containers say otherwise: tests start a hundred processes, each of which would
# compile the package again, and pytest would rewrite the assertions of all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run dev check test nightly lint fast everything browser gallery screenshots docs wheel clean

run: $(VENV)/.installed
	$(BIN)/python app.py $(ARGS)

dev: $(VENV)/.installed
	$(BIN)/python app.py --reload $(ARGS)

# Minutes: what to run before every commit. Types are checked beside the tests.
check: $(VENV)/.installed-dev
	$(MAKE) -j2 lint fast

# Everything, as continuous integration runs it.
test: $(VENV)/.installed-dev browser
	$(MAKE) -j2 lint everything

# Hours: the full products of the tests, and every benchmark at a tiny size.
nightly: $(VENV)/.installed-dev browser
	$(BIN)/python -m tests.benchmarks --nightly

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.scripts.typecheck

fast: $(VENV)/.installed-dev
	$(PYTEST) -n 2 -m "not slow and not browser"

# Browser tests wait more than they compute, so three at a time keep two cores busy.
everything: $(VENV)/.installed-dev
	$(PYTEST) -n 3 --durations=25

# Chromium: Debian's package where there is apt, else whatever browser is installed (tests/e2e/conftest.py looks for it).
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { command -v apt-get >/dev/null && { sudo=$$(command -v sudo || true); $$sudo apt-get update -qq \
	&& $$sudo apt-get install -qq --yes --no-install-recommends chromium fonts-dejavu-core; }; } \
	|| { echo "The browser tests need Chromium or Chrome: install one and run make test again."; exit 1; }

gallery: $(VENV)/.installed
	$(BIN)/python -m playground.reference

screenshots: $(VENV)/.installed-dev browser
	$(BIN)/python -m tests.e2e.screenshots docs/screenshots

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet -f .ci/mkdocs.yml
	@echo "Open site/index.html."

# Of a folder without old builds, whose files setuptools would add.
wheel: $(VENV)/.installed
	rm -rf build dist
	$(PIP:install=wheel) --no-deps --wheel-dir dist .

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(PIP) -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt | $(VENV)/bin/python
	$(PIP) -r requirements-dev.txt
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist site *.egg-info
