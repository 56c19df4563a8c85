"""The command lines of the control plane's components, and the files they read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane import netns
from tests.controlplane.pki import Pair, Pki

FIRST_SERVICE = "10.77.0.1"
ISSUER = "https://kubernetes.default.svc.cluster.local"
SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
SERVER_ADDRESSES = ("127.0.0.1", netns.APISERVER, FIRST_SERVICE)

# No kubelet renews leases, no cloud hands out routes or volumes, nobody asks for certificates.
UNNEEDED_CONTROLLERS = (
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "node-ipam-controller",
    "certificatesigningrequest-signing-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
    "podcertificaterequest-cleaner-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-expander-controller",
    "persistentvolume-protection-controller",
    "legacy-serviceaccount-token-cleaner-controller",
)

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # Whom an API behind the adapter asks about, and whether it is let in.
        {
            "level": "RequestResponse",
            "resources": [{"group": "authorization.k8s.io", "resources": ["subjectaccessreviews"]}],
        },
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True, slots=True)
class Options:
    """What a test may want otherwise. Flags given here come last, so they win."""

    hpa_sync_period_seconds: float = 2.0
    hpa_downscale_stabilization_seconds: float = 300.0
    scheduler: bool = False
    apiserver_flags: tuple[str, ...] = ()
    controller_manager_flags: tuple[str, ...] = ()
    scheduler_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where one control plane keeps its files and listens."""

    folder: Path
    etcd_port: int
    etcd_peer_port: int
    apiserver_port: int

    @property
    def etcd(self) -> str:
        return f"http://127.0.0.1:{self.etcd_port}"

    @property
    def server(self) -> str:
        """The API server as programs on the test's side reach it."""
        return f"https://127.0.0.1:{self.apiserver_port}"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.jsonl"

    @property
    def audit_policy(self) -> Path:
        return self.folder / "audit-policy.json"

    def kubeconfig(self, user: str) -> Path:
        return self.folder / f"{user}.kubeconfig"


def etcd(place: Place) -> list[str]:
    peer = f"http://127.0.0.1:{place.etcd_peer_port}"
    return [
        "etcd",
        "--name=etcd",
        f"--data-dir={place.folder / 'etcd'}",
        f"--listen-client-urls={place.etcd}",
        f"--advertise-client-urls={place.etcd}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=etcd={peer}",
        "--log-level=warn",
        # The data dies with the test: waiting for the disk would cost seconds and protect nothing.
        "--unsafe-no-fsync",
    ]


def apiserver(place: Place, pki: Pki, options: Options) -> list[str]:
    return [
        "kube-apiserver",
        f"--etcd-servers={place.etcd}",
        "--bind-address=0.0.0.0",
        f"--advertise-address={netns.APISERVER}",
        f"--secure-port={place.apiserver_port}",
        f"--service-cluster-ip-range={netns.SERVICES}",
        *_apiserver_certificates(pki),
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        # There is no kube-proxy: the aggregator and the webhooks go to endpoints by themselves.
        "--enable-aggregator-routing=true",
        f"--audit-policy-file={place.audit_policy}",
        f"--audit-log-path={place.audit_log}",
        "--audit-log-mode=blocking",
        "--profiling=false",
        *options.apiserver_flags,
    ]


def _apiserver_certificates(pki: Pki) -> list[str]:
    return [
        *_pair("tls-cert-file", "tls-private-key-file", pki.apiserver),
        f"--client-ca-file={pki.authority.pair.certificate}",
        f"--requestheader-client-ca-file={pki.front_proxy_authority.pair.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        *_pair("proxy-client-cert-file", "proxy-client-key-file", pki.front_proxy),
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki.service_accounts}",
        f"--service-account-signing-key-file={pki.service_accounts}",
    ]


def controller_manager(place: Place, pki: Pki, options: Options) -> list[str]:
    left_out = ",".join(f"-{name}" for name in UNNEEDED_CONTROLLERS)
    stabilization = f"{options.hpa_downscale_stabilization_seconds:g}s"
    return [
        "kube-controller-manager",
        f"--kubeconfig={place.kubeconfig('controller-manager')}",
        "--use-service-account-credentials=true",
        f"--root-ca-file={pki.authority.pair.certificate}",
        f"--service-account-private-key-file={pki.service_accounts}",
        f"--controllers=*,{left_out}",
        "--leader-elect=false",
        "--secure-port=0",
        # The default of 20 requests a second would let a test wait for the client, not the cluster.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        f"--horizontal-pod-autoscaler-sync-period={options.hpa_sync_period_seconds:g}s",
        f"--horizontal-pod-autoscaler-downscale-stabilization={stabilization}",
        *options.controller_manager_flags,
    ]


def scheduler(place: Place, options: Options) -> list[str]:
    return [
        "kube-scheduler",
        f"--kubeconfig={place.kubeconfig('scheduler')}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        *options.scheduler_flags,
    ]


def write_files(place: Place, pki: Pki) -> None:
    """The audit policy, and a kubeconfig for each user of the control plane."""
    place.audit_policy.write_text(json.dumps(AUDIT_POLICY))
    users = {
        "admin": pki.admin,
        "controller-manager": pki.controller_manager,
        "scheduler": pki.scheduler,
    }
    for name, pair in users.items():
        keys = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        write_kubeconfig(place, pki, name, keys)


def write_kubeconfig(
    place: Place, pki: Pki, name: str, credentials: dict[str, str], namespace: str = "default"
) -> Path:
    """A kubeconfig (JSON is YAML) with one context; returns its path."""
    cluster = {
        "server": place.server,
        "certificate-authority": str(pki.authority.pair.certificate),
    }
    context = {"cluster": "test", "user": name, "namespace": namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": name, "user": credentials}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    path = place.kubeconfig(name)
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1))
    return path


def _pair(certificate_flag: str, key_flag: str, pair: Pair) -> list[str]:
    return [f"--{certificate_flag}={pair.certificate}", f"--{key_flag}={pair.key}"]
