"""The prospect page in text: what a forecast is made of, below the metric that it is of."""

from __future__ import annotations

from collections.abc import Iterator

from adapter.model.foreseen import Mode
from adapter.model.hpa_metric import shown
from adapter.model.prospect import Prospect


def lines(prospect: Prospect | None) -> list[str]:
    """Return the section; nothing where there is no forecast."""
    return [f"  {line}" for line in _lines(prospect)] if prospect else []


def _lines(prospect: Prospect) -> Iterator[str]:
    figures = (
        _present(prospect),
        f"forecast {_figure(prospect.forecast)}",
        f"served {_figure(prospect.served)}",
    )
    yield f"forecast ({prospect.mode}): {', '.join(figures)}"
    yield f"  {_reason(prospect)}"
    if prospect.horizon:
        yield f"  horizon: {prospect.horizon}"
    if prospect.leader is not None and prospect.weight is not None:
        yield f"  experts: {_experts(prospect, prospect.leader, prospect.weight)}"
    if prospect.covered is not None:
        yield f"  covered: {prospect.covered:.0%} of what came in six hours, meant are 95 %"


def _present(prospect: Prospect) -> str:
    """Return the total that it was made of; the one above is of now."""
    ago = prospect.seconds_ago
    return f"present {_figure(prospect.present)}" + (
        "" if ago is None else f" (the total {ago:.0f} s ago)"
    )


def _reason(prospect: Prospect) -> str:
    """Return why the forecast is gone by, or why it is not."""
    if prospect.mode != Mode.ACT:
        observed = "present value: it observes (forescale.dev/forecast: act acts)"
        doubted = prospect.why.startswith("present value")
        return f"{observed}; {prospect.why}" if doubted else observed
    if prospect.served == prospect.present and prospect.why == "forecast":
        return "present value: the forecast is not higher"
    return "served is the forecast" if prospect.why == "forecast" else prospect.why


def _experts(prospect: Prospect, leader: str, weight: float) -> str:
    told = f"{leader} leads with {weight:.0%} of the weight; they expect"
    margin = "" if prospect.margin_ratio is None else f", x {prospect.margin_ratio:.2f} as margin"
    return f"{told} {_figure(prospect.expected)}{margin}"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else shown(round(1000 * value))
