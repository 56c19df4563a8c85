"""What was asked for is kept up to date for five minutes, and hostile askers find a bound."""

import msgspec
import pytest

from adapter.model import asked as askeds
from adapter.model.asked import FORGET_SECONDS, Asked
from adapter.model.catalogue import MEAN_15S, RAW
from adapter.model.snapshot import TotalKey
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, START

KEY = TotalKey(
    NAMESPACE, "Deployment.apps", DEPLOYMENT, "llm_inference_inflight_requests", MEAN_15S
)


def test_what_was_not_asked_for_in_five_minutes_is_forgotten() -> None:
    asked = Asked()
    asked.total(KEY, START)
    assert asked.totals(START + FORGET_SECONDS) == (KEY,)
    assert asked.totals(START + FORGET_SECONDS + 1) == ()


def test_asking_again_keeps_a_total() -> None:
    asked = Asked()
    asked.total(KEY, START)
    asked.total(KEY, START + 200)
    assert asked.totals(START + 450) == (KEY,)


def test_totals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(askeds, "MAX_TOTALS", 2)
    asked = Asked()
    for name in ("a", "b", "c"):
        asked.total(TotalKey(NAMESPACE, "Deployment.apps", name, "m", RAW), START)
    assert [key.name for key in asked.totals(START)] == ["a", "b"]
    asked.total(TotalKey(NAMESPACE, "Deployment.apps", "c", "m", RAW), START + FORGET_SECONDS + 1)
    assert [key.name for key in asked.totals(START + FORGET_SECONDS + 1)] == ["c"]


def test_the_totals_of_one_object_are_bounded_and_leave_room_for_others() -> None:
    asked = Asked()
    for number in range(200):
        asked.total(msgspec.structs.replace(KEY, dims=(("model", f"made-up-{number}"),)), START)
    other = msgspec.structs.replace(KEY, name="other")
    asked.total(other, START + 1)
    found = asked.totals(START + 1)
    assert len(found) == askeds.MAX_PER_OBJECT + 1
    assert other in found
    later = START + FORGET_SECONDS + 2
    asked.total(KEY, later)
    assert asked.totals(later) == (KEY,)
