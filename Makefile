# Stampede's commands on the control node. `make` on its own lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# Extra arguments: for ansible-playbook in `make run`, for pytest in `make quick` and `make test`, for tests.fleet in
# `make fleet`.
ARGS ?=
# The interpreter for .venv; if empty, bin/find-python searches for one.
PYTHON ?=
export PYTHON

# Set explicitly, because Ansible ignores the ansible.cfg of a world-writable directory.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Ansible requires UTF-8.
ifneq ($(shell locale charmap 2>/dev/null),UTF-8)
export LC_ALL := C.UTF-8
endif

.PHONY: help setup setup-dev run fleet fleet-down generate lock release docs quick fuzz test lint clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

setup:  ## create .venv with everything a run needs (the other targets do this automatically)
	@bin/prepare-venv requirements.lock

setup-dev:
	@bin/prepare-venv requirements-dev.lock

run: setup  ## load-test the reference services on this machine; ARGS="-e stampede_holders=20" changes the run
	@.venv/bin/ansible-playbook -i inventory/local playbooks/run-test.yml $(ARGS)

fleet: setup  ## boot test hosts on this machine, as root; ARGS="--hosts 2" changes how many load hosts
	@.venv/bin/python -m tests.fleet up $(ARGS)

fleet-down: setup  ## stop the test hosts and remove them completely
	@.venv/bin/python -m tests.fleet down $(ARGS)

quick: setup-dev  ## run the fast unit tests, in about three minutes; ARGS="-k holder" goes to pytest
	@.venv/bin/pytest -n 2 -m "not slow and not fuzz" tests/unit tests/hostile $(ARGS)

fuzz: setup-dev  ## try far more foreign input on every parser than `make test` does; takes minutes
	@.venv/bin/pytest -n 2 -m fuzz --hypothesis-profile=fuzz tests/hostile $(ARGS)

# As many workers as the least machine has cores: with more, agents wait for a core until their steps time out.
# tests/scheduling.py says who gets what.
test: lint  ## run the linters and all tests; ARGS="tests/unit -x" goes to pytest
	@.venv/bin/pytest -n 2 $(ARGS)

lint: setup-dev  ## check style, types, YAML and playbooks
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo --no-cache
	@.venv/bin/yamllint --strict .
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/ansible-lint --offline -q

generate: setup-dev  ## regenerate the files derived from the argument specs and the dashboards' code
	@.venv/bin/python bin/generate-settings
	@.venv/bin/python -m dashboards

lock: setup-dev  ## lock versions and hashes of all packages; ARGS="--upgrade-package aiohttp" takes a new one
	@bin/lock $(ARGS)

release: setup-dev  ## build sdist, wheel, collection, SBOM and SHA-256 sums into dist, which must be empty; docs/releasing.md
	@.venv/bin/python bin/release dist

docs: setup-dev  ## build the documentation as a site into build/docs, with every link checked
	@NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet
	@echo "Documentation: build/docs/index.html"

clean:  ## remove .venv, work folders and caches; keep results
	@rm -rf .venv .stampede .ansible .mypy_cache .ruff_cache .pytest_cache *.egg-info build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
