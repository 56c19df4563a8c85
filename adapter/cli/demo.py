"""`forescale demo`: sidecars, adapter and an HPA loop on this machine, without cluster and GPU."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import msgspec

from adapter.cli.duration import some_time
from adapter.cli.failure import Parser
from adapter.demo import fakes as demo_fakes
from adapter.demo import hpa as demo_hpa
from adapter.demo import screen as demo_screen
from adapter.demo.screen import Screen
from adapter.demo.stage import Options, Summary, play
from adapter.errors import ForescaleError, SettingsError
from adapter.model.hpa_policy import Policy

MOST_SPEED = 20.0  # beyond, two cores are busy with sending requests alone

_ABOUT = """\
Starts small model servers that really serve requests, a sidecar beside each, the adapter, and an
autoscaler with the HPA controller's arithmetic; then replays a public trace against them. GPUs and
Kubernetes are stand-ins, everything between the GPU library and the HPA's question is not. The
autoscaler asks every 3 s and holds a scale-down for 15 s (in a cluster: 15 s and 300 s), a model is
loaded in 4 s. All of it listens on loopback addresses, and nothing is left of it afterwards."""


def run(argv: Sequence[str]) -> int:
    """Run the subcommand and return the exit code."""
    chosen = _parser().parse_args(argv)
    options = Options(chosen.for_seconds, chosen.speed, chosen.seed)
    stream = sys.stderr if chosen.json else sys.stdout
    try:
        policy = demo_hpa.load(chosen.hpa)
        fakes = demo_fakes.find()
        with demo_screen.choose(stream, os.environ) as screen:
            summary = asyncio.run(_perform(options, policy, fakes, screen))
    except SettingsError as error:
        return _failed(error, 2)
    except (ForescaleError, OSError) as error:
        return _failed(error)
    except ExceptionGroup as group:
        known, unknown = group.split((ForescaleError, OSError))
        if known is None or unknown is not None:
            raise
        return _failed(_first(known))
    except KeyboardInterrupt:  # before the event loop listens to it
        return 130
    if chosen.json:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_words(summary)) + "\n")
    return 0


async def _perform(
    options: Options, policy: Policy, fakes: demo_fakes.Fakes, screen: Screen
) -> Summary:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return await play(options, policy, fakes, screen, stop)


def _parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="forescale demo",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "--for",
        dest="for_seconds",
        type=some_time,
        default=180.0,
        metavar="TIME",
        help="how long to show it, such as 60s or 5m (default: 3m)",
    )
    made.add_argument("--json", action="store_true", help="end with one JSON line on stdout")
    made.add_argument(
        "--speed",
        type=_speed,
        default=5.0,
        metavar="N",
        help="how many times faster than it was the trace is replayed (default: 5)",
    )
    made.add_argument("--hpa", metavar="FILE", help="HPA manifest with metrics of type Pods")
    made.add_argument(
        "--seed", type=int, default=1, metavar="N", help="draws the arrivals within a second"
    )
    return made


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= MOST_SPEED:
        raise argparse.ArgumentTypeError(f"`{text}` is no speed: use above 0 to {MOST_SPEED:g}")
    return speed


def _words(summary: Summary) -> list[str]:
    age = summary.sample_age_p99_seconds
    told = "no sample was ever answered" if age is None else f"p99 {age:.2f} s"
    blind = summary.queries_without_value
    over = f"replicas {summary.replicas_min} to {summary.replicas_max} in {summary.seconds:.0f} s"
    served = f"{summary.requests_served} of {summary.requests} requests served"
    rest = summary.requests - summary.requests_served - summary.requests_failed
    asked = f"{summary.queries} queries, {summary.query_errors} errors"
    return [
        f"{over}; {served}, {summary.requests_failed} failed, {rest} still waiting at its end",
        f"{asked}, {blind} without a value while the first pod loaded its model",
        f"age of the queue's reading when it was answered: {told}",
        *([f"last error: {summary.last_query_error}"] if summary.last_query_error else []),
    ]


def _failed(error: BaseException, code: int = 1) -> int:
    problems = error.problems if isinstance(error, SettingsError) else (str(error),)
    for problem in problems:
        sys.stderr.write(f"error: {problem}\n")
    return code


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
