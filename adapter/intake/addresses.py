"""The addresses: which of them are two pods' at once, by the API server's word.

A node that comes up again gives its pods new addresses, and their statuses follow one by one;
those of a node that is lost stay as they were, and its addresses go to others. A sidecar names its
pod; a page does not, so whoever scrapes it must know that it is nobody else's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from adapter.intake.capped import url
from adapter.model.fleet import Pod, Standing

SHARED = (
    "another pod has its address too, by the API server's word, so whose page answers there cannot"
    " be known: this ends when one of them is gone or has a new address"
)


def shared(pods: Collection[Pod]) -> frozenset[str]:
    """Return the UIDs of the pods whose address, or a page of whose, is another pod's too.

    Neither of the two is right for sure, the later one neither: after a node has come up again a
    new address says nothing of a pod's age. Pods at their node's address share it by design.
    """
    seen = Counter(pod.ip for pod in pods if not pod.host_network)  # of 10,000 pods 2 ms
    doubtful = [pod for pod in pods if seen[pod.ip] > 1 and _has_its_own(pod)]
    claims = {pod.uid: tuple(_claims(pod)) for pod in doubtful}
    counts = Counter(claim for each in claims.values() for claim in each)
    twice = {claim for claim, count in counts.items() if count > 1}
    return frozenset(uid for uid, each in claims.items() if not twice.isdisjoint(each))


def _has_its_own(pod: Pod) -> bool:
    return pod.ip is not None and not pod.host_network and pod.standing() is not Standing.ENDED


def _claims(pod: Pod) -> Iterator[str]:
    """Yield what must be this pod's alone: the whole address, on loopback each page there.

    Pods of one machine, as for trying things out, have one address and ports of their own.
    """
    ip = pod.ip or ""
    if ip.startswith("127.") or ip == "::1":
        yield from {url(ip, page.port, page.path) for page in pod.pages}
    else:
        yield ip
