"""The holding: what the API server says of the GPUs that a pod holds."""

from __future__ import annotations

import msgspec


class Holding(msgspec.Struct, frozen=True):
    """One pod's GPUs by its own status and objects; tenants cannot write what stands here.

    `ids` are device ids in any spelling of `sidecar.deviceid`; with `how` None they are not known,
    and `why` says what is missing. `sharing` says in words that other pods may use the same GPUs,
    None where nothing says so.
    """

    ids: tuple[str, ...] = ()
    how: str | None = None
    why: str | None = None
    requested: int = 0  # nvidia.com/gpu over all containers of the pod
    of_container: int = 0  # and of the container that serves the model
    capacity: int | None = None  # nvidia.com/gpu of its node, None where that is not known
    sharing: str | None = None
    sharing_allowed: bool = False  # by the pod's annotation forescale.dev/shared-gpu: allow
    claims: tuple[str, ...] = ()  # its ResourceClaims, by name


NOTHING = Holding()


class Node(msgspec.Struct, frozen=True):
    """What a node says of its GPUs; None where it does not say it."""

    sharing: str | None = None  # the strategy's name
    capacity: int | None = None
    product: str | None = None  # by GPU feature discovery
    created_at: float | None = None  # Unix seconds
    takes_pods: bool = True  # it is neither cordoned, nor dead, nor about to go
    spot: bool = False  # its provider may take it away at any time, and it costs less
