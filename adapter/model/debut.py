"""The debut: pods that turned serving a moment ago, of which no reading can be expected yet."""

from __future__ import annotations

from collections.abc import Mapping

from adapter.model.fleet import Standing

# Two heartbeats of a sidecar and a tick: by then its first reading of a serving pod is here.
DEBUT_SECONDS = 5.0


def fold(
    debuts: Mapping[str, float],
    before: Mapping[str, Standing],
    after: Mapping[str, Standing],
    now: float,
) -> dict[str, float]:
    """Return when each pod that serves since less than `DEBUT_SECONDS` was first seen to.

    A pod that was serving when it was seen for the first time makes no debut: an adapter that has
    just started must not take silence for youth.
    """
    serving = Standing.SERVING
    kept = {
        uid: at
        for uid, at in debuts.items()
        if after.get(uid) is serving and now - at < DEBUT_SECONDS
    }
    turned = {
        uid: now
        for uid, standing in after.items()
        if standing is serving and before.get(uid, serving) is not serving
    }
    return kept | turned
