"""A model that queues its requests itself and tells of them on Triton's own page.

It serves SLOTS requests at once, each for the service time, and counts what waits, what runs and
how long each waited, by Triton's custom metrics, as its vLLM and TensorRT-LLM backends do. One
thread does all of it: the backend's metrics bear no two at once.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import Any

import triton_python_backend_utils as backend  # type: ignore[import-not-found]

SLOTS = 4
BOUNDS_SECONDS = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
STEP_SECONDS = 0.01


class TritonPythonModel:
    """The class, and its methods, that the Python backend looks for by name."""

    def initialize(self, _args: dict[str, str]) -> None:
        self.service_time_seconds = float(os.environ["FORESCALE_TRITON_SERVICE_TIME_SECONDS"])
        kinds = backend.MetricFamily
        self.families = [  # kept: a family that is collected is gone from the page
            kinds(name=f"llm_inference_{name}", description=name, kind=kind)
            for name, kind in (
                ("pending_requests", kinds.GAUGE),
                ("running_requests", kinds.GAUGE),
                ("queue_time_seconds", kinds.HISTOGRAM),
            )
        ]
        pending, running, waits = self.families
        self.pending, self.running = pending.Metric(labels={}), running.Metric(labels={})
        self.waits = waits.Metric(labels={}, buckets=BOUNDS_SECONDS)
        self.arrived: queue.SimpleQueue[tuple[float, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            self.arrived.put((time.monotonic(), request))

    def _serve(self) -> None:
        served: list[tuple[float, Any]] = []  # when each ends
        while True:
            now = time.monotonic()
            for _, request in [one for one in served if one[0] <= now]:
                self._answer(request)
            served = [one for one in served if one[0] > now]
            while len(served) < SLOTS and not self.arrived.empty():
                since, request = self.arrived.get()
                self.waits.observe(now - since)
                served.append((now + self.service_time_seconds, request))
            self.pending.set(self.arrived.qsize())
            self.running.set(len(served))
            time.sleep(STEP_SECONDS)

    @staticmethod
    def _answer(request: Any) -> None:
        prompt = backend.get_input_tensor_by_name(request, "prompt").as_numpy()
        answer = backend.InferenceResponse([backend.Tensor("text", prompt)])
        final = backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        request.get_response_sender().send(answer, flags=final)
