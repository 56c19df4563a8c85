"""Values: the items of an answer in the two spellings of MetricValueList."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType

from adapter.model.quantity import format_milli
from adapter.model.snapshot import Item


class ObjectReference(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The object that a value belongs to."""

    kind: str
    namespace: str
    name: str
    api_version: str


class MetricIdentifier(msgspec.Struct, frozen=True):
    """The metric's name; no value is ever split by a selector."""

    name: str
    selector: None = None


class ValueBeta2(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """One value of v1beta2; a raw reading has no window."""

    described_object: ObjectReference
    metric: MetricIdentifier
    timestamp: str
    value: str
    window_seconds: int | UnsetType = UNSET


class ValueBeta1(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """One value of v1beta1; a raw reading has no window."""

    described_object: ObjectReference
    metric_name: str
    timestamp: str
    value: str
    window: int | UnsetType = UNSET
    selector: None = None


class ValueList(msgspec.Struct, frozen=True, rename="camel"):
    """MetricValueList."""

    kind: str
    api_version: str
    metadata: dict[str, str]
    items: list[ValueBeta1] | list[ValueBeta2]


class Subject(msgspec.Struct, frozen=True):
    """What all items of one answer have in common."""

    group_version: str  # custom.metrics.k8s.io/v1beta2
    metric: str
    namespace: str
    kind: str
    object_version: str  # apiVersion of the described object


def encode(subject: Subject, items: Iterable[Item]) -> bytes:
    """Return the JSON of the list."""
    make = _beta1 if subject.group_version.endswith("/v1beta1") else _beta2
    return msgspec.json.encode(
        ValueList("MetricValueList", subject.group_version, {}, make(subject, items))
    )


def _beta2(subject: Subject, items: Iterable[Item]) -> list[ValueBeta2]:
    stamp = Stamps()
    metric = MetricIdentifier(subject.metric)
    kind, namespace, version = subject.kind, subject.namespace, subject.object_version
    return [
        ValueBeta2(
            ObjectReference(kind, namespace, item.name, version),
            metric,
            stamp[int(item.taken_at)],
            format_milli(item.milli),
            item.window_seconds or UNSET,
        )
        for item in items
    ]


def _beta1(subject: Subject, items: Iterable[Item]) -> list[ValueBeta1]:
    stamp = Stamps()
    kind, namespace, version = subject.kind, subject.namespace, subject.object_version
    return [
        ValueBeta1(
            ObjectReference(kind, namespace, item.name, version),
            subject.metric,
            stamp[int(item.taken_at)],
            format_milli(item.milli),
            item.window_seconds or UNSET,
        )
        for item in items
    ]


class Stamps(dict[int, str]):
    """RFC 3339 of a Unix second; the pods of one answer share a few of them."""

    def __missing__(self, second: int) -> str:
        text = self[second] = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return text
