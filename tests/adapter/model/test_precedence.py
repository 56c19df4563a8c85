"""Of two sources that know a pod's GPUs one is taken, and the queue of the other with it."""

from adapter.model.batch import Batch, ModelState, Origin, Point, Reading
from adapter.model.precedence import chosen, fold

OWN = Reading(
    "u", 100.0, 2.0, ModelState.READY, (Point("pending", 100.0, 3.0), Point("gpu_busy", 100.0, 80))
)
QUEUE = Reading("u", 100.0, 2.0, ModelState.READY, (Point("pending", 100.0, 3.0),))
NODE = Reading(
    "u", 100.0, 30.0, ModelState.UNKNOWN, (Point("gpu_busy", 99.0, 50.0),), origin=Origin.NODE
)


def test_the_queue_of_one_source_and_the_gpus_of_the_other_are_both_taken() -> None:
    both = Batch((QUEUE, NODE))
    assert chosen(fold({}, both, 100.0), both) == both


def test_where_both_tell_of_gpus_the_pods_own_source_is_taken() -> None:
    both = Batch((OWN, NODE))
    assert chosen(fold({}, both, 100.0), both) == Batch((OWN,))


def test_its_own_word_stands_for_four_periods_and_then_the_nodes_counts() -> None:
    stands = fold({}, Batch((OWN,)), 100.0)
    assert chosen(fold(stands, Batch((NODE,)), 107.9), Batch((NODE,))) == Batch()
    assert chosen(fold(stands, Batch((NODE,)), 108.0), Batch((NODE,))) == Batch((NODE,))


def test_once_its_own_source_cannot_tell_any_more_the_nodes_word_counts_at_once() -> None:
    stands = fold(fold({}, Batch((OWN,)), 100.0), Batch((QUEUE,)), 101.0)
    assert chosen(stands, Batch((NODE,))) == Batch((NODE,))


def test_another_pods_word_is_no_reason_to_leave_one_out() -> None:
    other = Reading("v", 100.0, 2.0, ModelState.READY, OWN.points)
    both = Batch((other, NODE))
    assert chosen(fold({}, both, 100.0), both) == both


def test_a_past_from_elsewhere_is_taken_beside_the_pods_own_word() -> None:
    past = Reading("u", 100.0, 15.0, ModelState.UNKNOWN, (), origin=Origin.HISTORY)
    both = Batch((OWN, past))
    assert chosen(fold({}, both, 100.0), both) == both
