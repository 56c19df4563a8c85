"""The differences: what a rule's query means there and its metric means here, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adapter.model.catalogue import METRICS, Agg, Stat
from adapter.model.measures import Kind, Measure

# The parts of a query by name, as translation.py takes it apart; None for what it has not.
Parts = Mapping[str, str | None]

_ARRIVALS = "llm_inference_arrival_rate"
_OWN = frozenset({"le", "<<.GroupBy>>", "namespace", "pod", "container"})
_COARSE_SECONDS = 120  # from there on a view looks at means of ten seconds (views.py)
_AGGS = {"avg": Agg.MEAN, "max": Agg.MAX}


def differences(
    parts: Parts, measure: Measure, *, factor: float, window_seconds: int | None, objects: bool
) -> list[str]:
    """Return in words everything that is another figure here than there; empty for the same.

    `factor` is what an old target is multiplied by, `window_seconds` the window that was chosen,
    None for the metric's own view; `objects` tells that the rule is of whole objects, not of pods.
    """
    return [
        *_unit(measure, factor),
        *_counted(measure),
        *(_over_objects(parts, measure) if objects else _within_a_pod(parts, measure)),
        *_window(parts, measure, window_seconds),
        *_split(parts),
    ]


def agg_of(parts: Parts, measure: Measure) -> Agg | None:
    """Return how the pods of an object become the query's one figure; None for their total."""
    return Agg.MERGED if measure.kind is Kind.HISTOGRAM else _AGGS.get(parts["agg"] or "")


def of_an_object(agg: Agg) -> str:
    """Return what an HPA has to say for it."""
    return f"as Object or External add agg: {agg}, with a target of type Value"


def _unit(measure: Measure, factor: float) -> Iterator[str]:
    if factor != 1.0:
        unit = METRICS[measure.metric].unit
        yield f"another unit: here it is in {unit}, {factor:.12g} times the old figure"


def _counted(measure: Measure) -> Iterator[str]:
    if measure.metric == _ARRIVALS:
        yield "it counts requests that have ended, here those that have come"


def _within_a_pod(parts: Parts, measure: Measure) -> Iterator[str]:
    agg = parts["agg"]
    if measure.averaged and agg == "sum":
        yield ("it adds up a pod's GPUs, here it is their mean: divide the target by their number")
    elif measure.averaged and agg != "avg":
        words = f"it takes the {agg} of a pod's GPUs" if agg else "each GPU is a series of its own"
        yield f"{words}, here it is their mean"
    elif not measure.averaged and agg == "avg":
        yield (
            "it averages a pod's series, here they are added up: multiply the target by their"
            " number"
        )
    elif not measure.averaged and agg in ("max", "min"):
        yield f"it takes the {agg} of a pod's series, here they are added up"
    if (one := agg_of(parts, measure)) is not None:
        yield of_an_object(one)


def _over_objects(parts: Parts, measure: Measure) -> Iterator[str]:
    agg = agg_of(parts, measure)
    if parts["agg"] == "min":
        yield "it takes the least of all series, here it is the total of the pods"
    elif agg is Agg.MERGED:
        yield "agg: merged is for a target of type Value"
    elif agg is not None:
        words = f"its {parts['agg']} is over all series, here the {agg} is over pods"
        yield f"{words}; agg: {agg} is for a target of type Value"
    elif measure.averaged:
        yield (
            "it adds up all GPUs, here a pod counts with the mean of its GPUs: divide the target by"
            " the GPUs of a pod"
        )


def _window(parts: Parts, measure: Measure, chosen: int | None) -> Iterator[str]:
    usual = METRICS[measure.metric].view
    here = f"here it is the {usual.stat} of {usual.window_seconds} s"
    if chosen is None and parts["over"] == "irate":
        yield f"irate takes the last two samples, {here}"
    elif chosen is None and usual.stat is not Stat.RAW:
        yield f"it is the last sample, {here}; stat: raw is the last reading"
    elif chosen is not None and not _is(parts, chosen):
        yield f"its window is {parts['range']}{parts['unit']}, here {chosen} s"
    if parts["over"] == "max_over_time" and (chosen or 0) >= _COARSE_SECONDS:
        yield "bursts shorter than ten seconds are flattened in a max of 120 s and more"


def _is(parts: Parts, seconds: int) -> bool:
    scale = {"s": 1, "m": 60, "h": 3600}[parts["unit"] or "s"]
    return int(parts["range"] or 0) * scale == seconds


def _split(parts: Parts) -> Iterator[str]:
    labels = ",".join(filter(None, (parts["before"], parts["by"]))).split(",")
    more = [label for label in labels if label and label not in _OWN]
    if more:
        yield f"it is split by {', '.join(more)}, here a metric is of the whole pod"
