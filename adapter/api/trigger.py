"""A KEDA trigger: what its metadata asks, and what external.metrics.k8s.io says to that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from adapter.api.answers import Answers
from adapter.api.external import External, Plan
from adapter.api.externalscaler import ScaledObject
from adapter.api.query import EXTERNAL_CHOICES, shown
from adapter.errors import BadRequest
from adapter.model.quantity import parse_milli

METADATA = "metadata"  # what the errors call the place of a mistake
METRIC, TARGET, ACTIVATION = "metric", "target", "activationTarget"
_OWN = (METRIC, TARGET, ACTIVATION)
# KEDA hands over the whole metadata, with how it reaches us; the last was an older KEDA's.
_OF_KEDA = frozenset({"scalerAddress", "enableTLS", "unsafeSsl", "tlsCertFile"})
_WORD = re.compile(r"[A-Za-z0-9_.-]+")  # of a label's value


class Trigger(msgspec.Struct, frozen=True):
    """One trigger; `target` and `activation` are thousandths, the rest as it was written."""

    namespace: str
    metric: str
    selector: str
    target: int
    activation: int


def parse(asked: ScaledObject) -> Trigger:
    """Return the trigger; raise BadRequest with all that is wrong with its metadata."""
    given = {key: value for key, value in asked.metadata.items() if key not in _OF_KEDA}
    wrong = list(_problems(given))
    if not asked.namespace:
        wrong.append("the ScaledObject's namespace is missing: KEDA sends it with each call")
    target, activation = (_milli(given, key, wrong) for key in (TARGET, ACTIVATION))
    if target == 0:
        wrong.append(f"{TARGET} is 0: write the figure for one replica, above 0")
    if wrong:
        raise BadRequest(f"{METADATA}: {'; '.join(wrong)}")
    chosen = (f"{key}={value}" for key, value in given.items() if key in EXTERNAL_CHOICES)
    return Trigger(asked.namespace, given[METRIC], ",".join(chosen), target, activation)


def _problems(given: Mapping[str, str]) -> Iterator[str]:
    known = (*_OWN, *EXTERNAL_CHOICES)
    if strange := [shown(key) for key in given if key not in known]:
        yield f"{', '.join(strange)} is not known; known are {', '.join(known)}"
    for key, example in ((METRIC, "llm_inference_inflight_requests"), (TARGET, "16")):
        if not given.get(key):
            yield f"{key} is missing: write it, as in {key}: {example}"
    for key in EXTERNAL_CHOICES:
        if key in given and not _WORD.fullmatch(given[key]):
            yield f"{key} is {shown(given[key])}: write one word of letters, digits, `-`, `_`, `.`"


def _milli(given: Mapping[str, str], key: str, wrong: list[str]) -> int:
    """Return a figure in thousandths, 0 where it is left out; add to `wrong` what it is not."""
    if not given.get(key):
        return 0 if key == ACTIVATION else -1
    try:
        milli = parse_milli(given[key])
    except ValueError as error:
        wrong.append(f"{key}: {error}")
        return -1
    if milli < 0:
        wrong.append(f"{key} is {shown(given[key])}: a negative figure is none")
    return milli


class Triggers:
    """Answers triggers from the Snapshot, in the same views as external.metrics.k8s.io."""

    def __init__(self, answers: Answers, external: External) -> None:
        self._answers = answers
        self._external = external

    def target(self, asked: ScaledObject) -> tuple[str, float]:
        """Return the metric's name and the target; it is known before there is any value.

        Raises BadRequest and NotFound where the trigger asks for nothing that is served.
        """
        trigger = parse(asked)
        return self._plan(trigger).metric, trigger.target / 1000

    def value(self, asked: ScaledObject) -> tuple[str, float]:
        """Return the metric's name and its value; raise an AnswerError where there is none."""
        trigger = parse(asked)
        plan = self._plan(trigger)
        return plan.metric, self._milli(plan) / 1000

    def active(self, asked: ScaledObject) -> bool:
        """Return whether the value is above the activation; raise as `value` does."""
        trigger = parse(asked)
        return self._milli(self._plan(trigger)) > trigger.activation

    def _plan(self, trigger: Trigger) -> Plan:
        terms = {METADATA: trigger.selector}
        return self._external.plan(trigger.metric, trigger.namespace, terms, METADATA)

    def _milli(self, plan: Plan) -> int:
        return sum(plan.ask(self._answers.snapshot()).milli)
