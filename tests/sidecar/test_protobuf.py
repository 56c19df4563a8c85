"""Owns the proof that protobuf's wire format is read as protobuf itself reads it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.podresources import holders
from sidecar.protobuf import ProtobufError, fields, messages, text
from tests.fakes import kubelet


def test_each_kind_of_field_is_told_apart() -> None:
    found = list(fields(b"\x08\x96\x01\x12\x02hi\x19abcdefgh\x25abcd"))
    assert found == [(1, 150), (2, b"hi"), (3, b"abcdefgh"), (4, b"abcd")]


@pytest.mark.parametrize(
    "broken", [b"\x12\x05hi", b"\x08", b"\x80", b"\x0b", b"\x08" + b"\xff" * 11]
)
def test_a_broken_message_is_refused(broken: bytes) -> None:
    with pytest.raises(ProtobufError):
        list(fields(broken))


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=20), st.lists(st.text(max_size=20), max_size=4)),
        max_size=5,
    )
)
def test_what_protobuf_writes_is_read_back(pods: list[tuple[str, list[str]]]) -> None:
    made = kubelet.messages().ListPodResourcesResponse(
        pod_resources=[kubelet.pod(name, *ids) for name, ids in pods]
    )
    sent = made.SerializeToString()
    assert [text(found, 1) for found in messages(sent, 1)] == [name for name, _ in pods]
    wanted = [(name, tuple(dict.fromkeys(ids))) for name, ids in pods if ids]
    assert [(found.pod, found.devices) for found in holders(sent)] == wanted


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_do_anything_but_read_or_refuse(data: bytes) -> None:
    with contextlib.suppress(ProtobufError):
        assert all(found.devices for found in holders(data))
