"""The node agent: `forescale-sidecar agent`, one on each node, for pods without a sidecar.

It is the sidecar without a model server: its frames show all GPUs of the node, and beside them who
holds which by the kubelet's word. The adapter knows which of those pods exist, and which may be
scaled by what.
"""

from __future__ import annotations

from sidecar import __main__ as program
from sidecar import flags, wire


def run(arguments: list[str]) -> int:
    """Run the agent; return 2 for bad settings, 1 when it cannot listen."""
    return program.run(arguments, scope=wire.NODE, face=flags.AGENT)
