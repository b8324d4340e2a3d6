# Every target sets up what it needs first. Needs Python ≥ 3.11 with venv, and make.
# A Python that is named (make demo PYTHON=python3.13) has an environment of its own, beside .venv.
ifdef PYTHON
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print(sys.version.split()[0] + getattr(sys, "abiflags", ""))')
else
PYTHON := python3
VENV := .venv
endif
# Images for containers often forbid it; the tests and the demo start dozens of processes that would compile MLflow again.
export PYTHONDONTWRITEBYTECODE :=
BIN := $(VENV)/bin
DEMO := $(VENV)/.demo
READY := $(VENV)/.dev
# About a third of the time of the suite is waiting: three processes keep two cores busy.
WORKERS ?= 3
FUZZ_MINUTES ?= 10
KILLS ?= 300
LOCK = $(BIN)/uv pip compile --quiet $(UPGRADE) --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup demo unit test test-long check format docs bench lab scan attacks attacks-peer holes fuzz kills large cluster cluster-test image image-test lock clean
.NOTPARALLEL: # two targets may fill one environment

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## .venv with the product and its development tools, from pinned requirements

$(DEMO) $(READY): $(VENV)/.%: requirements/%.txt requirements/setup.txt pyproject.toml scripts/bootstrap.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "hokusai needs Python 3.11 or newer: make PYTHON=python3.13")'
	@$(PYTHON) scripts/bootstrap.py $(VENV) $*

demo: $(DEMO) ## start a server, train a model, register it with stock MLflow, reload it, report
	@$(BIN)/python scripts/demo.py $(DEMO)

unit: $(READY) ## every test that starts no process and listens on no port; random ones with a fifth of the examples
	@HOKUSAI_TEST_FUZZ=short $(BIN)/python -m pytest -n $(WORKERS) -m "not process and not long" $(ARGS)

test: $(READY) ## the test suite
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not long" $(ARGS)

test-long: $(READY) ## the tests that take long: older stock clients, buckets, PostgreSQL
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m long $(ARGS)

check: $(READY) ## format, lint, types, import contracts, the AWS template, docs
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/cfn-lint deploy/aws/template.yaml
	@$(BIN)/python scripts/reference.py --check

scan: $(READY) ## an independent scanner's rules for the AWS template; it has an environment of its own
	@$(BIN)/python scripts/scan.py

format: $(READY) ## write the format and the simple fixes
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet . || true

docs: $(READY) ## write the generated reference pages
	@$(BIN)/python scripts/reference.py

bench: $(READY) ## the benchmarks, in turns with other servers (builds their environments)
	@$(BIN)/python -m bench $(ARGS)

lab: $(READY) ## the failure lab: deployments that are broken on purpose, and what the doctor finds
	@$(BIN)/python -m lab $(ARGS)

fuzz: $(READY) ## random requests, tenants and bytes for FUZZ_MINUTES (10); stops at the first failure
	@$(BIN)/python -m tests.fuzz --minutes $(FUZZ_MINUTES)

kills: $(READY) ## kill a server KILLS times (300) in four layouts while clients change things; nothing may come of it
	@$(BIN)/python -m tests.kills --kills $(KILLS) $(ARGS)

large: $(READY) ## upload and download a file of 3 GiB with the stock client, and compare the bytes
	@$(BIN)/python -m tests.stock.large $(ARGS)

attacks: $(READY) ## attacks of one tenant on another, against this server in four layouts; writes docs/attacks.md
	@set -e; for target in $(or $(TARGETS),embedded remote embedded-s3 remote-s3); do \
		$(BIN)/python -m tests.attacks $$target --write $(ARGS); done

attacks-peer: $(READY) ## the same attacks, unchanged, against stock MLflow with basic-auth
	@$(BIN)/python -m tests.attacks mlflow --write $(ARGS)

holes: $(READY) ## remove security checks from a copy of the source; the attacks have to notice each
	@$(BIN)/python -m tests.attacks.holes $(ARGS)

cluster: $(READY) ## start PostgreSQL, S3, Redis, an auth service, three registries and HAProxy; Ctrl-C stops them
	@$(BIN)/python -m cluster

cluster-test: $(READY) ## break that cluster in many ways, and report which promises held
	@$(BIN)/python -m cluster.prove $(ARGS)

image: $(READY) ## build both images of deploy/Containerfile with buildah, as root (ARGS='--debootstrap' builds the base as well)
	@$(BIN)/hadolint deploy/Containerfile
	@$(BIN)/python scripts/image.py build $(ARGS)

image-test: $(READY) ## run the images, register a model in them, look for secrets; as root (ARGS='--target hokusai' for one)
	@$(BIN)/python scripts/image.py test $(ARGS)

lock: $(READY) ## resolve requirements/*.txt; pins that fit are kept (UPGRADE=--upgrade for the newest)
	@$(LOCK) --universal --extra server --extra otel --group build --group demo --group dev pyproject.toml -o requirements/dev.txt
	@$(LOCK) --universal --extra server --group build --group demo -c requirements/dev.txt pyproject.toml -o requirements/demo.txt
	@$(LOCK) --universal --extra server --extra otel pyproject.toml -o requirements/server.txt
	@$(LOCK) --universal --group image -o requirements/image.txt
	@$(LOCK) --universal --group mlflow -o requirements/mlflow.txt
	@echo uv | $(LOCK) --universal - -o requirements/setup.txt
	@$(LOCK) requirements/scan.in -o requirements/scan.txt
	@set -e; for client in 2.9.2 2.22.5 3.17.2 3.17.2-auth; do \
		$(LOCK) requirements/mlflow-$$client.in -o requirements/mlflow-$$client.txt; done

clean: ## remove what the other targets created
	@rm -rf .venv .venv-* .cache build dist htmlcov .coverage* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
