"""The page of a DCGM exporter: which GPU figures it has of which pods. Pure: bytes -> figures.

Its fields are per GPU or per MIG instance; labels name the pod that holds it. Memory is in MiB,
DEV utilisation in percent, PROF activity a ratio. (NVIDIA/dcgm-exporter, render_metrics.go and
transformation/const.go of 4.5; field ids and blank values from dcgm_fields.h and dcgm_structs.h)
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from prometheus_client.samples import Sample

from sidecar import exposition
from sidecar.engines import MAX_RATIO
from sidecar.exposition import Exposition
from sidecar.wire import GpuReading

KIND = "dcgm"
PORT = 9400
PATH = "/metrics"
_MIB = 1024 * 1024

UTIL = "DCGM_FI_DEV_GPU_UTIL"
USED, FREE, RESERVED = (f"DCGM_FI_DEV_FB_{part}" for part in ("USED", "FREE", "RESERVED"))
POWER = "DCGM_FI_DEV_POWER_USAGE"
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
ENGINE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
TENSOR = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"
DRAM = "DCGM_FI_PROF_DRAM_ACTIVE"
NAMES = frozenset((UTIL, USED, FREE, RESERVED, POWER, ENERGY, ENGINE, TENSOR, DRAM))

# What DCGM has instead of a value: blank, not found, not supported, not permitted; of an int32, an
# int64 and a double. Older exporters print them as if they were figures.
_BLANK_LINE = re.compile(
    rb"^DCGM_FI_[^\n]*[ \t](?:214748363[2-5]|922337203685477579[2-5]|9\.223372036854776e\+18"
    rb"|14073748835532[89]|14073748835533[01])(?:\.0+)?[ \t\r]*$",
    re.MULTILINE,
)
_FIELD_LINE = re.compile(rb"^DCGM_FI_[^\n]*", re.MULTILINE)

# An exporter adds labels of the node and, if told to, every label of the pod: with MIG that is more
# than a page may have, and none of it is read here.
_LABELED = re.compile(rb"^(DCGM_FI_[A-Z0-9_]+)\{([^\n]*)\}([^\n}]*)$", re.MULTILINE)
_LABEL = re.compile(rb'(\w+)="((?:[^"\\\n]|\\.)*)"')

# How the labels of the holder are spelled: by default, and with --use-old-namespace.
_HOLDERS = (("namespace", "pod"), ("pod_namespace", "pod_name"))

_READ_LABELS = frozenset(
    label.encode() for label in ("UUID", "uuid", "GPU_I_ID", "vgpu", *itertools.chain(*_HOLDERS))
)
# Labels of a pod stand among the exporter's own, and whoever names them may name one as those are.
# Then nobody knows which is true: the line says no more than that somebody has this GPU.
_ONE_MEANING = {b"uuid": b"UUID", b"pod_name": b"pod", b"pod_namespace": b"namespace"}
_CONTESTED = b'contested="1"'

PodKey = tuple[str, str]  # namespace, name
Slot = tuple[str, str]  # GPU UUID, MIG instance id or ""


class Page(msgspec.Struct, frozen=True):
    """What a page said: `gpus` of each pod that holds one, in the order of their UUIDs.

    `shared` names a GPU of each pod that holds one together with others.
    `digest` changes with any field of the page; `moves` tells that one is on it that always does
    (power, energy), so that an equal digest means that nothing was read anew. `fields` is False for
    a page without DCGM's fields. `contested` counts the lines whose GPU or holder nobody knows.
    """

    gpus: Mapping[PodKey, tuple[GpuReading, ...]]
    shared: Mapping[PodKey, str]
    problems: tuple[str, ...]
    digest: bytes
    moves: bool
    fields: bool
    contested: int = 0


def read(page: bytes) -> Page:
    """Return what the page says; never raise for what it holds."""
    lines = _BLANK_LINE.sub(b"", page)
    lean = _Lean()
    found = exposition.unjudged(_LABELED.sub(lean, lines), NAMES)
    figures: dict[tuple[PodKey, Slot], _Gpu] = {}
    virtual: set[Slot] = set()
    for name, sample in _samples(found):
        slot, holder = _slot(sample.labels), _holder(sample.labels)
        if slot is None:
            continue
        if sample.labels.get("vgpu") or sample.labels.get("contested"):
            virtual.add(slot)
        if holder is not None:
            figures.setdefault((holder, slot), _Gpu()).take(name, sample.value)
    holders = Counter(slot for _, slot in figures)
    shared = virtual | {slot for slot, count in holders.items() if count > 1}
    return Page(
        gpus=_by_pod(figures),
        shared={holder: slot[0] for holder, slot in figures if slot in shared},
        problems=_problems(found, figures.values()),
        digest=hashlib.blake2b(b"\n".join(_FIELD_LINE.findall(lines)), digest_size=16).digest(),
        moves=bool(found.samples.get(POWER) or found.samples.get(ENERGY)),
        fields=bool(found.present),
        contested=lean.contested,
    )


class _Lean:
    """Returns a line with the labels alone that are read here, without a holder if contested."""

    def __init__(self) -> None:
        self.contested = 0

    def __call__(self, line: re.Match[bytes]) -> bytes:
        pairs = [(pair[1], pair[0]) for pair in _LABEL.finditer(line[2]) if pair[1] in _READ_LABELS]
        if len({_ONE_MEANING.get(name, name) for name, _ in pairs}) == len(pairs):
            return b"%b{%b}%b" % (line[1], b",".join(text for _, text in pairs), line[3])
        self.contested += line[1].decode() in NAMES
        uuids = [text for name, text in pairs if _ONE_MEANING.get(name, name) == b"UUID"]
        instances = [text for name, text in pairs if name == b"GPU_I_ID"] or [b'GPU_I_ID=""']
        slots = itertools.product(uuids, instances)
        return b"\n".join(
            b"%b{%b,%b,%b}%b" % (line[1], uuid, instance, _CONTESTED, line[3])
            for uuid, instance in slots
        )


class _Gpu:
    """What the lines of one holder's GPU say; what is wrong with one costs this GPU's figure alone.

    A GPU that several containers of its pod may use is listed once for each of them.
    """

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.lost: dict[str, str] = {}

    def take(self, name: str, value: float) -> None:
        """Take in one line."""
        why = exposition.unfit(value)
        if why is None and self.figures.get(name, value) != value:
            why = f"listed twice for one pod, as {self.figures[name]:g} and {value:g}"
        if why is None and name not in self.lost:
            self.figures[name] = value
            return
        self.figures.pop(name, None)
        self.lost.setdefault(name, why or "")

    def why(self) -> str | None:
        """Return in words what is lost."""
        return "; ".join(f"{name}: {why}" for name, why in sorted(self.lost.items())) or None


def _problems(found: Exposition, gpus: Iterable[_Gpu]) -> tuple[str, ...]:
    lost = {name: why for gpu in gpus for name, why in gpu.lost.items()}
    return tuple(f"{name}: {why}" for name, why in sorted((lost | found.bad).items()))


def _samples(found: Exposition) -> Iterable[tuple[str, Sample]]:
    for name, samples in found.samples.items():
        if name not in found.bad:
            yield from ((name, sample) for sample in samples)


def _slot(labels: Mapping[str, str]) -> Slot | None:
    uuid = labels.get("UUID") or labels.get("uuid")
    return (uuid, labels.get("GPU_I_ID", "")) if uuid else None


def _holder(labels: Mapping[str, str]) -> PodKey | None:
    """Return the pod that holds the GPU; None for one that nobody holds."""
    for namespace, pod in _HOLDERS:
        if pod in labels:
            return (labels.get(namespace, ""), labels[pod]) if labels[pod] else None
    return None


def _by_pod(
    figures: Mapping[tuple[PodKey, Slot], _Gpu],
) -> dict[PodKey, tuple[GpuReading, ...]]:
    out: dict[PodKey, list[GpuReading]] = {}
    for holder, slot in sorted(figures):
        out.setdefault(holder, []).append(_gpu(slot, figures[holder, slot]))
    return {holder: tuple(gpus) for holder, gpus in out.items()}


def _gpu(slot: Slot, found: _Gpu) -> GpuReading:
    """Return one GPU's figures; a MIG instance has its own memory and activity, but no power."""
    (uuid, instance), figures = slot, found.figures
    busy = figures.get(UTIL) if not instance else None
    used, free = figures.get(USED), figures.get(FREE)
    total = None if used is None or free is None else used + free + figures.get(RESERVED, 0.0)
    return GpuReading(
        uuid=f"{uuid}/{instance}" if instance else uuid,
        busy_percent=_percent(figures.get(ENGINE)) if busy is None else busy,
        memory_used_bytes=_bytes(used),
        memory_total_bytes=_bytes(total),
        power_watts=None if instance else figures.get(POWER),
        tensor_percent=_percent(figures.get(TENSOR)),
        dram_percent=_percent(figures.get(DRAM)),
        why=found.why(),
    )


def _percent(ratio: float | None) -> float | None:
    """Return percent; a little over 1 is rounding, more is left to whoever knows the ceilings."""
    if ratio is None:
        return None
    return 100.0 if 1.0 < ratio <= MAX_RATIO else 100.0 * ratio


def _bytes(mib: float | None) -> int | None:
    return None if mib is None else round(mib * _MIB)
