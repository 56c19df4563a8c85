"""Complete totals go into shards and come back, unless they are too old to hold anything up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import BadCheckpoint
from adapter.model.catalogue import METRICS, Agg, Over, Stat, View
from adapter.model.checkpoint import SHARDS, sealed
from adapter.model.lasting import (
    CLOCK_SECONDS,
    EMPTY,
    KEPT_SECONDS,
    MAX_SHARD_BYTES,
    STEP_SECONDS,
    decode,
    encode,
    stamped,
)
from adapter.model.snapshot import TotalKey

NOW = 1_700_000_000.0
METRIC = "llm_inference_pending_requests"
KEYS = st.builds(
    TotalKey,
    namespace=st.text(max_size=20),
    kind=st.sampled_from(("Deployment.apps", "Service")),
    name=st.text(max_size=20),
    metric=st.sampled_from(sorted(METRICS)),
    view=st.builds(
        View,
        stat=st.sampled_from(Stat),
        window_seconds=st.integers(0, 600),
        over=st.sampled_from(Over),
    ),
    dims=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=2).map(tuple),
    agg=st.sampled_from(Agg),
)
VALUES = st.floats(min_value=0, max_value=1e15, exclude_min=True)


def key(name: str, metric: str = METRIC, namespace: str = "default") -> TotalKey:
    return TotalKey(namespace, "Deployment.apps", name, metric, METRICS[METRIC].view)


def back(texts: tuple[str, ...], now: float = NOW) -> dict[TotalKey, float]:
    found: dict[TotalKey, float] = {}
    for text in texts:
        found |= {one: kept.value for one, kept in decode(text, now).items()}
    return found


def written(totals: dict[TotalKey, float], now: float = NOW) -> tuple[str, ...]:
    return encode(stamped(totals, now))


@given(st.dictionaries(KEYS, VALUES, max_size=20))
def test_whatever_total_was_written_comes_back(totals: dict[TotalKey, float]) -> None:
    assert back(written(totals)) == totals


def test_a_total_of_nothing_is_not_written() -> None:
    assert written({key("a"): 0.0}) == (EMPTY,) * SHARDS
    assert decode(EMPTY, NOW) == {}


def test_the_same_totals_are_the_same_text_for_ten_minutes() -> None:
    first = STEP_SECONDS * (NOW // STEP_SECONDS)
    totals = {key("b"): 2.0, key("a"): 1.0}
    backwards = dict(reversed(totals.items()))
    assert written(totals, first) == written(backwards, first + STEP_SECONDS - 1)
    assert written(totals, first) != written(totals, first + STEP_SECONDS)


@pytest.mark.parametrize(
    ("after_seconds", "count"),
    [(0.0, 1), (KEPT_SECONDS, 1), (KEPT_SECONDS + 1, 0), (-CLOCK_SECONDS - 1, 0)],
)
def test_what_is_too_old_or_of_a_time_to_come_holds_nothing(
    after_seconds: float, count: int
) -> None:
    at = STEP_SECONDS * (NOW // STEP_SECONDS)
    assert len(back(written({key("a"): 1.0}, NOW), at + after_seconds)) == count


def test_a_shard_is_bounded_and_no_namespace_pushes_another_out() -> None:
    crowd = {key(f"llm-{number}"): 1.0 for number in range(5000)}
    few = {key(f"llm-{number}", namespace="z-few"): 1.0 for number in range(50)}
    texts = written(crowd | few)
    found = back(texts)
    assert found.keys() >= few.keys()
    assert 3000 < len(found) < len(crowd)
    assert max(map(len, texts)) < MAX_SHARD_BYTES + 200


def test_a_metric_of_another_release_is_passed_over() -> None:
    assert back(written({key("a", "of-another-release"): 1.0})) == {}


@pytest.mark.parametrize("value", ["-1.0", "1e999", '"x"'])
def test_a_total_that_is_no_figure_is_refused(value: str) -> None:
    (text,) = [one for one in written({key("a"): 3.5}) if one != EMPTY]
    with pytest.raises(BadCheckpoint):
        decode(_resealed(text.replace("3.5", value)), NOW)


def test_a_text_that_was_changed_is_refused() -> None:
    (text,) = [one for one in written({key("a"): 3.5}) if one != EMPTY]
    with pytest.raises(BadCheckpoint, match="checksum"):
        decode(text.replace("3.5", "4.5"), NOW)


def _resealed(text: str) -> str:
    head, _, body = text.partition("\n")
    mark, version, _ = head.split(" ")
    return sealed(body, mark, version)
