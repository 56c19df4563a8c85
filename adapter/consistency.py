"""The consistency: what is wrong with settings as a whole, one sentence each with the fix."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from adapter import night
from adapter.listen import is_loopback
from adapter.model.owners import Owners
from adapter.model.target import SERVED
from adapter.settings import LONGEST_PERIOD_SECONDS, Behind, Intake, Prometheus, Settings

DAY_SECONDS = 86_400.0
_ACCOUNT = re.compile(r"\s*[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?\s*")
_SECRET = re.compile(r"[a-z0-9.-]+/[a-z0-9.-]+")
# As in the path of an external metric, which clients write in small letters.
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,62}")
_OBJECT_KIND = re.compile(
    r"[a-z0-9-]+\.v[a-z0-9]+\.[a-z0-9-]+(\.[a-z0-9-]+)*=[A-Z][A-Za-z0-9]*(:selector)?(:cluster)?"
)


def problems(settings: Settings) -> list[str]:
    """Return one sentence per setting that cannot work, with the fix; empty when all can."""
    found = [*_port_problems(settings), *_duration_problems(settings), *_kind_problems(settings)]
    found += _account_problems(settings.intake.node_sources)
    if settings.log.level not in ("debug", "info", "warning", "error"):
        found.append(f"log.level is `{settings.log.level}`: use debug, info, warning or error")
    for key, behind in (
        ("resourceMetrics", settings.resource_metrics),
        ("fallthrough", settings.fallthrough),
    ):
        found += _behind_problems(key, behind)
        if settings.tls.folder and behind.secret:
            found.append(f"{key}.secret needs a CA of ours, and tls.folder has none: use caFile")
    if settings.standalone and settings.kubeconfig:
        found.append("standalone and kubeconfig are both set: pods come from one of them")
    if settings.standalone and not is_loopback(settings.api.host):
        found.append(
            f"standalone needs api.host 127.0.0.1, and it is `{settings.api.host}`: without a"
            " kube-apiserver nobody is authenticated"
        )
    found += _scrape_problems(settings.intake) + _prometheus_problems(settings.prometheus)
    found += _query_problems(settings)
    found += _cold_start_problems(settings) + _night_problems(settings.cost.night)
    if settings.model.hold_seconds < 2 * settings.model.tick_seconds:
        found.append("model.holdSeconds is below two ticks: nothing could ever be held; raise it")
    return found


def _night_problems(text: str) -> list[str]:
    try:
        night.parse(text)
    except ValueError as error:
        return [f"cost.night: {error}"]
    return []


def _cold_start_problems(settings: Settings) -> list[str]:
    found, period = [], settings.cold_start.period_seconds
    if not 5 <= period <= DAY_SECONDS:  # noqa: PLR2004 - said in the text
        found.append(
            f"coldStart.periodSeconds is {period:g}: use 5 s, since each is a write to the API"
            " server, to a day"
        )
    if settings.cold_start.folder and not settings.standalone:
        found.append(
            "coldStart.folder is set without standalone: of several replicas each would write over"
            " the others' files; unset it, ConfigMaps keep it where there is a cluster"
        )
    return found


def _account_problems(text: str) -> list[str]:
    wrong = [part for part in text.split(",") if part.strip() and not _ACCOUNT.fullmatch(part)]
    return [f"intake.nodeSources has `{w}`: write namespace/serviceaccount" for w in wrong]


def _behind_problems(key: str, behind: Behind) -> list[str]:
    if not behind.url:
        return []
    found = []
    if urlsplit(behind.url).scheme != "https" or not urlsplit(behind.url).hostname:
        found.append(f"{key}.url is `{behind.url}`: write https://NAME.NAMESPACE.svc")
    if behind.ca_file and behind.insecure_upstream:
        found.append(f"{key}.caFile and {key}.insecureUpstream are both set: choose one of them")
    if behind.secret and not _SECRET.fullmatch(behind.secret):
        found.append(f"{key}.secret is `{behind.secret}`: write NAMESPACE/NAME")
    return found


def unverified(settings: Settings) -> Iterator[str]:
    """Yield one sentence for each API behind this one that no CA was named for."""
    behind = {"resourceMetrics": settings.resource_metrics, "fallthrough": settings.fallthrough}
    for key, one in behind.items():
        if one.url and not (one.ca_file or one.secret or one.insecure_upstream):
            yield (
                f"{key}.url is set without {key}.caFile, {key}.secret or {key}.insecureUpstream:"
                f" {one.url} is asked only where its certificate is of this adapter's CA; set one"
                " of them"
            )


def _kind_problems(settings: Settings) -> list[str]:
    terms = filter(None, map(str.strip, settings.api.object_kinds.split(",")))
    return [
        f"api.objectKinds has `{term}`: write PLURAL.VERSION.GROUP=KIND, such as"
        " inferenceservices.v1beta1.serving.kserve.io=InferenceService, with `:selector` behind it"
        " where it chooses pods by labels, and then `:cluster` where it is in no namespace"
        for term in terms
        if not _OBJECT_KIND.fullmatch(term)
    ]


def _port_problems(settings: Settings) -> list[str]:
    ports = {"api.port": settings.api.port, "ops.port": settings.ops.port}
    if settings.keda.enabled:
        ports["keda.port"] = settings.keda.port
    found = [
        f"{name} is {port}: use 0 (any free port) to 65535"
        for name, port in ports.items()
        if not 0 <= port <= 65535  # noqa: PLR2004 - the width of a port
    ]
    for (one, port), (other, same) in itertools.combinations(ports.items(), 2):
        if port == same != 0:
            found.append(f"{one} and {other} are both {port}: give them two ports")
    return found


def _scrape_problems(intake: Intake) -> list[str]:
    periods = {
        "intake.scrapePeriodSeconds": intake.scrape_period_seconds,
        "intake.exporterPeriodSeconds": intake.exporter_period_seconds,
    }
    found = [
        f"{name} is {value:g}: use 1 s, since that is work for every pod, to 60 s, since an older"
        " reading is none to scale on"
        for name, value in periods.items()
        if not 1 <= value <= LONGEST_PERIOD_SECONDS
    ]
    if intake.scrape_seconds > intake.scrape_period_seconds:
        found.append(
            "intake.scrapeSeconds is above intake.scrapePeriodSeconds: a scrape must end before"
            " the next begins; lower it"
        )
    return found


def _prometheus_problems(prometheus: Prometheus) -> list[str]:
    found = []
    if prometheus.url and not re.fullmatch(r"https?://[^/\s@?#]+(/[^\s?#]*)?", prometheus.url):
        found.append(
            f"prometheus.url is `{prometheus.url}`: write http://host:9090, without a user"
        )
    if prometheus.period_seconds > LONGEST_PERIOD_SECONDS:
        found.append(
            f"prometheus.periodSeconds is {prometheus.period_seconds:g}: beyond"
            f" {LONGEST_PERIOD_SECONDS:g} s a reading is too old to scale on"
        )
    return found


def _query_problems(settings: Settings) -> list[str]:
    objects, known = settings.prometheus.objects, _known_kinds(settings)
    found = []
    if objects and not settings.prometheus.url:
        found.append("prometheus.objects is set and prometheus.url is not: say whom to ask")
    for number, one in enumerate(objects):
        key = f"prometheus.objects[{number}]"
        if not _METRIC.fullmatch(one.metric):
            found.append(f"{key}.metric is `{one.metric}`: write small letters, digits and _")
        if one.metric in SERVED:
            found.append(
                f"{key}.metric is `{one.metric}`, which is served already: take another name"
            )
        if known is not None and known.named(one.kind) is None:
            names = ", ".join(known.names())
            found.append(f"{key}.kind is `{one.kind}`: use {names}, or add it to api.objectKinds")
        if not one.query.strip():
            found.append(f"{key}.query is empty: write a query of PromQL")
        same = (one.metric, one.kind, one.namespace, one.name)
        if same in [(o.metric, o.kind, o.namespace, o.name) for o in objects[:number]]:
            found.append(f"{key} is of the same objects as one before: one query has to answer")
    return found


def _known_kinds(settings: Settings) -> Owners | None:
    """Return the kinds that are served; None where their setting is wrong, which is told."""
    return None if _kind_problems(settings) else Owners.of(settings.api.object_kinds)


def _duration_problems(settings: Settings) -> list[str]:
    durations = {
        "api.stallSeconds": settings.api.stall_seconds,
        "intake.connectSeconds": settings.intake.connect_seconds,
        "intake.silenceSeconds": settings.intake.silence_seconds,
        "intake.firstTrySeconds": settings.intake.first_try_seconds,
        "intake.scrapeSeconds": settings.intake.scrape_seconds,
        "prometheus.periodSeconds": settings.prometheus.period_seconds,
        "prometheus.seconds": settings.prometheus.seconds,
        "model.tickSeconds": settings.model.tick_seconds,
        "model.holdSeconds": settings.model.hold_seconds,
        "tls.caDays": settings.tls.ca_days,
        "tls.leafDays": settings.tls.leaf_days,
        "resourceMetrics.deadlineSeconds": settings.resource_metrics.deadline_seconds,
        "fallthrough.deadlineSeconds": settings.fallthrough.deadline_seconds,
    }
    return [
        f"{name} is {value:g}: it must be above 0"
        for name, value in durations.items()
        if not value > 0
    ]
