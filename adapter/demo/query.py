"""The query: asking the adapter over HTTP as the HPA controller does, and counting the answers."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote_plus

import aiohttp
import msgspec
from yarl import URL

from adapter.demo.pod import NAMESPACE, SELECTOR
from adapter.model import quantity

GROUP = "/apis/custom.metrics.k8s.io"
_TIMEOUT = aiohttp.ClientTimeout(total=5.0)
# What kube-controller-manager sends; an adapter answers it with JSON.
_HEADERS = {"Accept": "application/vnd.kubernetes.protobuf, */*"}
_BUCKET = re.compile(
    r'^forescale_adapter_sample_age_seconds_bucket\{le="([^"]+)",part="engine"\} (\S+)$',
    re.MULTILINE,
)


class Value(msgspec.Struct, frozen=True):
    """One pod's value; `age_seconds` is at most that, since timestamps are whole seconds."""

    milli: int
    age_seconds: float


class Adapter:
    """The adapter as its callers see it. `blind_ok` says whether no value can be expected yet."""

    def __init__(
        self, session: aiohttp.ClientSession, api: str, ops: str, blind_ok: Callable[[], bool]
    ) -> None:
        self._session = session
        self._api = api
        self._ops = ops
        self._blind_ok = blind_ok
        self.queries = 0
        self.errors = 0
        self.without_value = 0
        self.last_error: str | None = None

    def curl(self, metric: str) -> str:
        """Return the command line with which a person asks for a metric."""
        return f'curl "{self._api}{GROUP}/v1beta1/namespaces/{NAMESPACE}/pods/*/{metric}"'

    @property
    def page(self) -> str:
        """The address of its status page."""
        return f"{self._ops}/status"

    def commands(self, deployment: str) -> tuple[str, ...]:
        """Return the command lines that say why its figures are so, and how long starts take."""
        only = f"--adapter {self._ops}"
        of = f"deployment/{deployment} {only}"
        names = ("why", "coldstart")
        return (*(f"{_program()} {name} {of}" for name in names), f"{_program()} cost {only}")

    async def ready(self) -> bool:
        """Return whether /readyz says yes."""
        return await self._page("/readyz") is not None

    async def values(self, metric: str, view: str = "") -> dict[str, Value] | str:
        """Return the values by pod, or the Status message of an answer that has none.

        `view` is the metric's selector, such as `stat=raw`.
        """
        self.queries += 1
        try:
            async with self._session.get(
                self._url(metric, view), headers=_HEADERS, timeout=_TIMEOUT
            ) as answer:
                status, body = answer.status, await answer.read()
            found = _items(body) if status == HTTPStatus.OK else _message(body)
        except (aiohttp.ClientError, TimeoutError, LookupError, TypeError, ValueError) as error:
            return self._failed(f"no usable answer: {error!r}")
        if isinstance(found, dict) and found:
            return found
        words = found or "the answer has no values"
        if self._blind_ok() and status in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE):
            self.without_value += 1
            return str(words)
        return self._failed(str(words))

    async def sample_age_p99_seconds(self) -> float | None:
        """Return the 99th percentile of the queue's age when it was answered; None before any."""
        page = await self._page("/metrics")
        return None if page is None else p99(page)

    def _url(self, metric: str, view: str) -> URL:
        # The controller's own spelling: the star and the selectors percent-encoded.
        query = f"labelSelector={quote_plus(SELECTOR)}"
        if view:
            query += f"&metricLabelSelector={quote_plus(view)}"
        path = f"{GROUP}/v1beta2/namespaces/{NAMESPACE}/pods/%2A/{metric}"
        return URL(f"{self._api}{path}?{query}", encoded=True)

    def _failed(self, words: str) -> str:
        self.errors += 1
        self.last_error = words
        return words

    async def _page(self, path: str) -> str | None:
        try:
            async with self._session.get(f"{self._ops}{path}", timeout=_TIMEOUT) as answer:
                return await answer.text() if answer.ok else None
        except (aiohttp.ClientError, TimeoutError):
            return None


def _program() -> str:
    """Return how `forescale` is called from here: by its name where that is on PATH."""
    ours = Path(sys.executable).with_name("forescale")
    if shutil.which("forescale") == str(ours) or not ours.exists():
        return "forescale"
    here = Path.cwd()
    return str(ours.relative_to(here) if ours.is_relative_to(here) else ours)


def _items(body: bytes) -> dict[str, Value]:
    now = time.time()
    return {
        item["describedObject"]["name"]: Value(
            quantity.parse_milli(item["value"]),
            now - datetime.fromisoformat(item["timestamp"]).timestamp(),
        )
        for item in json.loads(body)["items"]
    }


def _message(body: bytes) -> str:
    return str(json.loads(body)["message"])


def p99(page: str) -> float | None:
    """Return the 99th percentile of the histogram, by straight lines within its buckets.

    In the open last bucket the answer is its lower edge: "at least that".
    """
    buckets = [(float(edge), float(count)) for edge, count in _BUCKET.findall(page)]
    if not buckets or not buckets[-1][1]:
        return None
    rank = 0.99 * buckets[-1][1]
    for (low, before), (high, count) in pairwise([(0.0, 0.0), *buckets]):
        if count >= rank:
            share = (rank - before) / (count - before)
            return low if high == float("inf") else low + (high - low) * share
    return None
