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
        'namespace="gpu-operator",pod="exporter",exported_namespace="default",exported_pod="llm-0"',
    ],
)
def test_the_holder_is_read_in_every_spelling(labels: str) -> None:
    assert one(f'DCGM_FI_DEV_GPU_UTIL{{UUID="GPU-x",{labels}}} 50\n').keys() == {LLM_0}


def test_an_exported_holder_that_is_empty_is_none_though_the_exporter_is_named() -> None:
    labels = 'namespace="gpu-operator",pod="exporter",exported_namespace="",exported_pod=""'
    assert one(f'DCGM_FI_DEV_GPU_UTIL{{UUID="GPU-x",{labels}}} 50\n') == {}


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


def test_an_unusable_figure_is_a_problem_and_no_figure() -> None:
    found = dcgm.read(b'DCGM_FI_DEV_GPU_UTIL{UUID="GPU-x",namespace="a",pod="b"} -5\n')
    assert found.gpus == {}
    assert found.problems == ("DCGM_FI_DEV_GPU_UTIL: negative",)


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
