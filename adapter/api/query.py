"""The query: what the parameters of a request choose, or all that is wrong with them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

import msgspec
from msgspec import structs

from adapter.errors import BadRequest, MethodNotAllowed, NotFound
from adapter.model import selector as selectors
from adapter.model.catalogue import (
    DIMENSIONS,
    MEAN_30S,
    METRICS,
    QUANTILES,
    SPREAD,
    WINDOWS_SECONDS,
    Agg,
    Metric,
    Over,
    Stat,
    View,
)
from adapter.model.owners import DEPLOYMENT
from adapter.model.selector import Operator, Requirement, Selector
from adapter.model.source import Dims
from adapter.model.target import DEMANDS, FORECASTS
from adapter.model.why import Choice

SELECTOR, METRIC_SELECTOR = "labelSelector", "metricLabelSelector"
_WINDOWS = {f"{seconds}s": seconds for seconds in WINDOWS_SECONDS}
_STATS = {str(stat): stat for stat in Stat} | {"median": Stat.P50}
_QUANTILES = {f"{share:g}": stat for stat, share in QUANTILES.items()}
_ANYTHING: tuple[str, ...] = ()
_FORECAST = "forecast"  # as a `stat`: of a demand alone, and instead of a view
_VIEW_CHOICES = {
    "stat": (*_STATS, _FORECAST),
    "quantile": tuple(_QUANTILES),
    "window": tuple(_WINDOWS),
    "agg": tuple(map(str, Agg)),
    "gpus": tuple(map(str, Over)),
} | dict.fromkeys(DIMENSIONS, _ANYTHING)
_WORKLOAD_CHOICES = {"workload": _ANYTHING, "kind": _ANYTHING}
EXTERNAL_CHOICES = _WORKLOAD_CHOICES | _VIEW_CHOICES
# A view that falls slowly is asked for to bridge minutes, not a usual window.
_RISE_WINDOW = "300s"
_SHOWN = 100  # characters of a caller's word in an error
# An HPA asks with the same text every 15 s; what is longer is parsed anew, so this takes 1 MiB.
_parsed = functools.lru_cache(maxsize=256)(selectors.parse)
_REMEMBERED_CHARACTERS = 512
_FIELD_TERM = re.compile(r"(?P<field>[^=!]+)==?(?P<value>[^=!]*)")


class Query(msgspec.Struct, frozen=True):
    """Which objects, which view of the metric, and of an object which pods become one value how.

    `agg` is None for the usual way, the total. `ahead`: what is forecast is asked for.
    """

    selector: Selector
    view: View
    dims: Dims = ()
    agg: Agg | None = None
    ahead: bool = False


class ExternalQuery(msgspec.Struct, frozen=True):
    """Which workload, and which view of the metric; `labels` is what was asked for, as it was."""

    workload: str
    kind: str
    view: View
    dims: Dims
    agg: Agg
    labels: dict[str, str]
    ahead: bool = False


def parse(
    metric: Metric, name: str, parameters: Mapping[str, str], *, ahead: bool = False
) -> Query:
    """Return the query of a request for the objects called `name` (`*` for all that match).

    Raises BadRequest naming the parameter and what it takes, MethodNotAllowed for a watch, NotFound
    for the forecast of what is no demand. `ahead` where the metric's name asks for a forecast.
    Parameters that do not change the answer (limit, timeout, pretty) are ignored.
    """
    _refuse_watch(parameters)
    _check_fields(name, parameters.get("fieldSelector", ""))
    chosen = _chosen(METRIC_SELECTOR, parameters, _VIEW_CHOICES)
    if _is_ahead(METRIC_SELECTOR, metric, chosen, ahead=ahead):
        return Query(_selector(SELECTOR, parameters), metric.view, ahead=True)
    agg = Agg(chosen["agg"]) if "agg" in chosen else None
    view = _view(METRIC_SELECTOR, metric, chosen)
    return Query(_selector(SELECTOR, parameters), view, _dims(chosen), agg)


def parse_external(
    metric: Metric,
    parameters: Mapping[str, str],
    *,
    ahead: bool = False,
    parameter: str = SELECTOR,
) -> ExternalQuery:
    """Return the query of an external metric, by the metric's selector in the `parameter`.

    Raises BadRequest where it names no workload, and as `parse` does.
    """
    workload, kind, chosen = _of_workload(metric.name, parameters, EXTERNAL_CHOICES, parameter)
    if _is_ahead(parameter, metric, chosen, ahead=ahead):
        return ExternalQuery(workload, kind, metric.view, (), Agg.SUM, chosen, ahead=True)
    agg = Agg(chosen.get("agg", Agg.SUM))
    view = _view(parameter, metric, chosen)
    return ExternalQuery(workload, kind, view, _dims(chosen), agg, chosen)


def parse_workload(
    metric: str, parameters: Mapping[str, str], parameter: str = SELECTOR
) -> tuple[str, str, dict[str, str]]:
    """Return the workload, its kind and the selector of an external metric without views."""
    return _of_workload(metric, parameters, _WORKLOAD_CHOICES, parameter)


def refuse_choices(name: str, parameters: Mapping[str, str], why: str) -> None:
    """Raise as `parse` does, and for every choice: `why` this metric has nothing to choose from."""
    _refuse_watch(parameters)
    _check_fields(name, parameters.get("fieldSelector", ""))
    for parameter in (SELECTOR, METRIC_SELECTOR):
        if parameters.get(parameter):
            raise BadRequest(f"{parameter}: {why}")


def _of_workload(
    metric: str,
    parameters: Mapping[str, str],
    choices: Mapping[str, tuple[str, ...]],
    parameter: str,
) -> tuple[str, str, dict[str, str]]:
    _refuse_watch(parameters)
    chosen = _chosen(parameter, parameters, choices)
    if "workload" not in chosen:
        words = f"{parameter}: say whose {metric}, as in workload=NAME"
        raise BadRequest(f"{words}; known are {_known(choices)}")
    return chosen["workload"], chosen.get("kind", DEPLOYMENT.kind), chosen


def choice(name: str, metric: Metric, selector: str) -> Choice:
    """Return what a metric selector chooses of a served name; raise as `parse` does."""
    found = parse(metric, "*", {METRIC_SELECTOR: selector}, ahead=name in FORECASTS)
    return Choice(found.view, found.dims, found.agg, found.ahead)


def no_demand(metric: str) -> NotFound:
    """Return the error of whoever asks for the forecast of what follows from the replicas."""
    return NotFound(
        f"{metric} is not forecast: it falls when pods are added, so its forecast would fight"
        f" itself; forecast are {', '.join(DEMANDS.values())}"
    )


def _is_ahead(parameter: str, metric: Metric, chosen: Mapping[str, str], *, ahead: bool) -> bool:
    """Return whether a forecast is asked for; raise where there is none, or none so chosen."""
    if not ahead and chosen.get("stat") != _FORECAST:
        return False
    if metric.name not in DEMANDS.values():
        raise no_demand(metric.name)
    others = {key: value for key, value in chosen.items() if key in _VIEW_CHOICES}
    if others.pop("stat", _FORECAST) != _FORECAST or others:
        raise BadRequest(
            f"{parameter}: a forecast is of a workload's whole demand in the metric's own view:"
            " leave the rest out"
        )
    return True


def _refuse_watch(parameters: Mapping[str, str]) -> None:
    if "watch" in parameters and parameters["watch"].lower() not in ("0", "false"):
        raise MethodNotAllowed("metrics cannot be watched: ask again with a plain GET")


def _dims(chosen: Mapping[str, str]) -> Dims:
    return tuple((key, chosen[key]) for key in DIMENSIONS if key in chosen)


def _selector(parameter: str, parameters: Mapping[str, str]) -> Selector:
    text = parameters.get(parameter, "")
    if not text:
        return selectors.EVERYTHING
    try:
        return _parsed(text) if len(text) <= _REMEMBERED_CHARACTERS else selectors.parse(text)
    except ValueError as error:
        raise BadRequest(f"{parameter}: {error}") from error


def _chosen(
    parameter: str, parameters: Mapping[str, str], choices: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    """Return the value of each key of a selector that chooses; each is one of its choices."""
    chosen: dict[str, str] = {}
    for requirement in _selector(parameter, parameters).requirements:
        try:
            value = _choice(requirement, choices)
        except ValueError as error:
            raise BadRequest(f"{parameter}: {error}; known are {_known(choices)}") from error
        if chosen.setdefault(requirement.key, value) != value:
            raise BadRequest(f"{parameter}: {requirement.key} is given two values")
    return chosen


def _choice(requirement: Requirement, choices: Mapping[str, tuple[str, ...]]) -> str:
    key = requirement.key
    if key not in choices:
        raise ValueError(f"`{key}` is no key")
    if requirement.operator is not Operator.IN or len(requirement.values) != 1:
        raise ValueError(f"{key} takes one value, as in {key}=…")
    value = next(iter(requirement.values))
    if not value or (choices[key] and value not in choices[key]):
        raise ValueError(f"{key}=`{value}` is not known")
    return value


def _view(parameter: str, metric: Metric, chosen: Mapping[str, str]) -> View:
    try:
        view = _combined(metric, _stat(chosen), chosen.get("window"))
        return structs.replace(view, over=_over(metric, chosen)) if "gpus" in chosen else view
    except ValueError as error:
        raise BadRequest(f"{parameter}: {error}") from error


def _over(metric: Metric, chosen: Mapping[str, str]) -> Over:
    if metric.series in SPREAD:
        return Over(chosen["gpus"])
    known = ", ".join(one.name for one in METRICS.values() if one.series in SPREAD)
    raise ValueError(f"gpus={chosen['gpus']} is no choice of {metric.name}; it is one of {known}")


def _stat(chosen: Mapping[str, str]) -> Stat | None:
    """Return the statistic, which a quantile chooses as well."""
    stat = _STATS.get(chosen.get("stat", ""))
    quantile = _QUANTILES.get(chosen.get("quantile", ""))
    if stat and quantile and stat is not quantile:
        raise ValueError(f"stat={stat} contradicts quantile={chosen['quantile']}: leave one out")
    return stat or quantile


def _combined(metric: Metric, chosen: Stat | None, window_text: str | None) -> View:
    """Fill in what was not chosen from the metric's own view; a window alone asks for a mean."""
    usual = metric.view if metric.view.stat is not Stat.RAW else MEAN_30S
    stat = chosen or usual.stat
    if metric.distribution and stat not in QUANTILES:
        raise ValueError(
            f"{metric.name} is a distribution, of which stat={stat} says nothing: ask for"
            f" {'|'.join(QUANTILES)}"
        )
    if not chosen and not window_text:
        return metric.view
    if stat is Stat.RISE and not window_text:
        window_text = _RISE_WINDOW
    if stat is not Stat.RAW:
        return View(stat, _WINDOWS[window_text] if window_text else usual.window_seconds)
    if window_text:
        raise ValueError("stat=raw is the last reading and takes no window")
    return View(Stat.RAW)


def _known(choices: Mapping[str, tuple[str, ...]]) -> str:
    return ", ".join(f"{key}={'|'.join(values) or '…'}" for key, values in choices.items())


def _check_fields(name: str, text: str) -> None:
    """Refuse a field selector that asks for another object than the path."""
    for term in filter(None, text.split(",")):
        match = _FIELD_TERM.fullmatch(term)
        if match is None or match["field"] != "metadata.name":
            raise BadRequest(f"fieldSelector: `{term}`: only metadata.name=NAME is understood")
        if match["value"] != name:
            raise BadRequest(f"fieldSelector: `{term}` contradicts the name `{name}` in the path")


def shown(word: str) -> str:
    """Return a caller's word as it may stand in an error."""
    return f"`{word[:_SHOWN]}`"
