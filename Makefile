# Every target makes the environment it needs. Variables can be overridden: make test PYTHON=python3.12 VENV=/tmp/venv
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
NEWEST_VENV ?= .venv-newest-trl
NEWEST_CONSTRAINTS ?= constraints-newest-trl.txt
EXTRAS ?= axolotl,deepspeed,quantization,plots,ray,dev
DATASETS ?=

INSTALLED := $(VENV)/.installed
NEWEST_INSTALLED := $(NEWEST_VENV)/.installed

.PHONY: quickstart test test-newest-trl lint types format docs-tables install clean

quickstart: $(INSTALLED)  ## run the main job on a CPU: the whole method in the tiny world, with weighted DPO in Axolotl
	$(VENV)/bin/python examples/quickstart.py $(if $(DATASETS),--datasets $(DATASETS))

test: $(INSTALLED)  ## run all tests, with the trl that Axolotl pins
	$(VENV)/bin/python -m pytest

test-newest-trl: $(NEWEST_INSTALLED)  ## run the tests that need no Axolotl, with the newest trl supported
	$(NEWEST_VENV)/bin/python -m pytest --ignore=tests/axolotl --ignore=tests/integration

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(INSTALLED)
	$(VENV)/bin/mypy

format: $(INSTALLED)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs-tables: $(INSTALLED)  ## rewrite the tables of settings and options in the documentation
	$(VENV)/bin/python tools/docs_tables.py

install: $(INSTALLED)

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[$(EXTRAS)]"
	touch $@

$(NEWEST_INSTALLED): pyproject.toml $(NEWEST_CONSTRAINTS)
	$(PYTHON) -m venv $(NEWEST_VENV)
	$(NEWEST_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(NEWEST_VENV)/bin/python -m pip install --quiet --constraint $(NEWEST_CONSTRAINTS) --editable ".[quantization,dev]"
	touch $@

clean:
	rm -rf $(VENV) $(NEWEST_VENV) outputs .pytest_cache .mypy_cache .ruff_cache .hypothesis
