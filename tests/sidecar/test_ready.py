"""Owns the proof that the exec probe goes by the model server alone, in bounded time."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar import ready

pytestmark = pytest.mark.process

# Says 503 until the file is there, as llama.cpp does until its model is loaded.
SERVER = """
import http.server, os, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        loaded = self.path == "/health" and os.path.exists(sys.argv[2])
        self.send_response(200 if loaded else 503); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sidecar.cli", "ready", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@contextmanager
def answering(*pieces: bytes, pause_seconds: float = 0.0) -> Iterator[int]:
    """Yield the port of a server that sends these pieces to the first who comes, then waits."""
    done = threading.Event()

    def serve() -> None:
        there, _ = listener.accept()
        with there:
            for piece in pieces:
                try:
                    there.sendall(piece)
                except OSError:
                    return
                if done.wait(pause_seconds):
                    return
            done.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            with socket.create_connection(listener.getsockname()):  # wakes one that never accepted
                thread.join(10)


def test_it_passes_once_the_model_is_loaded_though_no_sampler_runs(
    tmp_path: Path, free_port: int
) -> None:
    loaded, port = tmp_path / "loaded", str(free_port)
    down = asked("llama.cpp", port)
    assert down.returncode == ready.EXIT_NOT_READY
    assert f"127.0.0.1 port {port}: " in down.stderr
    server = subprocess.Popen([sys.executable, "-c", SERVER, port, str(loaded)])
    try:
        give_up = time.monotonic() + 30
        while "503" not in (loading := asked("llama.cpp", port)).stderr:
            assert time.monotonic() < give_up, loading.stderr
        assert loading.returncode == ready.EXIT_NOT_READY
        loaded.touch()
        assert asked("llama.cpp", port).returncode == 0
    finally:
        server.kill()
        server.wait()


def test_help_says_what_it_does_and_which_engines_can_be_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ready.run(["--help"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(ready.USAGE)
    assert "ENGINE  one of vllm, sglang, " in said.out
    assert "ray" not in said.out  # it has no endpoint


def test_it_imports_nothing_that_takes_long() -> None:
    program = (
        "import sys; from sidecar.cli import main; main(['ready', 'vllm', '1'])\n"
        "heavy = {'aiohttp', 'asyncio', 'http.client', 'prometheus_client', 'pynvml', 'ssl'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_an_answer_in_pieces_is_read() -> None:
    with answering(b"HTT", b"P/1.1 2", b"00 OK\r\n") as port:
        assert ready.unready(port, "/health", ("127.0.0.1",)) is None


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc", b"\x00" * 64])
def test_what_is_no_answer_of_http_is_not_ready(answer: bytes) -> None:
    with answering(answer) as port:
        assert "no HTTP status" in (ready.unready(port, "/health", ("127.0.0.1",)) or "")


def test_a_server_that_says_nothing_or_drips_is_not_ready_before_the_kubelet_loses_patience() -> (
    None
):
    for pieces in ((), (b"H", b"T", b"T", b"P", b"/", b"1", b".", b"1")):
        began = time.monotonic()
        with answering(*pieces, pause_seconds=1.0) as port:
            assert ready.unready(port, "/health", ("127.0.0.1",)) is not None
            assert time.monotonic() - began < ready.ANSWER_SECONDS + 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "ENGINE is missing: give one of vllm, "),
        (["vlm"], "ENGINE is 'vlm': give one of vllm, "),
        (["vllm", "1", "2"], "leave out 2"),
        (["vllm", "0"], "PORT is '0'"),
        (["vllm", "99999"], "PORT is '99999'"),
        (["ray"], "ray has no endpoint for a probe"),
        (["ollama"], "ollama has no endpoint for a probe"),
    ],
)
def test_what_cannot_be_asked_is_told(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ready.run(arguments) == 2
    assert words in capsys.readouterr().err
