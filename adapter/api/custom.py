"""custom.metrics.k8s.io: the answers about pods, and about the objects that they belong to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from aiohttp import web
from msgspec import structs

from adapter.api import query as queries
from adapter.api import values
from adapter.api.answers import Answers, metric_named
from adapter.api.query import Query, shown
from adapter.api.values import Subject
from adapter.errors import BadRequest, NotFound, NoValue
from adapter.model.catalogue import GROUP, Agg, Metric
from adapter.model.desired import targets_of
from adapter.model.owners import EVERYWHERE, NAMESPACE, NODE, Kind, Owners
from adapter.model.queried import Key
from adapter.model.selector import EVERYTHING
from adapter.model.snapshot import Answer, Snapshot, TotalKey
from adapter.model.target import DESIRED_REPLICAS, FORECASTS

_NAMESPACE = f"/apis/{GROUP}/{{version:v1beta1|v1beta2}}/namespaces/{{namespace}}"
PATH = f"{_NAMESPACE}/{{resource}}/{{name}}/{{metric}}{{slash:/?}}"
# How a client asks for a metric of the namespace itself.
NAMESPACE_PATH = f"{_NAMESPACE}/metrics/{{metric}}{{slash:/?}}"
# A node is in no namespace; an HPA asks for it within its own all the same, at PATH.
NODE_PATH = f"/apis/{GROUP}/{{version:v1beta1|v1beta2}}/{NODE.path}/{{name}}/{{metric}}{{slash:/?}}"
PODS = "pods"
_IN_THE_QUERY = "a metric that is a query has none: write it in there"
# How one object's value is asked for, as it is or as it is forecast.
Ask = Callable[[Snapshot, Metric, Kind, TotalKey], Answer]
_BY_THE_TARGET = "replicas have none: they follow from the pods' annotation forescale.dev/target"


def outside_path(owners: Owners) -> str | None:
    """Return the path of a kind of the settings that is in no namespace; None without one."""
    if not owners.outside:
        return None
    resources = "|".join(re.escape(kind.path) for kind in owners.outside)
    version = f"/apis/{GROUP}/{{version:v1beta1|v1beta2}}"
    return f"{version}/{{resource:{resources}}}/{{name}}/{{metric}}{{slash:/?}}"


class Custom:
    """Answers queries of custom.metrics.k8s.io."""

    def __init__(self, answers: Answers, owners: Owners) -> None:
        self._answers = answers
        self._owners = owners

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one GET of any of the paths; raise an AnswerError where there is no value."""
        return self._answers.respond(request, self._build)

    def _build(self, snapshot: Snapshot, request: web.Request) -> bytes:
        return self.answer(snapshot, request.match_info, request.query)

    def answer(
        self, snapshot: Snapshot, place: Mapping[str, str], parameters: Mapping[str, str]
    ) -> bytes:
        """Return the encoded MetricValueList of one place in the URL space."""
        kind, namespace = self._kind(place), place.get("namespace", EVERYWHERE)
        name = place.get("name", namespace)
        if kinds := self._answers.board().kinds(place["metric"]):
            return self._queried(snapshot, place, parameters, kinds)
        if place["metric"] == DESIRED_REPLICAS:
            return self._desired(snapshot, place, parameters)
        metric = metric_named(place["metric"])
        query = queries.parse(metric, name, parameters, ahead=place["metric"] in FORECASTS)
        if kind is None:
            found = self._of_pods(snapshot, metric, query, namespace, name)
        else:
            key = _key(metric, query, kind, namespace, name)
            ask = self._answers.ahead if query.ahead else self._answers.whole
            found = _of_objects(snapshot, metric, kind, key, ask)
        self._answers.observe(snapshot, metric, found)
        group_version = f"{GROUP}/{place['version']}"
        return values.encode(_subject(group_version, place["metric"], kind, namespace), found)

    def _queried(
        self,
        snapshot: Snapshot,
        place: Mapping[str, str],
        parameters: Mapping[str, str],
        kinds: Sequence[Kind],
    ) -> bytes:
        """Answer for a metric that is a query, which has neither pods nor views."""
        metric, kind = place["metric"], self._kind(place)
        if kind is None or kind not in kinds:
            served = ", ".join(kind.path for kind in kinds)
            raise NotFound(f"{shown(metric)} is a query's, and served for {served} alone")
        namespace = place.get("namespace", EVERYWHERE)
        if namespace == EVERYWHERE:
            raise NotFound(f"{shown(metric)} is a query's, which is of a namespace: ask within one")
        name = place.get("name", namespace)
        queries.refuse_choices(name, parameters, _IN_THE_QUERY)
        found = self._answers.queried(snapshot, Key(metric, kind.qualified, namespace, name))
        group_version = f"{GROUP}/{place['version']}"
        return values.encode(_subject(group_version, metric, kind, namespace), found)

    def _desired(
        self, snapshot: Snapshot, place: Mapping[str, str], parameters: Mapping[str, str]
    ) -> bytes:
        """Answer how many replicas a workload needs; of `*` for those that have a target."""
        kind = self._kind(place)
        if kind is None or not kind.namespaced:
            raise NotFound(
                f"{DESIRED_REPLICAS} is a workload's: ask with a metric of type Object or External"
            )
        namespace, name = place["namespace"], place["name"]
        queries.refuse_choices(name, parameters, _BY_THE_TARGET)
        names = [name]
        if name == "*":
            every = snapshot.fleet.objects(namespace, kind.qualified)
            of = kind.qualified
            names = [one for one in every if targets_of(snapshot, of, namespace, one)]
        ask = self._answers.desired
        found = _of_each(partial(ask, snapshot, kind, namespace, one) for one in names)
        group_version = f"{GROUP}/{place['version']}"
        return values.encode(_subject(group_version, DESIRED_REPLICAS, kind, namespace), found)

    def _kind(self, place: Mapping[str, str]) -> Kind | None:
        """Return the kind that is asked for, None for pods."""
        resource = place.get("resource")
        if resource is None:
            return NODE if "name" in place else NAMESPACE
        if resource == PODS:
            return None
        kind = NODE if resource == NODE.path else self._owners.by_path.get(resource)
        if kind is None:
            served = ", ".join((PODS, *self._owners.by_path, NODE.path))
            raise NotFound(f"{shown(resource)} have no metrics here; served are those of {served}")
        return kind

    def _of_pods(
        self, snapshot: Snapshot, metric: Metric, query: Query, namespace: str, name: str
    ) -> Answer:
        if query.agg is not None:
            raise BadRequest(f"metricLabelSelector: agg={query.agg} is for workloads, not for pods")
        wanted = None if name == "*" else name
        where = (namespace, query.selector, wanted)
        if query.ahead:
            found = self._answers.pods_ahead(snapshot, metric, *where)
        else:
            found = snapshot.pods(metric, query.view, *where, dims=query.dims)
        if wanted is not None and not found.names:
            raise NotFound(
                f"no pod {shown(name)} with a source in namespace {shown(namespace)}"
                f"{' matches the selector' if query.selector is not EVERYTHING else ''}:"
                " a pod has one when it carries the label forescale.dev/source"
            )
        return found


def _of_objects(snapshot: Snapshot, metric: Metric, kind: Kind, key: TotalKey, ask: Ask) -> Answer:
    if key.name != "*":
        return ask(snapshot, metric, kind, key)
    if kind is NAMESPACE:
        names = sorted(snapshot.fleet.by_namespace)
        keys = [structs.replace(key, namespace=name, name=name) for name in names]
    else:
        names = snapshot.fleet.objects(key.namespace, key.kind)
        keys = [structs.replace(key, name=name) for name in names]
    return _of_each(partial(ask, snapshot, metric, kind, key) for key in keys)


def _of_each(asks: Iterable[Callable[[], Answer]]) -> Answer:
    """Return those that have a value; raise NoValue where there are some and none has."""
    found, troubles = [], []
    for ask in asks:
        try:
            found.append(ask())
        except (NoValue, NotFound) as error:
            troubles.append(error)
    if troubles and not found:
        raise troubles[0]
    return Answer.joined(found)


def _key(metric: Metric, query: Query, kind: Kind, namespace: str, name: str) -> TotalKey:
    if query.selector is not EVERYTHING:
        raise BadRequest(f"labelSelector: a {kind.kind} is asked for by its name alone")
    agg = query.agg or Agg.SUM
    return TotalKey(namespace, kind.qualified, name, metric.name, query.view, query.dims, agg)


def _subject(group_version: str, metric: str, kind: Kind | None, namespace: str) -> Subject:
    if kind is None:
        return Subject(group_version, metric, namespace, "Pod", "v1")
    inside = namespace if kind.namespaced else None
    return Subject(group_version, metric, inside, kind.kind, kind.api_version)
