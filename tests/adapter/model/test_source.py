"""What a pod's source said of itself: which pods a query for a model or an adapter means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.batch import Batch, ModelState, Reading
from adapter.model.fleet import Fleet, Pod
from adapter.model.source import NEW, Source, fold

LLAMA = (("model", "llama"),)
TOLD = {"model": "llama"}


@pytest.mark.parametrize(
    ("source", "counts"),
    [
        (NEW, True),
        (Source(heard_at=1.0, model=ModelState.READY, dims=TOLD), True),
        (Source(heard_at=1.0, model=ModelState.FAILING, dims=TOLD), True),
        (Source(heard_at=1.0, model=ModelState.READY, dims={"model": "qwen"}), False),
        (Source(heard_at=1.0, model=ModelState.READY), False),
        (Source(heard_at=1.0, model=ModelState.UNKNOWN), False),
    ],
)
def test_a_pod_counts_for_what_it_says_and_while_nothing_was_heard(
    source: Source, *, counts: bool
) -> None:
    assert source.may_serve(LLAMA) is counts


def test_a_pod_whose_model_was_too_busy_to_say_anything_yet_makes_no_total_smaller() -> None:
    assert Source(heard_at=1.0, model=ModelState.FAILING).may_serve(LLAMA)


def test_what_is_said_of_a_pod_that_has_gone_is_passed_over() -> None:
    batch = Batch((Reading("gone", 1.0, 2.0, ModelState.READY, ()),), {"gone": "refused"})
    here = Pod("here", "default", "here", {})
    assert fold({"gone": NEW}, batch, Fleet.of([here])) == {"here": NEW}


@given(
    st.lists(st.sampled_from("abc")), st.dictionaries(st.sampled_from("abcd"), st.text(max_size=5))
)
def test_the_sources_are_those_of_the_fleet_whoever_says_what(
    says: list[str], troubles: dict[str, str]
) -> None:
    readings = tuple(Reading(uid, 1.0, 2.0, ModelState.READY, ()) for uid in says)
    fleet = Fleet.of(Pod(uid, "default", uid, {}) for uid in "ab")
    found = fold({}, Batch(readings, troubles), fleet)
    assert set(found) == {"a", "b"}
    for uid, source in found.items():
        assert source.heard_at == (1.0 if uid in says else None)
        assert source.trouble == troubles.get(uid)
