"""The device: one GPU or MIG instance, asked one call at a time, and what it will never answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sidecar import nvml

T = TypeVar("T")


class Device:
    """A handle that is None once NVML says that the device is gone, `lost` then names the error.

    A call that declines costs its own figure alone, and is noted in `declined`, the list of the
    reading under way. One that is not supported is never made again.
    """

    def __init__(
        self,
        uuid: str,
        handle: nvml.Handle,
        declined: list[nvml.Problem],
        *,
        attached_at: float,
        parent: Device | None = None,
        mig_ids: tuple[int, int] | None = None,
    ) -> None:
        self.uuid = uuid
        self.handle: nvml.Handle | None = handle
        self.attached_at = attached_at
        self.parent = parent
        self.mig_ids = mig_ids
        self.lost: str | None = None
        self.index: int | None = None
        self.minor: int | None = None
        self.name: str | None = None
        self._declined = declined
        self._never: set[str] = set()

    def ask(self, call: str, function: Callable[[nvml.Handle], T]) -> T | None:
        """Return what the call says, None when it declines or the device is gone."""
        if self.handle is None or call in self._never:
            return None
        try:
            return function(self.handle)
        except nvml.Error as error:
            problem = nvml.problem_of(call, error)
        self._declined.append(problem)
        if problem["code"] in nvml.FOREVER:
            self._never.add(call)
        if problem["code"] in nvml.GONE or self._is_stale(call, problem):
            self.lose(str(problem["name"]))
        return None

    def never(self, call: str) -> bool:
        """Tell whether this call is known not to be supported."""
        return call in self._never

    def lose(self, error: str) -> None:
        """Have no handle any more; the first error stays the reason."""
        self.handle = None
        self.lost = self.lost or error

    def _is_stale(self, call: str, problem: nvml.Problem) -> bool:
        """GPM says INVALID_ARGUMENT of its samples too, the other calls of the handle alone."""
        return problem["code"] == nvml.INVALID_ARGUMENT and not call.startswith("nvmlGpm")
