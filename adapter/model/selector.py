"""Label selectors: parse Kubernetes' string form and match labels as the API server does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

import msgspec

# The API server's own HPA selectors have a handful of terms; this bounds hostile ones.
MAX_REQUIREMENTS = 200

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
_KEY = re.compile(rf"(?:(?P<prefix>{_PREFIX})/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_SET_TERM = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUALITY_TERM = re.compile(r"(?P<key>[^\s=!<>]+)\s*(?P<operator>==|=|!=|>|<)\s*(?P<value>\S*)")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_INT64 = range(-(2**63), 2**63)
# Kubernetes takes four characters for white space, and no other beyond ASCII's visible ones.
_STRANGE = re.compile(r"[^\t\n\r\x20-\x7e]")
_MAX_LABEL = 63  # characters of a value


class Operator(StrEnum):
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    MISSING = "!"
    GREATER = ">"
    LESS = "<"


class Requirement(msgspec.Struct, frozen=True):
    """One term; `values` is empty for EXISTS and MISSING, one integer for GREATER and LESS."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if self.operator is Operator.IN:  # nearly all are; a match statement asks them last
            return value in self.values
        match self.operator:
            case Operator.EXISTS:
                return value is not None
            case Operator.MISSING:
                return value is None
            case Operator.NOT_IN:
                return value not in self.values
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        number = _integer(value) if value is not None else None
        if number is None:
            return False
        bound = int(next(iter(self.values)))
        return number > bound if self.operator is Operator.GREATER else number < bound


class Selector(msgspec.Struct, frozen=True):
    """A conjunction of requirements; without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        # A plain loop: `all` with a generator takes twice as long, for every pod of every query.
        for requirement in self.requirements:  # noqa: SIM110
            if not requirement.matches(labels):
                return False
        return True


EVERYTHING = Selector()


def parse(text: str) -> Selector:
    """Return the selector of `a=b,c!=d,e in (f,g),h,!i,j>1`; raise ValueError with the bad term."""
    if found := _STRANGE.search(text):
        raise ValueError(f"the selector has {found[0]!r}, which stands in no label")
    terms = _split(text)
    if len(terms) > MAX_REQUIREMENTS:
        raise ValueError(f"the selector has {len(terms)} terms, the limit is {MAX_REQUIREMENTS}")
    return Selector(tuple(_requirement(term) for term in terms))


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside parentheses."""
    if not text.strip():
        return []
    terms, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            terms.append(text[start:position].strip())
            start = position + 1
    return [*terms, text[start:].strip()]


def _requirement(term: str) -> Requirement:
    if match := _SET_TERM.fullmatch(term):
        values = frozenset(_value(value.strip(), term) for value in match["values"].split(","))
        return Requirement(_key(match["key"], term), Operator(match["operator"]), values)
    if match := _EQUALITY_TERM.fullmatch(term):
        return _equality(match["key"], match["operator"], match["value"], term)
    if term.startswith("!"):
        return Requirement(_key(term[1:].strip(), term), Operator.MISSING)
    return Requirement(_key(term, term), Operator.EXISTS)


def _equality(key: str, operator: str, value: str, term: str) -> Requirement:
    if operator in (">", "<"):
        if _integer(value) is None:
            raise ValueError(f"`{term}`: `{operator}` compares integers, `{value}` is none")
        return Requirement(_key(key, term), Operator(operator), frozenset({_value(value, term)}))
    found = Operator.NOT_IN if operator == "!=" else Operator.IN
    return Requirement(_key(key, term), found, frozenset({_value(value, term)}))


def _integer(text: str) -> int | None:
    """Return the int64 that a label's value spells, None where it is none."""
    if len(text) > _MAX_LABEL or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if number in _INT64 else None


def _key(key: str, term: str) -> str:
    match = _KEY.fullmatch(key)
    if match is None or len(match["prefix"] or "") > 253:  # noqa: PLR2004 - a DNS name's length
        raise ValueError(f"`{term}`: `{key}` is no label key")
    return key


def _value(value: str, term: str) -> str:
    if not _VALUE.fullmatch(value):
        raise ValueError(f"`{term}`: `{value}` is no label value")
    return value
