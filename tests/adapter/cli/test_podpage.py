"""What pods say beside their figures, in lines: alike ones once, whoever says them."""

from __future__ import annotations

from adapter.cli import podpage
from adapter.model.fleet import Standing
from adapter.model.why import Figure, Phase, PodStory, Story


def pod(name: str, note: str | None = None, **changes: object) -> PodStory:
    figure = Figure(1.0, 0.0, "fresh", "1", None, note)
    return PodStory(name, Standing.SERVING, 0.0, figure, **changes)  # type: ignore[arg-type]


def story(*pods: PodStory) -> Story:
    return Story("m", "requests", "raw", 0.0, pods, None)


def test_what_several_pods_note_is_one_line_that_names_three() -> None:
    pods = [pod(f"llm-{n}", "by proxy: connections") for n in range(5)]
    assert podpage.notes([*pods, pod("other"), pod("lame", "of 3 of 4 GPUs")]) == [
        "  llm-0, llm-1, llm-2 and 2 more: by proxy: connections",
        "  lame: of 3 of 4 GPUs",
    ]


def test_a_reason_of_several_pods_stands_once_below_with_how_many_have_it() -> None:
    refused = "nothing listens at http://10.0.0.{}:9401 (connection refused)"
    whys = {f"llm-{n}": refused.format(n) for n in range(7)} | {"new": "not running yet"}
    cells, lines = podpage.reasons(whys)
    assert cells == dict.fromkeys((f"llm-{n}" for n in range(7)), "(1)") | {"new": whys["new"]}
    assert lines == [f"(1) 7 pods, such as llm-0: {refused.format(0)}"]
    assert podpage.reasons({"a\x1b": "x", "b": "x"})[1] == ["(1) 2 pods, such as a : x"]


def test_a_pod_that_is_near_is_named_once_for_all_its_metrics() -> None:
    told = story(pod("a", near_oom="the KV cache is 97 % full and requests wait"), pod("b"))
    words = "near OOM: a: the KV cache is 97 % full and requests wait"
    assert podpage.near_oom([told, told]) == [words]


def test_one_pod_tells_its_start_step_by_step_and_several_do_not() -> None:
    steps = (
        Phase("container_started", 1_700_000_000.0),
        Phase("server_started", 1_700_000_001.0),
        Phase("engine_listening", 1_700_000_003.2),
        Phase("engine_loading", 1_700_000_003.2),
        Phase("engine_ready", 1_700_000_065.0),
        Phase("engine_served", 1_700_000_071.0),
        Phase("of_a_newer_adapter", 1_700_000_072.0),
    )
    started = pod("a", phases=steps)
    assert "\n".join(podpage.start([story(started), story(started)])) == (
        "start: container up 2023-11-14T22:13:20Z, server started +1 s, listening +3 s,"
        " loading +3 s, ready +65 s, first request served +71 s, of a newer adapter +72 s"
    )
    assert podpage.start([story(started, pod("b"))]) == podpage.start([story(pod("c"))]) == []
