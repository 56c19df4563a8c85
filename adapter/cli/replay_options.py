"""The options of `forescale replay`, but for the workload's."""

from __future__ import annotations

import argparse

from adapter.cli import replay_workload
from adapter.cli.duration import duration
from adapter.replay.policies import ABLATIONS, CLAIRVOYANT, POLICIES
from adapter.replay.trace import Columns
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
    made = argparse.ArgumentParser(
        prog="forescale replay",
        description=_ABOUT,
        epilog=f"policies:\n{names}\n  {CLAIRVOYANT:18} the least GPU time with nobody late\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("traces", metavar="TRACE", nargs="+", help="CSV file, .csv or .csv.gz")
    made.add_argument("--json", action="store_true", help="one JSON object a line and policy")
    made.add_argument("--html", metavar="FILE", help="also write a page with plots")
    made.add_argument(
        "--tune", action="store_true", help="print the cheapest HPA that meets --slo instead"
    )
    made.add_argument(
        "--slo",
        type=_objective,
        default=0.01,
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
    return made


def _describe_play(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--target",
        type=replay_workload.above_zero,
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


def columns(chosen: argparse.Namespace) -> Columns:
    return Columns(chosen.time_column, chosen.column, chosen.absent == "zero")


def _objective(text: str) -> float:
    try:
        return objective(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
