# The two commands: `make train` and `make test` make a virtual environment, then do their work.
#
#   make train ARGS="--config.model=z2sa"      any option of `python main.py --help`
#   make test PYTHON=python                    in an environment that you already have: installs nothing
#   make test VENV=/path/to/new/environment    another place for the environment than .venv
#   make test-oldest                           the library's tests with the oldest versions allowed
#   make docs                                  the documentation, in site/
#   make app                                   a page that turns images and looks inside networks
#   make pictures                              every picture of README and docs/, in docs/pictures/

VENV ?= .venv
ifeq ($(origin PYTHON),command line)
environment:
tools:
	@$(PYTHON) -c "import pytest, xdist, hypothesis, nbclient" || \
		{ echo "$(PYTHON) lacks what the tests need: $(PYTHON) -m pip install -r requirements-dev.txt"; exit 2; }
application: environment
else
PYTHON := $(VENV)/bin/python
environment: $(VENV)/requirements.installed
tools: $(VENV)/requirements-dev.installed
application: $(VENV)/requirements-app.installed
endif

.PHONY: train test test-oldest lint docs pictures app environment tools application

train: environment
	$(PYTHON) main.py $(ARGS)

test: tools
	$(PYTHON) -m pytest --numprocesses=auto --maxprocesses=8 --dist=worksteal $(ARGS)

OLDEST ?= .venv-oldest
OLDEST_PYTHON ?= python3.10
test-oldest: $(OLDEST)/requirements-dev.installed
	$(OLDEST)/bin/python -m pytest tests/groups tests/functional tests/backends tests/nn $(ARGS)

$(OLDEST)/requirements-dev.installed: requirements-dev.txt requirements.txt
	@$(OLDEST_PYTHON) -c "" 2>/dev/null || { echo "$(OLDEST_PYTHON) does not run:" \
		"make test-oldest OLDEST_PYTHON=/path/to/python3.10"; exit 2; }
	$(OLDEST_PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install uv
	$(OLDEST)/bin/uv pip install --python $(OLDEST)/bin/python --resolution lowest-direct \
		--only-binary :all: -r requirements-dev.txt
	touch $@

lint: tools
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

app: application
	$(PYTHON) -m demo.app

pictures: environment
	$(PYTHON) -m demo.figures

docs: tools
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

# The newest pip shows a bar while it unpacks PyTorch, which takes minutes.
$(VENV)/bin/python:
	python3 -m venv --upgrade-deps $(VENV)

$(VENV)/%.installed: %.txt requirements.txt requirements-app.txt | $(VENV)/bin/python
	@echo "Installing the packages of $< into $(VENV): some minutes, most of them for PyTorch."
	$(PYTHON) -m pip install --disable-pip-version-check -r $<
	touch $@
