"""The reload: a changed settings file is applied as a whole while the adapter runs, or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from adapter.errors import SettingsError
from adapter.flags import parser
from adapter.leaf import leaves
from adapter.load import load
from adapter.settings import LIVE, Settings
from adapter.telemetry import Metrics, event, warn

# A ConfigMap volume is up to a minute behind anyway; reading a small file is some microseconds.
LOOK_SECONDS = 2.0
# Which pods are watched is settled once.
AT_START = frozenset({"intake.nodeSources"})


@dataclass(frozen=True, slots=True)
class Spelled:
    """What the settings were spelled with; the file alone can change while we run."""

    arguments: Sequence[str]
    environment: Mapping[str, str]

    @property
    def path(self) -> Path | None:
        named = parser().parse_args(self.arguments).config
        return Path(named) if named else None

    @property
    def checks(self) -> bool:
        """Whether the file is to be checked and nothing to be served."""
        return parser().parse_args(self.arguments).check is not None


UNSPELLED = Spelled((), {})


class Reload:
    """Watches the file by its content, since a ConfigMap volume swaps links and not times."""

    def __init__(
        self,
        spelled: Spelled,
        settings: Settings,
        apply: Callable[[Settings], None],
        metrics: Metrics,
    ) -> None:
        self._spelled = spelled
        self._path = spelled.path
        self._apply = apply
        self._metrics = metrics
        self._seen = self._content()
        self.settings = settings
        metrics.settings_applied.set(1)

    async def run(self) -> None:
        """Look until cancelled; without a file there is nothing to look at."""
        while self._path is not None:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take in the file if it changed."""
        content = await asyncio.to_thread(self._content)
        if content == self._seen:
            return
        self._seen = content
        try:
            self._take()
        except SettingsError as error:
            self._metrics.settings_applied.set(0)
            warn("settings_refused", file=str(self._path), why=list(error.problems))

    def _take(self) -> None:
        found, _ = load(self._spelled.arguments, self._spelled.environment)
        changed = {
            leaf.key: msgspec.to_builtins(leaf.of(found))
            for leaf in leaves()
            if leaf.of(found) != leaf.of(self.settings)
        }
        fixed = [key for key in changed if key in AT_START or not key.startswith(LIVE)]
        if fixed:
            raise SettingsError(
                [f"{key} takes effect at a start alone: restart the adapter" for key in fixed]
            )
        self._apply(found)
        self.settings = found
        self._metrics.settings_applied.set(1)
        event("settings_applied", file=str(self._path), changed=changed)

    def _content(self) -> bytes | None:
        """Return the file's bytes, None where it cannot be read just now."""
        if self._path is None:
            return None
        try:
            return self._path.read_bytes()
        except OSError:
            return None
