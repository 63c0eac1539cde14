# `make finetune` and `make test` each set everything up first; either may come first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: constraints setup finetune test unit lint infra dashboard docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "Primum needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

finetune: setup
	$(BIN)/python run.py --pipeline finetune

# Two files at a time, each on one thread: most of a test's time is imports and waiting.
test: setup lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --cov --cov-report=term:skip-covered --cov-fail-under=90

unit: setup
	$(BIN)/python -m pytest tests/unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src run.py pipelines steps
	$(BIN)/lint-imports

# checkov wants other versions than ours, so it has an environment of its own. It needs no account and tells nobody.
CHECKOV := build/checkov/bin/checkov

infra: $(CHECKOV)
	terraform fmt -check -recursive infra
	$(CHECKOV) --directory infra --framework terraform kubernetes dockerfile --skip-download --quiet --compact

$(CHECKOV):
	$(PYTHON) -m venv build/checkov
	build/checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30

constraints: setup
	$(BIN)/python -m pip freeze --exclude-editable | sed "s/+cpu$$//" > constraints.txt

docs: setup
	$(BIN)/python -m primum.docs > docs/configuration.md

dashboard: setup
	$(BIN)/primum dashboard

clean:
	rm -rf $(VENV) build dist
