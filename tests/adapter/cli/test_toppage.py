"""The top page: a line for each workload, or for each pod; a dash is never 0."""

from __future__ import annotations

from adapter.cli import toppage
from adapter.model.fleet import Standing
from adapter.model.why import Figure, PodStory, Story
from adapter.ops.top import Load, Loads

BUSY = Load(
    "default", "Deployment", "llm", 4, 2, 0, 1, 1,
    12.0, 51.25, "llm_inference_inflight_requests", 36.0, 3, None,
)  # fmt: skip
DARK = Load(
    "prod", "Pod", "x", 1, 0, 0, 0, 1,
    None, None, "nvidia_gpu_utilization", None, None, "not heard",
)  # fmt: skip


def pod(name: str, served: str | None, why: str | None = None) -> PodStory:
    figure = Figure(None, None, None, served, why)
    return PodStory(name, Standing.SERVING, None if why else 0.4, figure)


def story(metric: str, *pods: PodStory) -> Story:
    return Story(metric, "", "", 0.0, pods, None)


def test_workloads_stand_under_each_other() -> None:
    head, busy, dark, more = toppage.workloads(Loads(0.0, (BUSY, DARK), more=7)).splitlines()
    columns = (
        "NAMESPACE  WORKLOAD        PODS  SERVED  HELD  LOADING  OMITTED  QUEUE  GPU     DEMAND  "
    )
    assert head == columns + "      WANTS  WHY NOT"
    assert busy.startswith(
        "default    Deployment llm  4     2       0     1        1        12     51"
    )
    assert busy.endswith("  51.2 %  36 in flight  3")
    assert dark.startswith(
        "prod       Pod x           1     0       0     0        1        -      - "
    )
    assert dark.split()[-4:] == ["-", "-", "not", "heard"]
    assert more == "and 7 more: -n NAMESPACE or a name shows them"
    assert "no pod with a source was seen" in toppage.workloads(Loads(0.0, ()))


def test_pods_have_a_column_a_metric_and_the_reasons_once() -> None:
    queue, _, _, gpu, _ = toppage.COLUMNS.values()
    dark = "whose GPU it is is not known"
    stories = {
        queue: story(queue, pod("llm-b", "2"), pod("llm-a", "1500m")),
        gpu: story(gpu, pod("llm-a", "80"), pod("llm-b", None, dark)),
    }
    assert toppage.pods(stories).splitlines() == [
        "POD    STATE    HEARD    QUEUE  RUNNING  KV CACHE  GPU   GPU MEMORY  WHY NOT",
        "llm-a  serving  0 s ago  1.5    -        -         80 %  -",
        f"llm-b  serving  0 s ago  2      -        -         -     -           {dark}",
    ]


def test_a_screen_is_full_at_forty_pods() -> None:
    queue = toppage.COLUMNS["QUEUE"]
    pods = [pod(f"llm-{number:02}", "1") for number in range(43)]
    lines = toppage.pods({queue: story(queue, *pods)}).splitlines()
    assert (len(lines), lines[-1]) == (42, "and 3 more")
