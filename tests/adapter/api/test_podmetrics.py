"""GPU usage is put into metrics-server's items; every other byte of them stays."""

from __future__ import annotations

import json

import msgspec
import pytest

from adapter.api.podmetrics import with_usage
from tests.fakes.metrics_server import item, listed


def halves(_: str, name: str, containers: list[str]) -> dict[str, str] | None:
    return dict.fromkeys(containers, "500m") if name.startswith("gpu") else None


def test_pods_with_usage_get_the_key_on_every_container_and_keep_the_rest() -> None:
    before = listed(item("gpu-1", "llm", "side"), item("web", "nginx"))
    after = json.loads(with_usage(json.dumps(before).encode(), halves))
    for container in after["items"][0]["containers"]:
        assert container["usage"].pop("nvidia.com/gpu") == "500m"
    assert after == before


def test_an_untouched_item_is_copied_byte_by_byte() -> None:
    odd = b'{ "metadata":{"name":"web"},"window":"1.50s", "x":1e400,"containers":[] }'
    body = b'{"kind":"PodMetricsList","later":[1.10],"items":[' + odd + b"]}"
    after = with_usage(body, halves)
    assert odd in after
    assert b'"later":[1.10]' in after


def test_one_pods_metrics_are_changed_too() -> None:
    after = json.loads(with_usage(json.dumps(item("gpu-1", "llm")).encode(), halves))
    assert after["containers"][0]["usage"]["nvidia.com/gpu"] == "500m"
    assert after["timestamp"] == "2026-01-01T00:00:07Z"


def test_the_namespace_of_an_item_is_its_own() -> None:
    seen = []
    body = json.dumps(listed(item("a", "c", namespace="x"), item("a", "c", namespace="y")))
    with_usage(body.encode(), lambda *asked: seen.append(asked))
    assert seen == [("x", "a", ["c"]), ("y", "a", ["c"])]


def test_an_empty_list_stays_one() -> None:
    assert json.loads(with_usage(json.dumps(listed()).encode(), halves))["items"] == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"items":3}', b'{"items":[{}]}', b"\x00k8s", b'{"containers":1}']
)
def test_what_is_no_pod_metrics_is_an_error(body: bytes) -> None:
    with pytest.raises((ValueError, msgspec.DecodeError)):
        with_usage(body, halves)
