"""A shard is a ConfigMap of a name that our role grants, or a file that is replaced as a whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from adapter.errors import IntakeError, KubeError, StartupError
from adapter.intake.kube import Kube
from adapter.intake.lease import Lease
from adapter.intake.shards import NAME, ConfigMaps, Folder
from adapter.model.checkpoint import SHARDS
from tests.fakes.apiserver import FakeApiServer

NAMESPACE = "forescale-system"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
ROLES = Path(__file__).resolve().parents[3] / "manifests" / "base" / "rbac-adapter.yaml"


@pytest.fixture
async def maps(kube: Kube) -> ConfigMaps:
    return ConfigMaps(kube, NAMESPACE, Lease(kube, NAMESPACE, NAME, holder="a", seconds=900))


async def test_a_config_map_is_made_changed_and_read(
    maps: ConfigMaps, server: FakeApiServer
) -> None:
    assert await maps.read(3, "starts") is None
    await maps.write(3, "starts", "one")
    await maps.write(3, "starts", "two")
    assert await maps.read(3, "starts") == "two"
    found = server.get(CONFIG_MAPS, f"{NAME}-3")
    assert found["data"] == {"starts": "two"}
    assert server.calls[f"POST {CONFIG_MAPS}"] == 1


async def test_a_config_map_without_our_key_has_no_text(
    maps: ConfigMaps, server: FakeApiServer
) -> None:
    server.put(CONFIG_MAPS, {"metadata": {"name": f"{NAME}-0"}})
    assert await maps.read(0, "starts") is None


async def test_a_shard_has_a_text_of_each_kind(maps: ConfigMaps, server: FakeApiServer) -> None:
    await maps.write(3, "starts", "one")
    await maps.write(3, "demands", "two")
    assert (await maps.read(3, "starts"), await maps.read(3, "demands")) == ("one", "two")
    assert server.get(CONFIG_MAPS, f"{NAME}-3")["data"] == {"starts": "one", "demands": "two"}


async def test_whoever_has_the_lease_may_write(maps: ConfigMaps, kube: Kube) -> None:
    other = ConfigMaps(kube, NAMESPACE, Lease(kube, NAMESPACE, NAME, holder="b", seconds=900))
    assert await maps.may_write()
    assert not await other.may_write()


async def test_a_refusal_is_an_error(maps: ConfigMaps, server: FakeApiServer) -> None:
    refusal = {"code": 403, "reason": "Forbidden", "message": "no right"}
    server.refusals |= {f"{call} {CONFIG_MAPS}/{NAME}-1": refusal for call in ("GET", "PATCH")}
    with pytest.raises(KubeError, match="no right"):
        await maps.read(1, "starts")
    with pytest.raises(KubeError, match="no right"):
        await maps.write(1, "starts", "x")


def test_the_role_names_every_shard_and_the_lease() -> None:
    roles = [one for one in yaml.safe_load_all(ROLES.read_text()) if one["kind"] == "Role"]
    (role,) = [one for one in roles if one["metadata"]["name"].endswith("cold-starts")]
    named = {rule["resources"][0]: rule.get("resourceNames") for rule in role["rules"]}
    assert named == {"configmaps": [f"{NAME}-{n}" for n in range(SHARDS)], "leases": [NAME]}


def test_a_file_is_made_replaced_and_read(tmp_path: Path) -> None:
    async def use() -> None:
        folder = Folder(str(tmp_path))
        assert await folder.may_write()
        assert await folder.read(0, "starts") is None
        await folder.write(0, "starts", "one")
        await folder.write(0, "starts", "two é")
        assert await folder.read(0, "starts") == "two é"

    asyncio.run(use())
    assert [file.name for file in tmp_path.iterdir()] == [f"{NAME}-0.starts"]


async def test_a_file_of_bytes_that_are_no_text_is_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}-0.starts").write_bytes(b"\xff\xfe")
    assert await Folder(str(tmp_path)).read(0, "starts") == "\ufffd\ufffd"


async def test_a_folder_that_is_gone_is_an_error_in_words(tmp_path: Path) -> None:
    inside = tmp_path / "x"
    inside.mkdir()
    folder = Folder(str(inside))
    inside.rmdir()
    with pytest.raises(IntakeError, match="cannot be written"):
        await folder.write(0, "starts", "one")
    (inside.parent / "x").write_text("a file")
    with pytest.raises(IntakeError, match="cannot be read"):
        await folder.read(0, "starts")
    with pytest.raises(StartupError, match=r"coldStart\.folder: .* is no directory"):
        Folder(str(inside))
