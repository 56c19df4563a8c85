"""Pages of DCGM exporters: whose each GPU is, in our units; what is no value is no value."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake import dcgm
from sidecar.wire import GpuReading

PAGES = Path(__file__).parent / "pages"
MIB = 1024 * 1024
FIRST = "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52"
SECOND = "GPU-55274b56-9033-f166-7723-77088b0ff94d"
LLM_0, LLM_1 = ("default", "llm-0"), ("default", "llm-1")


def page(name: str) -> bytes:
    return (PAGES / f"dcgm_{name}.txt").read_bytes()


def one(text: str) -> dict[tuple[str, str], tuple[GpuReading, ...]]:
    return dict(dcgm.read(text.encode()).gpus)


def test_each_pods_gpus_are_read_in_our_units() -> None:
    found = dcgm.read(page("4_5"))
    assert found.gpus.keys() == {LLM_0}
    second, first = found.gpus[LLM_0]
    assert (first.uuid, second.uuid) == (FIRST, SECOND)
    assert first.busy_percent == 95
    assert first.memory_used_bytes == 73080 * MIB
    assert first.memory_total_bytes == (73080 + 8000 + 479) * MIB
    assert first.power_watts == 612.5
    assert (first.tensor_percent, first.dram_percent) == pytest.approx((41.0, 55.0))
    assert found.shared == {}
    assert found.problems == ()


def test_a_gpu_that_nobody_holds_is_nobodys() -> None:
    text = 'DCGM_FI_DEV_GPU_UTIL{gpu="2",UUID="GPU-x",container="",namespace="",pod=""} 50\n'
    assert one(text) == {}


def test_a_mig_instance_has_its_own_figures_and_no_power() -> None:
    found = dcgm.read(page("mig"))
    (of_0,), (of_1,) = found.gpus[LLM_0], found.gpus[LLM_1]
    assert (of_0.uuid, of_1.uuid) == (f"{FIRST}/1", f"{FIRST}/2")
    assert (of_0.busy_percent, of_1.busy_percent) == pytest.approx((38.1124, 90.0))
    assert (of_0.memory_used_bytes, of_1.memory_used_bytes) == (20000 * MIB, 30000 * MIB)
    assert (of_0.power_watts, of_1.power_watts) == (None, None)
    assert found.shared == {}


def test_an_activity_that_is_rounded_to_a_little_over_1_is_a_full_one() -> None:
    text = 'DCGM_FI_PROF_GR_ENGINE_ACTIVE{UUID="GPU-x",namespace="default",pod="llm-0"} 1.000031\n'
    assert one(text)[LLM_0][0].busy_percent == 100.0
    assert one(text.replace("1.000031", "42"))[LLM_0][0].busy_percent == 4200.0  # no measurement


def test_a_blank_is_no_value_and_leaves_the_other_gpus_figures() -> None:
    found = dcgm.read(page("blank"))
    (of_0,), (of_1,) = found.gpus[LLM_0], found.gpus[LLM_1]
    assert of_0 == GpuReading(uuid=FIRST, busy_percent=40)
    assert of_1 == GpuReading(
        uuid=SECOND,
        memory_used_bytes=3000 * MIB,
        memory_total_bytes=4000 * MIB,
        power_watts=300.0,
        dram_percent=25.0,
    )
    assert found.problems == ()


@pytest.mark.parametrize(
    "labels",
    [
        'namespace="default",pod="llm-0"',
        'pod_namespace="default",pod_name="llm-0",container_name="c"',
    ],
)
def test_the_holder_is_read_in_every_spelling(labels: str) -> None:
    assert one(f'DCGM_FI_DEV_GPU_UTIL{{UUID="GPU-x",{labels}}} 50\n').keys() == {LLM_0}


def test_a_pods_labels_give_its_gpu_to_nobody_else() -> None:
    line = (
        'DCGM_FI_DEV_GPU_UTIL{exported_namespace="default",exported_pod="llm-0",UUID="GPU-evil"'
        ',namespace="evil",pod="attacker"} 100\n'
    )
    assert one(line).keys() == {("evil", "attacker")}


@pytest.mark.parametrize(
    "label", ['pod="llm-0"', 'namespace="default"', 'pod_name="llm-0"', 'UUID="GPU-x"', 'uuid="z"']
)
def test_labels_that_contradict_the_exporters_cost_their_own_gpu_alone(label: str) -> None:
    evil = f'DCGM_FI_DEV_GPU_UTIL{{{label},UUID="GPU-e",namespace="evil",pod="attacker"}} 100\n'
    mine = 'DCGM_FI_DEV_GPU_UTIL{UUID="GPU-x",namespace="default",pod="llm-0"} 7\n'
    found = dcgm.read((evil + mine).encode())
    assert found.problems == ()
    assert [(pod, gpu.busy_percent) for pod, (gpu,) in found.gpus.items()] == [(LLM_0, 7.0)]
    assert found.shared == ({LLM_0: "GPU-x"} if "GPU-x" in label else {})
    assert (found.contested, dcgm.read(mine.encode()).contested) == (1, 0)
    unread = f'DCGM_FI_DEV_XID_ERRORS{{{label},UUID="GPU-e",namespace="evil",pod="attacker"}} 0\n'
    assert dcgm.read((unread + mine).encode()).contested == 0


def test_whoever_hides_its_name_on_a_gpu_shares_it_all_the_same() -> None:
    evil = 'DCGM_FI_DEV_GPU_UTIL{pod="a",UUID="GPU-x",namespace="evil",pod="attacker"} 100\n'
    mine = 'DCGM_FI_DEV_GPU_UTIL{UUID="GPU-x",namespace="default",pod="llm-0"} 100\n'
    assert dcgm.read((evil + mine).encode()).shared == {LLM_0: "GPU-x"}


def test_a_gpu_of_two_pods_or_of_a_replica_is_shared() -> None:
    line = 'DCGM_FI_DEV_GPU_UTIL{{UUID="GPU-x",namespace="default",pod="{}"{}}} 50\n'
    two = dcgm.read((line.format("llm-0", "") + line.format("llm-1", "")).encode())
    assert two.shared == {LLM_0: "GPU-x", LLM_1: "GPU-x"}
    replica = dcgm.read(line.format("llm-0", ',vgpu="1"').encode())
    assert replica.shared == {LLM_0: "GPU-x"}


def test_each_pod_of_a_shared_gpu_has_the_figure_of_its_own_line() -> None:
    line = 'DCGM_FI_DEV_GPU_UTIL{{UUID="GPU-x",namespace="default",pod="{}",vgpu="{}"}} {}\n'
    found = one(line.format("llm-0", 0, 70) + line.format("llm-1", 1, 5))
    assert [found[key][0].busy_percent for key in (LLM_0, LLM_1)] == [70, 5]


def test_the_digest_tells_whether_anything_was_read_anew() -> None:
    first, again = dcgm.read(page("4_5")), dcgm.read(page("4_5"))
    later = dcgm.read(page("4_5").replace(b"} 905123456", b"} 905123999"))
    assert first.digest == again.digest != later.digest
    with_own = dcgm.read(page("4_5") + b"dcgm_exporter_scrapes_total 7\n")
    assert with_own.digest == first.digest
    assert first.moves
    assert not dcgm.read(b'DCGM_FI_DEV_GPU_UTIL{UUID="GPU-x"} 5\n').moves


def test_a_node_of_mig_whose_exporter_adds_every_label_of_the_pods_is_read_whole() -> None:
    extra = ",".join(f'label_{n}="{"x" * 40}"' for n in range(60))
    lines = [
        f'{name}{{UUID="GPU-{gpu}",GPU_I_ID="{slice_}",{extra},namespace="a",pod="p{gpu}"}} 0.5\n'
        for name in (dcgm.ENGINE, dcgm.USED, dcgm.FREE, dcgm.DRAM, dcgm.TENSOR)
        for gpu in range(8)
        for slice_ in range(7)
    ]
    found = dcgm.read("".join(lines).encode())
    assert found.problems == ()
    assert [len(gpus) for gpus in found.gpus.values()] == [7] * 8


def test_what_stands_in_the_value_of_a_label_is_no_label() -> None:
    line = 'DCGM_FI_DEV_GPU_UTIL{UUID="u",note=",pod=\\"x\\"",namespace="default",pod="llm-0"} 5\n'
    assert one(line).keys() == {LLM_0}


def test_a_page_of_something_else_has_no_fields() -> None:
    assert not dcgm.read(b"vllm:num_requests_waiting 3\n").fields
    assert not dcgm.read(b"").fields
    assert dcgm.read(b"# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n").fields


def test_an_unusable_figure_is_lost_in_words_and_leaves_the_other_gpus_of_the_node() -> None:
    found = dcgm.read(
        b'DCGM_FI_DEV_GPU_UTIL{UUID="GPU-x",namespace="a",pod="b"} -5\n'
        b'DCGM_FI_DEV_GPU_UTIL{UUID="GPU-y",namespace="a",pod="c"} 50\n'
    )
    why = "DCGM_FI_DEV_GPU_UTIL: negative"
    assert found.gpus["a", "b"] == (GpuReading("GPU-x", why=why),)
    assert found.gpus["a", "c"] == (GpuReading("GPU-y", 50.0),)
    assert found.problems == (why,)


OF_CONTAINER = 'DCGM_FI_DEV_GPU_UTIL{{UUID="{}",container="{}",namespace="default",pod="{}"}} {}\n'


def test_a_gpu_of_two_containers_of_one_pod_is_that_pods_once() -> None:
    both = [OF_CONTAINER.format("GPU-x", name, "llm-0", 70) for name in ("server", "sidecar")]
    found = dcgm.read("".join(both).encode())
    assert found.gpus == {LLM_0: (GpuReading("GPU-x", 70.0),)}
    assert (found.shared, found.problems) == ({}, ())


@pytest.mark.parametrize("values", [(70, 5, 70), (5, 70, 70), ("NaN", 70, 70)])
def test_two_figures_of_one_gpu_are_none_and_cost_its_neighbours_nothing(
    values: tuple[object, ...],
) -> None:
    names = ("server", "sidecar", "other")
    lines = [
        OF_CONTAINER.format("GPU-x", name, "llm-0", value)
        for name, value in zip(names, values, strict=True)
    ]
    found = dcgm.read("".join([*lines, OF_CONTAINER.format("GPU-y", "c", "llm-1", 9)]).encode())
    ((lost,), (well,)) = found.gpus[LLM_0], found.gpus[LLM_1]
    assert lost.busy_percent is None
    assert lost.why is not None
    assert well == GpuReading("GPU-y", 9.0)


def test_a_gpu_of_two_pods_is_withheld_from_both_and_from_nobody_else() -> None:
    lines = [OF_CONTAINER.format("GPU-x", "c", pod, 70) for pod in ("llm-0", "llm-1")]
    found = dcgm.read("".join([*lines, OF_CONTAINER.format("GPU-y", "c", "llm-2", 9)]).encode())
    assert found.shared == {LLM_0: "GPU-x", LLM_1: "GPU-x"}
    assert found.gpus["default", "llm-2"] == (GpuReading("GPU-y", 9.0),)


@given(
    st.text(
        st.sampled_from('DCGM_FI_DEV_GPU_UTIL{}",=UUIDpod namespace\n 0123456789.eE+-'),
        max_size=300,
    )
)
def test_whatever_a_page_holds_reading_it_never_raises(text: str) -> None:
    found = dcgm.read(
        text.encode() + b'\nDCGM_FI_DEV_POWER_USAGE{UUID="u",pod="p"} ' + text.encode()
    )
    assert all(gpu.uuid for gpus in found.gpus.values() for gpu in gpus)
