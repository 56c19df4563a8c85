#!/usr/bin/env bash
# Runs the end-to-end tests on the real control plane, inside a network namespace of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/debian.sh
FORESCALE_CONTROLPLANE=$(.venv/bin/python tests/controlplane/build.py --peers)
export FORESCALE_CONTROLPLANE
exec .venv/bin/python tests/controlplane/netns.py .venv/bin/python -m pytest -q tests/e2e "$@"
