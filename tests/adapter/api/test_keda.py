"""KEDA's external scaler as a real gRPC server, asked by a real gRPC client."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from adapter.api import keda
from adapter.api.external import External
from adapter.api.keda import Scaler
from adapter.api.trigger import Triggers
from adapter.errors import StartupError
from adapter.model.owners import Owners
from adapter.settings import Keda
from tests.adapter.api.test_custom import PENDING, Asking
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod
from tests.controlplane import pki
from tests.controlplane.pki import Authority, Pair
from tests.fakes import generated

METADATA = {"scalerAddress": "x:1", "metric": PENDING, "workload": DEPLOYMENT, "target": "5"}
Status = tuple[grpc.StatusCode, str]


class Client:
    """KEDA's side of one connection."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.v1 = generated.messages("externalscaler")

    def reference(self, **metadata: str) -> Any:
        return self.v1.ScaledObjectRef(
            name="llm", namespace="default", scalerMetadata=METADATA | metadata
        )

    async def ask(self, method: str, request: Any, answer: Any) -> Any:
        path = f"/externalscaler.ExternalScaler/{method}"
        call = self._channel.unary_unary(
            path,
            request_serializer=lambda one: one if isinstance(one, bytes) else _bytes(one),
            response_deserializer=answer.FromString,
        )
        return await call(request, timeout=5)

    async def value(self, metric: str = PENDING, **metadata: str) -> float:
        request = self.v1.GetMetricsRequest(
            scaledObjectRef=self.reference(**metadata), metricName=metric
        )
        found = await self.ask("GetMetrics", request, self.v1.GetMetricsResponse)
        return float(found.metricValues[0].metricValueFloat)

    async def active(self, **metadata: str) -> bool:
        found = await self.ask("IsActive", self.reference(**metadata), self.v1.IsActiveResponse)
        return bool(found.result)

    def stream(self, **metadata: str) -> Any:
        call = self._channel.unary_stream(
            "/externalscaler.ExternalScaler/StreamIsActive",
            request_serializer=_bytes,
            response_deserializer=self.v1.IsActiveResponse.FromString,
        )
        return call(self.reference(**metadata), timeout=10)


def _bytes(message: Any) -> bytes:
    found: bytes = message.SerializeToString()
    return found


class Serving:
    """A Scaler over a world, on loopback; `connect` gives a client."""

    def __init__(self) -> None:
        world = World(serving_pod("llm-0"))
        world.say["llm-0"] = {"pending": 4.0}
        world.advance(40)
        self.asking = Asking(world)
        external = External(self.asking.answers, Owners.of(""))
        self.scaler = Scaler(Triggers(self.asking.answers, external), self.asking.metrics)
        self._channels: list[grpc.aio.Channel] = []

    async def start(self, tls_folder: str = "") -> None:
        settings = Keda(enabled=True, host="127.0.0.1", port=0, tls_folder=tls_folder)
        await self.scaler.start(settings)

    def connect(self, authority: Authority | None = None, pair: Pair | None = None) -> Client:
        address = f"127.0.0.1:{self.scaler.port}"
        if authority is None:
            channel = grpc.aio.insecure_channel(address)
        else:
            credentials = grpc.ssl_channel_credentials(
                authority.pair.certificate.read_bytes(),
                *((pair.key.read_bytes(), pair.certificate.read_bytes()) if pair else ()),
            )
            channel = grpc.aio.secure_channel(address, credentials)
        self._channels.append(channel)
        return Client(channel)

    def say(self, pending: float) -> None:
        self.asking.world.say["llm-0"] = {"pending": pending}
        self.asking.world.advance(40)

    async def stop(self) -> None:
        await self.scaler.stop()
        for channel in self._channels:
            await channel.close()


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    running = Serving()
    yield running
    await running.stop()


@pytest.fixture
async def client(serving: Serving) -> Client:
    await serving.start()
    return serving.connect()


async def refusal(asking: Any) -> Status:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asking
    return caught.value.code(), str(caught.value.details())


async def test_keda_is_told_target_value_and_activity(serving: Serving, client: Client) -> None:
    answer = client.v1.GetMetricSpecResponse
    found = await client.ask("GetMetricSpec", client.reference(), answer)
    (spec,) = found.metricSpecs
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == (PENDING, 5, 5.0)
    assert await client.value() == 4.0
    assert await client.active()
    assert not await client.active(activationTarget="4")
    counted = serving.asking.metrics.keda_calls.labels("IsActive", "OK")
    assert counted._value.get() == 2


async def test_errors_are_grpcs_with_the_reason_in_words(serving: Serving, client: Client) -> None:
    code, words = await refusal(client.value(windw="30s"))
    assert (code, words[:31]) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "metadata: `windw` is not known;",
    )
    code, words = await refusal(client.active(workload="gone"))
    assert (code, "has no pod with a source" in words) == (grpc.StatusCode.NOT_FOUND, True)
    code, words = await refusal(client.value("another"))
    assert (code, "`another` is not the trigger's" in words) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        True,
    )
    serving.asking.later = 60.0
    code, words = await refusal(client.value())
    assert (code, "has stood still" in words) == (grpc.StatusCode.UNAVAILABLE, True)
    code, words = await refusal(client.ask("IsActive", b"\x0a\xff", client.v1.IsActiveResponse))
    assert (code, "breaks off" in words) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_an_update_of_targets_is_not_offered_so_that_keda_asks_for_them(
    client: Client,
) -> None:
    asked = client.ask("StreamMetricSpec", client.reference(), client.v1.GetMetricSpecResponse)
    assert (await refusal(asked))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_every_method_of_the_page_is_served(client: Client) -> None:
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    section = page.partition("## KEDA's external scaler")[2].partition("\n## ")[0]
    methods = re.findall(r"(?m)^\| `(\w+)` \| ", section)
    assert len(methods) == 4
    for method in methods:
        answer = client.v1.IsActiveResponse
        asked = client.ask(method, b"\x0a\xff", answer)
        code, words = await refusal(asked)
        assert (code, "breaks off" in words) == (grpc.StatusCode.INVALID_ARGUMENT, True), method


async def test_a_request_beyond_the_limit_is_refused_unread(client: Client) -> None:
    asked = client.active(model="x" * keda.MAX_REQUEST_BYTES)
    assert (await refusal(asked))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_tells_activity_at_once_and_when_it_changes_and_nothing_unknown(
    serving: Serving, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keda, "LOOK_SECONDS", 0.02)
    stream = client.stream()
    assert (await stream.read()).result
    serving.asking.later = 60.0  # no value: not told as inactive
    waiting = asyncio.ensure_future(stream.read())
    done, _ = await asyncio.wait((waiting,), timeout=0.2)
    assert not done
    serving.asking.later = 0.0
    serving.say(0.0)
    assert not (await waiting).result
    ended = asyncio.ensure_future(stream.read())
    await serving.scaler.stop()
    assert await ended is grpc.aio.EOF  # KEDA comes again at once, and backs off from errors


async def test_a_stream_of_a_wrong_trigger_and_one_too_many_are_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, _ = await refusal(client.stream(kind="Nothing").read())
    assert wrong is grpc.StatusCode.INVALID_ARGUMENT
    monkeypatch.setattr(keda, "MAX_STREAMS", 1)
    first = client.stream()
    assert (await first.read()).result
    code, words = await refusal(client.stream().read())
    assert (code, "type external" in words) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)


def mounted(folder: Path, authority: Authority, callers: Authority) -> None:
    """Write what a Secret of the type kubernetes.io/tls holds, as cert-manager fills it."""
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    pair = pki.serving(authority, folder / "serving", "forescale", names)
    (folder / "tls.key").write_bytes(pair.key.read_bytes())
    (folder / "tls.crt").write_bytes(pair.certificate.read_bytes())
    (folder / "ca.crt").write_bytes(callers.pair.certificate.read_bytes())


async def test_with_a_folder_only_callers_with_a_certificate_of_its_ca_are_let_in(
    serving: Serving, tmp_path: Path
) -> None:
    ours, strange = (pki.authority(tmp_path / name, name) for name in ("ours", "strange"))
    mounted(tmp_path, ours, ours)
    await serving.start(str(tmp_path))
    keda_pair = pki.client(ours, tmp_path / "keda", "keda")
    assert await serving.connect(ours, keda_pair).value() == 4.0
    for other in (
        serving.connect(),
        serving.connect(ours),
        serving.connect(ours, pki.client(strange, tmp_path / "stranger", "keda")),
        serving.connect(ours, Pair(tmp_path / "tls.crt", tmp_path / "tls.key")),  # for servers
    ):
        assert (await refusal(other.value()))[0] is grpc.StatusCode.UNAVAILABLE


async def test_a_renewed_certificate_is_served_and_half_of_one_is_not(
    serving: Serving, tmp_path: Path
) -> None:
    old, new = (pki.authority(tmp_path / name, name) for name in ("old", "new"))
    mounted(tmp_path, old, old)
    await serving.start(str(tmp_path))
    (tmp_path / "tls.crt").write_bytes(b"half")
    old_pair, new_pair = (
        pki.client(one, tmp_path / f"keda-{number}", "keda")
        for number, one in enumerate((old, new))
    )
    assert await serving.connect(old, old_pair).value() == 4.0
    mounted(tmp_path, new, new)
    assert await serving.connect(new, new_pair).value() == 4.0
    assert (await refusal(serving.connect(old, old_pair).value()))[0] is (
        grpc.StatusCode.UNAVAILABLE
    )


async def test_what_keeps_it_from_starting_is_told_by_the_settings_name(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StartupError, match=r"keda\.tlsFolder: .*mount tls\.crt, tls\.key and ca"):
        await serving.start(str(tmp_path))
    await serving.start()
    taken = Keda(enabled=True, host="127.0.0.1", port=serving.scaler.port)
    with pytest.raises(StartupError, match=r"keda\.port: 127\.0\.0\.1:\d+ cannot be listened on"):
        await Serving().scaler.start(taken)
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(StartupError, match=r"pip install 'forescale\[keda\]'"):
        await Serving().start()


@pytest.mark.process
def test_grpc_is_loaded_by_no_adapter_that_does_not_serve_keda() -> None:
    script = "import sys, adapter.__main__; assert 'grpc' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == 0
