"""`forescale replay`: what an HPA would have done with a trace of requests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from adapter.cli.progress import Progress
from adapter.cli.replay_options import parser, problems, trace_of
from adapter.cli.replay_policies import Entry, asked, entries, named
from adapter.cli.replay_workload import workload_of
from adapter.errors import ForescaleError, SettingsError
from adapter.model.forecast import ENOUGH_SECONDS, WARM_UP_SECONDS
from adapter.replay import page, report, tune
from adapter.replay.answers import Chain
from adapter.replay.autoscaler import Autoscaler, Forescale
from adapter.replay.curve import curves
from adapter.replay.page import Played, Section
from adapter.replay.play import play
from adapter.replay.policies import CLAIRVOYANT
from adapter.replay.score import Score, bound_of, score, score_of_bound
from adapter.replay.trace import Trace
from adapter.replay.workload import Workload

MOST_ABSENT_RATIO = 0.5
SLO = 0.01


def run(argv: Sequence[str]) -> int:
    """Run the subcommand and return the exit code."""
    chosen = parser().parse_args(argv)
    try:
        _check(chosen)
        sections = [_section(chosen, name) for name in chosen.traces]
        _write_page(chosen, page.html(sections) if chosen.html else "")
    except ForescaleError as error:
        wrong = error.problems if isinstance(error, SettingsError) else ()
        sys.stderr.write("".join(f"error: {problem}\n" for problem in wrong or (error,)))
        return 2 if wrong else 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write("" if chosen.tune else _told(sections, as_json=chosen.json))
    return 0


def _check(chosen: argparse.Namespace) -> None:
    """Raise SettingsError with all that is wrong with the options, before anything is read."""
    found = problems(chosen)
    try:
        entries(chosen, Workload(1.0))
    except SettingsError as error:
        found += error.problems
    if found:
        raise SettingsError(found)


def _section(chosen: argparse.Namespace, name: str) -> Section:
    """Return one trace with all that was played on it; with --tune the manifest is written."""
    trace = trace_of(chosen, name)
    sys.stderr.write(_hint(trace))
    workload, notes = workload_of(chosen, trace)
    sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    found = [] if chosen.tune else entries(chosen, workload)
    scorer = _Scorer(chosen, trace, workload, [one.min_replicas for one in found])
    if chosen.tune:
        _tune(chosen, scorer)
        return Section(trace, workload, (), ())
    played = [_played(scorer, one, f"{at} of {len(found)}") for at, one in enumerate(found, 1)]
    if CLAIRVOYANT in asked(chosen):
        played.append(Played(score_of_bound(workload, scorer.bound), None))
    names = [one.named for one in found] if chosen.html else []
    drawn = tuple(curves(names, scorer.at))
    return Section(trace, workload, tuple(played), drawn, chosen.score_from)


def _played(scorer: _Scorer, one: Entry, which: str) -> Played:
    """Return what came of one policy; notes and hints of it are written."""
    sys.stderr.write("".join(f"note: {note}\n" for note in one.notes))
    autoscaler = one.make()
    found = scorer.play(one.name, autoscaler, f"{one.name} ({which})")
    if isinstance(autoscaler, Forescale):
        why = autoscaler.why_never
        never = _never(one.name, why, scorer.trace) if why else ""
        sys.stderr.write(never or _young(one.name, scorer))
    foreseen = autoscaler.foreseen if isinstance(autoscaler, Forescale) else ()
    return msgspec.structs.replace(found, foreseen=tuple(foreseen))


def _never(name: str, why: str, trace: Trace) -> str:
    """Return the hint that no forecast had a part in what a policy did."""
    hours, minutes = trace.seconds / 3600, ENOUGH_SECONDS / 60
    return (
        f"hint: {name}: no forecast was served in these {hours:.1f} h. It begins after"
        f" {minutes:.0f} minutes and learns the day over days; at the end: {why}\n"
    )


def _young(name: str, scorer: _Scorer) -> str:
    """Return the hint that hours are scored in which a forecast is the least sure; or nothing."""
    scored, warm_up = scorer.scored_seconds, WARM_UP_SECONDS
    if scored >= warm_up or scorer.trace.seconds <= warm_up:
        return ""
    return (
        f"hint: {name}: the margins of its forecast are measured after {warm_up / 3600:.0f} h, and"
        f" {scored / 3600:.1f} h of the trace are not scored: say --score-from"
        f" {warm_up / 3600:.0f}h for what it does then\n"
    )


def _told(sections: Sequence[Section], *, as_json: bool) -> str:
    if as_json:
        several = len(sections) > 1
        return "".join(
            report.lines(one.scores, one.trace.name if several else "") for one in sections
        )
    parts = [f"{report.about(one.trace, one.workload)}\n\n{report.table(one.scores)}"
             for one in sections]  # fmt: skip
    return "\n".join(parts)


def _hint(trace: Trace) -> str:
    """Return what may be wrong with how the trace is taken; empty for nothing."""
    if trace.absent_ratio <= MOST_ABSENT_RATIO:
        return ""
    return (
        f"hint: {trace.absent_ratio:.0%} of the steps have no row and are taken for gaps, which"
        " nobody sees and nothing is scored in; if a step without requests has none, say"
        " --absent zero\n"
    )


def _tune(chosen: argparse.Namespace, scorer: _Scorer) -> None:
    """Print the cheapest HPA that meets the objective; raise SettingsError where there is none."""
    trace, workload, chain = scorer.trace, scorer.workload, scorer.chain
    slo = SLO if chosen.slo is None else chosen.slo
    found = tune.tune(
        slo,
        lambda one: scorer.play(one.name, tune.autoscaler(one, workload, chain)).score,
    )
    if found.choice is None or found.score is None:
        words = f"none of {found.tried} HPAs keeps late<={slo:g} with this cold start"
        raise ForescaleError(f"{words}: raise --max-replicas, or shorten the start")
    best = found.score
    sys.stdout.write(
        f"# {report.about(trace, workload)}\n"
        f"# {best.policy}: {best.late_ratio:.2%} late, {best.gpu_hours:,.1f} GPU-hours,"
        f" the least of {found.tried} HPAs tried\n{tune.manifest(found.choice, workload)}"
    )


def _write_page(chosen: argparse.Namespace, text: str) -> None:
    if not text:
        return
    try:
        Path(chosen.html).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"--html {chosen.html} cannot be written: {error}"]) from error


class _Scorer:
    """Plays policies on one trace and scores them against its bound."""

    def __init__(
        self,
        chosen: argparse.Namespace,
        trace: Trace,
        workload: Workload,
        minima: Sequence[int | None] = (),
    ) -> None:
        self.trace, self.workload, self._seed = trace, workload, chosen.seed
        self.chain = Chain(delay_seconds=chosen.scrape_delay)
        self.scored_seconds: float = chosen.score_from
        self._first = round(chosen.score_from / trace.step_seconds)
        if not trace.known[self._first :].any():
            raise SettingsError([f"--score-from {chosen.score_from:g}s leaves nothing to score"])
        # Who may go lower than the others is bound by no more than that.
        lowest = min([workload.min_replicas, *(one for one in minima if one is not None)])
        freest = msgspec.structs.replace(workload, min_replicas=lowest)
        self.bound = bound_of(trace, freest, first_step=self._first)

    def play(self, name: str, autoscaler: Autoscaler, shown: str = "") -> Played:
        trace, workload = self.trace, self.workload
        with Progress(sys.stderr, shown or name) as progress:
            outcome = play(trace, workload, autoscaler, seed=self._seed, progress=progress.show)
        found = score(name, outcome, trace, workload, self.bound, first_step=self._first)
        return Played(found, outcome)

    def at(self, name: str, target: float) -> Score:
        """Return the score of a named policy at another target."""
        words = f"{name} at {target:.0%}"
        return self.play(words, named(name, self.workload, target, self.chain).make()).score
