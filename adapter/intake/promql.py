"""The questions to Prometheus: one query per figure, answered by namespace and pod. Pure text.

Only names from our own tables and numbers go into a query; what comes from outside (namespaces of
exporters) is quoted. A tenant's page can carry any label, but not the target labels `namespace` and
`pod`, which Prometheus sets itself unless it is told to honour the page's (`honor_labels`); what
another pod's exporter says of a pod (`exported_pod`) is only taken from the exporters' namespaces.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sidecar import engines
from sidecar.names import Names, Selector
from sidecar.row import Row

BY = "by (namespace, pod)"

# What Prometheus' query language escapes in a double-quoted string (Go's rules).
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})

Wrap = Callable[[str], str]  # a selector -> the vector that is aggregated


def quoted(text: str) -> str:
    """Return the text as a string of the query language."""
    return f'"{text.translate(_ESCAPES)}"'


def level(selector: str) -> str:
    """Look at the newest sample of each series, up to Prometheus' own five minutes back."""
    return selector


def taken_at(selector: str) -> str:
    """Look at when that sample was taken, in Unix seconds of Prometheus."""
    return f"timestamp({selector})"


def within(seconds: float) -> Wrap:
    """Look at the newest sample of the last seconds alone: a gap is a gap."""
    return lambda selector: f"last_over_time({selector}[{max(1, round(seconds))}s])"


def figures(exporters: Collection[str] = ()) -> dict[str, Callable[[Wrap, str | None], str]]:
    """Return by figure how to ask for it; `exporters` are namespaces whose DCGM pages count.

    Each takes how to look at a selector, and an aggregation to use in place of its own.
    """
    gpu = _Gpu(exporters)
    return {
        "pending": _queue("sum", "llm_inference_pending_requests", lambda row: row.pending),
        "running": _queue("sum", "llm_inference_running_requests", lambda row: row.running),
        "kv_ratio": _queue(
            "avg", "llm_inference_kv_cache_utilization_ratio", lambda row: row.kv_ratio
        ),
        "busy_percent": gpu.ask("avg", "nvidia_gpu_utilization_ratio", 100, ("GPU_UTIL",), 1),
        "used_bytes": gpu.ask("sum", "nvidia_gpu_memory_used_bytes", 1, ("FB_USED",), _MIB),
        "total_bytes": gpu.ask(
            "sum", "nvidia_gpu_memory_total_bytes", 1, ("FB_USED", "FB_FREE"), _MIB
        ),
        "power_watts": gpu.ask("sum", "nvidia_gpu_power_watts", 1, ("POWER_USAGE",), 1),
    }


_MIB = 1024 * 1024
Ask = Callable[[Wrap, str | None], str]


_HOLDER = "by (exported_namespace, exported_pod)"


def _queue(agg: str, own: str, names: Callable[[Row], Names]) -> Ask:
    """Ask our sidecars' series first, then each engine's, by the names of its row."""
    rows = [names(row) for row in engines.ROWS if _is_plain(row)]
    others = (parts for row in rows for parts in row if _are_like(parts))
    alternatives = list(dict.fromkeys([(Selector(own),), *others]))

    def ask(look: Wrap, aggregation: str | None = None) -> str:
        if aggregation is None:
            selectors = [_vector(parts) for parts in alternatives]
        else:  # a time loses its name, and two series of one answer must not become the same
            selectors = [_vector((one,)) for parts in alternatives for one in parts]
        return " or ".join(f"{aggregation or agg} {BY} ({look(one)})" for one in selectors)

    return ask


def _is_plain(row: Row) -> bool:
    """Whether a sum over all series is the queue: not where ranks repeat it, or it is a guess."""
    return not row.copies and not row.own_models and row.estimate is None


def _are_like(parts: Sequence[Selector]) -> bool:
    return len({one.labels for one in parts}) == 1


def _vector(parts: Sequence[Selector]) -> str:
    """Return the selector of one name, or of several that are to be added."""
    listed = [one.name for one in parts]
    matchers = [f"{label}={quoted(value)}" for label, value in parts[0].labels]
    if len(listed) > 1:
        matchers.insert(0, f"__name__=~{quoted('|'.join(listed))}")
    name = listed[0] if len(listed) == 1 else ""
    return f"{name}{{{','.join(matchers)}}}" if matchers else name


class _Gpu:
    """Asks our sidecars' series first, then those of exporters in the given namespaces."""

    def __init__(self, exporters: Collection[str]) -> None:
        self._where = quoted("|".join(sorted(exporters))) if exporters else None

    def ask(
        self, agg: str, own: str, factor: int, fields: tuple[str, ...], dcgm_factor: int
    ) -> Ask:
        """Return how to ask for `factor` times our series, or else for the sum of DCGM's fields."""

        def ask(look: Wrap, aggregation: str | None = None) -> str:
            if aggregation is not None:  # of a time: it has no unit, and one field tells it
                ours = f"{aggregation} {BY} ({look(own)})"
                return self._or_theirs(
                    ours, f"{aggregation} {_HOLDER} ({look(self._of(fields[0]))})"
                )
            parts = (f"{agg} {_HOLDER} ({look(self._of(field))})" for field in fields)
            theirs = f"({' + '.join(parts)}) * {dcgm_factor}"
            return self._or_theirs(f"{agg} {BY} ({look(own)}) * {factor}", theirs)

        return ask

    def _or_theirs(self, ours: str, theirs: str) -> str:
        return ours if self._where is None else f"{ours} or {_renamed(theirs)}"

    def _of(self, field: str) -> str:
        # Where a tenant labels its pod `exported_pod`, and exporters tell pods' labels, Prometheus
        # moves the exporter's own out of its way: whoever holds that GPU, it is not who it says.
        own = "".join(f',exported_exported_{label}=""' for label in ("namespace", "pod"))
        return f'DCGM_FI_DEV_{field}{{namespace=~{self._where},exported_pod!=""{own}}}'


def _renamed(vector: str) -> str:
    """Move the exporter's labels of the holder to where the others have theirs."""
    for label in ("namespace", "pod"):
        vector = f'label_replace({vector}, "{label}", "$1", "exported_{label}", "(.+)")'
    return f"max {BY} ({vector})"
