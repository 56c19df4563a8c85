#!/usr/bin/env bash
# Locks the requirements with hashes: one file per way to install. No registry host is written.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  .venv/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
    --no-emit-index-url --no-header --no-annotate --output-file "requirements/$1.txt" \
    "${@:2}" pyproject.toml
}
compile sidecar
compile adapter --extra adapter
compile agent --extra agent
compile sidecar-otel --extra otel
compile agent-otel --extra agent --extra otel
compile adapter-extras --extra adapter --extra keda --extra otel
compile dev --extra dev
# What makes the wheel, in the images: the project's own dependencies are no part of it.
echo 'hatchling>=1.27' | .venv/bin/uv pip compile --quiet --generate-hashes --universal \
  --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
  --output-file requirements/build.txt -
# The project itself is installed from the tree, not from a registry.
sed -i '/^forescale/d' requirements/*.txt
