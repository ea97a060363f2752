# All commands of the project. Needs python3, a C compiler and make; `setup` fetches the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
# sam looks for python3.13 on the PATH, and must find the one that the locks were made for.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export SAM_CLI_TELEMETRY := 0
# Hundreds of processes start here; without it, each would compile everything that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup ffmpeg demo local test soak check build sam-test bench docs tour lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: ## install Python and the locked packages into .venv
	@scripts/setup.sh

ffmpeg: setup ## build the small ffmpeg that the layer holds
	@$(MAKE) --no-print-directory -C layers/ffmpeg

demo: setup ffmpeg ## see calls become archived, verified recordings, on this machine alone
	@python -m local.demo

local: setup ffmpeg ## run the whole system on this machine, until Ctrl-C; ARGS=--bare without a stack
	@python -m local $(ARGS)

test: setup ffmpeg ## run the tests; ARGS="-k name" goes to pytest
	@python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

soak: setup ffmpeg ## run the long simulated days and the storms; SEEDS=50 for more random faults
	@python -m pytest -n auto --dist loadfile --no-loadscope-reorder tests/soak $(if $(SEEDS),--seeds=$(SEEDS)) $(ARGS)

check: setup ## lint, types, template rules, flaws in security, stale locks and docs
	@scripts/setup.sh checkov
	ruff check
	ruff format --check
	mypy
	bandit --quiet --recursive --configfile pyproject.toml functions layers local scripts
	zizmor --offline --no-progress --quiet .github
	sam validate --lint
	cfn-lint template.yaml
	.venv-checkov/bin/checkov --config-file .checkov.yaml
	python -m pytest -q tests/template
	python scripts/cli_docs.py --check
	scripts/lock.sh --check

build: setup ffmpeg ## build functions and layers for deployment, and the list of what is in them
	sam build
	@python scripts/bom.py .aws-sam/bom.json --built .aws-sam/build

sam-test: setup ## run every event in events/ through sam local invoke; needs Docker and make build
	@python -m pytest -m docker tests/sam $(ARGS)

bench: setup ffmpeg ## run the benchmarks, with their table
	@scripts/setup.sh bench
	@python -m tests.bench

docs: setup ## write docs/cli.md from the commands' help
	@python scripts/cli_docs.py

tour: setup ffmpeg ## record docs/tour.md and docs/export.png from a local system
	@python -m scripts.tour

lock: setup ## write the locked requirements; ARGS=--upgrade takes the newest versions
	@scripts/lock.sh $(ARGS)

clean: ## remove what was built and what the local system left
	rm -rf .aws-sam .local .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@$(MAKE) --no-print-directory -C layers/ffmpeg clean
