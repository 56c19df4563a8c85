"""The options of `forescale replay`, but for the workload's."""

from __future__ import annotations

import argparse
from pathlib import Path

from adapter.cli import replay_prometheus, replay_workload
from adapter.cli.duration import duration
from adapter.cli.failure import Parser
from adapter.cli.replay_policies import share
from adapter.replay.policies import ABLATIONS, CLAIRVOYANT, POLICIES
from adapter.replay.trace import Trace
from adapter.replay.tracefile import Columns, load
from adapter.replay.tune import objective

_ABOUT = """\
Replays a trace of requests against pods that are alike, with the HPA controller's own arithmetic,
and says for each policy how many requests waited too long and what that cost in GPU-hours. `x
oracle` compares with the least GPU-hours that anybody could have been as punctual with.

The trace is a CSV file, also gzipped: a row per step with a count (requests), or a row per request.
Fewer than 50 requests/s are played one by one, more as a liquid."""


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    names = "\n".join(
        f"  {name:18} {words}" for name, (_, words) in {**POLICIES, **ABLATIONS}.items()
    )
    made = Parser(
        prog="forescale replay",
        description=_ABOUT,
        epilog=f"policies:\n{names}\n  {CLAIRVOYANT:18} the least GPU time with nobody late\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument(
        "traces",
        metavar="TRACE",
        nargs="+",
        help="CSV file, also gzipped, or prometheus:http://HOST:9090",
    )
    made.add_argument("--json", action="store_true", help="one JSON object a line and policy")
    made.add_argument("--html", metavar="FILE", help="also write a page with plots")
    made.add_argument(
        "--tune", action="store_true", help="print the cheapest HPA that meets --slo instead"
    )
    made.add_argument(
        "--slo",
        type=_objective,
        metavar="late<=X",
        help="share of requests that may be late (default: late<=0.01)",
    )
    made.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="NAME[:TARGET]",
        help="a policy below, or the manifest of an HPA; may be given again (default: all below)",
    )
    made.add_argument(
        "--hpa",
        action="append",
        default=[],
        metavar="FILE",
        help="the manifest of an HPA, played beside the policies; may be given again",
    )
    replay_workload.add_options(made)
    _describe_play(made.add_argument_group("policies"))
    _describe_trace(made.add_argument_group("trace"))
    replay_prometheus.add_options(made.add_argument_group("trace from a Prometheus"))
    return made


def _describe_play(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--target",
        type=_share,
        default=0.9,
        metavar="RATIO",
        help="of a pod's capacity, for the policies that have one (default: %(default)g)",
    )
    add(
        "--scrape-delay",
        type=duration,
        default=2.0,
        metavar="TIME",
        help="until a reading can be asked for (default: 2s)",
    )
    add("--seed", type=int, default=1, metavar="N", help="draws the cold starts")


def _describe_trace(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--column",
        default="",
        metavar="NAME",
        help="with the requests of a step (default: requests_filled or requests)",
    )
    add(
        "--rate-column",
        default="",
        metavar="NAME",
        help="with the requests per second of a step (default: requests_per_second or rps)",
    )
    add("--time-column", default="", metavar="NAME", help="(default: t, time or timestamp)")
    add(
        "--absent",
        choices=("gap", "zero"),
        default="gap",
        help="what a missing row of a step means (default: %(default)s)",
    )
    add(
        "--score-from",
        type=duration,
        default=0.0,
        metavar="TIME",
        help="what came before is played and not counted, such as 2d (default: 0s)",
    )


def problems(chosen: argparse.Namespace) -> list[str]:
    """Return what is wrong with the options together: no effect, or no sense."""
    found = replay_prometheus.problems(chosen)
    if chosen.slo is not None and not chosen.tune:
        found.append("--slo is what --tune keeps to: give --tune too")
    given = {
        "--policy": chosen.policy,
        "--hpa": chosen.hpa,
        "--html": chosen.html,
        "--json": chosen.json,
    }
    if chosen.tune and (lost := [name for name, value in given.items() if value]):
        found.append(f"{', '.join(lost)}: --tune prints a manifest alone: replay that without it")
    return found


def trace_of(chosen: argparse.Namespace, name: str) -> Trace:
    """Return the trace of this name, on the replay's grid; raise SettingsError."""
    if name.startswith(replay_prometheus.PREFIX):
        return replay_prometheus.load(chosen, name).on_grid()
    zero = chosen.absent == "zero"
    columns = Columns(chosen.time_column, chosen.column, chosen.rate_column, absent_is_zero=zero)
    return load(Path(name), columns).on_grid()


def _share(text: str) -> float:
    try:
        return share(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _objective(text: str) -> float:
    try:
        return objective(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
