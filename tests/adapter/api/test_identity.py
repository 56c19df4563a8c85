"""What a front proxy's headers say, by the names that the cluster's ConfigMap gives them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from adapter.api.identity import FrontProxy, Identity

DATA = {
    "requestheader-client-ca-file": "ca",
    "client-ca-file": "clients",
    "requestheader-allowed-names": '["front-proxy-client","other"]',
    "requestheader-username-headers": '["X-Remote-User","X-Second-User"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
}
PROXY = FrontProxy.of(DATA)


def identity(*headers: tuple[str, str], proxy: FrontProxy = PROXY) -> Identity | None:
    return proxy.identity(CIMultiDictProxy(CIMultiDict(headers)))


def test_user_groups_and_extra_are_read() -> None:
    found = identity(
        ("X-Remote-User", "alice"),
        ("X-Remote-Group", "a"),
        ("X-Remote-Group", "b"),
        ("X-Remote-Extra-Scopes", "1"),
        ("X-Remote-Extra-Scopes", "2"),
        ("X-Remote-Extra-Authentication.kubernetes.io%2fcredential-Id", "JTI=x"),
    )
    assert found == Identity(
        "alice",
        groups=("a", "b"),
        extra=(("authentication.kubernetes.io/credential-id", ("JTI=x",)), ("scopes", ("1", "2"))),
    )


def test_header_names_match_in_any_case_and_the_first_with_a_value_names_the_user() -> None:
    assert identity(("x-REMOTE-user", "alice")) == Identity("alice")
    assert identity(("X-Remote-User", ""), ("X-Second-User", "bob")) == Identity("bob")
    both = (("X-Remote-User", "alice"), ("X-Remote-User", "mallory"))
    assert identity(*both) == Identity("alice")


def test_headers_that_are_only_similar_say_nothing() -> None:
    assert identity(("X_Remote_User", "alice")) is None
    assert identity(("X-Remote-User-", "alice")) is None
    assert identity(("Remote-User", "alice")) is None
    assert identity() is None


def test_the_uid_is_read_only_where_the_cluster_names_a_header_for_it() -> None:
    headers = (("X-Remote-User", "alice"), ("X-Remote-Uid", "1"))
    assert identity(*headers) == Identity("alice")
    proxy = FrontProxy.of(DATA | {"requestheader-uid-headers": '["X-Remote-Uid"]'})
    assert identity(*headers, proxy=proxy) == Identity("alice", uid="1")


def test_a_cluster_without_front_proxies_has_none() -> None:
    proxy = FrontProxy.of({})
    assert (proxy.authority, proxy.allowed_names) == ("", frozenset())
    assert identity(("X-Remote-User", "alice"), proxy=proxy) is None


def test_names_are_allowed_from_the_list_or_all_where_it_is_empty() -> None:
    assert PROXY.allows("other")
    assert not PROXY.allows("another")
    assert FrontProxy.of(DATA | {"requestheader-allowed-names": "[]"}).allows("another")


@pytest.mark.parametrize("text", ["X-Remote-User", '{"a":1}', "[1]", '"X-Remote-User"'])
def test_a_key_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="requestheader-group-headers"):
        FrontProxy.of(DATA | {"requestheader-group-headers": text})


def test_everybody_who_is_known_is_in_the_group_of_those() -> None:
    assert Identity("a", ("x",)).authenticated().groups == ("x", "system:authenticated")
    once = Identity("a", ("system:authenticated",))
    assert once.authenticated() == once


def test_the_anonymous_are_not() -> None:
    for groups in ((), ("system:unauthenticated",)):
        unknown = Identity("system:anonymous", groups)
        assert unknown.authenticated() == unknown
    odd = Identity("somebody", ("system:unauthenticated",))
    assert odd.authenticated() == odd


def test_a_review_carries_only_what_is_known() -> None:
    assert Identity("a").spec() == {"user": "a", "groups": []}
    full = Identity("a", ("g",), "1", (("k", ("v", "w")),)).spec()
    assert full == {"user": "a", "groups": ["g"], "uid": "1", "extra": {"k": ["v", "w"]}}


@given(st.dictionaries(st.sampled_from(sorted(DATA)), st.text(max_size=20)))
def test_any_configmap_is_read_or_named(data: dict[str, str]) -> None:
    try:
        FrontProxy.of(data)
    except ValueError as error:
        assert str(error).startswith("requestheader-")  # noqa: PT017 - either outcome is right


@given(st.lists(st.text(max_size=10)))
def test_lists_of_names_are_taken_as_they_are(names: list[str]) -> None:
    data = {"requestheader-group-headers": json.dumps(names)}
    assert FrontProxy.of(data).group_headers == tuple(names)


def test_kube_apiservers_users_have_an_account_each_and_all_others_one_together() -> None:
    assert [Identity(name).account for name in ("alice", "bob")] == ["alice", "bob"]
    assert Identity("alice", direct=True).account is Identity("bob", direct=True).account is None


def test_the_service_accounts_of_a_namespace_have_one_account_but_kube_systems_one_each() -> None:
    def accounts(*names: str) -> list[str | None]:
        return [Identity(f"system:serviceaccount:{name}").account for name in names]

    assert len(set(accounts("team-a:x", "team-a:y"))) == 1
    assert len(set(accounts("team-a:x", "team-b:x", "team-a"))) == 3
    controller = "kube-system:horizontal-pod-autoscaler"
    assert accounts(controller) == [f"system:serviceaccount:{controller}"]
    assert Identity("team-a").account not in accounts("team-a:x")
    assert Identity("system:serviceaccount:team-a:x", direct=True).account is None
