"""The settings tree: every field with its default, and why that default.

One field has three spellings: `intake.allowLoopback` in the YAML file, `--intake-allow-loopback`
as a flag, `FORESCALE_ADAPTER_INTAKE_ALLOW_LOOPBACK` in the environment. Durations are seconds
inside and `15s`, `500ms`, `2m` or a plain number of seconds outside. load.py reads
them, consistency.py checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

# A source with a longer period would count as fresh for longer than any HPA should trust it.
LONGEST_PERIOD_SECONDS = 60.0
ANY_PRODUCT = "default"  # the key of a price that stands for all that are not named

_Money = Annotated[float, msgspec.Meta(extra_json_schema={"minimum": 0})]


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The aggregated API, for kube-apiserver."""

    host: str = "::"
    """Address to listen on; `::` takes IPv4 too."""
    port: int = 10250
    """Private control planes are allowed to reach 443 and 10250 on nodes and pods, nothing else."""
    service: str = "forescale"
    """Name of the Service in front; the certificate and the APIServices name it."""
    namespace: str = "forescale-system"
    """Namespace of that Service and of the CA's Secret."""
    stall_seconds: float = 5.0
    """A Snapshot older than this is not answered from: ten ticks without one is a broken loop."""
    object_kinds: str = ""
    """Kinds beside the built-in ones, as PLURAL.VERSION.GROUP=KIND, with commas: they own pods, or
    choose them by labels (`:selector` behind it); `:cluster` where they are in no namespace."""


class Ops(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Probes and the adapter's own metrics, in plain HTTP."""

    host: str = "::"
    """Address to listen on; `::` takes IPv4 too."""
    port: int = 8080
    """Apart from the API, so that a scrape needs no client certificate."""


class Intake(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How sidecars and model servers' pages are read."""

    allow_loopback: bool = False
    """A pod never has a loopback or link-local address; the demo's do."""
    connect_seconds: float = 2.0
    """Pods are one hop away; a longer connect is a dead one."""
    silence_seconds: float = 6.0
    """The stream is opened anew after that; a sidecar with longer heartbeats is given three."""
    first_try_seconds: float = 15.0
    """How long readiness waits at start for streams that do not answer."""
    exporter_period_seconds: float = 30.0
    """How often a DCGM exporter collects (its DCGM_EXPORTER_INTERVAL); ages are counted in it."""
    scrape_period_seconds: float = 5.0
    """Between two scrapes of a pod, a third of an HPA sync: 200 vLLM pods cost 0.15 of a core."""
    scrape_seconds: float = 3.0
    """For one whole scrape: an overloaded model server may be late; below the period."""
    scrape_host_network: bool = False
    """Scrape pods with hostNetwork too: at a node's address any of its processes may answer."""
    node_sources: str = ""
    """`namespace/serviceaccount` of agents and exporters that may speak for a node, by commas."""


class ObjectQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One metric of objects that is a query; each series of the answer is the value of one object.

    An empty `namespace` is read from the label `namespace` of a series, an empty `name` from the
    label that is the kind in small letters, such as `deployment`.
    """

    metric: str
    query: str
    kind: str = "Deployment"
    namespace: str = ""
    name: str = ""


class Prometheus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A Prometheus as a source: the past of windows at the start, and pods that ask for it."""

    url: str = ""
    """Such as http://prometheus.monitoring.svc:9090; empty means that none is asked."""
    period_seconds: float = 15.0
    """Its scrape interval: it is asked this often, and ages are counted in it."""
    seconds: float = 5.0
    """For one query; a Prometheus that is busy or gone must not hold up the next."""
    ca_file: str = ""
    """PEM file of the authority to trust for https; empty means the system's."""
    token_file: str = ""
    """File with a bearer token, read anew for each query."""
    objects: tuple[ObjectQuery, ...] = ()
    """Metrics of objects that are queries: metric, query, kind, namespace, name (docs/zero.md)."""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What becomes of readings."""

    tick_seconds: float = 0.5
    """Half the sidecar's engine tick: the age it adds is at most that."""
    hold_seconds: float = 60.0
    """Four HPA syncs: a sidecar's restart is bridged, a dead one is found out."""


class ApiServices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Registration with kube-apiserver."""

    manage: bool = True
    """Create custom.metrics.k8s.io and keep its caBundle right."""
    takeover: bool = False
    """Replace another adapter's APIService; off, since that breaks every HPA that relies on it."""


class Behind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A metrics API that stands behind this one; without a url there is none.

    Without a caFile it is verified by this adapter's CA, which then issues it a certificate.
    """

    url: str = ""
    """Where it answers, as https://NAME.NAMESPACE.svc; empty: there is none."""
    name: str = ""
    """The name in its certificate, where that is not the host of the url."""
    ca_file: str = ""
    """PEM of the CAs that its certificate is verified by; empty: this adapter's own CA."""
    secret: str = ""
    """NAMESPACE/NAME of the Secret into which this adapter writes a certificate for it."""
    insecure_upstream: bool = False
    """Do not verify its certificate: whoever stands in the way then gets this adapter's token."""
    deadline_seconds: float = 5.0
    """An HPA's worker waits for that long at most; its other HPAs wait with it."""

    @property
    def tls_name(self) -> str:
        """The name that its certificate must have."""
        return self.name or urlsplit(self.url).hostname or ""


class External(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """external.metrics.k8s.io."""

    enabled: bool = False
    """Register it, if nobody else has; off, since KEDA needs the group and there is one only."""


class Keda(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """KEDA's external scaler, in gRPC (docs/migrate.md)."""

    enabled: bool = False
    """Serve it; needs grpcio, which is the extra `keda`."""
    host: str = "::"
    """Address to listen on; `::` takes IPv4 too."""
    port: int = 9402
    """Apart from the API, since KEDA comes as a client of its own and not by kube-apiserver."""
    tls_folder: str = ""
    """Folder with tls.crt, tls.key and the callers' ca.crt, watched; empty: open to all."""


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The serving certificate."""

    secret: str = "forescale-ca"  # noqa: S105 - the name of an object
    """Secret in api.namespace that holds the self-issued CA; the first replica creates it."""
    ca_days: float = 3650.0
    """Life of that CA; it is replaced at two thirds of it."""
    leaf_days: float = 30.0
    """Life of a replica's own certificate; it is renewed at two thirds of it."""
    folder: str = ""
    """Folder with tls.crt, tls.key and ca.crt to serve, watched; empty: self-issued ones."""


class ColdStart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What was learnt of cold starts and demands, and totals, kept over restarts of all."""

    checkpoint: bool = True
    """Keep it in ConfigMaps of api.namespace; off: after a start, living pods alone tell."""
    period_seconds: float = 300.0
    """Between two writes, of what has changed alone; by one replica, which holds a Lease."""
    folder: str = ""
    """Directory to keep it in; with standalone alone, where there are no ConfigMaps."""


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Of one GPU for an hour; without `spot` a spot node costs as much as another."""

    on_demand: _Money
    spot: _Money | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a figure that is no price."""
        given = {"onDemand": self.on_demand, "spot": self.spot}
        wrong = [f"{k} is {v:g}" for k, v in given.items() if v is not None and not 0 <= v < inf]
        if wrong:
            raise ValueError(f"{' and '.join(wrong)}: write a price of 0 or more")


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What GPUs cost the user; a file of `forescale cost --prices` is one of these."""

    per_gpu_hour: Mapping[str, Price] = {}
    """By the node's label nvidia.com/gpu.product, {onDemand: 4.1, spot: 1.6}; `default` is that of
    all others. Empty: no money is shown anywhere (docs/cost.md)."""
    currency: str = ""
    """Stands behind sums; only shown."""

    def of(self, product: str | None, *, spot: bool | None) -> float | None:
        """Return what an hour of one GPU costs, None where no price is given for it."""
        price = self.per_gpu_hour.get(product or ANY_PRODUCT, self.per_gpu_hour.get(ANY_PRODUCT))
        if price is None:
            return None
        return price.on_demand if not spot or price.spot is None else price.spot


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What GPU-hours cost, and which of them are the night's."""

    prices: Prices = Prices()
    night: str = "22-6"
    """Whole hours of UTC, FROM-TO: what the minimum of replicas costs while nobody asks."""


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Logging: JSON lines on standard error, plain text on a terminal."""

    level: str = "info"
    """One of debug, info, warning, error."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Everything that can be set."""

    api: Api = Api()
    ops: Ops = Ops()
    intake: Intake = Intake()
    prometheus: Prometheus = Prometheus()
    model: Model = Model()
    api_services: ApiServices = ApiServices()
    external: External = External()
    keda: Keda = Keda()
    tls: Tls = Tls()
    resource_metrics: Behind = Behind()
    fallthrough: Behind = Behind()
    cold_start: ColdStart = ColdStart()
    cost: Tariff = Tariff()
    log: Log = Log()
    kubeconfig: str = ""
    """Path of a kubeconfig; empty means the pod's own service account."""
    standalone: str = ""
    """Directory of Pod YAML or JSON files instead of a kube-apiserver; needs api.host 127.0.0.1."""


# What a changed file takes effect on while the adapter runs; the rest needs a start. Of intake.* it
# is the streams opened from then on.
LIVE = ("intake.", "model.", "log.", "cost.", "prometheus.objects")


# Texts that hold several terms, with commas between them.
LISTED = ("intake.nodeSources", "api.objectKinds")


def accounts(text: str) -> frozenset[tuple[str, str]]:
    """Return the (namespace, service account) pairs of `intake.nodeSources`."""
    parts = [part.strip().split("/") for part in text.split(",") if part.strip()]
    return frozenset((part[0], part[1]) for part in parts if len(part) == 2)  # noqa: PLR2004
