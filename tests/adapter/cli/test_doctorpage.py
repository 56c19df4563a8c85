"""The doctor's page: aligned lines, hints below, colour only when asked, nothing that steers."""

from __future__ import annotations

from adapter.cli.doctorpage import text
from adapter.demo.view import Paint
from adapter.doctor.checks import Diagnosis, Line
from adapter.doctor.finding import Level

LINES = (
    Line(Level.PASS, "api-server", "v1.37.2"),
    Line(Level.WARN, "gpus", "no GPU", "install the device plugin"),
    Line(Level.UNKNOWN, "sources", "you may not", "use a user who may list pods"),
    Line(Level.FAIL, "hpa-metrics", "a\x1b[2J\nFAIL  b"),
)


def test_a_line_for_each_finding_with_what_mends_it_and_a_count() -> None:
    left_out = ("/api/v1/pods after its first 5000",)
    assert text(Diagnosis(LINES, left_out), Paint(colour=False)).splitlines() == [
        "PASS     api-server   v1.37.2",
        "WARN     gpus         no GPU",
        "                      hint: install the device plugin",
        "UNKNOWN  sources      you may not",
        "                      hint: use a user who may list pods",
        "FAIL     hpa-metrics  a [2J FAIL  b",
        "",
        "not looked at: /api/v1/pods after its first 5000",
        "1 PASS, 1 WARN, 1 FAIL, 1 UNKNOWN",
    ]


def test_colour_says_nothing_that_the_word_does_not() -> None:
    painted = text(Diagnosis(LINES), Paint(colour=True)).splitlines()
    assert painted[0].startswith("\x1b[32mPASS   \x1b[0m  api-server")
    assert painted[1].startswith("\x1b[33mWARN   \x1b[0m")
    assert painted[3].startswith("\x1b[31mUNKNOWN\x1b[0m")


def test_nobodys_words_fill_the_screen() -> None:
    line = Line(Level.FAIL, "x", "w" * 5000)
    assert len(text(Diagnosis((line,)), Paint(colour=False)).splitlines()[0]) < 700
