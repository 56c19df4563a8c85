"""The network of a test cluster: one namespace of its own, in which every 10.77.x.y is here.

Standard library only. `python tests/controlplane/netns.py COMMAND...` runs a command inside;
pods, Services and nodes then have real addresses on which real processes listen, two runs never
meet, and nothing reaches the machine's own network.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence

NETWORK = "10.77.0.0/16"
SERVICES = "10.77.0.0/20"
PODS = "10.77.16.0/20"
NODES = "10.77.33.0/24"
APISERVER = "10.77.32.1"

_SETUP = f'ip link set lo up && ip route add local {NETWORK} dev lo && exec "$@"'
_PACKAGES = {"unshare": "util-linux", "ip": "iproute2"}


class NetworkError(Exception):
    """No namespace can be made here; the message is one line that says what to do."""


def inside() -> bool:
    """Whether this process is where the cluster's addresses are local."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((APISERVER, 0))
        except OSError:
            return False
    return True


def enter(command: Sequence[str]) -> None:
    """Replaces this process by `command`, run inside; never returns unless it raises."""
    line = list(command) if inside() else [*_unshare(), "sh", "-c", _SETUP, "sh", *command]
    try:
        os.execvp(line[0], line)  # noqa: S606 - the command is this program's whole purpose
    except OSError as error:
        raise NetworkError(f"cannot run {line[0]}: {error.strerror}") from error


def enter_line(pid: int) -> str:
    """What a person types to get a shell beside the process `pid`."""
    users = "" if os.geteuid() == 0 and not _in_user_namespace() else "-U --preserve-credentials "
    return f"nsenter -t {pid} {users}-n"


def _unshare() -> list[str]:
    missing = [
        f"{name} (apt-get install {_PACKAGES[name]})" for name in _PACKAGES if not _has(name)
    ]
    if missing:
        raise NetworkError(f"a network namespace needs {' and '.join(missing)}")
    rootless = ["unshare", "-Urn"]
    ways = [["unshare", "-n"], rootless] if os.geteuid() == 0 else [rootless]
    refusal = ""
    for way in ways:
        tried = subprocess.run([*way, "true"], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return way
        refusal = tried.stderr.strip()
    raise NetworkError(
        f"no network namespace may be made here ({refusal}): run as root, or allow"
        " unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone,"
        " kernel.apparmor_restrict_unprivileged_userns)"
    )


def _has(name: str) -> bool:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _in_user_namespace() -> bool:
    with open("/proc/self/uid_map", encoding="ascii") as ids:  # noqa: PTH123 - no path, a kernel table
        return ids.read().split() != ["0", "0", "4294967295"]


def main() -> int:
    if len(sys.argv) < 2:
        sys.stderr.write("usage: netns.py COMMAND [ARGUMENT...]\n")
        return 2
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        enter(sys.argv[1:])
    except NetworkError as error:
        sys.stderr.write(f"error: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
