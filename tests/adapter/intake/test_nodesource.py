"""Who may speak for which pod: a label alone opens nothing."""

import pytest
from msgspec import structs

from adapter.intake.nodesource import admitted, reading, wards
from adapter.model.batch import ModelState, Origin, Point
from adapter.model.fleet import Fleet, Pod, SourceKind
from sidecar import wire

ACCOUNTS = frozenset({("forescale-system", "forescale-agent")})
AGENT = Pod(
    uid="agent",
    namespace="forescale-system",
    name="forescale-agent-x",
    labels={"forescale.dev/source": "node"},
    phase="Running",
    node="node-a",
    service_account="forescale-agent",
    source=SourceKind.NODE,
)
LLM = Pod(uid="llm", namespace="default", name="llm-0", labels={}, phase="Running", node="node-a")


def test_the_configured_account_may_speak_and_is_no_workload_itself() -> None:
    fleet = Fleet.of([AGENT, LLM])
    assert admitted(fleet, ACCOUNTS) == ({"agent": AGENT}, {})
    assert set(fleet.pods) == {"llm"}
    assert wards(fleet, AGENT) == {("default", "llm-0"): LLM}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"namespace": "default"}, "default/forescale-agent is not in intake.nodeSources"),
        ({"service_account": "default"}, "forescale-system/default is not in intake.nodeSources"),
        ({"namespace": "forescale-system.", "service_account": "forescale-agent"}, "is not in"),
        ({"service_account": "Forescale-agent"}, "is not in"),
        ({"service_account": "forescale-agent\x00"}, "is not in"),
        ({"service_account": ""}, "is not in"),
        ({"host_network": True}, "hostNetwork"),
    ],
)
def test_any_other_pod_with_the_label_is_refused_in_words(
    changes: dict[str, object], words: str
) -> None:
    speakers, refused = admitted(Fleet.of([structs.replace(AGENT, **changes)]), ACCOUNTS)
    assert speakers == {}
    assert words in refused["agent"]


def test_nobody_may_speak_where_no_account_is_configured() -> None:
    assert admitted(Fleet.of([AGENT]), frozenset())[0] == {}


@pytest.mark.parametrize(
    "changes",
    [{"node": "node-b"}, {"node": None}, {"terminating": True}, {"phase": "Succeeded"}],
)
def test_it_speaks_for_no_pod_of_another_node_and_for_none_that_ended(
    changes: dict[str, object],
) -> None:
    assert wards(Fleet.of([AGENT, structs.replace(LLM, **changes)]), AGENT) == {}


def test_a_speaker_without_a_node_speaks_for_nobody() -> None:
    unbound = structs.replace(LLM, node=None)
    assert wards(Fleet.of([AGENT, unbound]), structs.replace(AGENT, node=None)) == {}


def test_its_word_is_of_gpus_alone_and_as_old_as_it_says() -> None:
    found = reading(
        LLM,
        (wire.GpuReading("GPU-1", 40.0), wire.GpuReading("GPU-2", 60.0)),
        at=100.0,
        age_seconds=5.0,
        period_seconds=30.0,
        drop=lambda *_: None,
    )
    assert found.points[0] == Point("gpu_busy_percent", 95.0, 50.0)
    assert all(point.series.startswith("gpu_") for point in found.points)
    assert (found.uid, found.origin, found.model) == ("llm", Origin.NODE, ModelState.UNKNOWN)
    assert found.period_seconds == 30.0


def test_without_gpus_it_says_why() -> None:
    found = reading(
        LLM, (), at=1.0, age_seconds=0.0, period_seconds=2.0, drop=lambda *_: None, why="shared"
    )
    assert found.points == ()
    assert found.why == {"gpu": "shared"}
