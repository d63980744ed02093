# Everything a checkout needs. `make` alone lists it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
VENV_PANDAS2 ?= .venv-pandas2
VENV_S3SERVER ?= .venv-s3server
DURATION ?= 180
CUTS ?= 200
REQUESTS ?= 20000
KILLS ?= 1000
DAEMON_KILLS ?= 10
READS ?= 10000000
SECONDS ?= 3600
OPERATIONS ?= 10000000
ARGS ?=
LOCK_ARGS ?=

BIN := $(VENV)/bin
TOOLS := $(abspath $(VENV))/tools

# pip's own configuration (indexes, wheel folders, certificates) is left to whoever runs this.
# The locks decide what is installed: exact versions, checked hashes, wheels only, so that nothing is built here.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Tests in more processes than there are cores: many wait. A file stays in one, so that its daemon serves all its tests.
SHARED_OUT := --numprocesses 3 --dist loadfile --no-loadscope-reorder
INSTALL_LOCKED := -m pip install --quiet --require-hashes --only-binary :all: --requirement

.PHONY: help run test test-pandas2 soak-rivals soak-hostile soak-powerloss soak-truth soak-metrics soak-compare soak-memory soak-verdicts check format render bench bench-load wheel lock tools clean distclean

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

test: $(VENV)/.installed-dev $(VENV_S3SERVER)/.installed tools $(if $(ARGS),,test-pandas2) ## run every test, the store's also under pandas 2
	PATH="$(TOOLS):$$PATH" $(BIN)/python -m pytest $(if $(ARGS),,$(SHARED_OUT)) $(ARGS)

test-pandas2: $(VENV_PANDAS2)/.installed ## run the store's tests under the oldest supported pandas
	PYTHONPATH=. $(VENV_PANDAS2)/bin/python -m pytest -p no:cacheprovider $(SHARED_OUT) tests/featurestore

soak-rivals: $(VENV)/.installed-dev $(VENV_S3SERVER)/.installed ## many writers of one group, a minute each way, processes killed among them
	STRESSD_RIVALS_S=60 $(BIN)/python -m pytest --timeout=3600 tests/featurestore/test_rivals.py \
		tests/featurestore/test_object_rivals.py $(ARGS)

soak-powerloss: $(VENV)/.installed-dev ## cut the store's power CUTS times, on a loop device (needs root)
	STRESSD_POWERLOSS_CUTS=$(CUTS) $(BIN)/python -m pytest --timeout=3600 tests/featurestore/test_power_loss.py $(ARGS)

soak-chaos: $(VENV)/.installed-dev ## kill KILLS workers and DAEMON_KILLS daemons of the scenario chaos, then verify
	STRESSD_CHAOS_KILLS=$(KILLS) STRESSD_CHAOS_DAEMON_KILLS=$(DAEMON_KILLS) \
		$(BIN)/python -m pytest -s tests/integration/test_chaos.py \
		tests/supervisor/test_injected.py::test_restarts_leave_no_descriptor_no_memory_and_no_process_behind $(ARGS)

soak-truth: $(VENV)/.installed-dev ## READS checked reads of right stores that none may be accused in, and 20 lost saves
	STRESSD_TRUTH_READS=$(READS) $(BIN)/python -m pytest -s --timeout=0 tests/integration/test_truth.py \
		tests/integration/test_lost_save.py $(ARGS)

soak-metrics: $(VENV)/.installed-dev ## SECONDS of the default soak with KILLS killed workers: /metrics looked at all the time
	STRESSD_METRICS_SECONDS=$(SECONDS) STRESSD_METRICS_KILLS=$(KILLS) $(BIN)/python -m pytest -s \
		tests/integration/test_metrics_live.py -k never_go_back $(ARGS)

soak-compare: $(VENV)/.installed-dev ## 20 pairs of runs, one of each slowed by 15 %, and 20 equal ones: which are told apart
	STRESSD_COMPARE_PAIRS=20 $(BIN)/python -m pytest -s tests/integration/test_compare_runs.py $(ARGS)

soak-hostile: $(VENV)/.installed-dev ## send REQUESTS hostile requests at a daemon, and show how long scrapes took meanwhile
	STRESSD_HOSTILE_REQUESTS=$(REQUESTS) $(BIN)/python -m pytest -s tests/integration/test_hostile_requests.py $(ARGS)

soak-memory: $(VENV)/.installed-dev ## OPERATIONS operations of noop, 10,000 a second: whether the daemon grows with them
	$(BIN)/python benchmarks/memory.py --operations $(OPERATIONS) $(ARGS)

soak-verdicts: $(VENV)/.installed-dev ## 20 default soaks each of a good target, one that leaks, one that slows, one that loses a save
	$(BIN)/python benchmarks/soaks.py $(ARGS)

check: $(VENV)/.installed-dev ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## put the code into its format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

render: $(VENV)/.installed-dev ## write rules, dashboards, alerts and reference pages anew
	$(BIN)/python -m stressd.render

bench: $(VENV)/.installed-bench ## the store and generation beside their peers (ARGS='--page docs/performance.md' writes the page)
	$(BIN)/python benchmarks/report.py $(ARGS)

bench-load: $(VENV)/.installed-dev ## what stressd itself costs: an operation, a whole run, a kept rate, a scrape, checks
	@set -e; for name in lane noop load scrape checks verdicts; do echo "== benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py $(ARGS); done

wheel: $(VENV)/.installed-dev ## build the wheel and the source archive into dist/
	$(BIN)/python -m hatchling build

lock: $(VENV)/.created ## write the locks anew (LOCK_ARGS=--upgrade takes newer versions)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(COMPILE) --group build --output-file requirements/run.txt
	$(COMPILE) --group build --group test --group check --extra objectstore --constraint requirements/run.txt \
		--output-file requirements/dev.txt
	$(COMPILE) --group bench --constraint requirements/dev.txt --output-file requirements/bench.txt
	$(COMPILE) requirements/pandas2.in --group test --output-file requirements/pandas2.txt
	$(subst pyproject.toml,requirements/s3server.in,$(COMPILE)) --output-file requirements/s3server.txt
COMPILE = $(BIN)/uv pip compile pyproject.toml --python $(BIN)/python --python-version 3.11 --universal --generate-hashes \
	--quiet --no-header --no-annotate $(LOCK_ARGS)

tools: | $(VENV)/.created
	@.ci/tools $(TOOLS)
	@.ci/browser $(TOOLS)

clean: ## remove caches and built files (never a run's data)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find stressd featurestore tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## and the virtual environments
	rm -rf $(VENV) $(VENV_PANDAS2) $(VENV_S3SERVER)

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

$(VENV)/.installed-bench: requirements/bench.txt $(VENV)/.installed-dev
	@echo "installing what requirements/bench.txt lists into $(VENV), once"
	@$(BIN)/python $(INSTALL_LOCKED) requirements/bench.txt
	@touch $@

$(VENV_PANDAS2)/.created $(VENV_S3SERVER)/.created:
	$(create_venv)
	@touch $@

$(VENV_PANDAS2)/.installed: requirements/pandas2.txt | $(VENV_PANDAS2)/.created
	@echo "installing what requirements/pandas2.txt lists into $(VENV_PANDAS2), once"
	@$(VENV_PANDAS2)/bin/python $(INSTALL_LOCKED) requirements/pandas2.txt
	@touch $@

$(VENV_S3SERVER)/.installed: requirements/s3server.txt | $(VENV_S3SERVER)/.created
	@echo "installing what requirements/s3server.txt lists into $(VENV_S3SERVER), once"
	@$(VENV_S3SERVER)/bin/python $(INSTALL_LOCKED) requirements/s3server.txt
	@touch $@
