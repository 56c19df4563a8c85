"""One tenant's pods, figures and questions change nothing of what another is answered."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from adapter.errors import NoValue
from adapter.model.asked import Asked
from adapter.model.batch import ModelState
from adapter.model.catalogue import CEILINGS, METRICS, WINDOWS_SECONDS, Agg, Stat, View
from adapter.model.fleet import Owner
from adapter.model.selector import EVERYTHING
from adapter.model.snapshot import TotalKey
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, World, serving_pod

PENDING = "llm_inference_pending_requests"
STEPS, STEP_SECONDS = 6, 15
VIEWS = [View(stat, w) for stat in Stat if stat is not Stat.RAW for w in WINDOWS_SECONDS]
AGGREGATES = (Agg.SUM, Agg.MEAN, Agg.MAX)
TOTALS = [name for name, metric in METRICS.items() if metric.totals]

# What a tenant may do with one of its pods in a step. The same names as the neighbour's, in another
# namespace, with the neighbour's labels and an owner of the neighbour's name.
HOSTILE = st.fixed_dictionaries(
    {
        "says": st.none()
        | st.dictionaries(st.sampled_from(sorted(CEILINGS)), st.floats(0, 1), max_size=5),
        "model": st.sampled_from(ModelState),
        "phase": st.sampled_from(("Running", "Pending", "Failed")),
        "dims": st.dictionaries(st.just("model"), st.sampled_from(("llama", "x" * 500, ""))),
        "asks": st.lists(
            st.tuples(st.sampled_from(TOTALS), st.sampled_from(VIEWS), st.sampled_from(AGGREGATES)),
            max_size=20,
        ),
    }
)


class Neighbours:
    """A well-behaved workload, with or without a hostile tenant beside it."""

    def __init__(self) -> None:
        self.world = World(*(serving_pod(f"llm-{n}") for n in range(3)))
        self.asked = Asked()

    def step(self, number: int, hostile: list[dict[str, Any]]) -> list[object]:
        """Go on for some seconds, and return all that the good one's HPAs are answered."""
        world = self.world
        world.say |= {f"llm-{n}": {"pending": float(n + number), "running": 4.0} for n in range(3)}
        if number >= 2:
            world.say.pop("llm-1", None)  # one of the good one's own pods falls silent
        for n, act in enumerate(hostile):
            self._act(f"theirs-{n}", f"llm-{n}", act)
        key = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, PENDING, METRICS[PENDING].view)
        self.asked.total(key, world.now)
        world.asked = set(self.asked.totals(world.now))
        seen = world.advance(STEP_SECONDS)
        metric = METRICS[PENDING]
        return [
            seen.pods(metric, metric.view, NAMESPACE, EVERYTHING, None),
            seen.total(metric, key),
        ]

    def _act(self, place: str, name: str, act: dict[str, Any]) -> None:
        world = self.world
        owners = (Owner("ReplicaSet.apps", DEPLOYMENT), Owner("Deployment.apps", DEPLOYMENT))
        world.pods[place] = serving_pod(
            name, uid=f"uid-{place}", namespace="hostile", owners=owners, phase=act["phase"]
        )
        world.model[place], world.dims[place] = act["model"], act["dims"]
        if act["says"] is None:
            world.say.pop(place, None)
        else:
            world.say[place] = {name: share * CEILINGS[name] for name, share in act["says"].items()}
        for metric, view, agg in act["asks"]:
            key = TotalKey("hostile", "Deployment.apps", DEPLOYMENT, metric, view, (), agg)
            self.asked.total(key, world.now)
            if world.snapshot is not None:
                self._ask(key)

    def _ask(self, key: TotalKey) -> None:
        assert self.world.snapshot is not None
        try:
            self.world.snapshot.total(METRICS[key.metric], key)
        except NoValue:
            return


@limits(max_examples=12)
@given(st.lists(st.lists(HOSTILE, max_size=4), min_size=STEPS, max_size=STEPS))
def test_whatever_a_tenant_does_another_is_answered_as_if_it_were_alone(
    acts: list[list[dict[str, Any]]],
) -> None:
    alone, beside = Neighbours(), Neighbours()
    for number, hostile in enumerate(acts):
        assert beside.step(number, hostile) == alone.step(number, [])
