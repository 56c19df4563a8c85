"""Several model servers in one pod, added up."""

from adapter.intake.merged import merged
from sidecar.wire import EngineReading, EngineState, Histogram

READY = EngineState.READY


def test_one_server_is_its_own_sum() -> None:
    only = EngineReading("vllm", READY, pending=1.0)
    assert merged([only]) is only


def test_counts_are_added_and_cache_shares_averaged() -> None:
    one = EngineReading("vllm", READY, None, 1.0, 2.0, 40.0, 5.0)
    two = EngineReading("vllm", READY, None, 3.0, 4.0, 60.0, 7.0)
    found = merged([one, two])
    assert (found.pending, found.running, found.kv_percent) == (4.0, 6.0, 50.0)
    assert found.finished_total == 12.0


def test_a_figure_that_one_server_lacks_is_not_known_at_all() -> None:
    one = EngineReading("vllm", READY, pending=1.0, running=2.0)
    two = EngineReading("triton", READY, pending=3.0)
    found = merged([one, two])
    assert (found.pending, found.running) == (4.0, None)


def test_histograms_of_equal_bounds_are_added_and_others_left_out() -> None:
    same = Histogram((0.1, 1.0), (1.0, 2.0, 3.0), 1.5)
    other = Histogram((0.5,), (1.0, 2.0), None)
    one = EngineReading("vllm", READY, hist={"a": same, "b": same, "c": same})
    two = EngineReading("vllm", READY, hist={"a": same, "b": other})
    assert merged([one, two]).hist == {"a": Histogram((0.1, 1.0), (2.0, 4.0, 6.0), 3.0)}


def test_the_model_is_named_where_all_servers_have_the_same() -> None:
    def of(model: str) -> EngineReading:
        return EngineReading("vllm", READY, dims={"model": model})

    assert merged([of("a"), of("a")]).dims == {"model": "a"}
    assert merged([of("a"), of("b")]).dims is None
