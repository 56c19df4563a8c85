"""The scrape annotation: what it may ask for, and that nothing in it leads elsewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from adapter.errors import IntakeError
from adapter.intake.capped import url
from adapter.intake.pages import MAX_PAGES, pages
from adapter.model.fleet import MetricsPage


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        ("vllm", MetricsPage("vllm", 8000, "/metrics")),
        ("vllm:8001", MetricsPage("vllm", 8001, "/metrics")),
        ("triton:8002/metrics", MetricsPage("triton", 8002, "/metrics")),
        ("vllm/v1/metrics", MetricsPage("vllm", 8000, "/v1/metrics")),
        ("auto:9000", MetricsPage("auto", 9000, "/metrics")),
        (" vllm:8000 ", MetricsPage("vllm", 8000, "/metrics")),
    ],
)
def test_what_is_not_said_is_the_engines_own(annotation: str, found: MetricsPage) -> None:
    assert pages(annotation) == (found,)


def test_several_pages_stand_with_commas_between() -> None:
    assert [page.port for page in pages("vllm:8000,vllm:8001")] == [8000, 8001]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (None, "no annotation forescale.dev/scrape: write for example vllm:8000"),
        ("", "no annotation"),
        ("vllm:0", "use 1 to 65535"),
        ("vllm:70000", "use 1 to 65535"),
        ("auto", "auto without a port"),
        ("nothing:80", "names the engine nothing: use vllm"),
        ("http://10.0.0.1:80/x", "write engine"),
        ("vllm:8000@169.254.169.254/x", "write engine"),
        ("vllm:8000/../../x", "write engine"),
        ("vllm:8000/a?b=c", "write engine"),
        ("vllm:8000/%2e%2e/", "write engine"),
        ("vllm:8000/\r\nHost: x", "write engine"),
        ("vllm:\uff18000", "write engine"),  # a digit, but of another script
        ("vllm,", "write engine"),
        (",".join(["vllm:8000"] * (MAX_PAGES + 1)), "more than 4 pages"),
        ("vllm:8000/" + "x" * 10_000, "more than 4 pages"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(annotation: str | None, words: str) -> None:
    with pytest.raises(IntakeError, match=words) as caught:
        pages(annotation)
    assert str(caught.value).isprintable()


@given(text=st.text(st.sampled_from("vlm:8/.@%?#\\[]-~_ a0\n"), max_size=40))
def test_whatever_is_accepted_stays_at_the_pods_address(text: str) -> None:
    try:
        found = pages("vllm" + text)
    except IntakeError:
        return
    for page in found:
        for ip in ("10.1.2.3", "fd00::7"):
            asked = URL(url(ip, page.port, page.path))
            assert (asked.host, asked.port, asked.user) == (ip, page.port, None)
            assert asked.path == page.path
            assert not asked.query_string
