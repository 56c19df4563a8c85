"""The command `forescale`: finds the subcommand's module and runs it."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module

from adapter.telemetry import release

COMMANDS = {
    "adapter": "serve the metrics APIs",
    "demo": "sidecars, adapter and an HPA loop on this machine: no cluster, no GPU",
    "replay": "what an HPA would have done with a trace of requests",
    "migrate": "say what a prometheus-adapter configuration is in our metrics",
    "why": "why an HPA, a workload or a pod has the figures it has",
    "coldstart": "how long a workload's pods take until they serve",
    "top": "each workload's pods, queue and GPUs on one screen",
    "suggest": "what a pod is to carry, from live readings, and the HPA for it",
    "cost": "what each workload's GPUs did, and what that costs",
    "doctor": "what keeps HPAs from scaling, and what mends it",
    "uninstall": "delete the APIServices, before the adapter is deleted",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand and return its exit code; 2 when there is no such command."""
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    rest = rest[:-1]
    if name in COMMANDS:
        return _run(name, rest)
    if name in ("-h", "--help", "help"):
        sys.stdout.write(_usage())
        return 0
    if name == "--version":
        sys.stdout.write(f"forescale {release()}\n")
        return 0
    sys.stderr.write(_complaint(name))
    return 2


def _run(name: str, arguments: list[str]) -> int:
    """Import the subcommand alone, since the adapter's libraries cost a second, and run it."""
    try:
        command = import_module(f"adapter.cli.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("adapter", "sidecar"):
            raise
        sys.stderr.write(
            f"error: `forescale {name}` needs the package {error.name}, which is not installed\n"
            "hint: pip install 'forescale[adapter]'\n"
        )
        return 1
    return int(command.run(arguments))


def _usage() -> str:
    lines = [f"  {name:12} {words}" for name, words in COMMANDS.items()]
    return "\n".join(["usage: forescale COMMAND …", "", *lines, "", "  --version", ""])


def _complaint(name: str) -> str:
    if not name:
        return _usage()
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "`forescale --help` lists the commands"
    return f"error: there is no command `{name}`\nhint: {hint}\n"
