"""The settings file while the adapter runs: taken in as a whole, or refused with the reason."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from adapter.load import load
from adapter.reload import Reload, Spelled
from adapter.settings import Price, Prices, Settings, Tariff
from adapter.telemetry import Metrics
from tests.adapter.test_main import Adapter, adapter

__all__ = ["adapter"]


class Scene:
    """One file, the reload that looks at it, and what it applied."""

    def __init__(self, path: Path, *flags: str) -> None:
        self.path = path
        self.applied: list[Settings] = []
        self.metrics = Metrics()
        spelled = Spelled(("--config", str(path), *flags), {})
        settings, _ = load(spelled.arguments, spelled.environment)
        self.reload = Reload(spelled, settings, self.applied.append, self.metrics)

    async def write(self, text: str) -> None:
        self.path.write_text(text)
        await self.reload.look()

    @property
    def in_effect(self) -> float | None:
        return self.metrics.registry.get_sample_value("forescale_adapter_settings_applied")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    path = tmp_path / "settings.yaml"
    path.write_text("model: {holdSeconds: 60s}\n")
    return Scene(path)


async def test_a_changed_hold_is_applied(scene: Scene) -> None:
    await scene.write("model: {holdSeconds: 90s}\n")
    assert [settings.model.hold_seconds for settings in scene.applied] == [90.0]
    assert scene.reload.settings.model.hold_seconds == 90.0
    assert scene.in_effect == 1


async def test_the_same_content_is_applied_once(scene: Scene) -> None:
    await scene.write("model: {holdSeconds: 60s}\n")
    await scene.write("model: {holdSeconds: 90s}\n")
    await scene.write("model: {holdSeconds: 90s}\n")
    assert len(scene.applied) == 1


async def test_a_file_with_one_problem_is_refused_as_a_whole(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await scene.write("model: {holdSeconds: 90s, tickSecond: 1}\n")
    assert scene.applied == []
    assert scene.reload.settings.model.hold_seconds == 60.0
    assert scene.in_effect == 0
    [record] = caplog.records
    assert record.getMessage() == "settings_refused"
    assert "did you mean model.tickSeconds?" in str(vars(record)["fields"]["why"])


async def test_a_port_cannot_change_while_it_is_listened_on(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.write("model: {holdSeconds: 90s}\napi: {port: 7443}\n")
    assert scene.applied == []
    assert "api.port takes effect at a start alone" in str(vars(caplog.records[0])["fields"]["why"])


async def test_which_pods_are_watched_is_settled_at_the_start(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.write("intake: {nodeSources: gpu-operator/nvidia-dcgm-exporter}\n")
    assert scene.applied == []
    why = str(vars(caplog.records[0])["fields"]["why"])
    assert "intake.nodeSources takes effect at a start alone" in why


async def test_other_queries_of_objects_are_applied_and_another_prometheus_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("prometheus: {url: 'http://p:9090'}\n")
    scene = Scene(path)
    objects = "objects: [{metric: jobs_waiting, query: sum(jobs)}]"
    with caplog.at_level(logging.INFO):
        await scene.write(f"prometheus: {{url: 'http://p:9090', {objects}}}\n")
    assert [one.metric for one in scene.applied[-1].prometheus.objects] == ["jobs_waiting"]
    (changed,) = vars(caplog.records[-1])["fields"]["changed"]["prometheus.objects"]
    assert changed["query"] == "sum(jobs)"
    await scene.write(f"prometheus: {{url: 'http://q:9090', {objects}}}\n")
    assert len(scene.applied) == 1
    assert scene.in_effect == 0


async def test_other_prices_and_another_night_are_applied(scene: Scene) -> None:
    await scene.write("cost: {night: 4-12, prices: {perGpuHour: {H100: {onDemand: 4}}}}\n")
    assert scene.applied[-1].cost == Tariff(Prices({"H100": Price(4.0)}), "4-12")
    assert scene.reload.settings.cost == scene.applied[-1].cost


async def test_after_a_refusal_a_good_file_is_in_effect_again(scene: Scene) -> None:
    await scene.write("model: {holdSeconds: never}\n")
    await scene.write("log: {level: debug}\n")
    assert scene.applied[-1].log.level == "debug"
    assert scene.in_effect == 1


async def test_a_flag_still_wins_over_the_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("")
    scene = Scene(path, "--model-hold-seconds=30s")
    await scene.write("model: {holdSeconds: 90s, tickSeconds: 1s}\n")
    assert scene.applied[-1].model.hold_seconds == 30.0
    assert scene.applied[-1].model.tick_seconds == 1.0


async def test_a_file_that_vanishes_leaves_the_settings_and_is_told(scene: Scene) -> None:
    scene.path.unlink()
    await scene.reload.look()
    assert scene.applied == []
    assert scene.in_effect == 0


@pytest.mark.process
def test_the_running_process_takes_a_changed_file_in(adapter: Adapter, tmp_path: Path) -> None:
    pods, file = tmp_path / "pods", tmp_path / "settings.yaml"
    pods.mkdir()
    file.write_text("log: {level: info}\n")
    url = "--prometheus-url=http://127.0.0.1:1"
    adapter.start(f"--config={file}", f"--standalone={pods}", url)
    adapter.until("/metrics", 200, "forescale_adapter_settings_applied 1.0")
    file.write_text("log: {level: loud}\n")
    adapter.until("/metrics", 200, "forescale_adapter_settings_applied 0.0")
    file.write_text("model: {holdSeconds: 45s}\n")
    adapter.until("/metrics", 200, "forescale_adapter_settings_applied 1.0")
    assert '"changed": {"model.holdSeconds": 45.0' in adapter.log()
    file.write_text("prometheus: {objects: [{metric: jobs_waiting, query: sum(jobs)}]}\n")
    page = "/why?namespace=default&kind=Deployment&name=llm&metric=jobs_waiting"
    adapter.until(page, 200, "Prometheus: http://127.0.0.1:1: ConnectionError")
