"""The exception tree of the adapter: what went wrong, and how a Kubernetes client is told.

ForescaleError
├── SettingsError          the settings are wrong; carries every problem at once
├── StartupError           the adapter cannot start or register; carries the fix
├── IntakeError            one source could not be read; costs that source only
│   ├── BadStream          it sends what no sidecar sends
│   ├── BadCheckpoint      what was learnt before cannot be read
│   └── NoPage             a metrics page could not be had
├── KubeError              the API server refused a request or gave no answer
├── UpstreamError          the metrics API behind this one gave no answer
└── AnswerError            a query gets a Kubernetes Status instead of a value
    ├── BadRequest         400 BadRequest
    ├── Unauthorized       401 Unauthorized
    ├── Forbidden          403 Forbidden
    ├── NotFound           404 NotFound: no such metric, object or path
    ├── MethodNotAllowed   405 MethodNotAllowed
    ├── Unavailable        503 ServiceUnavailable: it cannot be decided now who asks
    └── NoValue            503 ServiceUnavailable: known metric, but no honest value now

The text of an AnswerError appears word for word in the events of a HorizontalPodAutoscaler, so it
says what is missing and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class ForescaleError(Exception):
    """Root of the tree."""


class SettingsError(ForescaleError):
    """The settings cannot be used; `problems` holds one sentence each, all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class StartupError(ForescaleError):
    """The adapter cannot start; the text names the cause and the fix."""


class IntakeError(ForescaleError):
    """One source could not be read; the text says which and why."""


class KubeError(ForescaleError):
    """The API server refused a request, or did not answer it.

    `code` and `reason` are those of its Status; without an answer the code is 0 and the reason
    `Timeout` or `Unreachable`.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message


class UpstreamError(ForescaleError):
    """The metrics API that stands behind this one gave no answer; the text says which and why."""


class BadStream(IntakeError):
    """A source sends what no sidecar of ours would; the text says what."""


class BadCheckpoint(IntakeError):
    """A checkpoint cannot be used; the text says why."""


class NoPage(IntakeError):
    """A metrics page could not be had; the text says why, `failure` in one word of a fixed few."""

    def __init__(self, why: str, failure: str) -> None:
        super().__init__(why)
        self.failure = failure


class AnswerError(ForescaleError):
    """A query that ends in a Kubernetes Status."""

    code: ClassVar[int]
    reason: ClassVar[str]


class BadRequest(AnswerError):
    code = 400
    reason = "BadRequest"


class Unauthorized(AnswerError):
    code = 401
    reason = "Unauthorized"


class Forbidden(AnswerError):
    code = 403
    reason = "Forbidden"


class NotFound(AnswerError):
    code = 404
    reason = "NotFound"


class MethodNotAllowed(AnswerError):
    code = 405
    reason = "MethodNotAllowed"


class Unavailable(AnswerError):
    code = 503
    reason = "ServiceUnavailable"


class NoValue(AnswerError):
    code = 503
    reason = "ServiceUnavailable"
