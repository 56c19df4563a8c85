#!/usr/bin/env bash
# Sees to the programs that are not Python's: installs their Debian packages as root, and says the
# one line to type where it may not. Arguments: which of them (default: all).
set -euo pipefail
declare -A package=(
  [gcc]="gcc libc6-dev"      # compiles the fake libnvidia-ml.so.1
  [ip]="iproute2"            # the test network
  [unshare]="util-linux"     # its namespace, and setpriv
  [curl]="curl"              # the demo's and the tests' hands
  [promtool]="prometheus"    # lints the sidecar's /metrics
  [ps]="procps"
  [prometheus]="prometheus"  # scrapes real sidecars
  [chromium]="chromium"      # reads the status page
)
[ $# -gt 0 ] || set -- "${!package[@]}"
missing=""
for program in "$@"; do
  command -v "$program" >/dev/null || missing+=" ${package[$program]}"
done
if [[ " $* " == *" gcc "* && ! -e /usr/include/stdio.h ]]; then
  missing+=" libc6-dev"
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "error: missing programs" >&2
  echo "hint: sudo apt-get update && sudo apt-get install -y$missing" >&2
  exit 1
fi
echo "debian: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
