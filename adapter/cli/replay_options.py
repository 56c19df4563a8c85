"""The options of `forescale replay`, and the workload that they describe."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from adapter.cli.duration import duration, some_time
from adapter.errors import SettingsError
from adapter.replay.policies import ABLATIONS, CLAIRVOYANT, POLICIES
from adapter.replay.trace import Columns, Trace
from adapter.replay.tune import objective
from adapter.replay.workload import ColdStart, GpuModel, Workload

_COLD = re.compile(r"p50=([^,]+),p90=([^,]+)")

# Without --pod-rate: ten pods for the mean load, so that whole pods are neither coarse nor fine.
PODS_IN_THE_MEAN = 10.0

MOST_PODS = 10_000
MOST_OF_ANYTHING = 1e9

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
    made.add_argument("trace", metavar="TRACE", help="CSV file, .csv or .csv.gz")
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
        metavar="NAME|FILE",
        help="a policy below, or the manifest of an HPA; may be given again (default: all below)",
    )
    _describe_workload(made.add_argument_group("workload"))
    _describe_trace(made.add_argument_group("trace"))
    return made


def _describe_workload(group: argparse._ArgumentGroup) -> None:
    default = Workload(1.0)
    add = group.add_argument
    add(
        "--pod-rate",
        type=_above_zero,
        metavar="N",
        help="requests/s that one pod serves"
        f" (default: a {PODS_IN_THE_MEAN:g}th of the trace's mean)",
    )
    add(
        "--concurrency",
        type=_above_zero,
        default=default.concurrency,
        metavar="N",
        help="requests that one pod serves at a time (default: %(default)g)",
    )
    add(
        "--cold-start",
        type=_cold_start,
        default=default.cold_start,
        metavar="TIME",
        help="from a pod's creation until it serves: 2m, or p50=2m,p90=5m, or a file with a time"
        " in each line (default: 120s)",
    )
    add(
        "--first-token",
        type=duration,
        default=default.first_token_seconds,
        metavar="TIME",
        help="to the first token, after the wait (default: %(default)gs)",
    )
    add(
        "--late",
        type=duration,
        default=default.late_seconds,
        metavar="TIME",
        help="a request that waits longer is late (default: %(default)gs)",
    )
    add(
        "--gpu",
        choices=[model.value for model in GpuModel],
        default=default.gpu.value,
        help="GPU utilisation is a pod's load, or NVML's share of busy time (default: %(default)s)",
    )
    add(
        "--target",
        type=_above_zero,
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
    add(
        "--min-replicas",
        type=_count,
        default=default.min_replicas,
        metavar="N",
        help="of the named policies (default: %(default)s)",
    )
    add(
        "--max-replicas",
        type=_count,
        default=default.max_replicas,
        metavar="N",
        help="of the named policies (default: %(default)s)",
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


def workload_of(chosen: argparse.Namespace, trace: Trace) -> Workload:
    rate = chosen.pod_rate or trace.mean_rate / PODS_IN_THE_MEAN
    if not rate:
        raise SettingsError(["the trace has no requests: say --pod-rate, what one pod serves"])
    lowest, highest = chosen.min_replicas, chosen.max_replicas
    if lowest > highest:
        raise SettingsError([f"--min-replicas {lowest} is above --max-replicas {highest}"])
    return Workload(
        pod_rate=rate,
        concurrency=chosen.concurrency,
        cold_start=chosen.cold_start,
        first_token_seconds=chosen.first_token,
        late_seconds=chosen.late,
        gpu=GpuModel(chosen.gpu),
        min_replicas=lowest,
        max_replicas=highest,
    )


def _cold_start(text: str) -> ColdStart:
    """Return the distribution: one time, `p50=2m,p90=5m`, or a file with a time in each line."""
    if match := _COLD.fullmatch(text):
        median, p90 = some_time(match[1]), some_time(match[2])
        if p90 < median:
            raise argparse.ArgumentTypeError(f"`{text}`: p90 is below p50")
        return ColdStart(median, p90)
    if not Path(text).is_file():
        seconds = duration(text)
        return ColdStart(seconds, seconds)
    try:
        lines = Path(text).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error}") from error
    if not lines:
        raise argparse.ArgumentTypeError(f"{text} is empty: write a time in each line")
    return ColdStart(samples=tuple(duration(line) for line in lines))


def _objective(text: str) -> float:
    try:
        return objective(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < MOST_OF_ANYTHING:
        raise argparse.ArgumentTypeError(f"`{text}` is no figure above 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PODS:
        raise argparse.ArgumentTypeError(f"`{text}` is no number of pods: use 1 to {MOST_PODS}")
    return int(text)
