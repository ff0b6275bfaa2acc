"""Reading the web: text of public hosts, of a size."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from tests.tracking.tools.servers import Pages
from tracking.egress import CallFailed
from tracking.errors import WfloServerError
from tracking.tools.http_get import http_get, text_of

HTML = b"""<!doctype html><html><head><title>The shop</title><style>p { color: red }</style>
<script>alert("<p>no</p>")</script></head><body><nav>Home <a href="/x">About&nbsp;us</a></nav>
<h1>Open <b>daily</b></h1><p>From 9 &lt; 18</p><ul><li>one<li>two</ul><svg><text>drawn</text></svg></body></html>"""


def test_of_html_the_text_is_read(pages: Pages) -> None:
    pages.pages["/"] = (200, {"Content-Type": "text/html; charset=utf-8"}, HTML)
    text = http_get(pages.url)
    assert text.splitlines() == ["The shop", "Home About\u00a0us", "Open daily", "From 9 < 18", "one", "two"]


def test_broken_markup_is_read_as_far_as_it_goes() -> None:
    assert text_of("<p>one<script>x<p>two</script>three<!-- a --> <b>c") == "one\nthree c"
    assert text_of("<" * 5_000).startswith("<")


def test_text_and_json_are_read_as_they_are(pages: Pages) -> None:
    pages.pages["/a"] = (200, {"Content-Type": "application/json"}, b'{"a": 1}')
    pages.pages["/b"] = (200, {"Content-Type": "text/plain; charset=latin-1"}, "schön".encode("latin-1"))
    pages.pages["/c"] = (200, {"Content-Type": "text/plain; charset=nonsense"}, b"\xff plain")
    assert http_get(f"{pages.url}/a") == '{"a": 1}'
    assert http_get(f"{pages.url}/b") == "schön"
    assert http_get(f"{pages.url}/c") == "\ufffd plain"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, {"Content-Type": "image/png"}, b"\x89PNG"), "no text: image/png"),
        ((200, {"Content-Type": "text/plain"}, b"\0\0"), "no text"),
        ((200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, b"x"), "compressed"),
        ((500, {}, b"secret inside"), "answered 500"),
        ((200, {"Content-Type": "text/plain", "Content-Length": "50"}, b"less"), "did not answer as"),
    ],
)
def test_what_is_no_text_is_not_read(pages: Pages, answer: tuple[int, dict[str, str], bytes], told: str) -> None:
    pages.pages["/x"] = answer
    with pytest.raises(CallFailed, match=told) as raised:
        http_get(f"{pages.url}/x")
    assert "secret" not in raised.value.message


def test_a_long_document_is_cut(pages: Pages, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "tool_http_bytes": 2_048}
    pages.pages["/x"] = (200, {"Content-Type": "text/plain"}, b"a" * 10_000)
    assert http_get(f"{pages.url}/x") == "a" * 2_048 + "\n[it goes on after 2 KiB]"


def test_it_follows_where_it_is_sent_and_judges_each_place(pages: Pages) -> None:
    pages.pages["/a"] = (302, {"Location": "/b"}, b"")
    pages.pages["/b"] = (200, {"Content-Type": "text/plain"}, b"here")
    assert http_get(f"{pages.url}/a") == "here"
    pages.pages["/evil"] = (302, {"Location": "http://10.0.0.7/latest/meta-data"}, b"")
    with pytest.raises(WfloServerError, match="no public address"):
        http_get(f"{pages.url}/evil")
    pages.pages["/file"] = (302, {"Location": "file:///etc/passwd"}, b"")
    with pytest.raises(WfloServerError, match="begins with"):
        http_get(f"{pages.url}/file")
    pages.pages["/round"] = (302, {"Location": "/round"}, b"")
    with pytest.raises(CallFailed, match="too often"):
        http_get(f"{pages.url}/round")
    assert pages.asked.count("/round") == 4


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "169.254.169.254", "[::1]", "10.0.0.1"])
def test_nothing_inside_is_reached_unless_an_operator_allows_it(host: str) -> None:
    with pytest.raises(WfloServerError, match="no public address"):
        http_get(f"http://{host}/")
