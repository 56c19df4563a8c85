#!/usr/bin/env bash
# The fast loop: lint, format, types, import directions, unit tests. `make test` has one stage more for
# what takes longer: whole programs, and properties with all their examples. Everything runs; the
# first failure decides the exit code, and a table says what took how long.
set -uo pipefail
cd "$(dirname "$0")/.."
UNIT=(tests --ignore=tests/e2e --ignore=tests/triton --ignore=tests/browser --ignore=tests/helm --ignore=tests/grafana)
failed=0
rows=()
step() {
  local name=$1 began=$SECONDS verdict=ok
  shift
  echo "== $name"
  "$@" || { verdict=FAILED; failed=1; }
  rows+=("$(printf '%-12s %4d s  %s' "$name" $((SECONDS - began)) "$verdict")")
}
step lint .venv/bin/ruff check .
step format .venv/bin/ruff format --check .
# Beside mypy, which has one core: four workers would each compile all tests anew the first time.
.venv/bin/python -m pytest -q --collect-only "${UNIT[@]}" >/dev/null 2>&1 &
step types .venv/bin/mypy
step imports .venv/bin/lint-imports
wait
HYPOTHESIS_PROFILE=quick step unit .venv/bin/python -m pytest -q -n 4 --dist loadfile -m "not process" "${UNIT[@]}"
printf '\n%s\n' "${rows[@]}"
exit $failed
