"""The control plane's checks, each on the facts of a cluster in which one thing is otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.api import tls
from adapter.doctor.facts import GPU, QUEUE, Seen
from adapter.doctor.finding import Level
from tests.adapter.doctor.healthy import (
    NOW,
    bundle,
    conditions,
    facts,
    found,
    refused,
    replica,
    service,
    story,
    the,
    told,
)

V1, V2 = "v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"
FOREIGN = {"name": "prometheus-adapter", "namespace": "monitoring"}


@pytest.mark.parametrize(
    ("version", "level", "words"),
    [
        ("v1.28.4-gke.1", Level.FAIL, "v1.28.4-gke.1: init containers that go on running"),
        ("v1.29.0", Level.PASS, "v1.29.0; not in it yet: GPUs by DRA claims (1.34), injection"),
        ("v1.35.1", Level.PASS, "v1.35.1; not in it yet: injection without a webhook (1.36)"),
        ("v1.37.2", Level.PASS, "v1.37.2"),
        ("v1.38.0+k3s1", Level.PASS, "v1.38.0+k3s1"),
    ],
)
def test_an_api_server_is_old_or_lacks_what_came_later(
    version: str, level: Level, words: str
) -> None:
    seen = the("api-server", facts(version=Seen({"gitVersion": version})))
    assert seen.level is level
    assert seen.seen.startswith(words)


def services(*changed: Any) -> Seen:
    return Seen([*changed], at=NOW)


def test_apiservices_are_missing_foreign_or_ours() -> None:
    missing = found("apiservices", facts(apiservices=services(service(V2))))
    assert [(one.level, one.seen) for one in missing] == [
        (Level.FAIL, f"{V1} is not there: the adapter makes it once it is ready"),
        (Level.PASS, f"{V2} is ours and available"),
    ]
    foreign = found(
        "apiservices", facts(apiservices=services(service(V1, service=FOREIGN), service(V2)))
    )
    assert (foreign[0].level, foreign[0].seen) == (
        Level.FAIL,
        f"{V1} belongs to Service monitoring/prometheus-adapter",
    )
    assert "docs/fallthrough.md" in foreign[0].hint


@pytest.mark.parametrize("name", ["v1beta1.external.metrics.k8s.io", "v1beta1.metrics.k8s.io"])
def test_a_further_apiservice_that_points_to_us_must_be_available_too(name: str) -> None:
    broken = service(V2) | {"metadata": {"name": name}}
    broken["status"] = conditions(Available="False,MissingEndpoints")
    given = facts(apiservices=services(service(V1), service(V2), broken))
    assert [one.seen for one in found("apiservices", given) if one.level is Level.FAIL] == [
        f"{name} is not available: MissingEndpoints: so says Available"
    ]
    broken["spec"]["service"] = FOREIGN
    assert {one.level for one in found("apiservices", given)} == {Level.PASS}


def test_a_certificate_that_is_not_trusted_has_a_hint_of_its_own() -> None:
    broken = service(V1) | {"status": conditions(Available="False,FailedDiscoveryCheck")}
    broken["status"]["conditions"][0]["message"] = "x509: certificate signed by unknown authority"
    seen = found("apiservices", facts(apiservices=services(broken, service(V2))))
    assert [one.level for one in seen] == [Level.PASS, Level.FAIL]
    assert "rollout restart deployment forescale-adapter" in seen[1].hint


def of(days: float) -> bytes:
    """Return a CA that lasts so long from now."""
    return tls.new_authority("x", days + 99, NOW - 99 * 86_400).pem


def test_certificates_are_skipped_missing_about_to_expire_or_expired() -> None:
    def seen(**spec: Any) -> tuple[Level, str]:
        one = the("certificates", facts(apiservices=services(service(V2, **spec))))
        return one.level, one.seen

    def of_days(days: float) -> str:
        return bundle(of(days))

    assert seen(caBundle=None) == (Level.FAIL, f"{V2} has no certificate in its caBundle")
    assert seen(caBundle=bundle(b"no PEM"))[0] is Level.FAIL
    assert seen(insecureSkipTLSVerify=True)[0] is Level.WARN
    assert seen(caBundle=of_days(5.2)) == (Level.WARN, f"the CA in {V2} expires in 5 days")
    assert seen(caBundle=of_days(-1)) == (Level.FAIL, f"the CA in {V2} has expired")
    assert seen(caBundle=of_days(20)) == (Level.PASS, "the CAs in 1 APIService are valid")
    renewed = bundle(of(-1) + of(99))
    assert seen(caBundle=renewed)[0] is Level.PASS


def test_a_group_that_does_not_answer_or_lists_nothing_is_a_failure() -> None:
    discovery = {"v1beta2": Seen(refusal="service unavailable", code=503), "v1beta1": Seen({})}
    words = [(one.level, one.seen) for one in found("aggregation", facts(discovery=discovery))]
    assert words == [
        (Level.FAIL, "/apis/custom.metrics.k8s.io/v1beta2: service unavailable"),
        (Level.FAIL, "/apis/custom.metrics.k8s.io/v1beta1 lists no metric"),
    ]


def test_an_hpa_controller_without_the_right_is_given_it_by_the_hint() -> None:
    seen = the("hpa-rights", facts(right=Seen(body=False)))
    assert seen.level is Level.FAIL
    assert "--serviceaccount kube-system:horizontal-pod-autoscaler" in seen.hint


@pytest.mark.parametrize(
    ("pods", "level", "words"),
    [
        ([], Level.FAIL, "no pod of the adapter in forescale-system"),
        (
            [replica("a", ready=False)],
            Level.FAIL,
            "none of 1 replica is ready, the youngest 3 min old: a",
        ),
        (
            [replica("a", age=9_000), replica("b", ready=False)],
            Level.WARN,
            "not ready: b, of 2 replicas, the youngest 3 min old",
        ),
        ([replica("a", age=9_000)], Level.WARN, "one replica alone, 2 h old: while it restarts"),
        ([replica("a"), replica("b", image="new")], Level.WARN, "replicas of 2 images: fore"),
        (
            [replica("a", age=800_000), replica("b", age=59)],
            Level.PASS,
            "2 replicas are ready, all forescale-adapter:1, the youngest 59 s old",
        ),
    ],
)
def test_the_replicas_of_the_adapter_are_counted(
    pods: list[dict[str, Any]], level: Level, words: str
) -> None:
    seen = the("adapter", facts(replicas=Seen(pods, at=NOW)))
    assert seen.level is level
    assert seen.seen.startswith(words)


def test_the_age_of_a_replica_is_by_the_api_servers_clock() -> None:
    ours_is_an_hour_behind = Seen(NOW + 3600, at=NOW)
    made = [replica("a"), replica("b", age=300_000 - 3600)]
    seen = the("adapter", facts(clock=ours_is_an_hour_behind, replicas=Seen(made, at=NOW)))
    assert seen.seen.endswith("the youngest 1 h old")
    old = Seen([replica("a", age=300_000), replica("b", age=900_000)], at=NOW)
    assert the("adapter", facts(replicas=old)).seen.endswith("the youngest 3 d old")
    early = Seen([replica("a", age=-4.0), replica("b")], at=NOW)
    assert the("adapter", facts(replicas=early)).seen.endswith("the youngest 0 s old")


def test_a_replica_that_ends_is_not_counted() -> None:
    ending = replica("a", ready=False)
    ending["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z"
    assert (
        the("adapter", facts(replicas=Seen([ending, replica("b"), replica("c")], at=NOW))).level
        is Level.PASS
    )


@pytest.mark.parametrize(
    ("ended_at", "ended", "words"),
    [
        ("2027-01-15T07:30:00Z", {"reason": "OOMKilled"}, "a was restarted within the hour: OOMK"),
        ("2027-01-15T07:30:00Z", {"exitCode": 3}, "a was restarted within the hour: exit 3"),
        ("2027-01-15T03:00:00Z", {"exitCode": 3}, "2 replicas are ready"),
    ],
)
def test_a_replica_that_was_just_restarted_is_warned_of(
    ended_at: str, ended: dict[str, Any], words: str
) -> None:
    restarted = replica("a")
    last = {"terminated": {"finishedAt": ended_at, **ended}}
    restarted["status"]["containerStatuses"] = [{"lastState": last}, {"lastState": {}}]
    given = facts(replicas=Seen([restarted, replica("b")], at=NOW))
    assert found("adapter", given)[0].seen.startswith(words)


@pytest.mark.parametrize(
    ("ahead", "level"), [(0.0, Level.PASS), (4.0, Level.PASS), (-30.0, Level.WARN)]
)
def test_the_adapters_clock_is_held_against_the_api_servers_whatever_ours_says(
    ahead: float, level: Level
) -> None:
    ours_is_behind = Seen(NOW + 3600, at=NOW)
    heard = {("default", m): story(m, told("a"), at=NOW + 3600 + ahead) for m in (QUEUE, GPU)}
    assert the("clock", facts(clock=ours_is_behind, stories=heard)).level is level


def test_without_an_adapter_the_clock_is_held_against_ours() -> None:
    seen = the("clock", facts(clock=Seen(NOW + 9, at=NOW), stories={}))
    assert seen.seen == "the API server's clock is 9 s ahead of this machine's"


@pytest.mark.parametrize(
    ("check", "fact", "right"),
    [
        ("apiservices", "apiservices", "list apiservices"),
        ("hpa-rights", "right", "create subjectaccessreviews"),
        ("adapter", "replicas", "list pods in the namespace forescale-system"),
        ("api-server", "version", "get the path /version"),
        ("clock", "clock", "get the path /version"),
    ],
)
def test_what_is_refused_is_unknown_and_the_hint_says_which_right_is_needed(
    check: str, fact: str, right: str
) -> None:
    seen = the(check, facts(**{fact: refused()}))
    assert (seen.level, seen.seen) == (Level.UNKNOWN, "you may not")
    assert right in seen.hint
