"""Spans of queries, as a real receiver of OTLP gets them from a real server."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from adapter import export
from adapter.api.server import Traced
from tests.adapter.api.serving import METRIC, Serving
from tests.fakes.otlp import Receiver

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLERS = ("traceparent", f"00-{TRACE}-{PARENT}-01")


class Traces(Serving):
    """The API server with spans, sent to a receiver each 0.1 s."""

    def __init__(self, folder: Path, traced: Traced | None) -> None:
        super().__init__(folder)
        self._made = traced

    def traced(self) -> Traced | None:
        return self._made


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield running


@pytest.fixture
async def serving(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Traces]:  # noqa: ARG001
    async with AsyncExitStack() as stack:
        traced = export.traced(stack)
        assert traced is not None
        yield await stack.enter_async_context(Traces(tmp_path, traced))


async def until(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_query_is_a_span_of_its_callers_trace_and_a_probe_is_none(
    serving: Traces, receiver: Receiver
) -> None:
    began = time.time_ns()
    await serving.ask("/livez")
    headers = [("X-Remote-User", "hpa"), CALLERS]
    serving.apiserver.allows = lambda _: True
    path = f"{METRIC}?labelSelector=app"
    code, _, _ = await serving.ask(path, client=serving.proxy, headers=headers)
    await until(lambda: bool(receiver.spans))
    (span,) = receiver.spans
    route = (
        "/apis/custom.metrics.k8s.io/{version}/namespaces/{namespace}/{resource}/{name}/{metric}"
    )
    assert span.name == f"GET {route}"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    said = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
    assert said == {
        "http.request.method": "GET",
        "http.route": route,
        "http.response.status_code": code,
        "url.path": METRIC,
        "url.query": "labelSelector=app",
    }
    assert began <= span.start_time_unix_nano <= span.end_time_unix_nano <= time.time_ns()
    assert receiver.resources[-1]["service.instance.id"] == socket.gethostname()


async def test_a_stranger_writes_nothing_into_anybodys_traces(
    serving: Traces, receiver: Receiver
) -> None:
    assert (await serving.ask(METRIC, headers=[CALLERS]))[0] == 401
    await serving.proxied("known")
    await until(lambda: bool(receiver.spans))
    (span,) = receiver.spans
    assert span.trace_id.hex() != TRACE


async def test_a_receiver_that_refuses_is_told_once_and_costs_no_query(
    serving: Traces, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = 400
    for seen in (1, 2, 3):
        assert (await serving.proxied("known"))[0] == 403
        await until(lambda seen=seen: len(receiver.spans) >= seen)  # type: ignore[misc]
    told = [one for one in caplog.records if one.getMessage() == "otlp"]
    assert len(told) == 1
    assert "traces cannot be sent: " in told[0].fields["why"]  # type: ignore[attr-defined]


async def test_a_receiver_that_does_not_answer_holds_up_no_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
        async with AsyncExitStack() as stack:
            traced = export.traced(stack)
            async with Traces(tmp_path, traced) as serving:
                await serving.proxied("known")
            began = time.monotonic()
        assert time.monotonic() - began < 3.0
    for thread in threading.enumerate():  # or it tells of its failure in another test
        if thread.name == "otlp":
            await asyncio.to_thread(thread.join, 20)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OTEL_TRACES_EXPORTER", "none", ""),
        ("OTEL_SDK_DISABLED", "true", ""),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", "only http/protobuf is spoken here"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1", "traces are not sent: ValueError"),
    ],
)
@pytest.mark.usefixtures("receiver")
async def test_what_is_not_asked_for_or_cannot_be_is_left_out_in_words(
    name: str,
    value: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:
        assert export.traced(stack) is None
    told = [str(getattr(one, "fields", "")) for one in caplog.records if one.msg == "otlp"]
    assert [words in one for one in told] == ([True] if words else [])


async def test_without_the_environment_there_are_no_spans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    async with AsyncExitStack() as stack:
        assert export.traced(stack) is None
