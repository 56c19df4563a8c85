#!/usr/bin/env bash
# Runs the end-to-end tests on the real control plane, inside a network namespace of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/debian.sh
.venv/bin/python tests/controlplane/build.py --peers >/dev/null  # the tests know where it puts them
exec .venv/bin/python tests/controlplane/netns.py .venv/bin/python -m pytest -q tests/e2e "$@"
