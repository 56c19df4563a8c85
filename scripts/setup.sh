#!/usr/bin/env bash
# Makes .venv from requirements/dev.txt; needs python3.11 or newer with its venv module.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "setup: $*" >&2; }

python=""
for candidate in python3 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null \
    && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || { say "Python 3.11 or newer is missing: apt-get install -y python3 python3-venv"; exit 1; }
if [ ! -x .venv/bin/python ]; then
  "$python" -c 'import ensurepip' 2>/dev/null \
    || { say "Python's venv module is missing: apt-get install -y python3-venv"; exit 1; }
  say "making .venv with $("$python" --version)"
  "$python" -m venv .venv
fi
if [ ! -x .venv/bin/uv ]; then
  say "installing uv"
  .venv/bin/pip install --quiet --disable-pip-version-check uv
fi
say "installing the locked requirements (the first time: 100 packages, about half a minute)"
.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements/dev.txt
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
touch .venv/.ready
