"""The NVML child: a program that reads every GPU when asked.

`python -m sidecar.child` says one `Hello`, then answers each `Ask` on stdin with an `Answer` on
stdout. It is a process of its own because a driver call can hang for ever or crash, and neither
can be undone inside a process. NVML is initialised once; end of input or SIGTERM releases it.
Every pod pays for its memory, so it speaks plain dictionaries and the standard library's JSON:
the shapes are those of `sidecar.pipe`, which would load 9 MiB here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from types import FrameType

from sidecar import nvml
from sidecar.reader import Message, Reader

# A driver call that is under way when the child must go; longer, and it counts as hanging.
LEAVE_SECONDS = 0.3


def start() -> tuple[Message, Reader | None]:
    """Initialise NVML and attach to the GPUs; a problem says why there are none here.

    Attaching to idle GPUs takes seconds each: it belongs to the start, which has time for it.
    """
    try:
        nvml.init()
    except nvml.Error as error:
        return {"problem": nvml.problem_of("nvmlInit", error)}, None
    reader = Reader()
    problem = reader.find(time.monotonic())
    if problem:
        nvml.shutdown()
        return {"problem": problem}, None
    with contextlib.suppress(nvml.Error):
        return {"driver": nvml.driver()}, reader
    return {}, reader


def work(requests: queue.SimpleQueue[bytes | None], pipe: int) -> None:
    """Answer requests until None comes, then release NVML; leave at once on a whole problem."""
    hello, reader = start()
    _send(pipe, hello)
    if reader is None:
        os._exit(0)
    while (line := requests.get()) is not None:
        answer = reader.read(time.monotonic())
        _send(pipe, answer | {"id": json.loads(line)["id"]})
        if "problem" in answer:
            os._exit(0)
    reader.close()
    nvml.shutdown()


def _work_or_end(requests: queue.SimpleQueue[bytes | None], pipe: int) -> None:
    try:
        work(requests, pipe)
    except BaseException:  # noqa: BLE001 - without its worker the child would only look alive
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def _send(pipe: int, message: Message) -> None:
    left = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    try:
        while left:  # a pipe holds 64 KiB: the rest waits for the owner
            left = left[os.write(pipe, left) :]
    except BrokenPipeError:
        os._exit(0)  # the owner is gone


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit


def main() -> None:
    """Run the child: this thread hears stdin and signals, another makes every NVML call."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the owner acts
    pipe = os.dup(1)
    os.dup2(2, 1)  # whatever a driver library prints must not stand between the answers
    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    worker = threading.Thread(target=_work_or_end, args=(requests, pipe), daemon=True)
    worker.start()
    with contextlib.suppress(SystemExit):
        for line in sys.stdin.buffer:
            requests.put(line)
    requests.put(None)
    worker.join(LEAVE_SECONDS)
    os._exit(0)  # a thread that hangs in the driver cannot be ended any other way


if __name__ == "__main__":
    main()
