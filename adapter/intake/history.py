"""Prometheus as a source: the past of windows at the start, and pods that nothing else reads.

The only importer of prometheus_api_client, which is synchronous: its calls run in one thread, with
a session of their own (no retries, no redirects, no proxies of the environment, deadlines, a cap on
the answer). Times are compared on Prometheus' clock alone. A Prometheus that is dead or empty is
normal: nothing is known then, and nothing is 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.adapters import HTTPAdapter

from adapter.errors import IntakeError
from adapter.settings import Prometheus

# 10,000 pods with 60 steps of a figure are about 15 MB of JSON.
MAX_ANSWER_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class Client:
    """Asks one Prometheus; every method blocks, for the settings' deadline at most, then raises
    IntakeError with the reason in words."""

    def __init__(self, settings: Prometheus) -> None:
        self._settings = settings
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.max_redirects = 0
        self._session.verify = settings.ca_file or True
        self._session.headers["Accept-Encoding"] = "identity"
        self._connect = PrometheusConnect(
            url=settings.url.rstrip("/"),
            session=self._session,
            timeout=settings.seconds,
        )
        # The library mounts its own, which retries for seconds; the one mounted last counts.
        self._session.mount(settings.url, _Capped(settings.seconds))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def now(self) -> float:
        """Return Prometheus' own Unix time."""
        found = self._ask(lambda: self._connect.custom_query("time()"))
        try:
            return float(found[1])
        except (TypeError, ValueError, IndexError, KeyError):
            raise IntakeError(f"{self._settings.url} does not answer as Prometheus does") from None

    def instant(
        self, query: str, now: float, look_back_seconds: float | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """Return the series of an instant query at Prometheus' time `now`.

        `look_back_seconds` is how old a sample may be; None, and where Prometheus is too old to
        know the parameter, are its own five minutes.
        """
        given: dict[str, object] = {"time": now}
        if look_back_seconds is not None:
            given["lookback_delta"] = f"{look_back_seconds:g}"
        return self._series(lambda: self._connect.custom_query(query, given))

    def range(
        self, query: str, start: float, end: float, step_seconds: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return the series of a range query; start and end are cut to whole seconds."""
        first, last = (datetime.fromtimestamp(at, UTC) for at in (start, end))
        return self._series(
            lambda: self._connect.custom_query_range(query, first, last, str(step_seconds))
        )

    def _series(self, ask: Callable[[], Any]) -> Sequence[Mapping[str, Any]]:
        found = self._ask(ask)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise IntakeError(f"{self._settings.url} does not answer as Prometheus does")
        return found

    def _ask(self, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON of another program
        self._authorize()
        try:
            return ask()
        except requests.RequestException as error:
            raise IntakeError(f"{self._settings.url}: {type(error).__name__}") from None
        except PrometheusApiClientException as error:
            raise IntakeError(f"{self._settings.url}: {str(error)[:200]}") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise IntakeError(f"{self._settings.url} does not answer as Prometheus does") from None

    def _authorize(self) -> None:
        """Read the token anew: a projected one is replaced every hour."""
        if not self._settings.token_file:
            return
        try:
            token = Path(self._settings.token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            words = f"prometheus.tokenFile cannot be read: {type(error).__name__}"
            raise IntakeError(words) from None
        self._session.headers["Authorization"] = f"Bearer {token}"


class _Capped(HTTPAdapter):
    """Reads an answer whole, within a deadline and a size, whatever the server does meanwhile."""

    def __init__(self, seconds: float) -> None:
        super().__init__(max_retries=0)
        self._seconds = seconds

    def send(
        self,
        request: requests.PreparedRequest,
        *_: object,
        **options: Any,  # noqa: ANN401
    ) -> requests.Response:
        deadline = time.monotonic() + self._seconds
        options |= {"stream": True, "timeout": self._seconds}
        response = super().send(request, **options)
        body = bytearray()
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise requests.exceptions.ContentDecodingError("compressed, which was not asked for")
        # One read of the socket at a time: bytes that trickle in are late, too.
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                response.close()
                raise requests.exceptions.ContentDecodingError("the answer is too long")
            if time.monotonic() > deadline:
                response.close()
                raise requests.exceptions.ReadTimeout("the answer took too long")
        response._content = bytes(body)  # noqa: SLF001 - where requests keeps what it has read
        return response
