"""The report: scores as a table for people, or as one JSON object a line for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from adapter.replay.score import Score
from adapter.replay.trace import Trace
from adapter.replay.workload import Workload

HEAD = ("policy", "late", "TTFT p99", "GPU-hours", "x oracle", "scale events", "most pods")


def lines(scores: Iterable[Score], trace: str = "") -> str:
    """Return one JSON object a line; with the trace's name where it is given."""
    more = {"trace": trace} if trace else {}
    objects = ({**msgspec.to_builtins(score), **more} for score in scores)
    return "".join(msgspec.json.encode(one).decode() + "\n" for one in objects)


def about(trace: Trace, workload: Workload) -> str:
    """Return in one sentence what was replayed."""
    hours, rate = trace.seconds / 3600.0, trace.mean_rate
    cold = workload.cold_start
    gaps = "" if trace.known.all() else f", {1 - trace.known.mean():.1%} of it unknown"
    gpus = f" on {workload.gpus_per_pod} GPUs" if workload.gpus_per_pod > 1 else ""
    nodes = ""
    if workload.room is not None:
        nodes = f", above {workload.room} pods {workload.node_seconds:g} s more for a node"
    return (
        f"{trace.name}: {hours:.1f} h, {rate:.4g} requests/s in the mean{gaps}; a pod serves"
        f" {workload.pod_rate:.4g}/s{gpus} and starts in {cold.usual_seconds:g} s (p90){nodes}"
    )


def table(scores: Sequence[Score]) -> str:
    """Return the scores as aligned columns; `x oracle` compares with equal punctuality."""
    rows = [HEAD, *(row(score) for score in scores)]
    widths = [max(len(cells[at]) for cells in rows) for at in range(len(HEAD))]
    return "".join(_aligned(cells, widths) + "\n" for cells in rows)


def row(score: Score) -> tuple[str, ...]:
    """Return a score's cells, in the order of HEAD."""
    oracle = score.oracle_gpu_hours
    return (
        score.policy,
        f"{score.late_ratio:.2%}",
        f"{score.ttft_p99_seconds:.1f} s",
        f"{score.gpu_hours:,.1f}",
        f"{score.gpu_hours / oracle:.2f}" if oracle else "-",
        "-" if score.scale_events is None else str(score.scale_events),
        str(score.replicas_max),
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.rjust(width) if at else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join((first, *rest)).rstrip()
