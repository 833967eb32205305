# Every target makes the environment it needs. Variables can be overridden: make test PYTHON=python3.12 VENV=/tmp/venv
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
NEWEST_VENV ?= .venv-newest-trl
NEWEST_CONSTRAINTS ?= constraints-newest-trl.txt
EXTRAS ?= axolotl,deepspeed,quantization,plots,ray,dev
WORKERS ?= auto
TRL_TESTS ?= tests/parity tests/training tests/scoring tests/core tests/planning tests/audit tests/sampling tests/benchmarks/test_training.py tests/cli/test_score.py tests/cli/test_sample.py tests/cli/test_train.py tests/cli/test_train_run.py
DATASETS ?=
PROFILES_OPTIONS ?=
# The labelled files that `calibrate` fits to: docs/calibration.md says how to get them.
DATA ?= $(firstword $(wildcard ../shared/data) calibration-data)
CALIBRATED_ON := parc_gsm8k.jsonl parc_metamathqa.jsonl gsm8k_solutions_pool.jsonl math_cot_pool.jsonl

INSTALLED := $(VENV)/.installed
NEWEST_INSTALLED := $(NEWEST_VENV)/.installed

.PHONY: quickstart test test-fast test-newest-trl profiles calibrate lint types format docs-tables install clean

quickstart: $(INSTALLED)  ## run the main job on a CPU: the whole method in the tiny world, with weighted DPO in Axolotl
	$(VENV)/bin/python examples/quickstart.py $(if $(DATASETS),--datasets $(DATASETS))

test: $(INSTALLED)  ## run all tests in as many processes as there are cores, with the trl that Axolotl pins
	$(VENV)/bin/python -m pytest -n $(WORKERS)

test-fast: $(INSTALLED)  ## run the tests that need no torch: minutes
	$(VENV)/bin/python -m pytest -n $(WORKERS) --without-torch

test-newest-trl: $(NEWEST_INSTALLED)  ## run the tests of what touches trl, with the newest trl supported
	$(NEWEST_VENV)/bin/python -m pytest -n $(WORKERS) $(TRL_TESTS)

profiles: $(INSTALLED)  ## store the verifier's profiles of tests/verifier/corpus, and print what changed
	$(VENV)/bin/python -m tests.verifier.corpus $(PROFILES_OPTIONS)

calibrate: $(INSTALLED)  ## refit the weights of wrongness to the labelled files in DATA
	$(VENV)/bin/python -m trl_weighted_dpo.cli calibrate $(addprefix $(DATA)/,$(CALIBRATED_ON)) \
		--output src/trl_weighted_dpo/verifier/calibration.json

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(INSTALLED)
	$(VENV)/bin/mypy

format: $(INSTALLED)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs-tables: $(INSTALLED)  ## rewrite the tables of settings and options in the documentation
	$(VENV)/bin/python -m tools.docs_tables

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
