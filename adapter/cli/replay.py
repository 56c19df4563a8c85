"""`forescale replay`: what an HPA would have done with a trace of requests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from adapter.cli.progress import Progress
from adapter.cli.replay_options import columns, parser, workload_of
from adapter.errors import ForescaleError, SettingsError
from adapter.replay import manifest, report
from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Autoscaler, Hpa
from adapter.replay.clairvoyant import Clairvoyant
from adapter.replay.play import play, queue_of
from adapter.replay.policies import ABLATIONS, CLAIRVOYANT, POLICIES, Make
from adapter.replay.requests import Requests
from adapter.replay.score import Score, score, score_of_bound
from adapter.replay.trace import Trace, load
from adapter.replay.workload import Workload


def run(argv: Sequence[str]) -> int:
    """Run the subcommand and return the exit code."""
    chosen = parser().parse_args(argv)
    try:
        trace = load(Path(chosen.trace), columns(chosen)).on_grid()
        workload = workload_of(chosen, trace)
        scores = _scores(chosen, trace, workload)
    except ForescaleError as error:
        problems = error.problems if isinstance(error, SettingsError) else (str(error),)
        sys.stderr.write("".join(f"error: {problem}\n" for problem in problems))
        return 1
    except KeyboardInterrupt:
        return 130
    if chosen.json:
        sys.stdout.write(report.lines(scores))
    else:
        sys.stdout.write(f"{report.about(trace, workload)}\n\n{report.table(scores)}")
    return 0


def _scores(chosen: argparse.Namespace, trace: Trace, workload: Workload) -> list[Score]:
    first = round(chosen.score_from / trace.step_seconds)
    if not trace.known[first:].any():
        raise SettingsError([f"--score-from {chosen.score_from:g}s leaves nothing to score"])
    whole = isinstance(queue_of(trace, workload), Requests)
    grace = workload.service_seconds if whole else 0.0
    bound = Clairvoyant(trace, workload, first_step=first, grace_seconds=grace)
    found = []
    for name, make in _policies(chosen, workload):
        with Progress(sys.stderr, name) as progress:
            outcome = play(trace, workload, make(), seed=chosen.seed, progress=progress.show)
        found.append(score(name, outcome, trace, workload, bound, first_step=first))
    if not chosen.policy or CLAIRVOYANT in chosen.policy:
        found.append(score_of_bound(workload, bound))
    return found


def _policies(
    chosen: argparse.Namespace, workload: Workload
) -> list[tuple[str, Callable[[], Autoscaler]]]:
    """Return name and maker of each policy asked for; raise SettingsError with all problems."""
    chain = Chain(delay_seconds=chosen.scrape_delay)
    found: list[tuple[str, Callable[[], Autoscaler]]] = []
    problems: list[str] = []
    named = {**POLICIES, **ABLATIONS}
    for name in chosen.policy or list(POLICIES):
        if name in named:
            found.append((name, _named(named[name][0], workload, chosen.target, chain)))
        elif name != CLAIRVOYANT and not Path(name).exists():
            known = ", ".join([*named, CLAIRVOYANT])
            problems.append(f"--policy {name} is no file: name a manifest or one of {known}")
        elif name != CLAIRVOYANT:
            try:
                found.append(_manifest(Path(name), chain))
            except SettingsError as error:
                problems += error.problems
    if problems:
        raise SettingsError(problems)
    return found


def _named(make: Make, workload: Workload, target: float, chain: Chain) -> Callable[[], Autoscaler]:
    return lambda: make(workload, target, chain)


def _manifest(path: Path, chain: Chain) -> tuple[str, Callable[[], Autoscaler]]:
    loaded = manifest.load(path)
    sys.stderr.write("".join(f"note: {note}\n" for note in loaded.notes))
    return loaded.policy.name, lambda: Hpa(loaded.policy, chain)
