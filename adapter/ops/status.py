"""The status page: a look at the Snapshot every few seconds, for all who watch together.

Whoever can connect may watch: what a page costs is paid once a look, however many ask for it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence

import msgspec
from aiohttp import web

from adapter import night
from adapter.model import overview
from adapter.model.course import Course, Story
from adapter.model.decisions import Decisions
from adapter.model.exits import Workload
from adapter.model.fleet import EMPTY, Fleet, Object
from adapter.model.snapshot import Snapshot
from adapter.model.spending import Spending
from adapter.model.starting import Horizon, Starting
from adapter.ops import page
from adapter.ops.assets import NO_STORE, assets
from adapter.ops.board import Board, Seen, board, whose
from adapter.ops.changes import Changes
from adapter.ops.events import Events
from adapter.ops.history import History
from adapter.ops.probes import Probes
from adapter.ops.server import Page
from adapter.settings import Tariff
from adapter.telemetry import log, release

LOOK_SECONDS = 2.0  # a heartbeat of the sidecars
# While nobody watches; within a step of the courses. 100 rows of 0.7 ms are 2 % of a core then.
IDLE_SECONDS = 4.0
REST = 4.0  # times what a look took: a fifth of the core at most
# A horizon takes up to a millisecond and changes when a pod has started.
HORIZON_SECONDS = 10.0
HORIZONS_A_LOOK = 10
KEPT_SECONDS = 1800.0  # the course of a workload that has gone, which may come back
MAX_COURSES = 2 * overview.MAX_WORKLOADS  # 14 KiB each

_NOTHING = Seen(None, (), 0, (), 0, {}, (), {})


class Status:
    """Answers GET /status; `run` looks, `pages` are all that a browser asks for."""

    path = "/status"

    def __init__(
        self,
        read: Callable[[], Snapshot | None],
        starting: Starting,
        spending: Spending,
        probes: Probes,
        tariff: Callable[[], Tariff] = Tariff,
    ) -> None:
        self._read = read
        self._starting = starting
        self._spending = spending
        self._probes = probes
        self._tariff = tariff
        self._title = f"Adapter {release()} on {socket.gethostname()}"
        self._fleet: Fleet = EMPTY
        self._workloads: list[Object] = []
        self._horizons: dict[Object, tuple[float, Horizon]] = {}  # and when it was worked out
        self._courses: dict[Object, Course] = {}
        self._decisions: dict[Object, Decisions] = {}
        self._seen = _NOTHING
        self._board: Board | None = None
        self._html: bytes | None = None
        self._frame: bytes | None = None
        self.events = Events(self.frame)
        # In words, by what they are for; known once this adapter knows where it runs.
        self.certificates: Callable[[], Mapping[str, str]] = dict
        self.show: Callable[[Sequence[overview.Row]], None] = lambda _: None  # as metrics

    def pages(self) -> tuple[Page, ...]:
        """Return the page and what belongs to it."""
        pasts = (History(self.story), Changes(self.changes))
        return (self, _WithSlash(), self.events, *pasts, *assets())

    async def handle(self, _: web.Request) -> web.Response:
        """Return the page as it was at the last look."""
        if self._html is None:
            self._html = page.html(self.board(), title=self._title).encode()
        return web.Response(
            body=self._html, content_type="text/html", charset="utf-8", headers=NO_STORE
        )

    async def run(self) -> None:
        """Look until cancelled, and then let all viewers go.

        A look that fails is told and costs nobody else anything.
        """
        clock = asyncio.get_running_loop().time
        try:
            while True:
                began = clock()
                try:
                    await self.look()
                # A task boundary: the adapter answers HPAs without its page, too.
                except Exception:  # noqa: BLE001
                    log.exception("status_failed")
                seconds = LOOK_SECONDS if self.events.viewers else IDLE_SECONDS
                await asyncio.sleep(max(seconds, REST * (clock() - began)))
        finally:
            self.events.close()

    async def look(self) -> None:
        """Take in the Snapshot of the moment, workload by workload; queries go in between."""
        snapshot = self._read()
        seen = Seen(
            None,
            (),
            0,
            (),
            0,
            {},
            (*self._probes.live(), *self._probes.ready()),
            self.certificates(),
        )
        if snapshot is not None:
            seen = await self._of(snapshot, seen)
        self._seen = seen
        self._board = self._html = self._frame = None
        self.events.tell()

    def board(self) -> Board:
        """Return what the page says as of the last look."""
        if self._board is None:
            self._board = board(self._seen)
        return self._board

    def frame(self) -> bytes:
        """Return the board as one line of JSON."""
        if self._frame is None:
            self._frame = msgspec.json.encode(self.board())
        return self._frame

    def story(self, wanted: Workload) -> Story | None:
        """Return the course of a workload that has a row; None for any other."""
        shown = (one.workload for one in self._seen.rows)
        found = next((one for one in shown if whose(one) == wanted), None)
        return None if found is None else self._courses[found].story()

    def changes(self, wanted: Workload) -> Decisions | None:
        """Return what a workload did that has a row, or had one lately; None for any other."""
        found = (told for one, told in self._decisions.items() if whose(one) == wanted)
        return next(found, None)

    async def _of(self, snapshot: Snapshot, seen: Seen) -> Seen:
        if snapshot.fleet is not self._fleet:
            self._fleet = snapshot.fleet
            self._workloads = overview.workloads(snapshot.fleet)
        shown = overview.fair(self._workloads)
        rows = []
        for workload in shown:
            rows.append(overview.row(snapshot, workload))
            await asyncio.sleep(0)
        await self._estimate(shown, snapshot.wall)
        await self._note(rows, snapshot.wall)
        self.show(rows)
        tariff = self._tariff()
        return Seen(
            snapshot.wall,
            tuple(rows),
            len(self._workloads) - len(shown),
            overview.sources(snapshot),
            len(snapshot.fleet.node_sources),
            {workload: found for workload, (_, found) in self._horizons.items()},
            seen.checks,
            seen.certificates,
            {workload: found.kept for workload, found in self._decisions.items()},
            self._spending.sums(night.hours(night.parse(tariff.night))),
            self._spending.began_wall,
            tariff,
        )

    async def _estimate(self, shown: list[Object], now: float) -> None:
        """Work out the horizons whose turn it is."""
        known = self._horizons
        self._horizons = {one: known[one] for one in shown if one in known}
        due = sorted(shown, key=lambda one: known[one][0] if one in known else 0.0)
        for one in due[:HORIZONS_A_LOOK]:
            if one not in known or now - known[one][0] >= HORIZON_SECONDS:
                found = self._starting.horizon(whose(one), now, age_seconds=0.0)
                self._horizons[one] = (now, found)
                await asyncio.sleep(0)

    async def _note(self, rows: list[overview.Row], now: float) -> None:
        """Go on with the pasts; those that nobody went on with for long have an end."""
        for row in rows:
            course = self._courses.pop(row.workload, None) or Course()
            horizon = self._horizons.get(row.workload)
            course.note(row, now, horizon[1].seconds if horizon else None)
            self._courses[row.workload] = course
            self._decisions.setdefault(row.workload, Decisions()).note(row, now)
            await asyncio.sleep(0)
        for workload in self._decisions.keys() - set(self._workloads):
            self._decisions[workload].leave(now)
        kept = list(self._courses.items())[-MAX_COURSES:]
        self._courses = {one: found for one, found in kept if now - found.noted_at < KEPT_SECONDS}
        self._decisions = {one: self._decisions[one] for one in self._courses}


class _WithSlash:
    """Sends who asks for `/status/` to the page, which no relative URL would work in otherwise."""

    path = "/status/"

    async def handle(self, _: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": "../status"})
