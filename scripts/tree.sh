#!/usr/bin/env bash
# Installs one program into FOLDER as its image has it: locked packages, byte code made, no installer.
#
#   bash scripts/tree.sh sidecar|agent|adapter FOLDER
#
# LOCK is the file of requirements/, where the program is to have more than it needs (default: its own).
# PYTHON is the interpreter (default .venv's); hatchling must be in it (requirements/build.txt).
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
folder=$(realpath -m "$2")
python=${PYTHON:-.venv/bin/python}
install=("$python" -m pip install --quiet --disable-pip-version-check --no-compile)
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT

[ ! -e "$folder" ] || { echo "tree: $folder is there already; remove it first" >&2; exit 1; }
"$python" -m venv --without-pip "$folder"
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"${install[@]}" --target "$site" --only-binary :all: --require-hashes -r "requirements/${LOCK:-$program}.txt"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
  --wheel-dir "$wheels" .
"$python" -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check \
  --no-compile --no-index --no-deps "$wheels"/*.whl
rm -rf "$site/bin"
find "$site" -type d -name tests -prune -exec rm -rf {} +  # numpy's are 10 MB
if [ "$program" != adapter ]; then
  rm -rf "$site/adapter" "$folder/bin/forescale" "$folder/bin/kubectl-forescale"
fi
# Sources cannot change in an image: they are not looked at again.
"$folder/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$site"
