"""Owns the model that Triton serves in tests: it answers its prompt after a fixed time.

Triton's Python backend imports this file in its own process; the service time comes by the
environment, so that the model repository stays as it is in the tree.
"""

from __future__ import annotations

import os
import time
from typing import Any

import triton_python_backend_utils as backend  # type: ignore[import-not-found]


class TritonPythonModel:
    """The class, and its methods, that the Python backend looks for by name."""

    def initialize(self, _args: dict[str, str]) -> None:
        self.service_time_seconds = float(os.environ["FORESCALE_TRITON_SERVICE_TIME_SECONDS"])

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        time.sleep(self.service_time_seconds)
        prompt = backend.get_input_tensor_by_name(request, "prompt").as_numpy()
        return backend.InferenceResponse([backend.Tensor("text", prompt)])
