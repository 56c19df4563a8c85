"""After a restart a demand is forecast as if there had been none; what is broken is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from adapter.errors import BadCheckpoint
from adapter.model import remembered
from adapter.model.catalogue import METRICS
from adapter.model.checkpoint import SHARDS
from adapter.model.forecast import Forecaster
from adapter.model.memo import Reading, Writing
from adapter.model.remembered import CLOCK_SECONDS, EMPTY, decode, encode, recall, remember
from adapter.model.snapshot import TotalKey

BEGIN = 1_700_000_000.0
HORIZONS = (60.0, 180.0, 300.0, 600.0, 1_200.0, 1_800.0)
METRIC = "llm_inference_inflight_requests"


class Demand:
    """A day that is noisy and has a rush."""

    def __init__(self) -> None:
        self.now = BEGIN
        self._dice = np.random.default_rng(3)

    def next(self) -> tuple[float, float]:
        self.now += 10.0
        hour = self.now % 86_400 / 3_600
        usual = 40.0 + 30.0 * np.sin(2 * np.pi * (hour - 9) / 24)
        rush = 2.2 if 13 <= hour < 13.7 else 1.0
        return self.now, float(usual * rush * np.exp(0.1 * self._dice.standard_normal()))


@pytest.fixture(scope="module")
def taught() -> tuple[Demand, Forecaster]:
    demand, found = Demand(), Forecaster()
    for _ in range(26 * 360):
        found.observe(*demand.next())
    return demand, found


def key(name: str, namespace: str = "default", metric: str = METRIC) -> TotalKey:
    return TotalKey(namespace, "Deployment.apps", name, metric, METRICS[METRIC].view)


def twice(forecaster: Forecaster, now: float) -> Forecaster:
    packed = remember(forecaster)
    assert packed is not None
    found = recall(packed, now)
    assert found is not None
    return found


def test_two_replicas_of_which_one_was_restarted_answer_within_one_percent(
    taught: tuple[Demand, Forecaster],
) -> None:
    demand, first = taught
    second = twice(first, demand.now)
    for horizon in HORIZONS:
        before, after = first.predicted(horizon), second.predicted(horizon)
        assert after == pytest.approx(before, rel=1e-3)
        assert second.weights(horizon) == pytest.approx(first.weights(horizon), abs=1e-6)
        assert second.coverage(horizon) == pytest.approx(first.coverage(horizon), abs=0.01)
    apart = []
    for _ in range(2 * 360):
        now, value = demand.next()
        for one in (first, second):
            one.observe(now, value)
        figures = [[one.publish(value, h, now) for h in HORIZONS] for one in (first, second)]
        apart += [abs(b.value / a.value - 1.0) for a, b in zip(*figures, strict=True)]
        assert [one.doubt for one in figures[0]] == [one.doubt for one in figures[1]]
    assert len(apart) == 2 * 360 * len(HORIZONS)
    assert max(apart) < 0.01


def test_what_was_remembered_is_the_same_when_it_is_remembered_again(
    taught: tuple[Demand, Forecaster],
) -> None:
    demand, first = taught
    once = twice(first, demand.now)
    again = twice(once, demand.now)
    for horizon in HORIZONS:
        assert again.predicted(horizon) == pytest.approx(once.predicted(horizon), rel=1e-3)
    assert again.at == first.at == demand.now


def test_a_gap_is_a_gap_across_a_restart_too(taught: tuple[Demand, Forecaster]) -> None:
    demand, first = taught
    second = twice(first, demand.now + 600)
    found = second.publish(40.0, 600.0, demand.now + 600)
    assert found.value == 40.0
    assert "no reading for 600 s" in found.why


def test_what_is_kept_of_a_demand_is_bounded(taught: tuple[Demand, Forecaster]) -> None:
    packed = remember(taught[1])
    assert packed is not None
    assert len(packed) < 20_480
    worst, memo = Forecaster(), Writing()
    _scatter(worst)
    worst.memorise(memo)
    assert len(memo.packed()) < remembered.MAX_DEMAND_BYTES


def _scatter(one: object) -> None:
    """Fill every array with figures that nothing packs well."""
    dice = np.random.default_rng(1)
    for part in vars(one).values():
        if isinstance(part, np.ndarray) and part.dtype.kind == "f":
            part[...] = dice.standard_normal(part.shape)
        elif type(part).__module__.startswith("adapter.model"):
            _scatter(part)


def test_of_a_demand_of_a_quarter_of_an_hour_nothing_is_kept() -> None:
    demand, found = Demand(), Forecaster()
    for _ in range(90):
        found.observe(*demand.next())
    assert remember(found) is None


def test_what_is_too_old_or_of_a_time_to_come_is_not_gone_on_with(
    taught: tuple[Demand, Forecaster],
) -> None:
    demand, first = taught
    packed = remember(first)
    assert packed is not None
    assert recall(packed, demand.now + 8 * 86_400) is None
    assert recall(packed, demand.now - CLOCK_SECONDS - 1) is None
    assert recall(packed, demand.now - CLOCK_SECONDS + 1) is not None


def test_a_demand_that_another_release_wrote_is_refused(
    taught: tuple[Demand, Forecaster],
) -> None:
    packed = remember(taught[1])
    assert packed is not None
    with pytest.raises(BadCheckpoint, match="cannot be unpacked"):
        recall(packed[1:], taught[0].now)
    with pytest.raises(BadCheckpoint, match="more bytes"):
        recall(packed * 9, taught[0].now)
    memo = Writing()
    memo.whole(1)
    with pytest.raises(BadCheckpoint, match="fewer figures"):
        recall(memo.packed(), taught[0].now)
    with pytest.raises(BadCheckpoint, match="more figures"):
        Reading(packed).end()


def test_whatever_was_remembered_comes_back_from_its_shards() -> None:
    demands = {key(f"llm-{n}", f"ns-{n % 3}"): bytes([n]) * 9 for n in range(40)}
    texts = encode(demands)
    assert len(texts) == SHARDS
    found: dict[TotalKey, bytes] = {}
    for text in texts:
        found |= decode(text)
    assert found == demands
    assert encode(dict(reversed(demands.items()))) == texts


def test_a_shard_is_bounded_and_a_metric_of_another_release_is_passed_over() -> None:
    packed = bytes(remembered.MAX_DEMAND_BYTES)
    texts = encode({key(f"llm-{n}"): packed for n in range(200)})
    assert max(map(len, texts)) <= remembered.MAX_SHARD_BYTES + 200
    assert min(len(decode(text)) for text in texts) >= 8
    other = encode({key("llm", metric="of_another_release"): b"1"})
    assert [decode(text) for text in other] == [{}] * SHARDS


def test_a_text_that_was_changed_is_refused() -> None:
    text = next(one for one in encode({key("llm"): b"123"}) if one != EMPTY)
    for changed, words in (
        (text.replace("llm", "lln"), "its checksum is another"),
        (text.replace(" 2 ", " 1 ", 1), "its version is `1`"),
        ("forescale-cold-starts" + text, "no checkpoint of demands"),
    ):
        with pytest.raises(BadCheckpoint, match=words):
            decode(changed)
    assert decode(EMPTY) == {}
    assert all(a == b for a, b in pairwise(encode({})))
