"""The forms of URL: every way in which the metrics APIs can be asked, well and badly.

A path has `{version}`, `{namespace}`, `{pod}` and the like in place of what each run calls
differently, and `{external}` for what the two adapters call differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

CUSTOM = "/apis/custom.metrics.k8s.io/{version}"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
INSIDE = "namespaces/{namespace}"
PODS = f"{INSIDE}/pods/*"
POD = f"{INSIDE}/pods/{{pod}}"
OBJECT = f"{INSIDE}/deployments.apps/{{workload}}"
METRIC = "llm_inference_pending_requests"


class Form(NamedTuple):
    """One request; `label` names it in the table of differences."""

    label: str
    path: str
    method: str = "GET"
    accept: str = "application/json"


# Of both versions; METRIC stands where a `!` does first.
PLACES = (
    f"{PODS}/!",
    f"{INSIDE}/pods/%2A/!",
    f"{INSIDE}/pods/%2a/!",
    f"{POD}/!",
    f"{INSIDE}/pods/unheard-of/!",
    f"{OBJECT}/!",
    f"{INSIDE}/deployments.apps/*/!",
    f"{INSIDE}/deployments.apps/unheard-of/!",
    f"{INSIDE}/replicasets.apps/{{replicas}}/!",
    f"{INSIDE}/services/{{workload}}/!",
    f"{INSIDE}/ingresses.networking.k8s.io/{{workload}}/!",
    f"{INSIDE}/nodes/{{node}}/!",
    f"{INSIDE}/metrics/!",
    f"{INSIDE}/metrics/unheard_of",
    "nodes/{node}/!",
    "nodes/unheard-of/!",
    # By names that neither RBAC nor discovery knows
    f"{INSIDE}/deployments/{{workload}}/!",
    f"{INSIDE}/pod/{{pod}}/!",
    f"{INSIDE}/Pods/{{pod}}/!",
    f"{INSIDE}/widgets/{{pod}}/!",
    f"{INSIDE}/widgets.example.com/{{pod}}/!",
    f"{INSIDE}/deployments.example.com/{{workload}}/!",
    f"{INSIDE}/namespaces/{{namespace}}/!",
    "pods/{pod}/!",
    "pods/*/!",
    "deployments.apps/{workload}/!",
    "namespaces/*/metrics/!",
    "widgets/{pod}/!",
    "widgets.example.com/{pod}/!",
    # Too short and too long
    "",
    "namespaces",
    INSIDE,
    f"{INSIDE}/pods",
    POD,
    f"{INSIDE}/!",
    f"{INSIDE}/metrics",
    f"{POD}/!/more",
    f"{INSIDE}/metrics/!/more",
    "nodes/{node}",
    "nodes/{node}/!/more",
    # With escapes: needless, double, broken
    f"{INSIDE}/p%6Fds/{{pod}}/!",
    f"{POD}/%6C{METRIC[1:]}",
    f"{INSIDE}/pods/%252A/!",
    f"{INSIDE}/pods/%2A%2A/!",
    f"{INSIDE}/pods/a%2Fb/!",
    f"{INSIDE}/pods/%00/!",
    f"{INSIDE}/pods/%ff/!",
    f"{INSIDE}/pods/%zz/!",
    f"{INSIDE}/pods/%20/!",
    f"{INSIDE}%2Fpods/{{pod}}/!",
    f"{POD}/{METRIC}%2Fmore",
    f"{POD}/unheard_of",
    f"{PODS}/unheard_of",
    f"{POD}/{METRIC.upper()}",
    f"{POD}/é",
    f"{INSIDE}/pods/./!",
    f"{INSIDE}/pods/../pods/{{pod}}/!",
    f"{INSIDE}/pods//{{pod}}/!",
    f"{INSIDE}//pods/{{pod}}/!",
    # With a slash at the end
    f"{PODS}/!/",
    f"{POD}/!/",
    f"{INSIDE}/metrics/!/",
    "nodes/{node}/!/",
)
# Of `labelSelector`; the pods have app={workload}, one of them part=one and number=7.
SELECTORS = (
    "app={workload}",
    "app=={workload}",
    "app!={workload}",
    "app in ({workload},x)",
    "app notin ({workload})",
    "part",
    "!part",
    "app={workload},part=one",
    "app={workload},app!=x",
    "number>5",
    "number<5",
    "number>x",
    "",
    " app = {workload} ",
    ",",
    "app={workload},",
    "app in {workload}",
    "app in ()",
    "=x",
    "a b",
    "app=a b",
    "app=-x",
    "-app",
    "x.io/app={workload}",
    "part&labelSelector=!part",
    "%00",
)
# Of `metricLabelSelector`; the Go library's metric has the one label stat=raw.
VIEWS = (
    "",
    "stat=raw",
    "stat==raw",
    "stat in (raw)",
    "stat in (raw,mean)",
    "stat!=mean",
    "stat notin (mean)",
    "stat",
    "!window",
    "stat=mean",
    "stat>5",
    "color=red",
    "stat=",
    ",",
    "a b",
    "a%ff",
)
FIELDS = (
    "metadata.name={pod}",
    "metadata.name=={pod}",
    "metadata.name!={pod}",
    "metadata.name!=x",
    "metadata.name=x",
    "metadata.name=*",
    "metadata.namespace={namespace}",
    "spec.nodeName=x",
    "metadata.name",
    "",
)
PARAMETERS = (
    *(f"watch={value}" for value in ("true", "1", "false", "0", "", "x")),
    *("limit=1", "limit=500", "limit=x", "limit=-1", "continue=x", "resourceVersion=0"),
    *("resourceVersion=x", "resourceVersionMatch=Exact", "timeoutSeconds=5", "timeoutSeconds=x"),
    *("timeout=5s", "timeout=x", "pretty=true", "color=red", "sendInitialEvents=true", "&&", "%zz"),
)
METHODS = ("POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
ACCEPT = (
    *("*/*", "application/json;charset=utf-8", "text/html", "application/*", "application/xml"),
    *("application/yaml", "application/vnd.kubernetes.protobuf", "?", ""),
    "application/vnd.kubernetes.protobuf, */*",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
)
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
DOCUMENTS = (
    *("/", "/api", "/apis", "/apis/", "/version", "/openapi/v2", "/openapi/v3", "/nowhere"),
    *("/livez", "/healthz", "/readyz", "/apis/apps/v1", "/apis/metrics.k8s.io/v1beta1"),
    *("/apis/custom.metrics.k8s.io", "/apis/custom.metrics.k8s.io/v1beta1"),
    *("/apis/custom.metrics.k8s.io/", "/apis/custom.metrics.k8s.io/v1beta2"),
    *("/apis/custom.metrics.k8s.io/v1", "/apis/external.metrics.k8s.io/v1beta2"),
    *("/apis/external.metrics.k8s.io", "/apis/external.metrics.k8s.io/v1beta1"),
    f"/apis/custom.metrics.k8s.io/v1/{PODS}/{METRIC}",
    f"/apis/custom.metrics.k8s.io/v1beta3/{PODS}/{METRIC}",
    f"/apis/Custom.Metrics.k8s.io/v1beta2/{PODS}/{METRIC}",
    f"/apis/custom.metrics.k8s.io//v1beta2/{PODS}/{METRIC}",
)
# Of external.metrics.k8s.io, where each adapter has metrics, and keys of their own to choose by.
OF = f"{INSIDE}/{{external}}?labelSelector={{key}}"
OUTSIDE = (
    *("namespaces", INSIDE, "{external}", "*/{external}"),
    *(f"{OF}={{value}}", f"{OF}=={{value}}", f"{OF} in ({{value}})", f"{OF}!=x", OF),
    *(f"{INSIDE}/{{external}}", f"{INSIDE}/{{external}}?labelSelector=!{{key}}"),
    *(f"{OF}=unheard-of", f"{OF}=a b", f"{OF}={{value}},{{key}}=x", f"{OF}={{value}},color!=red"),
    *(f"{OF}={{value}}&watch=true", f"{OF}={{value}}&limit=500", f"{OF}={{value}}&limit=x"),
    f"{OF}={{value}}&fieldSelector=metadata.name=x",
    f"{INSIDE}/{{external}}/?labelSelector={{key}}={{value}}",
    f"{INSIDE}/{{EXTERNAL}}?labelSelector={{key}}={{value}}",
    f"{INSIDE}/{{external}}/more?labelSelector={{key}}={{value}}",
    f"{INSIDE}/{{external}}/more/still?labelSelector={{key}}={{value}}",
    f"{INSIDE}/unheard_of?labelSelector={{key}}={{value}}",
    f"{INSIDE}/%2A?labelSelector={{key}}={{value}}",
)


def of_a_version() -> Iterator[Form]:
    """Yield the forms of custom.metrics.k8s.io, which has two versions."""
    for place in PLACES:
        yield _form(place)
    for name, values in (("label", SELECTORS), ("metricLabel", VIEWS), ("field", FIELDS)):
        for value in values:
            yield _form(f"{PODS}/!?{name}Selector={value}")
    yield from (_form(f"{OBJECT}/!?labelSelector={value}") for value in SELECTORS[:3])
    yield from (_form(f"{OBJECT}/!?metricLabelSelector={value}") for value in VIEWS[:6])
    yield from (_form(f"{POD}/!?fieldSelector={value}") for value in FIELDS)
    yield from (_form(f"{POD}/!?labelSelector={value}") for value in ("part=one", "part=two", ","))
    yield from (_form(f"{PODS}/!?{value}") for value in PARAMETERS)
    for method in METHODS:
        yield from (_form(place, method=method) for place in (f"{PODS}/!", f"{OBJECT}/!", ""))
    for accept in ACCEPT:
        yield _form(f"{PODS}/!", accept=accept)
    yield _form(f"{INSIDE}/pods/unheard-of/!", accept="text/html")


def of_none() -> Iterator[Form]:
    """Yield those of external.metrics.k8s.io, which has one version, and of discovery."""
    yield from (Form(path, path) for path in DOCUMENTS)
    for path in ("/apis", "/apis/custom.metrics.k8s.io/v1beta1"):
        yield Form(f"{path} as APIGroupDiscoveryList", path, accept=AGGREGATED)
    yield from (Form(f"external {rest}", f"{EXTERNAL}/{rest}") for rest in OUTSIDE)
    for method in METHODS:
        yield Form(f"{method} external", f"{EXTERNAL}/{OF}={{value}}", method)


def _form(place: str, *, method: str = "GET", accept: str = "application/json") -> Form:
    label = place if method == "GET" else f"{method} {place}".strip()
    if accept != "application/json":
        label += f" as {accept}"
    return Form(label, f"{CUSTOM}/{place.replace('!', METRIC, 1)}", method, accept)
