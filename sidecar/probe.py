"""The probe: the readiness and startup probes that pass once a model server's model is loaded."""

from __future__ import annotations

import sys

from sidecar import table
from sidecar.row import Ready, Row

EXIT_NO_PROBE = 1
EXIT_BAD_ARGUMENTS = 2

# Weights of a large model come over the network for minutes; the kubelet kills the container when
# the startup probe has failed for so long. One that passes earlier ends it.
STARTUP_SECONDS = 1800
PERIOD_SECONDS = 5
COMMAND = "/opt/forescale/bin/forescale-sidecar"  # where scripts/opt.sh and the manifests put it

# What is read without a metrics page, and so has no row.
NO_ENDPOINT = {
    "ollama": "Ollama answers before it has loaded a model, and loads it when it is asked for it",
    "connections": "the server is not known: probe what it answers once its model is loaded",
}


def run(arguments: list[str]) -> int:
    """Print the probes of one engine as YAML; 1 where it has no endpoint for them, 2 if unknown."""
    wrapped = "--wrapper" in arguments
    arguments = [argument for argument in arguments if argument != "--wrapper"]
    known = ", ".join((*(row.kind for row in table.ROWS), *NO_ENDPOINT))
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write(
            f"usage: forescale-sidecar probe-for ENGINE [--wrapper]\n\nengines: {known}\n"
        )
        return EXIT_BAD_ARGUMENTS
    if arguments[0] in NO_ENDPOINT:
        return _none(arguments[0], NO_ENDPOINT[arguments[0]])
    rows = [row for row in table.ROWS if row.kind == arguments[0]]
    if not rows:
        sys.stderr.write(f"error: {arguments[0]!r} is no engine\n\nhint: give one of {known}\n")
        return EXIT_BAD_ARGUMENTS
    (row,) = rows
    if isinstance(row.ready, str):
        return _none(row.kind, row.ready)
    sys.stdout.write(stanza(row, row.ready, wrapped=wrapped))
    return 0


def _none(kind: str, why: str) -> int:
    sys.stderr.write(f"error: {kind} has no endpoint for a probe\n\nhint: {why}\n")
    return EXIT_NO_PROBE


def stanza(row: Row, ready: Ready, *, wrapped: bool = False) -> str:
    """Return the YAML to stand in the model server's container.

    `wrapped` asks from within, which needs our files there: also what listens on loopback alone.
    """
    get = f"  httpGet: {{path: {ready.path}, port: {ready.port}}}"
    if wrapped:
        get = f"  exec: {{command: [{COMMAND}, ready, {row.kind}]}}"
    return f"""\
# {row.kind}: {ready.why}.
startupProbe:
{get}
  periodSeconds: {PERIOD_SECONDS}
  timeoutSeconds: 5
  failureThreshold: {STARTUP_SECONDS // PERIOD_SECONDS}  # {STARTUP_SECONDS // 60} minutes
readinessProbe:
{get}
  periodSeconds: {PERIOD_SECONDS}
  timeoutSeconds: 5
  failureThreshold: 3
"""
