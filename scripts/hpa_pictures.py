"""Draws the pictures of docs/hpa.md: every point of them is worked out by `adapter.model.hpa`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from adapter.model import hpa
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Invalid, Member, Tolerance, propose
from adapter.model.hpa_policy import (
    Behavior,
    Change,
    ChangeType,
    Kind,
    PodsMetric,
    Policy,
    Rules,
    TotalMetric,
)
from scripts.svg import Panel, picture, steps

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
EACH = PodsMetric("inflight", 16_000)
TOTAL = TotalMetric("inflight", 16_000, kind=Kind.OBJECT)
SYNC_SECONDS = hpa.DEFAULT_FLAGS.sync_seconds
TOLERANCE = hpa.DEFAULT_FLAGS.tolerance_ratio
CAREFUL = Behavior(down=Rules((Change(ChangeType.PODS, 1, 60),), window_seconds=120))
BLUE, ORANGE, GREEN, GREY = "#0969da", "#bc4c00", "#1a7f37", "#6e7781"
CALM, HIGH = 12, 96  # requests in flight
BURST_SECONDS = range(60, 240)
SHOWN_SECONDS = 720
NOTHING, PENDING, ZERO = "nothing", "pending", "zero"
SILENT = {NOTHING: BLUE, PENDING: GREEN, ZERO: ORANGE}
WORDS = ("no value", "pending", "a false 0 in its place")


def proposed(metric: PodsMetric | TotalMetric, answer: hpa.Answer, pods: list[Member], *,
             current: int, tolerance: float = TOLERANCE) -> int:  # fmt: skip
    """Return how many replicas one metric asks for."""
    found = propose(metric, answer, pods, current, Tolerance(tolerance, tolerance))
    assert not isinstance(found, Invalid)
    return found.replicas


def tolerance() -> str:
    """The dead band: what ten replicas ask for by their total, with the tolerance and without."""
    now, target = 10, 16
    panel = Panel((60, 40, 560, 240), (96, 5), (224, 15))
    low, high = (now * target * (1 + way * TOLERANCE) for way in (-1, 1))
    panel.band(low, high, f"within {TOLERANCE:.0%} of {now * target}: stays at {now}")
    ticks = {float(total): f"{total}" for total in range(96, 225, 16)}
    panel.axes(ticks, f"requests in flight, all {now} pods together", range(5, 16, 1), "replicas")
    for colour, dash, share in ((GREY, "4 3", 0.0), (BLUE, "", TOLERANCE)):
        asked = [
            (total, proposed(TOTAL, total * 1000, [], current=now, tolerance=share))
            for total in range(96, 225)
        ]
        panel.line(steps([(float(x), float(y)) for x, y in asked], 224), colour, dash)
    full = target * (now + 1)
    panel.dot((full, proposed(TOTAL, full * 1000, [], current=now)), ORANGE)
    x, y = panel.at((full, now))
    panel.words((x + 10, y + 18), f"{full} = {now + 1} full pods: still {now}", ORANGE)
    panel.key((80, 80), "tolerance 10 %, as by default", BLUE)
    panel.key((80, 102), "behavior.*.tolerance: 0", GREY, "4 3")
    return picture(660, 340, "What ten replicas ask for by their total, target 16 per pod", [panel])


def course(behavior: Behavior | None) -> Iterator[tuple[float, int, int, int]]:
    """Yield time, load, wish and replicas of each sync: a minute's calm, a burst, calm again."""
    policy = Policy("llm", "Deployment/llm", 1, 10, (TOTAL,), behavior)
    history, replicas = History(), 1
    for step in range(60):
        at = step * SYNC_SECONDS
        load = HIGH if at in BURST_SECONDS else CALM
        found = hpa.reconcile(
            policy, history, current=replicas, members=(), answers=[load * 1000], now=at
        )
        history, replicas = found.history, found.replicas
        (proposal,) = found.proposals
        assert isinstance(proposal, hpa.Proposal)
        yield at, load, proposal.replicas, replicas


def burst() -> str:
    """Stabilisation and policies: a burst, what is asked for, and what two HPAs make of it."""
    panel = Panel((60, 40, 560, 220), (0, 0), (SHOWN_SECONDS, 7))
    plain, careful = list(course(None)), list(course(CAREFUL))
    panel.axes({float(60 * m): f"{m}" for m in range(13)}, "minutes", range(8), "replicas")
    lines = (
        (GREY, "4 3", [(at, wish) for at, _, wish, _ in plain], "asked for by the load"),
        (BLUE, "", [(at, count) for at, _, _, count in plain], "without behavior: 300 s, then all"),
        (ORANGE, "8 3", [(at, count) for at, _, _, count in careful],
         "with behavior: 120 s, then one pod a minute"),
    )  # fmt: skip
    for place, (colour, dash, points, words) in enumerate(lines):
        shown = [(at, float(y)) for at, y in points if at <= SHOWN_SECONDS]
        panel.line(steps(shown, SHOWN_SECONDS), colour, dash)
        panel.key((60, 322 + 22 * place), words, colour, dash)
    return picture(660, 384, "A burst of four minutes and two ways to come down from it", [panel])


def missing() -> str:
    """Pods without a value: what four pods ask for while some of them say nothing, or a false 0."""
    panels = [_silent(60, 30, "way up: the others have 30 each", 9),
              _silent(390, 4, "way down: the others have 4 each", 5)]  # fmt: skip
    for place, (colour, words) in enumerate(zip(SILENT.values(), WORDS, strict=True)):
        panels[0].block((60 + 190 * place, 306), 14, 14, colour)
        panels[0].words((82 + 190 * place, 318), words)
    return picture(660, 335, "What four pods ask for, target 16, by how many have no value", panels)


def _silent(left: float, value: int, title: str, top: int) -> Panel:
    panel = Panel((left, 50, 240, 190), (-0.5, 0), (3.5, top))
    ticks = {float(count): f"{count}" for count in range(4)}
    panel.axes(ticks, "pods of 4 without a value", range(top + 1), f"replicas, {title}")
    for place, (kind, colour) in enumerate(SILENT.items()):
        for count in range(4):
            asked = of_four(value, count, kind)
            panel.bar((count + 0.26 * (place - 1), asked), 0.24, colour)
    return panel


def of_four(value: int, silent: int, kind: str) -> int:
    """Return what four pods ask for while so many of them are silent in that way."""
    names = [f"pod-{number}" for number in range(4)]
    values = dict.fromkeys(names[silent:], value * 1000)
    if kind == ZERO:
        values |= dict.fromkeys(names[:silent], 0)
    pending = set(names[:silent]) if kind == PENDING else set()
    pods = [Member(name, "Pending" if name in pending else "Running") for name in names]
    return proposed(EACH, values, pods, current=4)


def pictures() -> dict[str, str]:
    """Return each file's content by its name."""
    return {
        "hpa-tolerance.svg": tolerance(),
        "hpa-burst.svg": burst(),
        "hpa-missing.svg": missing(),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, drawn in pictures().items():
        (FOLDER / name).write_text(drawn)
        sys.stdout.write(f"wrote {FOLDER / name}\n")
