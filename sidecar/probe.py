"""The probe: the readiness and startup probes that pass once a model server's model is loaded."""

from __future__ import annotations

import sys

from sidecar import engines
from sidecar.engines import Ready, Row

EXIT_NO_PROBE = 1
EXIT_BAD_ARGUMENTS = 2

# Weights of a large model come over the network for minutes; the kubelet kills the container when
# the startup probe has failed for so long. One that passes earlier ends it.
STARTUP_SECONDS = 1800
PERIOD_SECONDS = 5


def run(arguments: list[str]) -> int:
    """Print the probes of one engine as YAML; 1 where it has no endpoint for them, 2 if unknown."""
    known = ", ".join(row.kind for row in engines.ROWS)
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write(f"usage: forescale-sidecar probe-for ENGINE\n\nengines: {known}\n")
        return EXIT_BAD_ARGUMENTS
    rows = [row for row in engines.ROWS if row.kind == arguments[0]]
    if not rows:
        sys.stderr.write(f"error: {arguments[0]!r} is no engine\n\nhint: give one of {known}\n")
        return EXIT_BAD_ARGUMENTS
    (row,) = rows
    if isinstance(row.ready, str):
        sys.stderr.write(f"error: {row.kind} has no endpoint for a probe\n\nhint: {row.ready}\n")
        return EXIT_NO_PROBE
    sys.stdout.write(stanza(row, row.ready))
    return 0


def stanza(row: Row, ready: Ready) -> str:
    """Return the YAML to stand in the model server's container."""
    get = f"  httpGet: {{path: {ready.path}, port: {ready.port}}}"
    return f"""\
# {row.kind}: {ready.why}.
startupProbe:
{get}
  periodSeconds: {PERIOD_SECONDS}
  failureThreshold: {STARTUP_SECONDS // PERIOD_SECONDS}  # {STARTUP_SECONDS // 60} minutes
readinessProbe:
{get}
  periodSeconds: {PERIOD_SECONDS}
  timeoutSeconds: 5
  failureThreshold: 3
"""
