"""The adapter as a whole process: it starts, says how it is, stops when told, fails in words."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.adapter.intake.test_podjson import pod_json
from tests.controlplane.processes import free_ports

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 20.0


class Adapter:
    """One process with its own ports; `stop` and leaving the test end it."""

    def __init__(self, folder: Path) -> None:
        self.ops_port, self.api_port = free_port(), free_port()
        self._log = folder / "adapter.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "adapter"]
        command += ["--ops-host=127.0.0.1", f"--ops-port={self.ops_port}"]
        command += ["--api-host=127.0.0.1", f"--api-port={self.api_port}", *arguments]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("FORESCALE_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=clean, stderr=log)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of the ops port; status 0 while nothing listens."""
        return fetch(f"http://127.0.0.1:{self.ops_port}{path}")

    def until(self, path: str, status: int, words: str = "") -> str:
        """Poll the ops port until it answers so; return the text."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            seen = self.get(path)
            if seen[0] == status and words in seen[1]:
                return seen[1]
            assert time.monotonic() < deadline, (seen, self.log())
            time.sleep(0.05)

    def until_told(self, event: str) -> None:
        """Wait for the event in the log."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while f'"{event}"' not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def stop(self) -> tuple[int, float]:
        """SIGTERM; return the exit code and how many seconds the end took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        return self.ended(), time.monotonic() - began

    def ended(self) -> int:
        assert self._process is not None
        return self._process.wait(DEADLINE_SECONDS)

    def log(self) -> str:
        return self._log.read_text()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    return free_ports(1)[0]


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - of this test
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.fixture
def adapter(tmp_path: Path) -> Iterator[Adapter]:
    made = Adapter(tmp_path)
    yield made
    made.kill()


def kubeconfig(folder: Path, port: int) -> str:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "kubeconfig").write_text(json.dumps(content))
    return str(folder / "kubeconfig")


def test_without_an_api_server_it_is_alive_says_what_it_waits_for_and_can_be_stopped(
    adapter: Adapter, tmp_path: Path
) -> None:
    adapter.start("--kubeconfig", kubeconfig(tmp_path, free_port()))
    told = adapter.until("/readyz", 503, "Secret forescale-system/forescale-ca: ")
    assert "[-]started: waits for the CA" in told
    assert adapter.get("/livez") == (200, "ok")
    code, seconds = adapter.stop()
    assert (code, seconds < 2.0) == (0, True)


def test_an_api_server_that_never_answers_does_not_keep_it_from_stopping(
    adapter: Adapter, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        adapter.start("--kubeconfig", kubeconfig(tmp_path, silent.getsockname()[1]))
        adapter.until("/livez", 200)
        adapter.until("/readyz", 503, "waits for the CA")
        code, seconds = adapter.stop()
    assert (code, seconds < 2.0) == (0, True)


def test_standalone_it_starts_answers_and_stops(adapter: Adapter, tmp_path: Path) -> None:
    pods = tmp_path / "pods"
    pods.mkdir()
    raw = pod_json()
    raw["metadata"]["labels"]["forescale.dev/source"] = "sidecar"
    raw["metadata"]["annotations"] = {"forescale.dev/contaner": "llm-server"}
    (pods / "pod.json").write_text(json.dumps(raw))
    adapter.start("--standalone", str(pods), "--intake-first-try-seconds", "0.1")
    adapter.until("/readyz", 200)
    path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*"
    status, text = fetch(f"http://127.0.0.1:{adapter.api_port}{path}/nvidia_gpu_utilization")
    # Its sidecar does not answer, and an unknown figure is no 0.
    assert (status, json.loads(text)["kind"]) == (503, "Status")
    assert fetch(f"http://127.0.0.1:{adapter.api_port}/apis")[0] == 200
    adapter.until_told("annotation_unknown")
    # Whoever watches the page holds nothing up.
    with urllib.request.urlopen(f"http://127.0.0.1:{adapter.ops_port}/status/events") as watched:
        assert watched.readline().startswith(b"retry: ")
        code, seconds = adapter.stop()
        assert (code, b"no value" in watched.read()) == (0, True)
    assert seconds < 5.0


def test_standalone_an_empty_directory_is_no_pods_and_no_error(
    adapter: Adapter, tmp_path: Path
) -> None:
    adapter.start("--standalone", str(tmp_path))
    adapter.until("/readyz", 200)
    path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*"
    status, text = fetch(f"http://127.0.0.1:{adapter.api_port}{path}/nvidia_gpu_utilization")
    assert (status, json.loads(text)["items"]) == (200, [])


def test_standalone_what_was_learnt_of_starts_outlives_the_adapter(
    adapter: Adapter, tmp_path: Path
) -> None:
    pods, kept = tmp_path / "pods", tmp_path / "kept"
    pods.mkdir()
    kept.mkdir()
    now = datetime.now(UTC)
    raw = pod_json(since=(now - timedelta(seconds=60)).isoformat())
    raw["metadata"]["creationTimestamp"] = (now - timedelta(seconds=100)).isoformat()
    (pods / "pod.json").write_text(json.dumps(raw))
    arguments = ["--standalone", str(pods), "--cold-start-folder", str(kept)]
    adapter.start(*arguments)  # which writes once in five minutes, and when it is told to stop
    adapter.until("/metrics", 200, 'cold_start_checkpoints_total{result="read"} 1.0')
    adapter.until("/coldstart?namespace=default", 200, '"seconds":[40.0]')
    assert adapter.stop()[0] == 0
    (pods / "pod.json").unlink()
    adapter.start(*arguments)
    told = adapter.until("/coldstart?namespace=default", 200, '"name":"llm-5d"')
    assert json.loads(told)["workloads"][0]["warm"]["seconds"] == [40.0]
    assert adapter.stop()[0] == 0


def test_settings_that_are_wrong_end_it_with_2_and_all_problems(
    adapter: Adapter, tmp_path: Path
) -> None:
    adapter.start("--log-level=loud", "--model-tick-seconds=soon", f"--config={tmp_path}/none")
    assert adapter.ended() == 2
    problems = [line for line in adapter.log().splitlines() if line.startswith("error: ")]
    assert len(problems) == 3
    for words in ("log.level is `loud`", "--model-tick-seconds: `soon`", "none cannot be read"):
        assert any(words in problem for problem in problems)


@pytest.mark.parametrize("name", ["ops", "api"])
def test_a_port_in_use_ends_it_with_1_and_says_which_and_what_to_do(
    adapter: Adapter, tmp_path: Path, name: str
) -> None:
    port = {"ops": adapter.ops_port, "api": adapter.api_port}[name]
    with socket.create_server(("127.0.0.1", port)):
        adapter.start("--standalone", str(tmp_path))
        assert adapter.ended() == 1
    last = json.loads(adapter.log().splitlines()[-1])
    assert (last["event"], last["level"]) == ("stopped", "error")
    assert f"cannot listen on 127.0.0.1 port {port}" in last["why"]
    assert f"set {name}.port or {name}.host to another" in last["why"]


def test_a_prometheus_that_is_not_there_does_not_keep_it_from_serving(
    adapter: Adapter, tmp_path: Path
) -> None:
    pods = tmp_path / "pods"
    pods.mkdir()
    raw = pod_json()
    raw["metadata"]["labels"] |= {"forescale.dev/source": "prometheus"}
    (pods / "llm.json").write_text(json.dumps(raw))
    url = f"--prometheus-url=http://127.0.0.1:{free_port()}"
    adapter.start(f"--standalone={pods}", url)
    failed = 'forescale_adapter_prometheus_rounds_total{result="failed"}'
    adapter.until("/metrics", 200, failed)
    adapter.until("/readyz", 200)
    assert "prometheus_unreadable" in adapter.log()
    assert adapter.stop()[0] == 0


class FakePrometheus(BaseHTTPRequestHandler):
    """Says that the gateway's queue of one Deployment is 4."""

    def do_GET(self) -> None:
        labels = {"namespace": "default", "deployment": "llm"}
        vector = [{"metric": labels, "value": [5, "4"]}]
        result = [5, "5.5"] if "query=time" in self.path else vector
        body = json.dumps({"status": "success", "data": {"result": result}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
        """Say nothing."""


def test_a_query_answers_for_a_workload_without_pods_and_a_dead_prometheus_is_an_error(
    adapter: Adapter, tmp_path: Path
) -> None:
    server = HTTPServer(("127.0.0.1", 0), FakePrometheus)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        f"prometheus:\n  url: http://127.0.0.1:{server.server_port}\n  periodSeconds: 1s\n"
        "  objects:\n    - {metric: gateway_queue, query: 'max by (namespace, deployment) (q)'}\n"
    )
    pods = tmp_path / "pods"
    pods.mkdir()
    adapter.start(f"--standalone={pods}", f"--config={settings}", "--model-hold-seconds=2s")
    adapter.until("/readyz", 200)
    adapter.until("/metrics", 200, 'forescale_adapter_prometheus_rounds_total{result="taken"}')
    where = "namespaces/default/deployments.apps/llm/gateway_queue"
    url = f"http://127.0.0.1:{adapter.api_port}/apis/custom.metrics.k8s.io/v1beta2/{where}"
    code, text = fetch(url)
    assert (code, json.loads(text)["items"][0]["value"]) == (200, "4")
    server.shutdown()
    server.server_close()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while code == 200:
        assert '"value":"4"' in text
        assert time.monotonic() < deadline
        time.sleep(0.2)
        code, text = fetch(url)
    assert code == 503
    assert "gateway_queue of Deployment `llm` has had no value for" in text


def test_the_client_of_prometheus_is_not_loaded_where_none_is_set() -> None:
    code = "import adapter.__main__, sys; print('prometheus_api_client' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert found.stdout == b"False\n"
