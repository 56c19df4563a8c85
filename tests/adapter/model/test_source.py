"""What a pod's source said of itself: which pods a query for a model or an adapter means."""

import pytest

from adapter.model.batch import ModelState
from adapter.model.source import NEW, Source

LLAMA = (("model", "llama"),)
TOLD = {"model": "llama"}


@pytest.mark.parametrize(
    ("source", "counts"),
    [
        (NEW, True),
        (Source(heard_at=1.0, model=ModelState.READY, dims=TOLD), True),
        (Source(heard_at=1.0, model=ModelState.FAILING, dims=TOLD), True),
        (Source(heard_at=1.0, model=ModelState.READY, dims={"model": "qwen"}), False),
        (Source(heard_at=1.0, model=ModelState.READY), False),
        (Source(heard_at=1.0, model=ModelState.UNKNOWN), False),
    ],
)
def test_a_pod_counts_for_what_it_says_and_while_nothing_was_heard(
    source: Source, *, counts: bool
) -> None:
    assert source.may_serve(LLAMA) is counts


def test_a_pod_whose_model_was_too_busy_to_say_anything_yet_makes_no_total_smaller() -> None:
    assert Source(heard_at=1.0, model=ModelState.FAILING).may_serve(LLAMA)
