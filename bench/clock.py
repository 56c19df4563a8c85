"""The clock in the figures: a reading that says when it was taken, so that an answer tells its age.

All processes of one machine read the same monotonic clock. The KV cache's figure carries it in
hundredths of a second and comes round every ten; it stays below one percent, so that it is never
news that a sidecar would send early. The GPU's memory carries milliseconds as bytes.
"""

from __future__ import annotations

KV_TURN_SECONDS = 10.0
KV_STEPS_PER_SECOND = 100
GPU_TURN_SECONDS = 1000.0


def kv_percent(now: float) -> float:
    """Return the KV cache's figure of a reading taken now, 0 to 0.999."""
    return int(now * KV_STEPS_PER_SECOND) % 1000 / 1000


def gpu_bytes(now: float) -> int:
    """Return the GPU's used memory of a reading taken now."""
    return int(now * 1000) % 1_000_000


def kv_age_seconds(milli: int, now: float) -> float:
    """Return how long ago the reading was taken; right below ten seconds."""
    return (now - milli / KV_STEPS_PER_SECOND) % KV_TURN_SECONDS


def gpu_age_seconds(milli: int, now: float) -> float:
    """Return how long ago the reading was taken; right below a thousand seconds."""
    return (now - milli / 1e6) % GPU_TURN_SECONDS
