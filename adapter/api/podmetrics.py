"""Pod metrics: GPU usage put into the JSON of metrics-server; all the rest stays as it is.

An item is taken apart only where its pod gets the key, and then its timestamp, window and other
usages are copied as bytes: the HPA's rules for CPU depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec import Raw

from adapter.model.gpuusage import GPU_RESOURCE

# Namespace, pod, names of its containers -> quantity of each; None leaves the item alone.
Usages = Callable[[str, str, list[str]], dict[str, str] | None]


class _Names(msgspec.Struct):
    name: str
    namespace: str = ""


class _Container(msgspec.Struct):
    name: str


class _Item(msgspec.Struct):
    metadata: _Names
    containers: list[_Container] = []


_fields = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_item_of = msgspec.json.Decoder(_Item)


def with_usage(body: bytes, usages: Usages) -> bytes:
    """Return a PodMetricsList or PodMetrics with the GPU usage of those pods that have one.

    Raises ValueError when the body is neither.
    """
    whole = _fields.decode(body)
    if "items" in whole:
        items = _items.decode(whole["items"])
        return msgspec.json.encode(whole | {"items": [_item(item, usages) for item in items]})
    if "containers" in whole:
        return bytes(_item(Raw(body), usages))
    raise ValueError("it is neither a PodMetricsList nor a PodMetrics")


def _item(item: Raw, usages: Usages) -> Raw:
    seen = _item_of.decode(item)
    names = [container.name for container in seen.containers]
    found = usages(seen.metadata.namespace, seen.metadata.name, names)
    if found is None:
        return item
    fields = _fields.decode(item)
    pairs = zip(_items.decode(fields["containers"]), (found[name] for name in names), strict=True)
    return Raw(msgspec.json.encode(fields | {"containers": list(_with_keys(pairs))}))


def _with_keys(pairs: Iterable[tuple[Raw, str]]) -> Iterator[dict[str, object]]:
    for container, quantity in pairs:
        fields = _fields.decode(container)
        usage = _fields.decode(fields.get("usage", b"{}"))
        yield fields | {"usage": usage | {GPU_RESOURCE: quantity}}
