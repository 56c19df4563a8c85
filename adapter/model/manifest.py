"""The manifest field: typed access to raw YAML or JSON; every wrong field becomes a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from adapter.model import quantity

Choice = TypeVar("Choice", bound=StrEnum)


class Field:
    """One object of a manifest with its path.

    Readers never raise: a wrong field adds a sentence to `problems` (shared by all objects of the
    manifest) and a stand-in comes back, so that all problems are found in one go.
    """

    def __init__(
        self, value: object, path: str, problems: list[str], parent: Field | None = None
    ) -> None:
        self._path = path
        self.problems = problems
        self._parent = parent
        self.is_missing = value is None and bool(path)
        self._told = False
        self._value: Mapping[str, object] = {}
        if isinstance(value, Mapping):
            self._value = value
        elif value is not None or not path:
            problems.append(f"{path or 'the manifest'} is no object: give it fields of its own")

    def wrong(self, field: str, words: str) -> None:
        """Record that `field` cannot be used; of an object that is not there, that it is not."""
        if not self.is_missing:
            self.problems.append(f"{self._at(field)} {words}")
        elif self._parent is not None and self._parent.is_missing:
            self._parent.wrong(field, words)
        elif not self._told:
            self._told = True
            self.problems.append(f"{self._path} is missing: write it with all that it needs")

    def has(self, field: str) -> bool:
        return self._value.get(field) is not None

    def mapping(self) -> Mapping[str, object]:
        return self._value

    def child(self, field: str) -> Field:
        """Return the object at `field`; a missing one has no fields."""
        return Field(self._value.get(field), self._at(field), self.problems, self)

    def sequence(self, field: str) -> list[object]:
        found = self._value.get(field)
        if found is None or isinstance(found, list):
            return found or []
        self.wrong(field, "is no list: start each entry with a dash")
        return []

    def items(self, field: str) -> list[Field]:
        """Return the objects of the list at `field`; none when it is missing."""
        at = self._at(field)
        return [
            Field(item, f"{at}[{index}]", self.problems)
            for index, item in enumerate(self.sequence(field))
        ]

    def equals(self, field: str, wanted: str) -> None:
        found = self._value.get(field)
        if found != wanted:
            self.wrong(field, f"is {_shown(found)}: use {wanted}")

    def text(self, field: str, default: str | None = None) -> str:
        found = self._value.get(field, default)
        if isinstance(found, str) and found:
            return found
        self.wrong(field, f"is {_shown(found)}: give a name")
        return ""

    def integer(
        self, field: str, default: int | None, *, at_least: int, at_most: int = 2**31 - 1
    ) -> int:
        found = self._value.get(field)
        if found is None and default is not None:
            return default
        if isinstance(found, int) and not isinstance(found, bool) and at_least <= found <= at_most:
            return found
        self.wrong(field, f"is {_shown(found)}: use a whole number from {at_least} to {at_most}")
        return at_least

    def choice(self, field: str, kind: type[Choice], default: Choice | None = None) -> Choice:
        found = self._value.get(field)
        if found is None and default is not None:
            return default
        if isinstance(found, str) and found in set(kind):
            return kind(found)
        self.wrong(field, f"is {_shown(found)}: use one of {', '.join(kind)}")
        return next(iter(kind))

    def milli(self, field: str) -> int | None:
        """Return a quantity in thousandths; None when it is missing or (with a sentence) wrong."""
        found = self._value.get(field)
        if found is None:
            return None
        try:
            return quantity.parse_milli(str(found))
        except ValueError as error:
            self.wrong(field, f"is wrong: {error}")
            return None

    def _at(self, field: str) -> str:
        return f"{self._path}.{field}" if self._path else field


def _shown(found: object) -> str:
    return "missing" if found is None else f"`{found}`"
