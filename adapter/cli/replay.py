"""`forescale replay`: what an HPA would have done with a trace of requests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from adapter.cli.progress import Progress
from adapter.cli.replay_options import columns, parser, workload_of
from adapter.errors import ForescaleError, SettingsError
from adapter.replay import manifest, page, report, tune
from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Autoscaler, Forescale
from adapter.replay.clairvoyant import Clairvoyant
from adapter.replay.page import Played
from adapter.replay.play import play, queue_of
from adapter.replay.policies import ABLATIONS, CLAIRVOYANT, POLICIES, Make
from adapter.replay.requests import Requests
from adapter.replay.score import score, score_of_bound
from adapter.replay.trace import Trace, load
from adapter.replay.workload import Workload

MOST_ABSENT_RATIO = 0.5


def run(argv: Sequence[str]) -> int:
    """Run the subcommand and return the exit code."""
    chosen = parser().parse_args(argv)
    try:
        trace = load(Path(chosen.trace), columns(chosen)).on_grid()
        sys.stderr.write(_hint(trace))
        workload = workload_of(chosen, trace)
        if chosen.tune:
            return _tuned(chosen, trace, workload)
        played = _played(chosen, trace, workload)
        _write_page(chosen, page.html(trace, workload, played) if chosen.html else "")
    except ForescaleError as error:
        problems = error.problems if isinstance(error, SettingsError) else (str(error),)
        sys.stderr.write("".join(f"error: {problem}\n" for problem in problems))
        return 1
    except KeyboardInterrupt:
        return 130
    scores = [one.score for one in played]
    if chosen.json:
        sys.stdout.write(report.lines(scores))
    else:
        sys.stdout.write(f"{report.about(trace, workload)}\n\n{report.table(scores)}")
    return 0


def _hint(trace: Trace) -> str:
    """Return what may be wrong with how the trace is taken; empty for nothing."""
    if trace.absent_ratio <= MOST_ABSENT_RATIO:
        return ""
    return (
        f"hint: {trace.absent_ratio:.0%} of the steps have no row and are taken for gaps, which"
        " nobody sees and nothing is scored in; if a step without requests has none, say"
        " --absent zero\n"
    )


def _played(chosen: argparse.Namespace, trace: Trace, workload: Workload) -> list[Played]:
    scorer = _Scorer(chosen, trace, workload)
    found = [scorer.play(name, make()) for name, make in _policies(chosen, workload)]
    if not chosen.policy or CLAIRVOYANT in chosen.policy:
        found.append(Played(score_of_bound(workload, scorer.bound), None))
    return found


def _tuned(chosen: argparse.Namespace, trace: Trace, workload: Workload) -> int:
    """Print the cheapest HPA that meets the objective, as a manifest; 1 where there is none."""
    scorer, chain = _Scorer(chosen, trace, workload), Chain(delay_seconds=chosen.scrape_delay)
    found = tune.tune(
        chosen.slo,
        lambda one: scorer.play(one.name, tune.autoscaler(one, workload, chain)).score,
    )
    if found.choice is None or found.score is None:
        words = f"none of {found.tried} HPAs keeps late<={chosen.slo:g} with this cold start"
        raise SettingsError([f"{words}: raise --max-replicas, or shorten the start"])
    best = found.score
    sys.stdout.write(
        f"# {report.about(trace, workload)}\n"
        f"# {best.policy}: {best.late_ratio:.2%} late, {best.gpu_hours:,.1f} GPU-hours,"
        f" the least of {found.tried} HPAs tried\n{tune.manifest(found.choice, workload)}"
    )
    return 0


def _write_page(chosen: argparse.Namespace, text: str) -> None:
    if not text:
        return
    try:
        Path(chosen.html).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"--html {chosen.html} cannot be written: {error}"]) from error


class _Scorer:
    """Plays policies on one trace and scores them against its bound."""

    def __init__(self, chosen: argparse.Namespace, trace: Trace, workload: Workload) -> None:
        self._trace, self._workload, self._seed = trace, workload, chosen.seed
        self._first = round(chosen.score_from / trace.step_seconds)
        if not trace.known[self._first :].any():
            raise SettingsError([f"--score-from {chosen.score_from:g}s leaves nothing to score"])
        single = isinstance(queue_of(trace, workload), Requests)
        grace = workload.service_seconds if single else 0.0
        self.bound = Clairvoyant(trace, workload, first_step=self._first, grace_seconds=grace)

    def play(self, name: str, autoscaler: Autoscaler) -> Played:
        trace, workload = self._trace, self._workload
        with Progress(sys.stderr, name) as progress:
            outcome = play(trace, workload, autoscaler, seed=self._seed, progress=progress.show)
        found = score(name, outcome, trace, workload, self.bound, first_step=self._first)
        return Played(found, outcome)


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
                found.append(_manifest(Path(name), workload, chain))
            except SettingsError as error:
                problems += error.problems
    if problems:
        raise SettingsError(problems)
    return found


def _named(make: Make, workload: Workload, target: float, chain: Chain) -> Callable[[], Autoscaler]:
    return lambda: make(workload, target, chain)


def _manifest(path: Path, workload: Workload, chain: Chain) -> tuple[str, Callable[[], Autoscaler]]:
    loaded = manifest.load(path)
    sys.stderr.write("".join(f"note: {note}\n" for note in loaded.notes))
    return loaded.policy.name, lambda: Forescale(
        loaded.policy, workload, chain, desired=loaded.desired
    )
