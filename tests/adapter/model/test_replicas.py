"""Two replicas answer alike, also where one of them has just begun and knows the backlog alone.

The sidecar's own ring and frames, the intake's own reading of them and the loop; each replica has a
clock of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from adapter.errors import NoValue
from adapter.intake import frames
from adapter.model.batch import Batch, Reading
from adapter.model.catalogue import METRICS
from adapter.model.forecast import Forecaster
from adapter.model.foreseen import Mode
from adapter.model.remembered import recall, remember
from adapter.model.snapshot import TotalKey
from adapter.model.target import DEMANDS
from sidecar import wire
from sidecar.ring import Ring
from tests.adapter.model.day import demand, trailing
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, WALL, World, serving_pod

PODS = ("llm-0", "llm-1")
WINDOW_SECONDS = 60  # the longest of the usual views
RESTART_SECONDS = 180
LIMIT_RATIO = 0.01
DISTRIBUTIONS = {name for name, metric in METRICS.items() if metric.distribution}
BOUNDS = (0.1, 0.5, 1.0, 5.0)
INFLIGHT = METRICS[DEMANDS["inflight"]]
DEMAND = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, INFLIGHT.name, INFLIGHT.view)
TAUGHT_SECONDS = 4 * 3_600
AWAY_SECONDS = 600
GAPS_SECONDS = (7, 290, 580)


class Sidecar:
    """One pod's: a frame a second, and what went before for a replica that connects."""

    def __init__(self, number: int) -> None:
        self.uid = f"uid-{PODS[number]}"
        self._ring = Ring(0.0)
        self._now = self._finished = self._tokens = 0.0
        self._hist = [0.0] * (len(BOUNDS) + 1)
        self._frame: wire.Frame | None = None

    def tick(self, load: float, inflight: float | None = None) -> None:
        """Serve for a second under this load, 0 to 1, or with so many requests in flight."""
        self._now += 1.0
        self._finished += 20.0 * load
        self._tokens += 4_000.0 * load
        counted = int(20 * load)
        slow = min(len(BOUNDS) - 1, int(load * len(BOUNDS)))
        self._hist = [n + counted * (place >= slow) for place, n in enumerate(self._hist)]
        hist = wire.Histogram(BOUNDS, tuple(self._hist), self._hist[-1])
        self._frame = wire.Frame(
            schema=1,
            boot="b",
            seq=int(self._now),
            uid=self.uid,
            period_seconds=2.0,
            age_seconds=wire.Ages(engine=0.0, gpu=0.0),
            engine=wire.EngineReading(
                "vllm",
                wire.EngineState.READY,
                pending=50.0 * load,
                running=8.0 + 100.0 * load if inflight is None else inflight - 50.0 * load,
                kv_percent=100.0 * load,
                finished_total=self._finished,
                output_tokens_total=self._tokens,
                preemptions_total=self._tokens / 1_000,
                hist=dict.fromkeys(("time_to_first_token_seconds", "queue_time_seconds"), hist),
            ),
            gpus=(
                wire.GpuReading(
                    "GPU-1",
                    busy_percent=20.0 + 80.0 * load,
                    memory_used_bytes=int(4e10 + 3e10 * load),
                    memory_total_bytes=80 * 2**30,
                    power_watts=100.0 + 600.0 * load,
                    tensor_percent=90.0 * load,
                    dram_percent=80.0 * load,
                    healthy=True,
                ),
            ),
            phases=wire.Phases(self._now, self._now),
        )
        self._ring.add(self._now, wire.levels(self._frame) | wire.totals(self._frame))

    def frame(self, *, first: bool) -> wire.Frame:
        """Return the present frame as it is after the network, with the backlog where it is new."""
        assert self._frame is not None
        backlog = self._ring.backlog(self._now) if first else None
        return wire.decode(wire.encode(structs.replace(self._frame, backlog=backlog)))


class Replica(World):
    """An adapter that hears frames."""

    def __init__(self, phase_seconds: float = 0.0, **changes: object) -> None:
        super().__init__(*(serving_pod(name, **changes) for name in PODS))
        self.now += phase_seconds
        self._heard: list[Reading] = []
        self._connected: set[str] = set()

    def hear(self, sidecars: list[Sidecar]) -> None:
        """Take the present frame of each a moment before the next tick."""
        for one in sidecars:
            sent = one.frame(first=one.uid not in self._connected)
            self._connected.add(one.uid)
            self._heard.append(frames.reading(sent, one.uid, self.now + 0.9, self._drop))
        self.advance()

    def collect(self) -> Batch:
        heard, self._heard = self._heard, []
        return Batch(tuple(heard))

    def answers(self) -> dict[tuple[str, str], float]:
        """Every usual view: of each pod, and the Deployment's totals."""
        return dict(self._answers())

    def _answers(self) -> Iterator[tuple[tuple[str, str], float]]:
        assert self.snapshot is not None
        for name, metric in METRICS.items():
            key = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, name, metric.view)
            try:
                yield from (((name, pod), value) for pod, value in self.values(name).items())
                if metric.totals:
                    yield (name, "all"), self.snapshot.total(metric, key).milli[0] / 1000
            except NoValue:
                yield (name, "no value"), 0.0

    @staticmethod
    def _drop(series: str, words: str) -> None:
        raise AssertionError((series, words))


def differences(
    one: Replica, other: Replica, without: Collection[str] = ()
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the values that differ by more than the limit."""
    ours, theirs = (
        {key: value for key, value in replica.answers().items() if key[0] not in without}
        for replica in (one, other)
    )
    assert ours.keys() == theirs.keys()
    return {
        key: (value, theirs[key])
        for key, value in ours.items()
        if abs(value - theirs[key]) > LIMIT_RATIO * max(abs(value), abs(theirs[key])) + 0.002
    }


def test_every_metric_is_compared() -> None:
    sidecars, replica = [Sidecar(0), Sidecar(1)], Replica()
    for second in range(70):
        for one in sidecars:
            one.tick(0.5 + 0.4 * (second % 2))
        replica.hear(sidecars)
    compared = {name for name, who in replica.answers() if who != "no value"}
    assert compared == set(METRICS)


@settings(max_examples=15)
@given(st.lists(st.floats(0, 1), min_size=30, max_size=30))
def test_after_a_window_a_restarted_replica_answers_as_the_one_that_was_there(
    loads: list[float],
) -> None:
    sidecars, there, restarted = [Sidecar(0), Sidecar(1)], Replica(), Replica(phase_seconds=777.0)
    for second in range(RESTART_SECONDS + WINDOW_SECONDS + 15):
        for number, one in enumerate(sidecars):
            one.tick(loads[(second // (7 + number)) % len(loads)])
        there.hear(sidecars)
        if second >= RESTART_SECONDS:
            restarted.hear(sidecars)
        if second >= RESTART_SECONDS + WINDOW_SECONDS + 2:
            assert differences(there, restarted) == {}, second


@pytest.mark.parametrize("load", [0.0, 0.3, 1.0])
def test_under_a_steady_load_it_does_so_from_its_first_answer(load: float) -> None:
    """Latencies need a second frame: no backlog has histograms, and no value freezes the HPA."""
    sidecars, there = [Sidecar(0), Sidecar(1)], Replica()
    for second in range(RESTART_SECONDS):
        for one in sidecars:
            one.tick(load if second > WINDOW_SECONDS else 1.0 - load)
        there.hear(sidecars)
    restarted = Replica(phase_seconds=0.37)
    for second in range(20):
        for one in sidecars:
            one.tick(load)
        there.hear(sidecars)
        restarted.hear(sidecars)
        if second == 0:
            assert differences(there, restarted, without=DISTRIBUTIONS) == {}
        else:
            assert differences(there, restarted) == {}


def test_a_restarted_replica_forecasts_at_once_as_the_one_that_lived() -> None:
    """Its checkpoint is up to ten minutes old; the sidecars tell of the time since."""
    values = demand(TAUGHT_SECONDS + AWAY_SECONDS + 190, seed=4)
    seen, taught = trailing(values, 15), Forecaster()
    for second in range(5, TAUGHT_SECONDS, 5):
        taught.observe(WALL - TAUGHT_SECONDS + second, float(seen[second - 1]))
    sidecars, there = [Sidecar(0), Sidecar(1)], Replica(forecast=Mode.ACT)
    there.foresight.recall(DEMAND, taught)
    packed: dict[int, bytes] = {}
    restarted: dict[int, Replica] = {}
    apart: list[float] = []
    for second in range(1, AWAY_SECONDS + 190):
        for one in sidecars:
            one.tick(0.0, float(values[TAUGHT_SECONDS + second]) / len(sidecars))
        for replica in (there, *restarted.values()):
            replica.hear(sidecars)
        for gap in GAPS_SECONDS:
            if second == AWAY_SECONDS - gap:
                packed[gap] = remember(taught) or b""
            if second == AWAY_SECONDS:
                restarted[gap] = back(second, packed[gap])
        if second > AWAY_SECONDS and second % 30 == 25:  # all have had their turn in this one
            apart += [foreseen(one) / foreseen(there) - 1.0 for one in restarted.values()]
    assert len(apart) == 6 * len(GAPS_SECONDS)
    assert max(map(abs, apart)) < LIMIT_RATIO


def back(second: int, packed: bytes) -> Replica:
    """Return a replica that begins now, with what was remembered."""
    found = Replica(phase_seconds=second + 0.4, forecast=Mode.ACT)
    forecaster = recall(packed, WALL + second)
    assert forecaster is not None
    found.foresight.recall(DEMAND, forecaster)
    return found


def foreseen(replica: Replica) -> float:
    assert replica.snapshot is not None
    found = replica.snapshot.foreseen[DEMAND]
    assert found.doubt is None, found.why
    assert found.predicted is not None
    return found.predicted
