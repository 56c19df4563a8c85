"""What was learnt survives as text, and text that was changed is refused in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import BadCheckpoint
from adapter.model import checkpoint
from adapter.model.checkpoint import EMPTY, SHARDS, decode, encode, shard_of
from adapter.model.sighting import Key, Sighting, Start, observed

NOW = 1_700_000_000.0
KEY = Key("default", "Deployment/llm", "abc")
START = Start(
    130.5, ended=True, at=NOW - 60, uid="u1", node_seconds=10, pull_seconds=20, load_seconds=100.5
)
LEARNT = {KEY: (START,)}


def whole(learnt: dict[Key, tuple[Start, ...]]) -> dict[Key, tuple[Start, ...]]:
    found: dict[Key, tuple[Start, ...]] = {}
    for text in encode(learnt, NOW):
        found |= decode(text, NOW)
    return found


def the_shard() -> str:
    return encode(LEARNT, NOW)[shard_of(KEY)]


def signed(body: str, mark: str = "forescale-cold-starts", version: str = "1") -> str:
    return f"{mark} {version} {checkpoint._digest(body)}\n{body}"


TENTHS = st.integers(0, 18_000).map(lambda n: n / 10)
PHASE = st.none() | TENTHS
STARTS = st.builds(
    Start,
    TENTHS,
    st.booleans(),
    st.integers(0, 10_000_000).map(lambda n: NOW - n / 10),
    st.text(st.characters(max_codepoint=127), max_size=36),
    st.booleans(),
    PHASE,
    PHASE,
    PHASE,
    PHASE,
)
NAMES = st.text('abc-/é"', max_size=12)
KEYS = st.builds(Key, NAMES, NAMES, NAMES)


@given(st.dictionaries(KEYS, st.lists(STARTS, min_size=1, max_size=5).map(tuple), max_size=5))
def test_whatever_was_learnt_comes_back(learnt: dict[Key, tuple[Start, ...]]) -> None:
    assert whole(learnt) == learnt


MOMENTS = st.floats(NOW - 3_000, NOW + 3_000)


@given(MOMENTS, *[st.none() | MOMENTS] * 4)
def test_whatever_a_pods_status_says_what_it_taught_can_be_read_again(
    created: float, scheduled: float, started: float, ready: float, gone: float
) -> None:
    seen = Sighting("u", "a", KEY, created, scheduled, started, ready, gone)
    start = observed(seen, NOW)
    learnt = {} if start is None else {KEY: (start,)}
    assert whole(learnt).keys() == learnt.keys()


@given(st.integers(0, 10_000), st.characters(codec="ascii"))
def test_a_shard_with_one_character_changed_or_cut_off_is_refused(place: int, other: str) -> None:
    text = the_shard()
    place %= len(text)
    for changed in (text[:place], text[:place] + other + text[place + 1 :]):
        if changed != text:
            with pytest.raises(BadCheckpoint):
                decode(changed, NOW)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is no checkpoint"),
        (signed("[]", mark="something"), "it is no checkpoint"),
        (signed("[]", version="2"), "its version is `2`, this release reads 1"),
        ("forescale-cold-starts 1 abc\n[]", "its checksum is another"),
        (signed("{}"), "it cannot be read: Expected `array`"),
        (signed('[["a","b","c",[[1e999,true,1,"",false,null,null,null]]]]'), "cannot be read"),
        (signed('[["a","b","c",[[1801,true,1,"",false,null,null,null]]]]'), "no start's"),
        (signed('[["a","b","c",[[1,true,9e9,"",false,null,null,null]]]]'), "no start's"),
        (signed('[["a","b","c",[[1,true,1,"",false,-3,null,null]]]]'), "no start's"),
        (signed('[["a","b","c",[[1,true,1,"",false,null,null,null,-3]]]]'), "no start's"),
        (signed("[" * 5_000), "it cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_words(text: str, words: str) -> None:
    with pytest.raises(BadCheckpoint, match=words):
        decode(text, NOW)


def test_a_row_of_the_release_before_has_no_wait_for_room() -> None:
    text = signed('[["default","Deployment/llm","abc",[[1.5,true,1,"u",false,1,null,0.5]]]]')
    ((start,),) = decode(text, NOW).values()
    assert (start.load_seconds, start.room_seconds) == (0.5, None)


def test_what_did_not_change_is_the_same_text() -> None:
    other = Key("default", "Deployment/a", "z")
    assert encode({KEY: (START,), other: (START,)}, NOW) == encode(
        {other: (START,), KEY: (START,)}, NOW + 60
    )


def test_all_templates_of_a_workload_are_in_one_shard_and_workloads_spread() -> None:
    assert shard_of(KEY) == shard_of(Key("default", "Deployment/llm", "other"))
    assert {shard_of(Key("default", f"Deployment/{n}", "")) for n in range(100)} == {*range(SHARDS)}


def test_what_is_too_old_to_count_is_left_out() -> None:
    assert encode(LEARNT, NOW + 15 * 86_400) == (EMPTY,) * SHARDS
    assert decode(EMPTY, NOW) == {}


def test_a_shard_is_bounded_and_those_go_that_have_not_started_for_the_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoint, "MAX_SHARD_BYTES", 400)
    keys = [Key("default", "Deployment/llm", f"t{n}") for n in range(20)]
    starts = {key: (Start(60, ended=True, at=NOW - n),) for n, key in enumerate(keys)}
    text = encode(starts, NOW)[shard_of(KEY)]
    kept = decode(text, NOW)
    assert 3 <= len(kept) < 20
    assert list(kept) == sorted(keys[: len(kept)], key=lambda key: key.template)
    assert len(text.partition("\n")[2]) <= 400 + 1


def test_a_namespace_of_many_workloads_takes_no_others_place_in_a_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoint, "MAX_SHARD_BYTES", 400)
    noisy = [Key("noisy", f"Deployment/{n}", "") for n in range(400)]
    there = [key for key in noisy if shard_of(key) == shard_of(KEY)]
    starts = {key: (Start(60, ended=True, at=NOW),) for key in there}
    kept = decode(encode(LEARNT | starts, NOW)[shard_of(KEY)], NOW)
    assert len(there) > len(kept) >= 3
    assert KEY in kept


def test_the_largest_checkpoint_fits_the_api_server() -> None:
    phases = {"node_seconds": 1799.9, "pull_seconds": 1799.9, "load_seconds": 1799.9}
    starts = tuple(Start(1799.9, ended=True, at=NOW, uid="u" * 36, **phases) for _ in range(50))
    keys = [Key("n" * 63, f"Deployment/{'d' * 240}{n}", "abcdef1234") for n in range(1_000)]
    texts = encode(dict.fromkeys(keys, starts), NOW)
    assert max(map(len, texts)) < 1_000_000
    assert sum(len(decode(text, NOW)) for text in texts) > 500
