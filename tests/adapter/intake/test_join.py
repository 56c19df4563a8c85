"""Of the GPUs that a source sees those alone are taken that the API server says are the pod's."""

from __future__ import annotations

import pytest
from msgspec import structs

from adapter.intake.join import own, proven
from adapter.model.holding import Holding
from sidecar import wire
from sidecar.wire import Attribution, GpuReading, MigInstance

ONE, TWO = (f"GPU-0000000{n}-0000-4000-8000-000000000000" for n in (1, 2))
VISIBLE = (
    GpuReading(uuid=ONE, busy_percent=10.0, minor=0),
    GpuReading(uuid=TWO, busy_percent=90.0, minor=1),
)
STATUS = "allocatedResourcesStatus"


def frame(**changes: object) -> wire.Frame:
    fields = {"schema": 1, "boot": "b", "seq": 1, "period_seconds": 2.0, "visible": VISIBLE}
    return wire.Frame(**(fields | changes))  # type: ignore[arg-type]


def test_the_pods_status_chooses_among_all_gpus_of_the_node() -> None:
    found = own(frame(), Holding(ids=(TWO,), how=STATUS))
    assert found.gpus == (VISIBLE[1],)
    assert found.attribution == Attribution(how=STATUS, why=f"{STATUS} names them")


def test_a_neighbours_gpu_is_never_taken_whatever_its_load() -> None:
    found = own(frame(), Holding(ids=("GPU-0000000f-0000-4000-8000-000000000000",), how=STATUS))
    assert found.gpus is None
    assert found.attribution is not None
    assert "NVML does not show GPU-0000000f" in str(found.attribution.why)


def test_without_a_proof_no_gpu_is_taken_and_both_reasons_are_told() -> None:
    sent = frame(attribution=Attribution(why="no proof here"))
    found = own(sent, Holding(why="the pod's status names no devices"))
    assert found.gpus is None
    assert found.attribution == Attribution(why="the pod's status names no devices; no proof here")


def test_a_held_gpu_that_is_not_visible_stays_without_figures() -> None:
    found = own(frame(visible=VISIBLE[:1]), Holding(ids=(ONE, TWO), how=STATUS))
    assert found.gpus == (VISIBLE[0], GpuReading(uuid=TWO))
    assert f"does not show {TWO}" in str(found.attribution and found.attribution.why)


def test_what_the_sidecar_proved_itself_stays() -> None:
    sent = frame(gpus=VISIBLE[:1], visible=None, attribution=Attribution(how="gpu-uuids"))
    assert own(sent, Holding(ids=(TWO,), how=STATUS)) is sent


@pytest.mark.parametrize(
    "holding",
    [
        Holding(ids=(f"{ONE}::2",), how=STATUS),
        Holding(ids=("nvidia0/vgpu1",), how=STATUS),
        Holding(ids=(ONE,), how=STATUS, sharing="GPUs of its node are shared by time-slicing"),
    ],
)
def test_a_shared_gpu_is_withheld_in_words_unless_the_pod_allows_it(holding: Holding) -> None:
    gpus, said = proven(VISIBLE, holding)
    assert gpus is None
    assert "shared GPUs are withheld" in str(said.why)
    assert "forescale.dev/shared-gpu: allow" in str(said.why)
    allowed = Holding(ids=holding.ids, how=STATUS, sharing=holding.sharing, sharing_allowed=True)
    assert proven(VISIBLE, allowed)[0] == (VISIBLE[0],)


def test_a_shared_node_withholds_also_what_the_sidecar_proved_by_its_environment() -> None:
    sent = frame(gpus=VISIBLE[:1], visible=None, attribution=Attribution(how="gpu-uuids"))
    found = own(sent, Holding(sharing="GPUs of its node are shared by mps"))
    assert found.gpus is None
    assert "shared by mps" in str(found.attribution and found.attribution.why)


def test_a_pod_that_holds_every_gpu_of_its_node_owns_all_that_is_visible() -> None:
    assert own(frame(), Holding(requested=2, capacity=2)).gpus == VISIBLE


@pytest.mark.parametrize(
    ("requested", "capacity", "seen"),
    [(1, 2, 1), (2, 8, 2), (2, 2, 1), (1, None, 1), (0, 0, 0), (1, 4, 1)],
)
def test_numbers_that_leave_a_doubt_prove_nothing(
    requested: int, capacity: int | None, seen: int
) -> None:
    holding = Holding(requested=requested, capacity=capacity)
    assert own(frame(visible=VISIBLE[:seen]), holding).gpus is None


def test_inside_the_models_container_as_many_as_it_asked_for_are_its_own() -> None:
    inside = Attribution(why="no UUIDs", scope=wire.CONTAINER)
    asked = Holding(requested=1, of_container=1, capacity=8)
    assert own(frame(visible=VISIBLE[:1], attribution=inside), asked).gpus == VISIBLE[:1]
    assert own(frame(attribution=inside), asked).gpus is None  # a privileged one sees all


def test_a_frame_without_gpus_says_what_it_said() -> None:
    sent = frame(visible=None, attribution=Attribution(why="no driver"))
    assert own(sent, Holding(ids=(ONE,), how=STATUS)) is sent


INSTANCE = GpuReading(uuid="MIG-1", busy_percent=40.0, mig=MigInstance(ONE, 1, 0))


def test_an_instance_that_others_compute_in_is_withheld_unless_the_pod_allows_it() -> None:
    shared = structs.replace(INSTANCE, uuid="MIG-00000001-0000", shared=True)
    holding = Holding(ids=(shared.uuid,), how=STATUS)
    gpus, said = proven((*VISIBLE, shared), holding)
    assert gpus is None
    assert "forescale.dev/shared-gpu: allow" in str(said.why)
    allowed = structs.replace(holding, sharing_allowed=True)
    assert proven((*VISIBLE, shared), allowed)[0] == (shared,)


def test_gkes_slice_is_taken_by_the_pods_status_and_never_its_whole_gpu() -> None:
    holding = Holding(ids=("nvidia0/gi1",), how=STATUS)
    assert proven((*VISIBLE, INSTANCE), holding)[0] == (INSTANCE,)
    gpus, said = proven(VISIBLE, holding)
    assert (gpus, said.how) == (None, None)
    assert "NVML does not show nvidia0/gi1" in str(said.why)


def test_a_split_gpu_is_counted_by_its_instances() -> None:
    seen = (VISIBLE[0], INSTANCE)
    gpus, _ = proven(seen, Holding(of_container=1), scope=wire.CONTAINER)
    assert gpus == (INSTANCE,)
    assert proven(seen, Holding(of_container=2), scope=wire.CONTAINER)[0] is None
