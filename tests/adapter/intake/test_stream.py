"""One stream against real HTTP servers on loopback: good frames, hostile ones, and silence."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from adapter.intake.subscribe import Subscriber
from adapter.telemetry import Metrics
from sidecar import wire
from tests.adapter.intake.streaming import (
    SETTINGS,
    Server,
    Write,
    collect,
    line,
    only,
    pod,
    serving,
    trouble_of,
)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as made:
        yield made


async def test_a_frame_split_over_packets_is_whole_again(server: Server) -> None:
    async def script(write: Write) -> None:
        whole = line(7)
        await write(whole[:20])
        await asyncio.sleep(0.1)
        await write(whole[20:])
        await asyncio.sleep(1)

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda b: bool(b.readings))
    assert batch.readings[0].points[0].value == 7.0


async def test_a_repeated_frame_is_taken_once(server: Server) -> None:
    async def script(write: Write) -> None:
        for seq in (5, 5, 4, 6):
            await write(line(seq))
        await asyncio.sleep(1)

    server.script = script
    metrics = Metrics()
    async with Subscriber(SETTINGS, metrics) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(
            subscriber, lambda b: any(r.points[0].value == 6.0 for r in b.readings)
        )
    assert [r.points[0].value for r in batch.readings] == [5.0, 6.0]
    assert (
        metrics.registry.get_sample_value("forescale_adapter_frames_total", {"result": "old"})
        == 2.0
    )


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (line(1, uid="another"), "belongs to pod UID another"),
        (line(1, uid=None), "POD_UID"),
        (line(1, schema=wire.SCHEMA + 1), "update the adapter first"),
        (line(1, schema=0), "not readable"),
        (b'{"schema": 1, "boot"\n', "not a frame"),
        (b"\xff\xfe\n", "not a frame"),
        (b"[]\n", "not a frame"),
        (b"x" * (wire.MAX_FRAME_BYTES + 1), "longer than"),
        (line(1, period_seconds=1e9), "period_seconds"),
        (line(1, gpus=(wire.GpuReading(uuid=""),) * 257), "more than 256 GPUs"),
        (line(1, visible=(wire.GpuReading(uuid=""),) * 257), "more than 256 GPUs"),
    ],
)
async def test_a_wrong_stream_gives_a_reason_and_no_reading(
    server: Server, sent: bytes, words: str
) -> None:
    async def script(write: Write) -> None:
        await write(sent)
        await asyncio.sleep(1)

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda b: bool(b.troubles))
    assert batch.readings == ()
    assert words in batch.troubles["u1"]


async def test_a_frame_nested_without_end_is_refused_and_the_stream_tried_again(
    server: Server,
) -> None:
    async def script(write: Write) -> None:
        deep = b"[" * 50_000 + b"]" * 50_000
        await write(line(1).replace(b'"seq":1', b'"seq":1,"later":' + deep))

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda _: server.connections >= 2)
    assert batch.readings == ()
    assert "not a frame" in batch.troubles["u1"]


async def test_a_flood_of_frames_ends_the_stream(server: Server) -> None:
    async def script(write: Write) -> None:
        for seq in range(5000):
            await write(line(seq))

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda b: bool(b.troubles))
    assert "frames in a second" in batch.troubles["u1"]
    assert len(batch.readings) < 100


async def test_frames_that_are_long_one_after_the_other_end_the_stream(server: Server) -> None:
    why = "x" * 100_000

    async def script(write: Write) -> None:
        for seq in range(20):
            told = wire.EngineReading("vllm", wire.EngineState.READY, why, pending=1.0)
            await write(line(seq, engine=told))
        await asyncio.sleep(1)

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda b: bool(b.troubles))
    assert "bytes of frames in a second" in batch.troubles["u1"]
    assert len(batch.readings) <= 4


async def test_a_figure_that_is_wrong_in_another_way_each_time_is_told_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(write: Write) -> None:
        for seq in range(1, 11):
            told = wire.EngineReading("vllm", wire.EngineState.READY, pending=-1.0 * seq)
            await write(line(seq, engine=told))
        await asyncio.sleep(1)

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda b: len(b.readings) == 10)
    assert batch.readings[-1].why["pending"].startswith("its source says -10,")
    assert [record.msg for record in caplog.records].count("figure_dropped") == 1


async def test_a_reason_in_a_tenants_words_is_cut(server: Server) -> None:
    async def script(write: Write) -> None:
        await write(line(1, uid="u" * 200_000))

    server.script = script
    assert len(await trouble_of(only(pod(server.port)))) <= 500


async def test_a_backlog_is_taken_from_the_first_frame_alone(server: Server) -> None:
    past = wire.Backlog(10.0, 0.0, {"pending": (1.0, 2.0)})
    ready = wire.Phases(engine_first_ready_age_seconds=1000.0)

    async def script(write: Write) -> None:
        for seq in range(3):
            await write(line(seq, backlog=past, phases=ready))
        await asyncio.sleep(1)

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda b: len(b.readings) == 3)
    assert [len(r.history) for r in batch.readings] == [1, 0, 0]


async def test_a_truncated_frame_at_the_end_is_no_reading(server: Server) -> None:
    async def script(write: Write) -> None:
        await write(line(1) + line(2)[:-30])

    server.script = script
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda b: bool(b.troubles))
    assert [r.points[0].value for r in batch.readings] == [1.0]


async def test_an_endless_line_is_cut_off(server: Server) -> None:
    sent = 0

    async def script(write: Write) -> None:
        nonlocal sent
        for _ in range(1000):
            await write(b"x" * 65536)
            sent += 65536

    server.script = script
    words = await trouble_of(only(pod(server.port)))
    assert "longer than" in words
    assert sent < 50 * wire.MAX_FRAME_BYTES


async def test_bytes_that_trickle_without_a_line_are_silence(server: Server) -> None:
    async def script(write: Write) -> None:
        for _ in range(40):
            await write(b" ")
            await asyncio.sleep(0.1)

    server.script = script
    assert "no frame for 0.6 s" in await trouble_of(only(pod(server.port)))


async def test_a_sidecar_that_sends_more_rarely_is_waited_for_three_of_its_periods(
    server: Server,
) -> None:
    async def script(write: Write) -> None:
        await write(line(1, period_seconds=0.5))
        await asyncio.sleep(1.2)  # beyond the setting, within the three periods
        await write(line(2, period_seconds=0.1))
        await asyncio.sleep(5)

    server.script = script
    began = asyncio.get_running_loop().time()
    async with Subscriber(SETTINGS, Metrics()) as subscriber:
        subscriber.follow(only(pod(server.port)))
        batch = await collect(subscriber, lambda b: bool(b.troubles))
    assert [r.points[0].value for r in batch.readings] == [1.0, 2.0]
    assert "no frame for 0.6 s" in batch.troubles["u1"]  # the last frame's period counts
    assert asyncio.get_running_loop().time() - began < 3.0


async def test_where_nothing_listens_is_told_in_plain_words(unused_tcp_port: int) -> None:
    told = await trouble_of(only(pod(unused_tcp_port)))
    assert told == f"nothing listens at http://127.0.0.1:{unused_tcp_port} (connection refused)"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "what it answers is no HTTP"),
        (b"", "the connection was closed before an answer"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
            "the connection ended within the answer",
        ),
    ],
)
async def test_what_is_no_stream_of_a_sidecar_is_told_in_plain_words(
    said: bytes, words: str
) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(rude, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        told = await trouble_of(only(pod(port)))
    assert told == f"http://127.0.0.1:{port} broke off: {words}"


async def test_a_redirect_is_not_followed(server: Server) -> None:
    server.status = 302
    server.headers = {"Location": "http://127.0.0.1:1/"}
    assert "answered 302" in await trouble_of(only(pod(server.port)))


async def test_a_compressed_stream_is_refused(server: Server) -> None:
    async def script(write: Write) -> None:
        await write(gzip.compress(line(1) * 100_000))

    server.headers = {"Content-Encoding": "gzip"}
    server.script = script
    assert "compressed" in await trouble_of(only(pod(server.port)))
