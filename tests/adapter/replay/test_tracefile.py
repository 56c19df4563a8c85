"""A trace is read from what people have, and what is not known stays unknown."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from adapter.errors import SettingsError
from adapter.replay import tracefile as traces
from adapter.replay.tracefile import Columns, load


def written(folder: Path, *lines: str, name: str = "trace.csv") -> Path:
    path = folder / name
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def problem(path: Path, columns: Columns | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(path, columns)
    return caught.value.problems[0]


def test_a_row_is_a_step_where_there_is_a_count(tmp_path: Path) -> None:
    found = load(written(tmp_path, "# from a friend", "t,requests", "100,3", "110,5", "120,0"))
    assert found.step_seconds == 10.0
    assert found.arrivals.tolist() == [3, 5, 0]
    assert found.known.all()
    assert found.times is None


def test_a_gzipped_file_is_read_too(tmp_path: Path) -> None:
    found = load(written(tmp_path, "time,count", "0,3", "1,5", name="trace.csv.gz"))
    assert found.arrivals.tolist() == [3, 5]


def test_a_row_is_a_request_where_there_is_no_count(tmp_path: Path) -> None:
    lines = (
        "TIMESTAMP,ContextTokens,GeneratedTokens",
        "2023-11-16 18:17:03.9799600,1000,10",
        "2023-11-16 18:17:05.1,1000,30",
        "2023-11-16 18:17:05.2,1000,10",
    )
    found = load(written(tmp_path, *lines))
    assert found.step_seconds == 1.0
    assert found.arrivals.tolist() == [1, 0, 2]
    assert found.known.all()  # a second without requests is one without requests
    assert found.work is not None
    assert found.work.mean() == pytest.approx(1.0)
    assert found.work[1] == pytest.approx(2.5 * found.work[0])  # 0.1 s of prefill, 0.3 s or 0.9 s


def test_a_missing_row_is_a_gap_and_never_a_step_without_requests(tmp_path: Path) -> None:
    path = written(tmp_path, "t,requests", "0,10", "10,10", "20,10", "50,40")
    found = load(path)
    assert found.known.tolist() == [True, True, True, False, False, True]
    assert found.arrivals.tolist() == [10, 10, 10, 20, 30, 40]
    assert found.absent_ratio == pytest.approx(2 / 6)
    zero = load(path, Columns(absent_is_zero=True))
    assert zero.absent_ratio == 0
    assert zero.known.all()
    assert zero.arrivals.tolist() == [10, 10, 10, 0, 0, 40]


def test_a_row_that_is_no_count_is_a_gap(tmp_path: Path) -> None:
    rows = ("0,10", "10,nan", "20,-1", "30,", "40, ", "50,NaN", "60,10")
    found = load(written(tmp_path, "t,requests", *rows))
    assert found.known.tolist() == [True, *[False] * 5, True]
    assert found.arrivals.tolist() == [10] * 7
    assert found.absent_ratio == 0


def test_a_marked_gap_takes_the_filled_figure_and_stays_unknown(tmp_path: Path) -> None:
    found = load(
        written(tmp_path, "t,requests,gap,requests_filled", "0,9,0,9", "10,0,1,8", "20,7,0,7")
    )
    assert found.arrivals.tolist() == [9, 8, 7]
    assert found.known.tolist() == [True, False, True]
    assert found.mean_rate == pytest.approx(0.8)


def test_the_columns_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "at,n", "0,1", "1,2")
    assert "has no column t or time or timestamp or ts or arrived_at: name one" in problem(path)
    assert problem(path).endswith("of at, n with --time-column")
    assert load(path, Columns("at", "n")).arrivals.tolist() == [1, 2]
    with pytest.raises(SettingsError) as caught:
        load(path, Columns("when", "m"))
    assert caught.value.problems == (
        "--time-column when: trace.csv has no such column, it has at, n",
        "--column m: trace.csv has no such column, it has at, n",
    )


def test_rates_are_times_the_step(tmp_path: Path) -> None:
    path = written(tmp_path, "Time;p95;req/s", "0;9;2", "60;9;", "120;9;4.5")
    found = load(path, Columns(rate="req/s"))
    assert found.arrivals.tolist() == [120, 195, 270]
    assert found.known.tolist() == [True, False, True]
    both = Columns(count="p95", rate="req/s")
    assert "--column and --rate-column: name one" in problem(path, both)
    assert load(written(tmp_path, "t,rps", "0,2", "30,2")).mean_rate == 2


@pytest.mark.parametrize("zero", ["1700000000000", "1700000000000000", "1700000000000000000"])
def test_unix_times_in_milliseconds_and_less_are_known_by_their_size(
    tmp_path: Path, zero: str
) -> None:
    later = f"{int(zero) + 10 * int(zero) // 1_700_000_000}"
    assert load(written(tmp_path, "ts,count", f"{zero},1", f"{later},2")).step_seconds == 10


def test_lines_in_any_order_with_offsets_of_the_summer_and_the_winter_are_one_time(
    tmp_path: Path,
) -> None:
    rows = (
        "2026-10-25T02:30:00+01:00,3",
        "2026-10-25T02:30:00+02:00,1",
        "2026-10-25T01:00:00Z,2",
    )
    found = load(
        written(tmp_path, "Timestamp\tRequests", *(row.replace(",", "\t") for row in rows))
    )
    assert found.step_seconds == 1800
    assert found.arrivals.tolist() == [1, 2, 3]


def test_a_gzipped_file_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress(b"t,requests\n0,1\n1,2\n"))
    assert load(path).arrivals.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "is empty: its first line names the columns, as t,requests"),
        (("0,5", "10,6"), "the first line has figures and no names: put t,requests above it"),
        (("2026-01-01T00:00:00Z",), "the first line has figures and no names"),
        (("t,requests",), "has no rows"),
        (("t,requests", "0,1", "x,2"), "line 3: `x` is no time: write seconds or ISO 8601"),
        (("t,requests", "0,1", "5"), "line 3 has 1 cells, fewer than its head"),
        (("t,requests", "0,1", "inf,1"), "line 3: `inf` is no time"),
        (
            ("# a", "t,requests", "# b", "0,1", "1,many"),
            "line 5: `many` is no number: write one, or",
        ),
        (("t,requests", "0,1", "1,-"), "line 3: `-` is no number"),
        (("t,requests", "0,1", "1,inf"), "line 3: `inf` is no number"),
        (("t,prompt_tokens", "0,1", "1,few"), "line 3: `few` is no number"),
        (("t,requests", "0,nan"), "no step with a usable count"),
        (("t,requests", "0,1", "1,1", "2,1", "9999999999,1"), "steps: use at most"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(
    tmp_path: Path, lines: tuple[str, ...], words: str
) -> None:
    assert words in problem(written(tmp_path, *lines))


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MAX_BYTES", 1000)
    lines = ("t,requests", *(f"{at},1" for at in range(1000)))
    assert "more than 1000 bytes" in problem(written(tmp_path, *lines, name="bomb.csv.gz"))
    assert "larger than 1000 bytes" in problem(written(tmp_path, *lines))


def test_a_file_that_is_no_gzip_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(b"\x1f\x8bt,requests\n0,1\n")
    assert "cannot be read" in problem(path)
