#!/usr/bin/env bash
# Installs the Debian packages that the tests need; says the one line to type where it may not.
#   gcc, libc6-dev   the fake libnvidia-ml.so.1      iproute2, util-linux  the network namespace
#   python3-venv     the environments                curl, procps          the demo's and tests' hands
set -euo pipefail
packages="gcc libc6-dev iproute2 util-linux python3-venv curl procps ${FORESCALE_DEBIAN_EXTRA:-}"
missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=" $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "debian: missing:$missing" >&2
  echo "hint: sudo apt-get update && sudo apt-get install -y$missing" >&2
  exit 1
fi
echo "debian: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
