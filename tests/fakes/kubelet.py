"""The kubelet's PodResources as a real gRPC server, with messages made by protobuf itself."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc

from tests.fakes import generated


def messages() -> Any:
    """Return the generated module."""
    return generated.messages("podresources")


def pod(name: str, *device_ids: str, resource: str = "nvidia.com/gpu", **more: Any) -> Any:
    """Return one PodResources whose second container holds the devices."""
    v1 = messages()
    devices = v1.ContainerDevices(
        resource_name=resource,
        device_ids=device_ids,
        topology=v1.TopologyInfo(nodes=[v1.NUMANode(ID=-1)]),
    )
    holder = v1.ContainerResources(name="llm", devices=[devices], cpu_ids=[1, 300], **more)
    containers = [v1.ContainerResources(name="logger"), holder]
    return v1.PodResources(name=name, namespace="default", containers=containers, cpu_ids=[7])


def claimed(driver: str, pool: str, device: str) -> Any:
    """Return one DynamicResource with one device."""
    v1 = messages()
    found = v1.ClaimResource(
        cdi_devices=[v1.CDIDevice(name=f"k8s.{driver}/claim=x")],
        driver_name=driver,
        pool_name=pool,
        device_name=device,
        share_id="s",
    )
    return v1.DynamicResource(claim_name="c", claim_namespace="default", claim_resources=[found])


class FakeKubelet:
    """Serves `pods` on its folder's socket; `refuse` is a status code to answer with instead."""

    def __init__(self) -> None:
        # A socket's path has 107 characters at most: pytest's folders are too deep.
        self._made = tempfile.TemporaryDirectory(prefix="kubelet-")
        self.folder = Path(self._made.name)
        self.pods: list[Any] = []
        self.refuse: grpc.StatusCode | None = None
        self.calls = 0
        self._server: grpc.Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._made.cleanup()

    def start(self) -> None:
        """Make the socket anew, as a kubelet does when it starts."""
        v1 = messages()
        (self.folder / "kubelet.sock").unlink(missing_ok=True)
        self._server = grpc.server(ThreadPoolExecutor(2))
        listing = grpc.unary_unary_rpc_method_handler(
            self._list,
            request_deserializer=v1.ListPodResourcesRequest.FromString,
            response_serializer=v1.ListPodResourcesResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler("v1.PodResourcesLister", {"List": listing})
        self._server.add_generic_rpc_handlers((handler,))
        self._server.add_insecure_port(f"unix:{self.folder}/kubelet.sock")
        self._server.start()

    def stop(self) -> None:
        """End the server; its socket is gone with it."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def _list(self, _: object, context: grpc.ServicerContext) -> Any:
        self.calls += 1
        if self.refuse is not None:
            context.abort(self.refuse, "rejected by rate limit")
        return messages().ListPodResourcesResponse(pod_resources=self.pods)
