"""The identity: who asks, and how a front proxy's headers say so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Self
from urllib.parse import unquote

import msgspec
from multidict import CIMultiDictProxy

ANONYMOUS = "system:anonymous"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
SERVICE_ACCOUNT = "system:serviceaccount:"  # then namespace:name


class Identity(msgspec.Struct, frozen=True):
    """One user as the authenticator saw it; `extra` is sorted, so that equal users are equal.

    `direct` is a user who came here with a token, and not through kube-apiserver.
    """

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    direct: bool = False

    @property
    def account(self) -> str | None:
        """Who pays: the user whom kube-apiserver let through, None for all others together.

        A tenant makes service accounts at will, so those of a namespace pay together, by the name
        of their group. Those of kube-system, as the HPA controller's, pay each on its own.
        """
        if self.direct:
            return None
        namespace, colon, _ = self.user.removeprefix(SERVICE_ACCOUNT).partition(":")
        if not self.user.startswith(SERVICE_ACCOUNT) or not colon or namespace == "kube-system":
            return self.user
        return f"system:serviceaccounts:{namespace}"

    def authenticated(self) -> Self:
        """Return the user with the group that every authenticated user has.

        Anonymous requests that a front proxy passes on stay what they are.
        """
        if self.user == ANONYMOUS or {AUTHENTICATED, UNAUTHENTICATED} & set(self.groups):
            return self
        return msgspec.structs.replace(self, groups=(*self.groups, AUTHENTICATED))

    def spec(self) -> dict[str, object]:
        """Return the user's part of a SubjectAccessReview's spec."""
        spec: dict[str, object] = {"user": self.user, "groups": list(self.groups)}
        if self.uid:
            spec["uid"] = self.uid
        if self.extra:
            spec["extra"] = {key: list(values) for key, values in self.extra}
        return spec


class FrontProxy(msgspec.Struct, frozen=True):
    """How kube-apiserver says whom it proxies for, from its own ConfigMap in kube-system.

    `authority` is the PEM of the CAs of front proxies, `clients` that of the cluster's own client
    CA; empty where the cluster has none. Without `allowed_names` any name of that CA will do.
    """

    authority: str = ""
    clients: str = ""
    allowed_names: frozenset[str] = frozenset()
    user_headers: tuple[str, ...] = ()
    group_headers: tuple[str, ...] = ()
    uid_headers: tuple[str, ...] = ()
    extra_prefixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Mapping[str, str]) -> Self:
        """Return the settings in the ConfigMap's data; raise ValueError naming the bad key."""
        return cls(
            authority=data.get("requestheader-client-ca-file", ""),
            clients=data.get("client-ca-file", ""),
            allowed_names=frozenset(_names(data, "requestheader-allowed-names")),
            user_headers=_names(data, "requestheader-username-headers"),
            group_headers=_names(data, "requestheader-group-headers"),
            uid_headers=_names(data, "requestheader-uid-headers"),
            extra_prefixes=_names(data, "requestheader-extra-headers-prefix"),
        )

    def allows(self, common_name: str) -> bool:
        """Return whether a certificate of the front proxies' CA with this name may be one."""
        return not self.allowed_names or common_name in self.allowed_names

    def identity(self, headers: CIMultiDictProxy[str]) -> Identity | None:
        """Return whom the proxy speaks for; None when it does not say."""
        user = next(_values(headers, self.user_headers), "")
        if not user:
            return None
        return Identity(
            user,
            groups=tuple(_values(headers, self.group_headers)),
            uid=next(_values(headers, self.uid_headers), ""),
            extra=self._extra(headers),
        )

    def _extra(self, headers: CIMultiDictProxy[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        found: dict[str, list[str]] = {}
        prefixes = tuple(prefix.lower() for prefix in self.extra_prefixes)
        for name, value in headers.items():
            lowered = name.lower()
            for prefix in prefixes:
                if lowered.startswith(prefix):
                    found.setdefault(unquote(lowered[len(prefix) :]), []).append(value)
        return tuple(sorted((key, tuple(values)) for key, values in found.items()))


def _names(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    """Return the strings of a key whose value is a JSON array; absent or empty means none."""
    text = data.get(key, "")
    if not text:
        return ()
    try:
        names = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{key} is no JSON: {error}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{key} is no JSON array of strings")
    return tuple(names)


def _values(headers: CIMultiDictProxy[str], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        yield from filter(None, headers.getall(name, ()))
