"""The shelf: of each object of one kind the little that is kept, put there by a watch or a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from adapter.errors import IntakeError
from adapter.telemetry import Once, warn

Json = Mapping[str, Any]
ObjectKey = tuple[str, str]  # namespace, name
Kept = TypeVar("Kept")


class Shelf(Generic[Kept]):
    """Keeps what `read` returns of an object, nothing where that is None.

    An object that cannot be read is told once and left out. `version` changes with what is kept;
    with `notes`, `changed` has the objects of which something else is kept, until its reader clears
    it: without a reader it would grow for ever.
    """

    def __init__(
        self, kind: str, read: Callable[[Json], Kept | None], *, notes: bool = False
    ) -> None:
        self._notes = notes
        self._kind = kind
        self._read = read
        self._once = Once(warn)
        self.kept: dict[ObjectKey, Kept] = {}
        self.version = 0
        self.changed: set[ObjectKey] = set()

    def put(self, raw: Json) -> None:
        """Take in a new or changed object."""
        key = key_of(raw)
        found = self._readable(key, raw)
        if found is None:
            self.drop(key)
        elif self.kept.get(key) != found:
            self.kept[key] = found
            self._change(key)

    def drop(self, key: ObjectKey) -> None:
        """Forget a deleted object."""
        if self.kept.pop(key, None) is not None:
            self._change(key)

    def replace(self, raws: Iterable[Json]) -> None:
        """Take a whole list in place of what was known, so that deletions are not missed."""
        before, changed = dict(self.kept), set(self.changed)
        self.kept.clear()
        self.version += 1
        for raw in raws:
            self.put(raw)
        known = before.keys() | self.kept.keys()
        if self._notes:
            self.changed = changed | {k for k in known if before.get(k) != self.kept.get(k)}

    def _change(self, key: ObjectKey) -> None:
        self.version += 1
        if self._notes:
            self.changed.add(key)

    def _readable(self, key: ObjectKey, raw: Json) -> Kept | None:
        try:
            return self._read(raw)
        except (IntakeError, ValueError, TypeError, KeyError, AttributeError) as error:
            name = "/".join(key)
            self._once("object_unreadable", name, str(error), kind=self._kind, object=name)
            return None


def key_of(raw: Json) -> ObjectKey:
    metadata = raw.get("metadata") or {}
    return metadata.get("namespace", ""), metadata.get("name", "")
