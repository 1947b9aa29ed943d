# `make` alone lists the verbs. Each verb is one step of `.ci/run`, too.
.DEFAULT_GOAL := help
.PHONY: help setup lint format types test test-all demo up bench lock

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
export PIP_ROOT_USER_ACTION := ignore

# The first interpreter that is new enough and can make a virtual environment.
FIND_PYTHON = for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$p; exit; }; done

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.dev  ## build .venv from the pinned versions, with all development tools

lint: $(VENV)/.dev  ## style, floors between rooms, declared dependencies
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/deptry .

format: $(VENV)/.dev  ## put the code into the one format
	$(VENV)/bin/ruff check --fix --exit-zero -q .
	$(VENV)/bin/ruff format .

types: $(VENV)/.dev  ## mypy, strict
	$(VENV)/bin/mypy

test: $(VENV)/.dev  ## unit, contract, integration and acceptance tests
	$(PY) -m pytest -m "not long" tests

test-all: $(VENV)/.dev  ## every test, the long ones too
	$(PY) -m pytest tests

demo: $(VENV)/.runtime  ## start everything here, tell the whole story, stop
	$(VENV)/bin/crossroads demo

up: $(VENV)/.runtime  ## start everything here and stay until Ctrl-C
	$(VENV)/bin/crossroads up

bench: $(VENV)/.runtime  ## measure on this machine
	$(PY) -m benchmarks

# Option lines are dropped: a lock names versions and hashes, never where they came from.
lock: $(VENV)/.dev  ## resolve all lists of pinned versions anew
	@for set in "constraints.txt:--build-deps-for=editable pyproject.toml" \
		"constraints-dev.txt:--build-deps-for=editable --extra=dev pyproject.toml" \
		"constraints-generator.txt:tests/contract/generator.in"; do \
		file=$${set%%:*}; source=$${set#*:}; \
		$(VENV)/bin/pip-compile -q --generate-hashes --no-header --strip-extras --allow-unsafe \
			-o $$file $$source && \
		sed -i -e '/^--/d' -e '/./,$$!d' $$file && \
		! grep -n '://' $$file || exit 1; \
	done

$(PY):
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
		echo "Python 3.11 or newer with its venv module is needed (on Debian: python3-venv)." >&2; \
		exit 1; \
	fi; \
	$$python -m venv $(VENV)

$(VENV)/.runtime: constraints.txt pyproject.toml | $(PY)
	$(PIP) install -q --require-hashes -r constraints.txt
	$(PIP) install -q --no-deps --no-build-isolation --editable .
	@touch $@

# The generator of clients, which tests run, wants other versions: an environment of its own.
$(VENV)/.dev: constraints-dev.txt constraints-generator.txt pyproject.toml | $(PY)
	$(PIP) install -q --require-hashes -r constraints-dev.txt
	$(PY) -m venv $(VENV)/generator
	$(VENV)/generator/bin/python -m pip --disable-pip-version-check --no-input install -q \
		--require-hashes -r constraints-generator.txt
	$(PIP) install -q --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.runtime $@
