"""The foresight: one Forecaster for each demand of the workloads that ask for it.

A demand is fed from totals of which no pod is missing. While one is, what is foreseen stays as it
is for HELD_SECONDS and then goes: a forecast does not grow while pods are silent, and the replicas
that it asked for do not go because of silence either. So it is with GPUs that are all busy: what is
asked of them beyond 100 percent cannot be seen, and whoever learnt from it would learn a ceiling.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

from msgspec import structs

from adapter.model import backlog
from adapter.model.catalogue import METRICS, Agg
from adapter.model.complete import complete_totals
from adapter.model.exits import Workload
from adapter.model.fleet import EMPTY, Fleet, Owner, Pod, Standing
from adapter.model.forecast import MOST_RATIO, Forecaster
from adapter.model.foreseen import CAREFUL, Doubt, Foreseen, Mode, after_silence, nothing
from adapter.model.snapshot import Snapshot, TotalKey
from adapter.model.starting import Horizon
from adapter.model.target import DEMANDS, Target, strictest

# 0.45 MiB each: 45 MiB of the 512 that the manifests allow. No namespace takes all of them.
MAX_DEMANDS = 100
MAX_PER_NAMESPACE = 20
# Each has its turn six times a half-minute of the Forecaster. To learn takes 0.6 ms, so a look at
# ten takes 6 ms at most, and twenty looks in ten seconds reach all.
TURN_SECONDS = 5.0
MOST_A_LOOK = 10
# Twice what an HPA waits before it scales in, unless told otherwise: by then somebody has looked.
HELD_SECONDS = 600.0
# NVML counts a GPU as busy while any kernel runs: a full one's mean stays a little below 100.
PINNED_PERCENT = 95.0
# A workload that went to zero pods at night is known in the morning.
KEPT_SECONDS = 86_400.0
# Which demand is forecast where the pods have no target.
_USUAL = Target(DEMANDS["inflight"], 1_000)

_GPU = DEMANDS["gpu"]
_PINNED = (
    f"GPUs are busy for {PINNED_PERCENT:g} % and more: what is asked of them beyond cannot be seen;"
    " requests in flight can (forescale.dev/target: inflight=NUMBER)"
)

Horizons = Callable[[Workload, float], Horizon]  # workload, age of the reading in seconds


class _Demand:
    """What is known of one demand; times are monotonic seconds."""

    def __init__(self, now: float, forecaster: Forecaster | None = None) -> None:
        self.forecaster = forecaster or Forecaster()
        self.present = 0.0
        self.at = -math.inf  # of the last complete total
        self.due = -math.inf
        self.wanted_at = now
        self.foreseen: Foreseen | None = None


class Foresight:
    """Owns what was learnt of demands; pods that say nothing of a forecast cost nothing."""

    def __init__(self) -> None:
        self._fleet: Fleet = EMPTY
        self._wishes: dict[TotalKey, tuple[Mode, float]] = {}  # and one pod's worth
        self._demands: dict[TotalKey, _Demand] = {}
        self._without_room: dict[TotalKey, Foreseen] = {}
        self._recalled: dict[TotalKey, Forecaster] = {}  # until the next look
        self._epoch: float | None = None

    def forecasters(self) -> list[tuple[TotalKey, Forecaster]]:
        """Return what was learnt of each demand, of those that nobody asks for now, too."""
        return [(key, one.forecaster) for key, one in self._demands.items()]

    def recall(self, key: TotalKey, forecaster: Forecaster) -> None:
        """Go on with what was learnt before a restart; whoever is warm already needs none of it."""
        self._recalled[key] = forecaster

    def look(self, snapshot: Snapshot, horizons: Horizons) -> Mapping[TotalKey, Foreseen]:
        """Take in the totals whose turn it is; return what is foreseen of all that ask.

        One without room is among them, with the reason.
        """
        if snapshot.fleet is not self._fleet:
            self._fleet = snapshot.fleet
            self._wishes = wishes(snapshot.fleet.ordered)
        self._take_back(snapshot.at)
        self._admit(snapshot.at)
        demands, wished = self._demands.items(), self._wishes
        due = (key for key, one in demands if one.due <= snapshot.at and key in wished)
        turn = list(islice(self._one_that_awaits(due), MOST_A_LOOK))
        means = [_mean_of(key) for key in turn if key.metric == _GPU]
        totals = complete_totals(snapshot, (*turn, *means)) if turn else {}
        for key in turn:
            self._guarded_turn(key, totals, snapshot, horizons)
        known = {
            key: structs.replace(one.foreseen, mode=mode) if one.foreseen else _UNSEEN[mode]
            for key, (mode, _) in self._wishes.items()
            if (one := self._demands.get(key))
        }
        return known | self._without_room

    def _take_back(self, now: float) -> None:
        """Take in what was recalled, as far as there is room."""
        counts = Counter(key.namespace for key in self._demands)
        # Let go first: what raises would be tried again at every tick.
        recalled, self._recalled = self._recalled, {}
        for key, forecaster in recalled.items():
            known = self._demands.get(key)
            if known is not None and not known.forecaster.is_warm:
                known.forecaster = forecaster
            elif known is None and self._has_room(key.namespace, counts, []):
                self._demands[key] = _Demand(now, forecaster)
                counts[key.namespace] += 1

    def _admit(self, now: float) -> None:
        """Make room for new wishes, as far as there is any; forget what nobody wants for long."""
        gone = [key for key, one in self._demands.items() if now - one.wanted_at > KEPT_SECONDS]
        for key in gone:
            del self._demands[key]
        unwanted = []
        for key, one in self._demands.items():
            if key in self._wishes:
                one.wanted_at = now
            else:
                one.foreseen = None  # of then, should it come back
                unwanted.append(key)
        unwanted.sort(key=lambda key: self._demands[key].wanted_at)
        counts = Counter(key.namespace for key in self._demands)
        without_room = {}
        for key, (mode, _) in self._wishes.items():
            if key in self._demands:
                continue
            if self._has_room(key.namespace, counts, unwanted):
                self._demands[key] = _Demand(now)
                counts[key.namespace] += 1
            else:
                crowded = counts[key.namespace] >= MAX_PER_NAMESPACE
                without_room[key] = _WITHOUT_ROOM[mode, crowded]
        self._without_room = without_room

    def _has_room(self, namespace: str, counts: Counter[str], unwanted: list[TotalKey]) -> bool:
        """Return whether there is room; what is unwanted the longest makes it."""
        crowded = counts[namespace] >= MAX_PER_NAMESPACE
        if not crowded and len(self._demands) < MAX_DEMANDS:
            return True
        going = next((key for key in unwanted if not crowded or key.namespace == namespace), None)
        if going is None:
            return False
        unwanted.remove(going)
        counts[going.namespace] -= 1
        del self._demands[going]
        return True

    def _guarded_turn(
        self, key: TotalKey, totals: Mapping[TotalKey, float], seen: Snapshot, horizons: Horizons
    ) -> None:
        """Give a demand its turn; one that fails begins anew, and no other is touched by it."""
        try:
            if totals.get(_mean_of(key), 0.0) >= PINNED_PERCENT:
                self._pinned(key, totals[key], seen, horizons)
            else:
                self._turn(key, totals.get(key), seen, horizons)
        # A boundary between workloads.
        except Exception as error:  # noqa: BLE001
            one, why = self._demands[key], f"{type(error).__name__}: {error}"
            one.forecaster, what = Forecaster(), f"it failed and begins anew ({why})"
            one.foreseen = nothing(self._wishes[key][0], what, Doubt.FAILED)

    def _turn(
        self, key: TotalKey, total: float | None, snapshot: Snapshot, horizons: Horizons
    ) -> None:
        one, now = self._taking_turn(key, snapshot.at), snapshot.at
        if total is None and (one.at == -math.inf or now - one.at <= HELD_SECONDS):
            return
        clock = self._clock(snapshot)
        if total is not None:
            one.present, one.at = total, now
            self._catch_up(key, one.forecaster, snapshot)
            one.forecaster.observe(clock, total)
        mode, worth = self._wishes[key]
        one.foreseen = _foreseen(one, mode, _ahead(key, horizons), clock, worth)

    def _one_that_awaits(self, due: Iterable[TotalKey]) -> Iterator[TotalKey]:
        """Yield those due, and of those that have something to catch up with the first one."""
        found = False
        for key in due:
            awaits = self._demands[key].forecaster.seam.awaits
            if not (awaits and found):
                yield key
            found = found or awaits

    def _catch_up(self, key: TotalKey, forecaster: Forecaster, snapshot: Snapshot) -> None:
        """Take in what came between a checkpoint and now: up to twenty ticks of a millisecond."""
        if not forecaster.seam.awaits:
            return
        epoch = self._clock(snapshot) - snapshot.at
        forecaster.seam.begun_at = backlog.begun_at(snapshot, key) + epoch
        most = PINNED_PERCENT if key.metric == _GPU else math.inf
        for at, total in backlog.totals(snapshot, key, forecaster.at - epoch, most):
            forecaster.observe(at + epoch, total)

    def _pinned(self, key: TotalKey, total: float, snapshot: Snapshot, horizons: Horizons) -> None:
        """Hold what was foreseen before the GPUs were full, for as long as through a silence."""
        one, now = self._taking_turn(key, snapshot.at), snapshot.at
        held = one.foreseen.value if one.foreseen and now - one.at <= HELD_SECONDS else None
        value = held if held is not None and held > total else None
        horizon = _ahead(key, horizons).words
        why = f"{'present value' if value is None else 'held'}: {_PINNED}"
        mode, _ = self._wishes[key]
        one.foreseen = Foreseen(mode, total, value, None, None, horizon, why, Doubt.PINNED, at=now)

    def _taking_turn(self, key: TotalKey, now: float) -> _Demand:
        """Return the demand, which is the last to have its next turn."""
        one = self._demands[key] = self._demands.pop(key)
        one.due = now + TURN_SECONDS
        return one

    def _clock(self, snapshot: Snapshot) -> float:
        """Return Unix seconds that never jump, so that replicas have their half-minutes alike."""
        if self._epoch is None:
            self._epoch = snapshot.wall - snapshot.at
        return snapshot.at + self._epoch


def wishes(pods: Iterable[Pod]) -> dict[TotalKey, tuple[Mode, float]]:
    """Return the demands to forecast, each with its mode and one pod's worth.

    They are those of the targets, of a workload's topmost owner; in-flight requests without one. Of
    pods that disagree the most careful word counts, as that of their targets does.
    """
    asking: dict[tuple[str, Owner], list[Pod]] = {}
    for pod in pods:
        if pod.forecast is not None and pod.owners and pod.standing() is not Standing.ENDED:
            asking.setdefault((pod.namespace, pod.owners[-1]), []).append(pod)
    found = {}
    for (namespace, owner), group in asking.items():
        mode = min((pod.forecast for pod in group if pod.forecast), key=CAREFUL.index)
        targets = strictest(pod.target for pod in group) or (_USUAL,)
        for target in targets if mode is not Mode.OFF else ():
            view = METRICS[target.metric].view
            key = TotalKey(namespace, owner.kind, owner.name, target.metric, view)
            found[key] = (mode, target.milli / 1000)
    return found


def _mean_of(key: TotalKey) -> TotalKey:
    return structs.replace(key, agg=Agg.MEAN)


def _ahead(key: TotalKey, horizons: Horizons) -> Horizon:
    # A mean is half its window late.
    return horizons(workload_of(key), METRICS[key.metric].view.window_seconds / 2)


_NO_TOTAL = "there was no total yet that no pod is missing from"
_UNSEEN = {mode: nothing(mode, _NO_TOTAL, Doubt.YOUNG) for mode in Mode}


def _without_room(mode: Mode, *, crowded: bool) -> Foreseen:
    most = f"{MAX_PER_NAMESPACE} of its namespace" if crowded else f"{MAX_DEMANDS} in all"
    why = f"no room, {most} are forecast already: take the annotation off others"
    return nothing(mode, why, Doubt.NO_ROOM)


# By mode, and whether it is its own namespace that has no more.
_WITHOUT_ROOM = {
    (mode, full): _without_room(mode, crowded=full) for mode in Mode for full in (True, False)
}


def workload_of(key: TotalKey) -> Workload:
    """Return whose total it is."""
    return Workload(key.namespace, key.kind.partition(".")[0], key.name)


def _foreseen(one: _Demand, mode: Mode, ahead: Horizon, clock: float, worth: float) -> Foreseen:
    published = one.forecaster.publish(one.present, ahead.seconds, clock, floor=worth)
    checked = one.forecaster.coverage(ahead.seconds)
    found = Foreseen(
        mode,
        one.present,
        published.value if published.value > one.present else None,
        published.predicted,
        checked[0] if checked else None,
        ahead.words,
        published.why,
        published.doubt,
        one.forecaster.reckoning(ahead.seconds),
        one.at,
    )
    return after_silence(one.foreseen, found, MOST_RATIO * one.present + worth, HELD_SECONDS)
