"""A debut is short, begins when a pod turns serving, and is not for what was there already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapter.model.debut import DEBUT_SECONDS, fold
from adapter.model.fleet import Standing

SERVING, LOADING = Standing.SERVING, Standing.LOADING


def test_a_pod_that_turns_serving_makes_a_debut_of_a_few_seconds() -> None:
    begun = fold({}, {"a": LOADING}, {"a": SERVING}, 100.0)
    assert begun == {"a": 100.0}
    kept = fold(begun, {"a": SERVING}, {"a": SERVING}, 100.0 + DEBUT_SECONDS - 0.1)
    assert kept == begun
    assert fold(kept, {"a": SERVING}, {"a": SERVING}, 100.0 + DEBUT_SECONDS) == {}


def test_a_pod_that_serves_at_first_sight_makes_none_and_one_that_is_gone_has_none() -> None:
    assert fold({}, {}, {"a": SERVING}, 100.0) == {}
    assert fold({"a": 100.0}, {"a": SERVING}, {}, 101.0) == {}


STANDINGS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(Standing))


@given(st.lists(st.tuples(STANDINGS, st.floats(0, 10)), max_size=20))
def test_whatever_pods_do_only_those_that_serve_are_debutants_and_none_for_long(
    steps: list[tuple[dict[str, Standing], float]],
) -> None:
    now, before, debuts = 0.0, dict[str, Standing](), dict[str, float]()
    for after, pause in steps:
        now += pause
        debuts = fold(debuts, before, after, now)
        assert all(after[uid] is SERVING for uid in debuts)
        assert all(0 <= now - at < DEBUT_SECONDS for at in debuts.values())
        before = after
