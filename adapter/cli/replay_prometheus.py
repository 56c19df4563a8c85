"""The trace that a Prometheus tells: a query's requests per second, step by step.

A step is the time up to its sample, as a rate's is. A step of which Prometheus says nothing is a
gap.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from adapter.cli.duration import duration
from adapter.cli.progress import Progress
from adapter.errors import IntakeError, SettingsError
from adapter.intake import answers
from adapter.replay.trace import Trace, of_rates
from adapter.settings import Prometheus

PREFIX = "prometheus:"
STEPS_A_QUERY = 10_000  # Prometheus gives at most 11,000 points of a series
MOST_STEPS = 1_000_000  # 11 days at 1 s, a year at 30 s
QUERY_SECONDS = 30.0

_URL = re.compile(r"https?://[^/\s@?#]+(/[^\s?#]*)?")
_QUERY = "'sum(rate(vllm:request_success_total[1m]))'"

When = Callable[[float], float]  # Prometheus' Unix time now -> the time that is meant


class Ranges(Protocol):
    """Asks a Prometheus for a range of time; raises IntakeError."""

    def range(
        self, query: str, start: float, end: float, step_seconds: int
    ) -> Sequence[Mapping[str, Any]]: ...


class Asked(msgspec.Struct, frozen=True):
    """What is asked of which Prometheus; times are Unix seconds, whole steps."""

    settings: Prometheus
    query: str
    step_seconds: int
    absent_is_zero: bool


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add what a trace from a Prometheus takes."""
    add = group.add_argument
    add("--query", default="", metavar="PROMQL", help=f"requests per second, such as {_QUERY}")
    add("--from", dest="begin", type=when, metavar="TIME",
        help="7d for that long ago, or ISO 8601 (default: 7d)")  # fmt: skip
    add("--to", dest="end", type=when, metavar="TIME", help="(default: now)")
    add("--step", type=_step, metavar="TIME", help="of the query, whole seconds (default: 30s)")
    add("--token-file", metavar="FILE", help="with a bearer token")
    add("--ca-file", metavar="FILE", help="PEM of the authority to trust for https")


def when(text: str) -> When:
    """Return a time: `now`, as long ago as a duration, or ISO 8601; without a zone it is UTC."""
    if text == "now":
        return lambda now: now
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is not None and not text.isdecimal():
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        return lambda _: seconds
    try:
        ago = duration(text)
    except argparse.ArgumentTypeError:
        words = f"`{text}` is no time: write 7d for that long ago, or 2026-11-20T08:00:00Z"
        raise argparse.ArgumentTypeError(words) from None
    return lambda now: now - ago


def _step(text: str) -> int:
    seconds = duration(text)
    if seconds < 1 or seconds != int(seconds):
        raise argparse.ArgumentTypeError(f"`{text}` is no step: write whole seconds from 1s on")
    return int(seconds)


def problems(chosen: argparse.Namespace) -> list[str]:
    """Return what of the options does not fit to where the trace comes from."""
    options = {
        "--query": chosen.query,
        "--from": chosen.begin,
        "--to": chosen.end,
        "--step": chosen.step,
        "--token-file": chosen.token_file,
        "--ca-file": chosen.ca_file,
    }
    urls = [name for name in chosen.traces if name.startswith(PREFIX)]
    if not urls:
        given = [name for name, value in options.items() if value]
        words = f"for a trace from a Prometheus: give {PREFIX}http://HOST:9090 instead of a file"
        return [f"{', '.join(given)}: {words}"] if given else []
    words = "write prometheus:http://HOST:9090, without a user (--token-file has a token)"
    found = [f"{name}: {words}" for name in urls if not _URL.fullmatch(_url(name))]
    if not chosen.query:
        found.append(f"--query is missing: say what is requests per second, such as {_QUERY}")
    return found


def load(chosen: argparse.Namespace, name: str) -> Trace:
    """Return what the Prometheus of `prometheus:URL` tells; raise SettingsError."""
    from adapter.intake.history import Client  # noqa: PLC0415 - 20 MiB that few replays need

    settings = Prometheus(
        url=_url(name),
        seconds=QUERY_SECONDS,
        ca_file=chosen.ca_file or "",
        token_file=chosen.token_file or "",
    )
    asked = Asked(settings, chosen.query, chosen.step or 30, chosen.absent == "zero")
    try:
        client = Client(settings)
        try:
            return _trace(client, asked, *_span(chosen, client.now(), asked.step_seconds))
        finally:
            client.close()
    except (IntakeError, OSError) as error:
        raise SettingsError([_told(str(error))]) from error


def _span(chosen: argparse.Namespace, now: float, step: int) -> tuple[int, int]:
    """Return the times of the first and the last sample, on whole steps of Unix time."""
    begin = (chosen.begin or when("7d"))(now)
    end = min(now, (chosen.end or when("now"))(now))
    first, last = (int(begin) // step + 1) * step, int(end) // step * step
    if first >= last:
        words = "is not before --to, which is now at the latest, by two steps"
        raise SettingsError([f"--from {_utc(begin)} {words} ({_utc(end)})"])
    if (steps := (last - first) // step + 1) > MOST_STEPS:
        raise SettingsError([f"--step {step}s makes {steps} steps: use at most {MOST_STEPS}"])
    return first, last


def _trace(client: Ranges, asked: Asked, first: int, last: int) -> Trace:
    step = asked.step_seconds
    found: dict[int, float] = {}
    with Progress(sys.stderr, f"asking {asked.settings.url}") as progress:
        for begin in range(first, last + 1, STEPS_A_QUERY * step):
            progress.show((begin - first) / (last - first))
            end = min(last, begin + (STEPS_A_QUERY - 1) * step)
            found |= _steps(client, asked.query, begin, end, step)
    if not found:
        words = f"gives nothing from {_utc(first)} to {_utc(last)}: try it on Prometheus' own page"
        raise SettingsError([f"--query {words}"])
    rates = [found.get(at) for at in range(first, last + 1, step)]
    return of_rates(asked.settings.url, rates, step, absent_is_zero=asked.absent_is_zero)


def _steps(client: Ranges, query: str, begin: int, end: int, step: int) -> dict[int, float]:
    """Return the rates of some steps, by their Unix second."""
    series = client.range(query, begin, end, step)
    if len(series) > 1:
        raise SettingsError([f"--query gives {len(series)} series: write sum({query})"])
    return dict(answers.steps(series[0])) if series else {}


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _url(name: str) -> str:
    return name.removeprefix(PREFIX)


def _told(words: str) -> str:
    """Return an error with what mends it."""
    return next((f"{words}: {mend}" for sign, mend in _MENDS.items() if sign in words), words)


_MENDS = {
    "Status Code 400": "is --query PromQL?",
    "Status Code 401": "give a bearer token with --token-file",
    "Status Code 403": "its token (--token-file) may not ask",
    "Status Code 404": "the URL is that of which /api/v1/query is a path",
    "tokenFile": "is --token-file right?",
    "SSLError": "trust its authority with --ca-file",
    "CA certificate": "is --ca-file right?",
    "ConnectionError": "is it reachable from here? kubectl port-forward makes it so",
    "Timeout": "ask for fewer steps with --step or --from",
    "too long": "ask for fewer steps with --step or --from",
}
