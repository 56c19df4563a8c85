"""The translation: what a rule of prometheus-adapter's configuration is in our metrics, or why not.

A rule finds series (`seriesQuery`), names the metric that it serves (`name`), and says what is
asked of Prometheus for it (`metricsQuery`). Here a metric has a fixed meaning instead, so a rule is
translated by what its series measure, and its query only chooses the view.
(Fields as in prometheus-adapter's docs/config.md.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from adapter.model.catalogue import METRICS, QUANTILES, WINDOWS_SECONDS
from adapter.model.differences import Parts, agg_of, differences
from adapter.model.measures import MEASURES, Kind, Measure

MAX_SHOWN_CHARACTERS = 120

_SELECTOR = re.compile(r"\s*([a-zA-Z_:][\w:]*)?\s*(?:\{(.*)\})?\s*", re.DOTALL)
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_ASKED = re.compile(r"<<\.Series>>(?:_bucket)?\s*\{([^}]*)\}")
_GO_GROUP = re.compile(r"\$(?:\{(\w+)\}|(\d+))")
# Matchers that only say that a series belongs to a pod, which every reading here does.
_PLACE = frozenset(
    {"__name__", "node", "kubernetes_namespace"}
    | {f"{by}{of}" for by in ("", "exported_") for of in ("namespace", "pod", "container")}
)

_MODEL = ("model_name", "model")  # vLLM's and Triton's label; here it is a dimension
EXTERNAL = "as External add the selector workload: NAME, or use it as an Object metric"

_SERIES = r"<<\.Series>>(?:_bucket)?(?:\{[^}]*\})?"
_GROUP = r"(?:by\((?P<by>[^)]*)\))?"
_QUERY = re.compile(
    r"(?:histogram_quantile\((?P<quantile>0?\.\d+|1|0),)?"
    rf"(?P<agg>sum|avg|max|min)?(?:by\((?P<before>[^)]*)\))?\(?"
    r"(?:(?P<over>rate|irate|increase|avg_over_time|max_over_time)\()?"
    rf"{_SERIES}(?:\[(?P<range>\d+)(?P<unit>[smh])\])?\)*{_GROUP}\)*"
    r"(?:(?P<op>[*/])(?P<number>\d+(?:\.\d+)?))?"
)
_OF_COUNTERS = ("rate", "irate", "increase")
_STATS = {"avg_over_time": "mean", "max_over_time": "max"}
_SECONDS = {"s": 1, "m": 60, "h": 3600}
# A query that asks for nothing but the series itself.
_PLAIN: Parts = dict.fromkeys(_QUERY.groupindex)


class Rule(msgspec.Struct, frozen=True):
    """One rule as it stands in the file; `place` is where, such as `rules[3]`."""

    place: str
    body: Mapping[str, Any]
    external: bool = False


class Translated(msgspec.Struct, frozen=True):
    """What became of one series of a rule; `metric` is None where `why` says why not.

    An HPA that used `old_name` uses `metric` with `selector`, and `factor` times its target.
    """

    place: str
    series: str
    old_name: str
    metric: str | None = None
    selector: Mapping[str, str] = {}
    factor: float = 1.0
    source: str = ""  # what reads it here
    notes: tuple[str, ...] = ()
    why: str | None = None


class _View(NamedTuple):
    selector: Mapping[str, str]
    factor: float
    notes: list[str]


class _RefusalError(Exception):
    """A rule that has no translation; the text says why."""


def rules_of(document: object) -> list[Rule]:
    """Return the rules of a configuration, a ConfigMap's content, or Helm values.

    Raises ValueError when it is none of these.
    """
    if not isinstance(document, Mapping):
        raise ValueError("it is no mapping with `rules:`")  # noqa: TRY004 - of a file, not a type
    found = document.get("rules")
    if isinstance(found, Mapping):  # Helm values
        groups = {"rules.custom": found.get("custom"), "rules.external": found.get("external")}
        resource = found.get("resource")
    else:
        groups = {"rules": found, "externalRules": document.get("externalRules")}
        resource = document.get("resourceRules")
    out = [
        Rule(f"{key}[{number}]", body if isinstance(body, Mapping) else {}, "external" in key)
        for key, bodies in groups.items()
        if isinstance(bodies, list)
        for number, body in enumerate(bodies)
    ]
    out += [Rule("resourceRules", resource)] if isinstance(resource, Mapping) else []
    if not out:
        raise ValueError("it has no rules, externalRules or resourceRules")
    return out


def translate(rule: Rule) -> list[Translated]:
    """Return one entry for each known series of the rule, or one that says why there is none."""
    if rule.place == "resourceRules":
        why = "CPU and memory of pods stay with metrics-server: it serves metrics.k8s.io"
        return [Translated(rule.place, "", "", why=why)]
    query = str(rule.body.get("seriesQuery") or "")
    shown = query[:MAX_SHOWN_CHARACTERS]
    try:
        name, matchers = _parsed(query)
        series = _series(name, matchers, rule.body.get("seriesFilters"))
        return [_one(rule, one, matchers) for one in series]
    except (_RefusalError, re.error) as error:
        return [Translated(rule.place, shown, _old_name(rule, shown), why=str(error))]


def _parsed(query: str) -> tuple[str | None, list[tuple[str, str, str]]]:
    match = _SELECTOR.fullmatch(query)
    if match is None or not query.strip():
        raise _RefusalError("its seriesQuery is no single selector")
    return match[1], _matchers(match[2] or "")


def _matchers(braces: str) -> list[tuple[str, str, str]]:
    return [(m[1], m[2], m[3]) for m in _MATCHER.finditer(braces)]


def _series(name: str | None, matchers: list[tuple[str, str, str]], filters: object) -> list[str]:
    """Return the known series that the selector finds."""
    named = [(op, value) for label, op, value in matchers if label == "__name__"]
    wanted = [name] if name else [value for op, value in named if op == "="]
    if not wanted:
        tests = [(re.compile(value), op == "=~") for op, value in named if "~" in op]
        tests += list(_filters(filters))
        if not tests:
            raise _RefusalError("it selects no series by name")
        wanted = [s for s in MEASURES if all(bool(t.fullmatch(s)) is good for t, good in tests)]
    known = [s for s in wanted if s in MEASURES]
    if not known:
        raise _RefusalError("no metric here measures what its series do")
    return known


def _filters(found: object) -> Iterator[tuple[re.Pattern[str], bool]]:
    for each in found if isinstance(found, list) else ():
        if isinstance(each, Mapping):
            yield from ((re.compile(str(each[k])), k == "is") for k in ("is", "isNot") if k in each)


def _one(rule: Rule, series: str, matchers: list[tuple[str, str, str]]) -> Translated:
    old_name, found = _old_name(rule, series), MEASURES[series]
    if found.metric not in METRICS:
        why = f"{found.metric} is not served by this version"
        return Translated(rule.place, series, old_name, why=why)
    try:
        query = str(rule.body.get("metricsQuery") or "")
        view = _view(query, found, objects=_is_of_objects(rule))
    except _RefusalError as error:
        return Translated(rule.place, series, old_name, why=str(error))
    # What the query itself narrows counts as what finds the series does.
    asked = [m for braces in _ASKED.findall(query) for m in _matchers(braces)]
    matchers = list(dict.fromkeys([*matchers, *asked]))
    models = {value for label, op, value in matchers if label in _MODEL and op == "="}
    of_model = {"model": models.pop()} if len(models) == 1 else {}
    unused = [
        f'{label}{op}"{value}" is not applied: a metric here is of the whole pod'
        for label, op, value in matchers
        if label not in _PLACE and not (of_model and label in _MODEL and op == "=")
    ]
    place = [EXTERNAL] if rule.external else []
    return Translated(
        place=rule.place,
        series=series,
        old_name=old_name,
        metric=found.metric,
        selector={**view.selector, **of_model},
        factor=view.factor,
        source=found.source,
        notes=(*found.notes, *view.notes, *unused, *place),
    )


def _is_of_objects(rule: Rule) -> bool:
    """Return whether what the rule serves is of whole objects: it has no resource `pod`."""
    found = rule.body.get("resources")
    overrides = found.get("overrides") if isinstance(found, Mapping) else None
    if rule.external or not isinstance(found, Mapping) or not isinstance(overrides, Mapping):
        return rule.external
    named = {one.get("resource") for one in overrides.values() if isinstance(one, Mapping)}
    return not found.get("template") and named.isdisjoint({"pod", "pods"})


def _view(query: str, measure: Measure, *, objects: bool) -> _View:
    """Return the view that the query asks for; a rule without a query asks for the default."""
    parts = _taken_apart(query, measure) if query else _PLAIN
    selector = _selector(parts)
    factor, window = _factor(parts, measure), selector.get("window", "").removesuffix("s")
    if objects and (agg := agg_of(parts, measure)) is not None:
        selector["agg"] = str(agg)
    seconds = int(window) if window else None
    told = differences(parts, measure, factor=factor, window_seconds=seconds, objects=objects)
    return _View(selector, factor, told)


def _taken_apart(query: str, measure: Measure) -> Parts:
    match = _QUERY.fullmatch(re.sub(r"\s+", "", query))
    if match is None:
        shown = " ".join(query[:MAX_SHOWN_CHARACTERS].split())
        raise _RefusalError(f"its metricsQuery does what no view does: {shown}")
    parts = match.groupdict()
    if (parts["over"] in _OF_COUNTERS) is (measure.kind is Kind.GAUGE):
        raise _RefusalError("its metricsQuery treats a counter as a level, or the other way round")
    if parts["over"] == "increase":
        raise _RefusalError("an increase is not served: scale on the rate, per second")
    if (measure.kind is Kind.HISTOGRAM) is not bool(parts["quantile"]):
        raise _RefusalError("of a histogram a quantile is served, and of nothing else")
    return parts


def _selector(parts: Parts) -> dict[str, str]:
    found: dict[str, str] = {}
    if parts["over"] in _STATS:
        found["stat"] = _STATS[parts["over"]]
    if parts["quantile"]:
        share = float(parts["quantile"])
        served = [stat for stat, of in QUANTILES.items() if of == share]
        if not served:
            words = f"p{100 * share:.12g} is not served"
            raise _RefusalError(f"{words}: use {', '.join(QUANTILES)}")
        found["stat"] = str(served[0])
    if parts["range"] and parts["unit"] and parts["over"] != "irate":
        seconds = int(parts["range"]) * _SECONDS[parts["unit"]]
        nearest = min(WINDOWS_SECONDS, key=lambda known: abs(known - seconds))
        found["window"] = f"{nearest}s"
    return found


def _factor(parts: Parts, measure: Measure) -> float:
    """Return what an old target is multiplied by: the query's own factor is taken out again."""
    number = float(parts["number"] or 1.0) or 1.0
    return measure.factor * number if parts["op"] == "/" else measure.factor / number


def _old_name(rule: Rule, series: str) -> str:
    """Return the name under which the rule serves the series, by its `name.matches` and `as`."""
    name = rule.body.get("name")
    name = name if isinstance(name, Mapping) else {}
    try:
        pattern = re.compile(str(name.get("matches") or ".*"))
        match = pattern.search(series)
        template = str(name.get("as") or ("$1" if pattern.groups == 1 else "$0"))
        made = _GO_GROUP.sub(lambda m: rf"\g<{m[1] or m[2]}>", template)
        return match.expand(made) if match else series
    except (re.error, IndexError):
        return series
