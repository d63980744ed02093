# Everything a checkout needs. `make` alone lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
VENV_PANDAS2 ?= .venv-pandas2
DURATION ?= 180
CUTS ?= 200
ARGS ?=
LOCK_ARGS ?=

BIN := $(VENV)/bin
TOOLS := $(abspath $(VENV))/tools

# pip's own configuration (indexes, wheel folders, certificates) is left to whoever runs this.
# The locks decide what is installed: exact versions, checked hashes, wheels only, so that nothing is built here.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
INSTALL_LOCKED := -m pip install --quiet --require-hashes --only-binary :all: --requirement

.PHONY: help run test test-pandas2 soak-powerloss check format bench wheel lock tools clean distclean

help: ## list what there is to make
	@echo "stressd soaks a feature store. It needs make and Python 3.11 or newer; the rest is installed into $(VENV)."
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run ARGS='--target memory --seed 7'    any option of \`stressd run\`"
	@echo "  make run DURATION=24h                       longer than three minutes"
	@echo "  make test ARGS='-k cache -x'                any option of pytest, under the newest pandas alone"
	@echo "  make test PYTHON=python3.12                 another Python than python3 (after make distclean)"

run: $(VENV)/.installed-run ## soak the embedded store for three minutes, with a verdict
	$(BIN)/stressd --duration $(DURATION) $(ARGS)

test: $(VENV)/.installed-dev tools $(if $(ARGS),,test-pandas2) ## run every test, the store's also under pandas 2
	PATH="$(TOOLS):$$PATH" $(BIN)/python -m pytest $(ARGS)

test-pandas2: $(VENV_PANDAS2)/.installed ## run the store's tests under the oldest supported pandas
	PYTHONPATH=. $(VENV_PANDAS2)/bin/python -m pytest -p no:cacheprovider tests/featurestore

soak-powerloss: $(VENV)/.installed-dev ## cut the store's power CUTS times, on a loop device (needs root)
	STRESSD_POWERLOSS_CUTS=$(CUTS) $(BIN)/python -m pytest --timeout=3600 tests/featurestore/test_power_loss.py $(ARGS)

check: $(VENV)/.installed-dev ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## put the code into its format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## run every script in benchmarks/
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

wheel: $(VENV)/.installed-dev ## build the wheel and the source archive into dist/
	$(BIN)/python -m hatchling build

lock: $(VENV)/.created ## write the locks anew (LOCK_ARGS=--upgrade takes newer versions)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(COMPILE) --group build --output-file requirements/run.txt
	$(COMPILE) --group build --group test --group check --constraint requirements/run.txt \
		--output-file requirements/dev.txt
	$(COMPILE) requirements/pandas2.in --group test --output-file requirements/pandas2.txt
COMPILE = $(BIN)/uv pip compile pyproject.toml --python $(BIN)/python --python-version 3.11 --universal --generate-hashes \
	--quiet --no-header --no-annotate $(LOCK_ARGS)

tools: | $(VENV)/.created
	@.ci/tools $(TOOLS)

clean: ## remove caches and built files (never a run's data)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find stressd featurestore tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## and the virtual environments
	rm -rf $(VENV) $(VENV_PANDAS2)

# A stamp is written after the step that it stands for, so what was interrupted is done again.

define create_venv
	@command -v $(PYTHON) >/dev/null || { \
		echo "make: $(PYTHON) is not on the PATH; install Python 3.11 or newer, or name it: make PYTHON=/path/to/python" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: $(PYTHON) is $$($(PYTHON) --version 2>&1), Python 3.11 or newer is needed; name another one:" \
			"make PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "make: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(@D)
endef

$(VENV)/.created:
	$(create_venv)
	@touch $@

$(VENV)/.installed-run: requirements/run.txt pyproject.toml | $(VENV)/.created
	@echo "installing what requirements/run.txt lists into $(VENV), once; this may take a minute"
	@$(BIN)/python $(INSTALL_LOCKED) requirements/run.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements/dev.txt $(VENV)/.installed-run
	@echo "installing what requirements/dev.txt lists into $(VENV), once"
	@$(BIN)/python $(INSTALL_LOCKED) requirements/dev.txt
	@touch $@

$(VENV_PANDAS2)/.created:
	$(create_venv)
	@touch $@

$(VENV_PANDAS2)/.installed: requirements/pandas2.txt | $(VENV_PANDAS2)/.created
	@echo "installing what requirements/pandas2.txt lists into $(VENV_PANDAS2), once"
	@$(VENV_PANDAS2)/bin/python $(INSTALL_LOCKED) requirements/pandas2.txt
	@touch $@
