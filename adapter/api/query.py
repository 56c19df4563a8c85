"""The query: what the parameters of a request choose, or all that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from adapter.errors import BadRequest, MethodNotAllowed
from adapter.model import selector as selectors
from adapter.model.catalogue import (
    AGGREGATIONS,
    DIMENSIONS,
    MEAN_30S,
    QUANTILES,
    WINDOWS_SECONDS,
    Metric,
    Stat,
    View,
)
from adapter.model.selector import Operator, Requirement, Selector
from adapter.model.source import Dims

_WINDOWS = {f"{seconds}s": seconds for seconds in WINDOWS_SECONDS}
_STATS = {str(stat): stat for stat in Stat} | {"median": Stat.P50}
_QUANTILES = {f"{share:g}": stat for stat, share in QUANTILES.items()}
_CHOICES = {
    "stat": tuple(_STATS),
    "quantile": tuple(_QUANTILES),
    "window": tuple(_WINDOWS),
    "agg": AGGREGATIONS,
}
# A view that falls slowly is asked for to bridge minutes, not a usual window.
_RISE_WINDOW = "300s"
_FIELD_TERM = re.compile(r"(?P<field>[^=!]+)(?P<operator>==|=|!=)(?P<value>[^=!]*)")


class Query(msgspec.Struct, frozen=True):
    """Which objects, which view of the metric, and of a workload which pods become one value how.

    `agg` is None for the usual way, the total.
    """

    selector: Selector
    view: View
    dims: Dims = ()
    agg: str | None = None


def parse(metric: Metric, name: str, parameters: Mapping[str, str]) -> Query:
    """Return the query of a request for the objects called `name` (`*` for all that match).

    Raises BadRequest naming the parameter and what it takes, MethodNotAllowed for a watch.
    Parameters that do not change the answer (limit, timeout, pretty) are ignored.
    """
    if "watch" in parameters and parameters["watch"].lower() not in ("0", "false"):
        raise MethodNotAllowed("metrics cannot be watched: ask again with a plain GET")
    _check_fields(name, parameters.get("fieldSelector", ""))
    chosen = _chosen(
        _selector("metricLabelSelector", parameters.get("metricLabelSelector", "")).requirements
    )
    return Query(
        _selector("labelSelector", parameters.get("labelSelector", "")),
        _combined(metric, _stat(chosen), chosen.get("window")),
        tuple((key, chosen[key]) for key in DIMENSIONS if key in chosen),
        chosen.get("agg"),
    )


def view(metric: Metric, selector: str) -> View:
    """Return the view that a metric selector chooses; raise BadRequest as `parse` does."""
    chosen = _chosen(_selector("metricLabelSelector", selector).requirements)
    return _combined(metric, _stat(chosen), chosen.get("window"))


def _selector(parameter: str, text: str) -> Selector:
    if not text:
        return selectors.EVERYTHING
    try:
        return selectors.parse(text)
    except ValueError as error:
        raise BadRequest(f"{parameter}: {error}") from error


def _chosen(requirements: Iterable[Requirement]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for requirement in requirements:
        value = _choice(requirement)
        if chosen.setdefault(requirement.key, value) != value:
            raise BadRequest(f"metricLabelSelector: {requirement.key} is given two values")
    return chosen


def _stat(chosen: Mapping[str, str]) -> Stat | None:
    """Return the statistic, which a quantile chooses as well."""
    stat = _STATS.get(chosen.get("stat", ""))
    quantile = _QUANTILES.get(chosen.get("quantile", ""))
    if stat and quantile and stat is not quantile:
        raise BadRequest(
            f"metricLabelSelector: stat={stat} contradicts quantile={chosen['quantile']}: leave"
            " one out"
        )
    return stat or quantile


def _choice(requirement: Requirement) -> str:
    key = requirement.key
    if key not in _CHOICES and key not in DIMENSIONS:
        raise BadRequest(f"metricLabelSelector: `{key}` is no key; known are {_known()}")
    if requirement.operator is not Operator.IN or len(requirement.values) != 1:
        raise BadRequest(f"metricLabelSelector: {key} takes one value, as in {key}=…; {_known()}")
    value = next(iter(requirement.values))
    if key in _CHOICES and value not in _CHOICES[key]:
        raise BadRequest(f"metricLabelSelector: {key}=`{value}` is not known; {_known()}")
    return value


def _combined(metric: Metric, chosen: Stat | None, window_text: str | None) -> View:
    """Fill in what was not chosen from the metric's own view; a window alone asks for a mean."""
    usual = metric.view if metric.view.stat is not Stat.RAW else MEAN_30S
    stat = chosen or usual.stat
    if metric.distribution and stat not in QUANTILES:
        raise BadRequest(
            f"metricLabelSelector: {metric.name} is a distribution, of which stat={stat} says"
            f" nothing: ask for {'|'.join(QUANTILES)}"
        )
    if not chosen and not window_text:
        return metric.view
    if stat is Stat.RISE and not window_text:
        window_text = _RISE_WINDOW
    if stat is not Stat.RAW:
        return View(stat, _WINDOWS[window_text] if window_text else usual.window_seconds)
    if window_text:
        raise BadRequest("metricLabelSelector: stat=raw is the last reading and takes no window")
    return View(Stat.RAW)


def _known() -> str:
    choices = (f"{key}={'|'.join(values)}" for key, values in _CHOICES.items())
    return ", ".join((*choices, *(f"{key}=…" for key in DIMENSIONS)))


def _check_fields(name: str, text: str) -> None:
    """Refuse a field selector that asks for another object than the path."""
    for term in filter(None, text.split(",")):
        match = _FIELD_TERM.fullmatch(term)
        if match is None or match["field"] != "metadata.name":
            raise BadRequest(f"fieldSelector: `{term}`: only metadata.name=NAME is understood")
        if (match["value"] == name) is (match["operator"] == "!="):
            raise BadRequest(f"fieldSelector: `{term}` contradicts the name `{name}` in the path")
