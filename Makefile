# What a person needs: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
export UV_PYTHON_DOWNLOADS := never
# Where it is set, each of four test workers and every process that they start compiles all anew.
unexport PYTHONDONTWRITEBYTECODE
ARGS ?=
ONLY ?=

.PHONY: help setup demo check test browser e2e bench fuzz controlplane controlplane-build chart dashboard triton debian lock docs install-manifest format

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## make the Python environment in .venv from the locked requirements

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@bash scripts/setup.sh

demo: setup ## sidecars, adapter and an HPA loop on this machine: no cluster, no GPU (ARGS="--for 60s --json")
	@bash scripts/debian.sh gcc
	@$(VENV)/bin/forescale demo $(ARGS)

check: setup ## fast: lint, types, import directions, unit tests (under 2 minutes)
	@bash scripts/debian.sh gcc promtool prometheus
	@bash scripts/check.sh

test: setup ## everything, on the real parts; builds the control plane once (about 10 minutes)
	@$(PY) scripts/test.py

browser: setup ## the part of `make test` in a real Chromium: the status page
	@bash scripts/debian.sh chromium
	@$(PY) -m pytest -q tests/browser

e2e: setup ## the part of `make test` on the real control plane (ARGS="-k name")
	@bash scripts/e2e.sh $(ARGS)

bench: setup ## the README's figures, peer and ours side by side (ONLY=api)
	@$(PY) bench/run.py $(ONLY)

fuzz: setup ## the property tests, a hundred times as many examples (FUZZ_EXAMPLES=10000 each)
	@$(PY) tests/controlplane/build.py oracle
	@ORACLE_CASES=100000 $(PY) -m pytest -q --timeout=0 tests/e2e/test_hpa_oracle.py
	@HYPOTHESIS_PROFILE=long $(PY) -m pytest -q --timeout=0 tests/e2e/test_reading_oracle.py
	@HYPOTHESIS_PROFILE=long $(PY) -m pytest -q --timeout=0 tests/adapter tests/sidecar -m "hypothesis and not process"

controlplane-build: setup ## build the real control plane into the cache
	@$(PY) tests/controlplane/build.py --peers

controlplane: controlplane-build ## leave a real control plane running to play with, until Ctrl-C
	@$(PY) -m tests.controlplane

chart: setup ## the Helm chart's tests; builds Helm's own renderer once (1 to 2 minutes)
	@$(PY) -m tests.helm.build
	@$(PY) -m pytest -q tests/helm

dashboard: setup ## the Grafana dashboard against Grafana's own types; builds their reader once (seconds)
	@$(PY) -m tests.grafana.build
	@$(PY) -m pytest -q tests/grafana

triton: setup ## install the real Triton for the tests into the cache
	@$(PY) tests/triton/install.py

debian: ## install the Debian packages that the tests need (as root)
	@bash scripts/debian.sh

lock: setup ## write requirements/*.txt anew from pyproject.toml
	@bash scripts/lock.sh

docs: setup ## write docs/settings.md, docs/pictures and the JSON Schemas of settings and chart anew from the code
	@$(PY) -m scripts.settings_page
	@$(PY) -m scripts.settings_schema
	@$(PY) -m scripts.chart_schema
	@$(PY) -m scripts.hpa_pictures

install-manifest: setup ## write manifests/install.yaml and the PrometheusRule anew
	@$(PY) -m scripts.install_manifest
	@$(PY) -m scripts.prometheus_rule

format: setup ## format the code
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .
