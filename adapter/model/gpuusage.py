"""GPU usage: a pod's utilisation as `nvidia.com/gpu`, the way Kubernetes counts usage of a request.

A usage is in thousandths of one GPU: a container with four GPUs at 80 percent uses `3200m` of its
request of 4, which an HPA with `averageUtilization` reads as 80 percent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from adapter.model.quantity import format_milli

GPU_RESOURCE = "nvidia.com/gpu"


def usage(
    gpus: Mapping[str, int], containers: Collection[str], milli_percent: int
) -> dict[str, str] | None:
    """Return the quantity of each of the containers; None where the pod cannot have the key.

    `gpus` are the requests of the containers that have one, `milli_percent` is the mean utilisation
    over the pod's GPUs in thousandths of a percent, as it is served. Every container gets a
    quantity, "0" without a GPU: an HPA takes a pod for missing when one of its containers lacks the
    key. While a container with a GPU is not among those that are known, none gets it: the sum would
    lie. Where several containers have GPUs, each is given the pod's mean.
    """
    if not gpus or not gpus.keys() <= set(containers):
        return None
    return {name: format_milli(_milli(gpus.get(name, 0), milli_percent)) for name in containers}


def _milli(gpus: int, milli_percent: int) -> int:
    return round(gpus * milli_percent / 100)
