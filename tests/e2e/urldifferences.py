"""The forms of URL that we answer otherwise than the Go library's own adapter, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.e2e.urlforms import INSIDE, METRIC, OBJECT, OF, POD, PODS

BAD, MISSING, NOT_GET = "400 BadRequest", "404 NotFound", "405 MethodNotAllowed"
UNKNOWN, REFUSED = "500", "406 NotAcceptable"
NONE = "200 MetricValueList custom.metrics.k8s.io/{version}"
ONE = f"{NONE}; v1 Pod {{pod}} in {{namespace}}"
BOTH = f"{NONE}; v1 Pod {{other}} in {{namespace}}; v1 Pod {{pod}} in {{namespace}}"
THE_OBJECT = f"{NONE}; apps/v1 Deployment llm in {{namespace}}"
NODE = f"{NONE}; v1 Node {{node}}"
NO_ITEM = "200 ExternalMetricValueList external.metrics.k8s.io/v1beta1"
ITEM = f"{NO_ITEM}; an item"


class Difference(NamedTuple):
    """Answers to some forms, by their labels."""

    why: str
    ours: str
    theirs: str
    labels: tuple[str, ...]


TABLE = (
    Difference(
        "A node is in no namespace, whoever asks within one",
        NODE,
        f"{NODE} in {{namespace}}",
        (f"{INSIDE}/nodes/{{node}}/!",),
    ),
    Difference(
        "A resource has the one name of discovery and of RBAC, or rights to it could be slipped by",
        MISSING,
        THE_OBJECT,
        (f"{INSIDE}/deployments/{{workload}}/!",),
    ),
    Difference(
        "The same; and an escaped slash is part of a name, not of the path",
        MISSING,
        ONE,
        (
            f"{INSIDE}/pod/{{pod}}/!",
            f"{INSIDE}/Pods/{{pod}}/!",
            f"{INSIDE}%2Fpods/{{pod}}/!",
        ),
    ),
    Difference(
        "A kind that nobody knows is not found, and no fault of ours",
        MISSING,
        UNKNOWN,
        (
            f"{INSIDE}/widgets/{{pod}}/!",
            f"{INSIDE}/widgets.example.com/{{pod}}/!",
            f"{INSIDE}/deployments.example.com/{{workload}}/!",
            "widgets/{pod}/!",
            "widgets.example.com/{pod}/!",
        ),
    ),
    Difference(
        "An unknown metric is not found, and a whole cluster's pods have no list: told in words",
        MISSING,
        NONE,
        (f"{PODS}/unheard_of", "pods/*/!"),
    ),
    Difference(
        "A path that is too short is a path that nothing is served at",
        MISSING,
        BAD,
        (f"{INSIDE}/pods", f"{INSIDE}/!", f"{INSIDE}/metrics"),
    ),
    Difference(
        "So is one that is too long: the Go library does not look at its end",
        MISSING,
        f"{NONE}; v1 Namespace {{namespace}}",
        (f"{INSIDE}/metrics/!/more",),
    ),
    Difference(
        "A broken escape stands for itself, and every error is a Status",
        MISSING,
        "400 plain",
        (f"{INSIDE}/pods/%zz/!",),
    ),
    Difference(
        "The metric selector chooses one view of a metric, not among metrics by their labels",
        BAD,
        BOTH,
        tuple(
            f"{PODS}/!?metricLabelSelector={view}"
            for view in ("stat in (raw,mean)", "stat notin (mean)", "stat", "!window")
        ),
    ),
    Difference(
        "The same of an object; and an object is asked for by its name, not by labels",
        BAD,
        THE_OBJECT,
        (
            f"{OBJECT}/!?metricLabelSelector=stat in (raw,mean)",
            f"{OBJECT}/!?labelSelector=app={{workload}}",
            f"{OBJECT}/!?labelSelector=app=={{workload}}",
            f"{OBJECT}/!?labelSelector=app!={{workload}}",
        ),
    ),
    Difference(
        "An unknown choice is told what there is, where an empty list says nothing",
        BAD,
        NONE,
        tuple(f"{PODS}/!?metricLabelSelector={view}" for view in ("stat>5", "color=red", "stat=")),
    ),
    Difference(
        "This view exists with us",
        BOTH,
        NONE,
        (f"{PODS}/!?metricLabelSelector=stat=mean",),
    ),
    Difference(
        "A selector that cannot be read is the caller's fault, not the server's",
        BAD,
        UNKNOWN,
        (
            f"{PODS}/!?metricLabelSelector=stat!=mean",
            f"{PODS}/!?metricLabelSelector=,",
            f"{PODS}/!?metricLabelSelector=a b",
            f"{PODS}/!?metricLabelSelector=a%ff",
            f"{OBJECT}/!?metricLabelSelector=stat!=mean",
        ),
    ),
    Difference(
        "A selector ends where the text does, not at a NUL",
        BAD,
        BOTH,
        (f"{PODS}/!?labelSelector=%00",),
    ),
    Difference(
        "The selector counts where a pod is named, too",
        MISSING,
        ONE,
        (f"{POD}/!?labelSelector=part=two",),
    ),
    Difference(
        "Who asks to watch would wait for ever for what never comes",
        NOT_GET,
        BOTH,
        tuple(f"{PODS}/!?watch={value}" for value in ("true", "1", "", "x")),
    ),
    Difference(
        "A parameter that changes nothing is not looked at",
        BOTH,
        BAD,
        tuple(f"{PODS}/!?{value}" for value in ("limit=x", "timeoutSeconds=x", "timeout=x")),
    ),
    Difference(
        "The same of an external metric",
        ITEM,
        BAD,
        (f"external {OF}={{value}}&limit=x",),
    ),
    Difference(
        "A method that HTTP does not know ends in the parser of requests",
        BAD,
        NOT_GET,
        (f"BREW {PODS}/!", f"BREW {OBJECT}/!", "BREW", "BREW external"),
    ),
    Difference(
        "Whatever is accepted, JSON is the answer: clients go by its Content-Type",
        BOTH,
        REFUSED,
        tuple(
            f"{PODS}/! as {accept}"
            for accept in (
                *("text/html", "application/*", "application/xml", "?"),
                "application/json;as=Table;v=v1;g=meta.k8s.io",
            )
        ),
    ),
    Difference("The same", BOTH, "200 yaml", (f"{PODS}/! as application/yaml",)),
    Difference(
        "The same",
        BOTH,
        "200 vnd.kubernetes.protobuf",
        (
            f"{PODS}/! as application/vnd.kubernetes.protobuf",
            f"{PODS}/! as application/vnd.kubernetes.protobuf, */*",
        ),
    ),
    Difference(
        "The same of an error", MISSING, REFUSED, (f"{INSIDE}/pods/unheard-of/! as text/html",)
    ),
    Difference(
        "The aggregator falls back to the plain documents, which cannot contradict themselves",
        "200 APIGroupList v1",
        "200 APIGroupDiscoveryList apidiscovery.k8s.io/v2",
        ("/apis as APIGroupDiscoveryList",),
    ),
    Difference(
        "The same",
        "200 APIResourceList v1",
        REFUSED,
        ("/apis/custom.metrics.k8s.io/v1beta1 as APIGroupDiscoveryList",),
    ),
    Difference(
        "An APIGroupList of ours says its version",
        "200 APIGroupList v1",
        "200 APIGroupList",
        ("/apis", "/apis/"),
    ),
    Difference(
        "kube-apiserver answers these itself and never asks",
        MISSING,
        "200 JSON",
        ("/", "/version"),
    ),
    Difference(
        "Every error is a Status; theirs here is a list of paths",
        MISSING,
        "404 JSON",
        (
            *("/api", "/nowhere", "/apis/apps/v1", "/apis/metrics.k8s.io/v1beta1"),
            f"/apis/Custom.Metrics.k8s.io/v1beta2/{PODS}/{METRIC}",
        ),
    ),
    Difference(
        "An external metric is of one workload, which has to be named: an HPA would add up several",
        BAD,
        f"{ITEM}; an item",
        (f"external {OF}!=x", f"external {OF}", f"external {INSIDE}/{{external}}"),
    ),
    Difference(
        "The same",
        BAD,
        NO_ITEM,
        (
            f"external {INSIDE}/{{external}}?labelSelector=!{{key}}",
            f"external {OF}={{value}},{{key}}=x",
        ),
    ),
    Difference("The same", BAD, ITEM, (f"external {OF}={{value}},color!=red",)),
    Difference(
        "An unknown metric or workload is not found, where an empty list says nothing",
        MISSING,
        NO_ITEM,
        (
            f"external {OF}=unheard-of",
            f"external {INSIDE}/unheard_of?labelSelector={{key}}={{value}}",
            f"external {INSIDE}/%2A?labelSelector={{key}}={{value}}",
        ),
    ),
    Difference(
        "client-go writes external names in small letters, manifests need not",
        ITEM,
        NO_ITEM,
        (f"external {INSIDE}/{{EXTERNAL}}?labelSelector={{key}}={{value}}",),
    ),
)


def rows() -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each form's label, with our answer and theirs."""
    for one in TABLE:
        yield from ((label, (one.ours, one.theirs)) for label in one.labels)
