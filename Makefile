# One word per chore. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help run test chaos bench check format lock clean

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP_INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes
# Links and extra indexes of one machine must not leak into the lock files; a mirror given as PIP_INDEX_URL may be used.
PIP_COMPILE := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	$(PYTHON) -m piptools compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-options

help:  ## what there is
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 16

run: $(VENV)/installed  ## start everything on this machine: web, worker, database, Redis (PORT=4000)
	@exec $(PYTHON) -m app.local

test: $(VENV)/installed-dev  ## run the tests (ARGS="-k name tests/limits")
	@$(PYTHON) -m pytest $(if $(ARGS),$(ARGS),-n auto --dist worksteal)

chaos: $(VENV)/installed-dev  ## break one part after another under load (SECONDS=900 SEED=1 DATABASE=postgresql)
	@$(PYTHON) -m tests.chaos --seconds $(or $(SECONDS),900) --seed $(or $(SEED),1) --database $(or $(DATABASE),postgresql)

bench: $(VENV)/installed-dev  ## measure Tollgate beside its peers (ARGS="--systems tollgate,litellm --rounds 1")
	@$(PYTHON) -m benchmarks $(ARGS)

check: $(VENV)/installed-dev  ## lint, types, import layers, migrations and lock files in step
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) -m pytest -q tests/test_lock.py tests/test_migrations.py

format: $(VENV)/installed-dev  ## let ruff rewrite what it can
	$(PYTHON) -m ruff check --fix-only .
	$(PYTHON) -m ruff format .

lock: $(VENV)/installed-dev  ## write both lock files anew from pyproject.toml (UPGRADE=1 takes newer versions)
	$(PIP_COMPILE) $(if $(UPGRADE),--upgrade) --output-file requirements.txt pyproject.toml
	$(PIP_COMPILE) $(if $(UPGRADE),--upgrade) --extra dev --constraint requirements.txt \
		--output-file requirements-dev.txt pyproject.toml

clean:  ## remove the virtual environment and every cache; data in .tollgate stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find app worker migrations tests -name __pycache__ -prune -exec rm -rf {} +

# pip is the last thing that venv installs, so a half-made environment is made again.
$(VENV)/bin/pip:
	@for python in python3 python3.14 python3.13 python3.12 python3.11; do \
		if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making $(VENV) with $$($$python --version)"; \
			exec $$python -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "Tollgate needs Python 3.11 or newer with venv, and found none (on Debian: apt install python3 python3-venv)." >&2; \
	exit 1

$(VENV)/installed: requirements.txt | $(VENV)/bin/pip
	@echo "Installing requirements.txt"
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	@echo "Installing requirements-dev.txt"
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@
