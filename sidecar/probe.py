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
    "custom": "the server is your own: probe what it answers once its model is loaded",
    "connections": "the server is not known: probe what it answers once its model is loaded",
}


USAGE = "usage: forescale-sidecar probe-for ENGINE [--wrapper]\n"
ABOUT = """
Prints a startup and a readiness probe for a model server's container, as YAML: they pass once its
model is loaded, and cost no token. Where that takes variables in the server's environment (sglang,
dynamo), they are printed as `env:` and belong to it.

  ENGINE     one of {engines}
  --wrapper  exec probes instead, for a server that runs under `forescale-sidecar run`
"""
_WRAPPER = "--wrapper"
_KINDS = (*(row.kind for row in table.ROWS), *NO_ENDPOINT)
_ENGINES = ", ".join(row.kind for row in table.ROWS if isinstance(row.ready, Ready))


def run(arguments: list[str]) -> int:
    """Print the probes of one engine as YAML; 1 where it has no endpoint for them, 2 if unknown."""
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(USAGE + ABOUT.format(engines=_ENGINES))
        return 0
    problem = _problem(arguments)
    if problem:
        sys.stderr.write(f"{USAGE}\nerror: {problem}\n")
        return EXIT_BAD_ARGUMENTS
    (kind,) = (argument for argument in arguments if argument != _WRAPPER)
    if kind in NO_ENDPOINT:
        return _none(kind, NO_ENDPOINT[kind])
    (row,) = (row for row in table.ROWS if row.kind == kind)
    if isinstance(row.ready, str):
        return _none(row.kind, row.ready)
    sys.stdout.write(stanza(row, row.ready, wrapped=_WRAPPER in arguments))
    return 0


def _problem(arguments: list[str]) -> str | None:
    """Return what is wrong with the arguments and how to put it right, None when nothing is."""
    odd = [one for one in arguments if one.startswith("-") and one != _WRAPPER]
    kinds = [one for one in arguments if not one.startswith("-")]
    if odd:
        return f"{odd[0]} is no flag: there is {_WRAPPER} alone"
    if not kinds:
        return f"ENGINE is missing: give one of {_ENGINES}"
    if kinds[0] not in _KINDS:
        return f"ENGINE is {kinds[0]!r}: give one of {_ENGINES}"
    return None if len(kinds) == 1 else f"there is more than one ENGINE: leave out {kinds[1]}"


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
{_environment(ready)}"""


def _environment(ready: Ready) -> str:
    if not ready.env:
        return ""
    lines = [f"  - name: {name}\n    value: '{value}'\n" for name, value in ready.env.items()]
    return f"# To be added to the container's own: {ready.env_why}.\nenv:\n{''.join(lines)}"
