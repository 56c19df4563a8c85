"""Values: the columns of an answer as a MetricValueList, in its two spellings, or an external one.

A MetricValueList is put together as text: of 1,000 items all but the name, the second and the
figure is the same, and objects of each item would take several times as long.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from adapter.model.catalogue import EXTERNAL_GROUP, EXTERNAL_VERSION
from adapter.model.quantity import format_milli
from adapter.model.snapshot import Answer


class Subject(msgspec.Struct, frozen=True):
    """What all items of one answer have in common."""

    group_version: str  # custom.metrics.k8s.io/v1beta2
    metric: str
    namespace: str | None  # None for what is in no namespace
    kind: str
    object_version: str  # apiVersion of the described object


def encode(subject: Subject, answer: Answer) -> bytes:
    """Return the JSON of the list; a raw reading has no window."""
    groups = [answer] if answer.windows is None else _by_window(answer)
    opening = f'{{"kind":"MetricValueList","apiVersion":{_json(subject.group_version)}'
    parts = [f'{opening},"metadata":{{}},"items":['.encode()]
    for group in groups:
        if len(parts) > 1:
            parts.append(b",")
        parts += _items(subject, group)
    return b"".join((*parts, b"]}"))


def _by_window(answer: Answer) -> Iterable[Answer]:
    """Part the answer into one for each window; young pods have shorter ones."""
    columns = zip(answer.names, answer.milli, answer.taken_at, answer.windows or (), strict=True)
    for seconds, group in itertools.groupby(columns, key=lambda column: column[3]):
        names, milli, taken_at, _ = zip(*group, strict=True)
        yield Answer(names, list(milli), list(taken_at), seconds)


def _items(subject: Subject, answer: Answer) -> list[bytes]:
    """Return the items in pieces, by columns: a text for each item would take twice as long."""
    if not answer.names:
        return []
    head, middle, tail = _frame(subject, answer.window_seconds)
    pieces = [f"{tail},{head}".encode()] * (4 * len(answer.names))
    pieces[0] = head.encode()
    pieces[1::4] = _escaped(answer.names)
    pieces[2::4] = map(Stamps(middle).__getitem__, map(int, answer.taken_at))
    pieces[3::4] = map(Figures().__getitem__, answer.milli)
    pieces.append(tail.encode())
    return pieces


def encode_external(metric: str, labels: Mapping[str, str], answer: Answer) -> bytes:
    """Return the JSON of the ExternalMetricValueList."""
    items = [
        {
            "metricName": metric,
            "metricLabels": labels,
            "timestamp": _stamp(int(at)),
            **({"window": seconds} if seconds else {}),
            "value": format_milli(milli),
        }
        for at, milli, seconds in zip(
            answer.taken_at, answer.milli, answer.each_window(), strict=True
        )
    ]
    group_version = f"{EXTERNAL_GROUP}/{EXTERNAL_VERSION}"
    found = {"kind": "ExternalMetricValueList", "apiVersion": group_version, "metadata": {}}
    return msgspec.json.encode(found | {"items": items})


def _frame(subject: Subject, window_seconds: int) -> tuple[str, str, str]:
    """Return what stands before an item's name, between it and the time, and after the value."""
    inside = f'"namespace":{_json(subject.namespace)},' if subject.namespace is not None else ""
    head = f'{{"describedObject":{{"kind":{_json(subject.kind)},{inside}"name":"'
    reference = f'","apiVersion":{_json(subject.object_version)}}},'
    name = _json(subject.metric)
    if subject.group_version.endswith("/v1beta1"):
        window = f',"window":{window_seconds}' if window_seconds else ""
        return head, f'{reference}"metricName":{name},', f'"{window},"selector":null}}'
    window = f',"windowSeconds":{window_seconds}' if window_seconds else ""
    metric = f'{reference}"metric":{{"name":{name},"selector":null}},'
    return head, metric, f'"{window}}}'


class Stamps(dict[int, bytes]):
    """What stands between name and value, by Unix second; the pods of one answer share a few."""

    def __init__(self, middle: str) -> None:
        self._middle = middle

    def __missing__(self, second: int) -> bytes:
        text = f'{self._middle}"timestamp":"{_stamp(second)}","value":"'.encode()
        self[second] = text
        return text


class Figures(dict[int, bytes]):
    """The quantities as they stand between quotes, by thousandths; pods often have the same."""

    def __missing__(self, milli: int) -> bytes:
        text = self[milli] = format_milli(milli).encode()
        return text


@functools.lru_cache(maxsize=256)  # the readings of one moment share a few, in every answer
def _stamp(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _escaped(names: Sequence[str]) -> list[bytes]:
    """Return the names as they stand between quotes; Kubernetes' have no blank."""
    together = " ".join(names)
    found = together.encode().split(b" ")
    if len(found) == len(names) and _json(together)[1:-1] == together:
        return found
    return [msgspec.json.encode(name)[1:-1] for name in names]


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
