"""Owns the proof of what a process claims from its environment and from the kubelet's word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sidecar import wire
from sidecar.proof import Proof
from sidecar.settings import SettingsError, load
from tests.fakes.kubelet import FakeKubelet, pod

ONE = "GPU-00000001-0000-4000-8000-000000000001"
TWO = "GPU-00000002-0000-4000-8000-000000000002"


@pytest.fixture
def kubelet() -> Iterator[FakeKubelet]:
    with FakeKubelet() as running:
        yield running


def proof(kubelet: FakeKubelet, scope: str | None = None, **environ: str) -> Proof:
    argv = ["--pod-resources", str(kubelet.folder)]
    named = {"POD_NAME": "llm-0", "POD_NAMESPACE": "default"} | environ
    return Proof(load(argv, named, "0").settings, named, scope)


async def looked(found: Proof) -> Proof:
    assert found.kubelet is not None
    await found.kubelet.look()
    return found


async def test_the_kubelet_names_the_gpus_of_this_very_pod(kubelet: FakeKubelet) -> None:
    kubelet.pods = [pod("llm-1", TWO), pod("llm-0", ONE)]
    claim = (await looked(proof(kubelet))).claim()
    assert (claim.ids, claim.how) == ((ONE,), "PodResources")


async def test_uuids_in_the_environment_stand_before_the_kubelets_word(
    kubelet: FakeKubelet,
) -> None:
    kubelet.pods = [pod("llm-0", ONE)]
    claim = (await looked(proof(kubelet, NVIDIA_VISIBLE_DEVICES=TWO))).claim()
    assert (claim.ids, claim.how) == ((TWO,), "NVIDIA_VISIBLE_DEVICES")


async def test_where_the_kubelet_leaves_a_doubt_nothing_is_claimed(kubelet: FakeKubelet) -> None:
    assert proof(kubelet).claim().why == "the kubelet has not been asked yet"
    kubelet.pods = [pod("llm-1", TWO)]
    assert "list no GPU for this pod" in str((await looked(proof(kubelet))).claim().why)
    kubelet.pods = [pod("llm-0", TWO), pod("llm-0", ONE)]
    assert "one of which ended" in str((await looked(proof(kubelet))).claim().why)
    kubelet.pods = [pod("llm-0", f"{ONE}::1")]
    claim = (await looked(proof(kubelet))).claim()
    assert "one replica of a shared GPU" in str(claim.why)
    assert claim.ids == ()


async def test_a_shared_gpu_is_claimed_and_marked_where_the_setting_allows_it(
    kubelet: FakeKubelet,
) -> None:
    kubelet.pods = [pod("llm-0", f"{ONE}::1")]
    found = await looked(proof(kubelet, FORESCALE_SIDECAR_SHARED_GPU="allow"))
    assert (found.claim().ids, found.claim().shared) == ((f"{ONE}::1",), True)


async def test_an_agent_claims_nothing_for_itself(kubelet: FakeKubelet) -> None:
    kubelet.pods = [pod("llm-0", ONE)]
    claim = (await looked(proof(kubelet, wire.NODE, NVIDIA_VISIBLE_DEVICES=ONE))).claim()
    assert (claim.ids, claim.why, claim.scope) == ((), None, wire.NODE)


def test_the_kubelets_word_needs_the_pods_name() -> None:
    with pytest.raises(SettingsError, match="needs --pod-name and --pod-namespace"):
        load(["--pod-resources", "/x"], {}, "0")
    with pytest.raises(SettingsError, match="is no absolute path"):
        load(["--pod-resources", "x"], {"POD_NAME": "a", "POD_NAMESPACE": "b"}, "0")
