"""The command `forescale-sidecar`: without a subcommand the sidecar itself, else that subcommand.

Each is imported only when it runs: a subcommand may be the smallest process of its pod.
"""

from __future__ import annotations

import difflib
import sys
from importlib import import_module

EXIT_NO_COMMAND = 2

# The name, its module (which has `run(arguments) -> exit code`), and what it does.
COMMANDS = {
    "agent": ("sidecar.agent", "read all GPUs of a node, for the pods that hold them"),
    "run": (
        "sidecar.wrapper",
        "run a model server as its container's first process, with us beside",
    ),
    "ready": ("sidecar.ready", "pass once a model server's model is loaded: an exec probe"),
    "probe-for": ("sidecar.probe", "print the readiness and startup probes of a model server"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments ask for and return its exit code; 2 when there is no such command."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0].startswith("-"):
        return _run("sidecar.__main__", given)
    name, *rest = given
    if name in COMMANDS:
        return _run(COMMANDS[name][0], rest)
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(COMMANDS)}"
    sys.stderr.write(f"error: there is no command `{name}`\n\nhint: {hint}\n")
    return EXIT_NO_COMMAND


def _run(module: str, arguments: list[str]) -> int:
    return int(import_module(module).run(arguments))


def usage() -> str:
    """Return one line for each subcommand, for the end of `--help`."""
    lines = [f"  {name:12} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["subcommands:", *lines])


if __name__ == "__main__":
    sys.exit(main())
