"""Standalone: pods from a directory of files."""

import json
from pathlib import Path

import pytest
import yaml

from adapter.errors import StartupError
from adapter.intake.roster import Roster
from adapter.intake.standalone import Directory
from adapter.model.fleet import Owner
from tests.adapter.intake.test_podjson import pod_json


def named(name: str) -> dict[str, object]:
    raw = pod_json()
    raw["metadata"] |= {"name": name, "uid": f"u-{name}"}
    return raw


def names(roster: Roster) -> set[str]:
    return {pod.name for pod in roster.fleet().pods.values()}


def test_files_of_every_kind_are_pods(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(named("a")))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump_all([named("b"), named("c")]))
    (tmp_path / "d.yml").write_text(yaml.safe_dump({"kind": "List", "items": [named("d")]}))
    (tmp_path / "notes.txt").write_text("no pod")
    roster = Roster()
    Directory(str(tmp_path), roster).poll()
    assert names(roster) == {"a", "b", "c", "d"}


def test_a_changed_file_changes_and_a_removed_one_removes(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(named("a")))
    roster = Roster()
    directory = Directory(str(tmp_path), roster)
    directory.poll()
    file.write_text(json.dumps(named("other")))
    directory.poll()
    assert names(roster) == {"other"}
    file.unlink()
    directory.poll()
    assert names(roster) == set()


def test_a_file_that_broke_keeps_its_last_good_content(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(named("a")))
    roster = Roster()
    directory = Directory(str(tmp_path), roster)
    directory.poll()
    file.write_text('{"kind": "Pod", "metadata"')
    directory.poll()
    assert names(roster) == {"a"}


def test_nothing_changed_is_no_new_fleet(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(named("a")))
    roster = Roster()
    directory = Directory(str(tmp_path), roster)
    directory.poll()
    fleet = roster.fleet()
    directory.poll()
    assert roster.fleet() is fleet


def test_a_replica_set_in_a_file_leads_to_the_deployment(tmp_path: Path) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llm", "controller": True}
    metadata = {"name": "llm-5d", "namespace": "default", "ownerReferences": [owner]}
    documents = [named("a"), {"kind": "ReplicaSet", "metadata": metadata}]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(documents))
    roster = Roster()
    Directory(str(tmp_path), roster).poll()
    assert Owner("Deployment.apps", "llm") in roster.fleet().pods["u-a"].owners


def test_a_service_in_a_file_chooses_its_pods(tmp_path: Path) -> None:
    service = {"kind": "Service", "metadata": {"name": "llm", "namespace": "default"}}
    service["spec"] = {"selector": {"app": "llm"}}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([named("a"), service]))
    roster = Roster()
    Directory(str(tmp_path), roster).poll()
    assert roster.fleet().owned("default", "Service", "llm").names == ("a",)


def test_a_directory_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(StartupError, match="/nowhere is no directory"):
        Directory("/nowhere", Roster())
