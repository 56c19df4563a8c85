"""One stream: the life of the connection to one pod's sidecar, from connect to the next retry."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable

import aiohttp
import msgspec
from msgspec import structs

from adapter.errors import BadStream, IntakeError
from adapter.intake import frames
from adapter.intake.capped import follow, refuse_host_address, unheard, url
from adapter.model.batch import Reading
from adapter.settings import Intake
from adapter.telemetry import Metrics, Once, log, warn
from sidecar import wire

FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 10.0
# A sidecar sends one frame a second, ten where its engine period is the shortest; a flood is none.
MAX_FRAMES_PER_SECOND = 30
# A node agent's largest frame has some 30 KB. What costs most to read takes 0.1 ms a KB, so that no
# stream costs more than 3 % of a core.
MAX_BYTES_PER_SECOND = wire.MAX_FRAME_BYTES
# A stream that lived this long was a good one: its end is a restart, so the first retry is quick.
GOOD_STREAM_SECONDS = 10.0
# A sidecar says how often it sends at the latest; one frame may be late, three are not.
SILENT_PERIODS = 3


class Target(msgspec.Struct, frozen=True):
    """Where one pod's sidecar listens."""

    uid: str
    name: str  # namespace/name, for the log
    ip: str
    port: int

    @property
    def url(self) -> str:
        return url(self.ip, self.port, "/v1/stream")


Read = Callable[[wire.Frame, float, frames.Drop], Iterable[Reading]]


class Stream:
    """Holds one connection and hands on what it says until it is cancelled.

    `read` makes Readings of a frame: of the pod itself, or of the pods of its node. `deliver` gets
    those of each frame, `fail` the reason in words each time an attempt ends.
    """

    def __init__(
        self,
        target: Target,
        session: aiohttp.ClientSession,
        settings: Intake,
        metrics: Metrics,
        *,
        read: Read,
        deliver: Callable[[Target, tuple[Reading, ...]], None],
        fail: Callable[[Target, str], None],
    ) -> None:
        self._target = target
        self._session = session
        self._settings = settings
        self._metrics = metrics
        self._read_frame = read
        self._deliver = deliver
        self._fail = fail
        self._once = Once(warn)
        self._boot = ""
        self._seq = -1
        self._first = True
        self._taken, self._old = (metrics.frames.labels(what) for what in ("taken", "old"))

    async def run(self, first_delay_seconds: float) -> None:
        """Connect, read and retry with jittered back-off until cancelled."""
        await asyncio.sleep(first_delay_seconds)
        clock = asyncio.get_running_loop().time
        wait = FIRST_RETRY_SECONDS
        while True:
            began = clock()
            reason = await self._attempt()
            self._fail(self._target, reason)
            if clock() - began > GOOD_STREAM_SECONDS:
                wait = FIRST_RETRY_SECONDS
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(2 * wait, LONGEST_RETRY_SECONDS)

    async def _attempt(self) -> str:
        """Read one connection to its end and return why it ended; a pod cannot make it raise."""
        try:
            refuse_host_address(self._target.ip, allow_loopback=self._settings.allow_loopback)
            await self._read()
        except BadStream as error:
            self._metrics.frames.labels("refused").inc()
            return str(error)
        except IntakeError as error:
            return str(error)
        except wire.WireError as error:
            self._metrics.frames.labels("refused").inc()
            return str(error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return unheard(url(self._target.ip, self._target.port, ""), error)
        # A task boundary: what nobody foresaw costs this attempt, not the pod's stream for ever.
        except Exception as error:  # noqa: BLE001
            log.exception("stream_failed", extra={"fields": {"pod": self._target.name}})
            return f"the adapter could not read the stream: {type(error).__name__}"
        return "the sidecar ended the stream"

    async def _read(self) -> None:
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self._settings.connect_seconds, sock_read=None
        )
        request = self._session.get(
            self._target.url,
            timeout=timeout,
            allow_redirects=False,
            headers={"Accept": "application/x-ndjson", "Accept-Encoding": "identity"},
        )
        try:
            async with asyncio.timeout(2 * self._settings.connect_seconds):
                response = await request
        except TimeoutError:
            limit = 2 * self._settings.connect_seconds
            raise IntakeError(f"no answer from {self._target.url} in {limit:g} s") from None
        async with response:
            self._check(response)
            self._metrics.streams.inc()
            try:
                await self._follow(response)
            finally:
                self._metrics.streams.dec()

    def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status != 200:  # noqa: PLR2004 - the only good answer
            raise IntakeError(f"{self._target.url} answered {response.status}, not a stream")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise IntakeError("the stream is compressed, which was not asked for")

    async def _follow(self, response: aiohttp.ClientResponse) -> None:
        now = asyncio.get_running_loop().time
        pace = _Pace()
        self._first = True

        def take(line: bytes) -> float:
            at = now()
            pace.take(len(line), int(at))
            frame = wire.decode(line)
            self._take(frame, at)
            return self._patience(frame)

        silence = self._settings.silence_seconds
        await follow(response, take, limit_bytes=wire.MAX_FRAME_BYTES, silence_seconds=silence)

    def _take(self, frame: wire.Frame, at: float) -> None:
        first = self._first
        if first:
            self._identify(frame)
        if self._is_old(frame, first=first):
            self._old.inc()
            return
        if not first and frame.backlog is not None:
            frame = structs.replace(frame, backlog=None)
        self._deliver(self._target, tuple(self._read_frame(frame, at, self._drop)))
        self._first = False
        self._taken.inc()

    def _patience(self, frame: wire.Frame) -> float:
        """Return how long to wait for the next frame: as this one's period asks for."""
        period = min(frame.period_seconds, frames.MAX_PERIOD_SECONDS)
        return max(self._settings.silence_seconds, SILENT_PERIODS * period)

    def _identify(self, frame: wire.Frame) -> None:
        if frame.uid is None:
            raise wire.WireError(
                "the sidecar does not say its pod's UID: give it POD_UID from metadata.uid"
            )
        if frame.uid != self._target.uid:
            raise wire.WireError(
                f"the sidecar at {self._target.ip} belongs to pod UID {frame.uid}: the address"
                " was given to another pod"
            )
        if frame.boot != self._boot:
            self._boot, self._seq = frame.boot, -1

    def _is_old(self, frame: wire.Frame, *, first: bool) -> bool:
        """Return whether the frame was seen before; a stream starts with the last one again."""
        if frame.boot != self._boot:
            raise wire.WireError("the stream changed its boot id without a new connection")
        if frame.seq < self._seq or (frame.seq == self._seq and not first):
            return True
        self._seq = frame.seq
        return False

    def _drop(self, series: str, words: str) -> None:
        self._metrics.dropped_values.labels(series).inc()
        self._once(
            "figure_dropped", series, words, state=series, pod=self._target.name, series=series
        )


class _Pace:
    """How much came in the present second."""

    def __init__(self) -> None:
        self._second = -1
        self._frames = self._bytes = 0

    def take(self, size_bytes: int, second: int) -> None:
        """Count one frame; raise BadStream when it is one too many."""
        if second != self._second:
            self._second, self._frames, self._bytes = second, 0, 0
        self._frames += 1
        self._bytes += size_bytes
        if self._frames > MAX_FRAMES_PER_SECOND:
            raise BadStream(f"more than {MAX_FRAMES_PER_SECOND} frames in a second")
        if self._bytes > MAX_BYTES_PER_SECOND:
            raise BadStream(f"more than {MAX_BYTES_PER_SECOND} bytes of frames in a second")
