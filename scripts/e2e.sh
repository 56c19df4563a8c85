#!/usr/bin/env bash
# Runs the end-to-end tests on the real control plane, inside a network namespace of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/debian.sh
# The tests know where these put what they build and fetch.
.venv/bin/python tests/controlplane/build.py --peers >/dev/null
.venv/bin/python -m tests.helm.build >/dev/null
.venv/bin/python -m tests.crds.fetch >/dev/null
exec .venv/bin/python tests/controlplane/netns.py .venv/bin/python -m pytest -q tests/e2e "$@"
