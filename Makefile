# make run: start the app.   make test: every check.   Both set up what they need, with nothing but Python, git and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test lint unit e2e browser gallery screenshots clean

run: $(VENV)/.installed
	$(BIN)/python app.py $(ARGS)

# Types are checked while the first tests run; the browser has the machine to itself.
test:
	$(MAKE) -j2 lint unit
	$(MAKE) e2e

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q --ignore=tests/e2e

e2e: $(VENV)/.installed-dev browser
	$(BIN)/python -m pytest -q tests/e2e

# Chromium: Debian's package where there is apt, else whatever browser is installed (tests/e2e/conftest.py looks for it).
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { command -v apt-get >/dev/null && { sudo=$$(command -v sudo || true); $$sudo apt-get update -qq \
	&& $$sudo apt-get install -qq --yes --no-install-recommends chromium fonts-dejavu-core; }; } \
	|| { echo "The browser tests need Chromium or Chrome: install one and run make test again."; exit 1; }

gallery: $(VENV)/.installed
	$(BIN)/python -m playground.runs.reference
	$(BIN)/python -m playground.lab.shipped_bands
	$(BIN)/python -m playground.lab.sink_runs

screenshots: $(VENV)/.installed-dev browser
	$(BIN)/python -m tests.e2e.screenshots docs/screenshots

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
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
