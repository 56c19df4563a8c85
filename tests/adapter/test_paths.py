"""Paths of the settings: what the adapter cannot start without, and what it reads later."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from adapter.paths import absent, missing
from adapter.settings import Keda, Prometheus, Settings, Tls


def test_what_is_there_and_what_is_not_named_is_no_problem(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text("")
    assert missing(Settings()) == list(absent(Settings())) == []
    assert missing(Settings(standalone=str(tmp_path), kubeconfig=str(file))) == []


def test_a_file_is_no_folder_and_a_folder_no_kubeconfig(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    told = missing(Settings(standalone=str(file), kubeconfig=str(tmp_path)))
    assert [words.split(":")[0] for words in told] == ["standalone", "kubeconfig"]


def test_a_folder_without_a_certificate_is_told_file_by_file(tmp_path: Path) -> None:
    settings = replace(Settings(), tls=Tls(folder=str(tmp_path)))
    assert [words.split(" has no ")[1][:7] for words in missing(settings)] == ["tls.crt", "tls.key"]
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("")
    assert missing(settings) == []


def test_kedas_folder_is_looked_at_where_keda_is_served_and_has_a_ca_too(tmp_path: Path) -> None:
    settings = replace(Settings(), keda=Keda(tls_folder=str(tmp_path)))
    assert missing(settings) == []
    settings = replace(settings, keda=Keda(enabled=True, tls_folder=str(tmp_path)))
    told = missing(settings)
    assert [words.split(" has no ")[0].split(":")[0] for words in told] == ["keda.tlsFolder"] * 3
    assert "has no ca.crt" in told[2]
    settings = replace(settings, keda=Keda(enabled=True, tls_folder=str(tmp_path / "gone")))
    (only,) = missing(settings)
    assert only.startswith("keda.tlsFolder: ")


def test_a_token_may_be_mounted_later(tmp_path: Path) -> None:
    settings = replace(Settings(), prometheus=Prometheus(token_file=str(tmp_path / "token")))
    (told,) = absent(settings)
    assert told.startswith("prometheus.tokenFile: ")
    assert missing(settings) == []
