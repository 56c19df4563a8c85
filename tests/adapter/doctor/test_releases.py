"""The releases of sidecars, against the adapter's."""

from __future__ import annotations

import pytest

from adapter.doctor.facts import Seen
from adapter.doctor.finding import Level
from tests.adapter.doctor.healthy import facts, found, loads, refused, the

HERE = "Deployment default/llm: "


@pytest.mark.parametrize(
    ("told", "words", "hint"),
    [
        ({"1.2.0": 2, "1.1.9": 1}, "1 sidecar of 1.1.9, older than the adapter's 1.2.0", ":1.2.0"),
        ({"1.10.0": 3}, "3 sidecars of 1.10.0, newer than the adapter's 1.2.0", "adapter first"),
        ({"": 1, "1.2.0": 1}, "1 sidecar of a release unsaid, older than the adapter's", ":1.2.0"),
    ],
)
def test_sidecars_of_another_release_are_counted_with_what_to_update(
    told: dict[str, int], words: str, hint: str
) -> None:
    seen = the("releases", facts(loads={"default": loads(told)}))
    assert (seen.level, seen.seen.startswith(HERE + words)) == (Level.WARN, True)
    assert hint in seen.hint


def test_the_same_release_passes_and_a_source_tree_is_of_none() -> None:
    same = facts(loads={"default": loads({"1.2.0": 2, "unknown": 1})})
    assert the("releases", same).seen == "3 sidecars, of the adapter's release"
    nobody: tuple[Seen, ...] = (loads({"0.1.0": 1}, own="source"), refused(), loads({}))
    for one in nobody:
        assert found("releases", facts(loads={"default": one})) == []
