"""Reading a page of the web: public hosts only (tracking.egress), text only, of a size."""

from __future__ import annotations

import html.parser
import re
from urllib.parse import urljoin

from django.conf import settings

from tracking import egress
from tracking.egress import Answer, CallFailed
from wflo.agents.tools import declare

_REDIRECTS = (301, 302, 303, 307, 308)
_TEXT = re.compile(r"text/|application/([\w.-]+\+)?(json|xml|yaml|x-yaml|javascript|x-ndjson|csv)\b")
_HEADERS = {
    "User-Agent": "Wflo",
    "Accept": "text/*, application/json, application/xml, */*;q=0.1",
    "Accept-Encoding": "identity",
}
_SPACES = re.compile(r"[ \t\r\f\v]+")
_LINES = re.compile(r"\s*\n\s*")


@declare(effect="read")
def http_get(url: str) -> str:
    """Reads a page or a document of the public web; of HTML the text alone.

    Args:
        url: an address that begins with https:// or http://
    """
    for _ in range(settings.LIMITS["tool_http_redirects"] + 1):
        answer = _asked(url)
        if answer.status not in _REDIRECTS or not answer.headers.get("location"):
            return _told(answer)
        url = urljoin(url, answer.headers["location"])
    raise CallFailed("It was sent on to another address too often.")


def _asked(url: str) -> Answer:
    """Each address of a chain is judged by itself."""
    limits = settings.LIMITS
    target = egress.read_target(url, field="url")
    return egress.exchange(
        target, "GET", None, _HEADERS, seconds=limits["tool_http_seconds"], bytes_max=limits["tool_http_bytes"]
    )


def _told(answer: Answer) -> str:
    kind = answer.headers.get("content-type", "text/plain").lower()
    if answer.status >= 400:
        raise CallFailed(f"The server answered {answer.status}.")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise CallFailed("It answered compressed, though it was asked not to.")
    if not _TEXT.match(kind) or b"\0" in answer.body[:1_000]:
        raise CallFailed(f"It is no text: {kind[:80]}.")
    text = _decoded(answer.body, kind)
    if "html" in kind:
        text = text_of(text)
    most = settings.LIMITS["tool_http_bytes"]
    return f"{text}\n[it goes on after {most // 1024} KiB]" if answer.is_cut else text


def _decoded(body: bytes, kind: str) -> str:
    named = re.search(r"charset=\"?([\w.:-]+)", kind)
    try:
        return body.decode(named[1] if named else "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def text_of(markup: str) -> str:
    """What a person would read of it, a line a block."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    return _LINES.sub("\n", _SPACES.sub(" ", "".join(reader.parts))).strip()


class _Reader(html.parser.HTMLParser):
    _HIDDEN = frozenset({"script", "style", "noscript", "template", "svg"})
    _INLINE = frozenset(
        [
            "a",
            "abbr",
            "b",
            "bdi",
            "cite",
            "code",
            "em",
            "i",
            "kbd",
            "mark",
            "q",
            "s",
            "small",
            "span",
            "strong",
            "sub",
            "sup",
            "time",
            "u",
            "var",
        ]
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = ""  # the element that hides what is in it
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden:
            self._depth += tag == self._hidden
            return
        if tag in self._HIDDEN:
            self._hidden, self._depth = tag, 1
            self.parts.append("\n")
        elif tag not in self._INLINE:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._depth -= tag == self._hidden
            if not self._depth:
                self._hidden = ""
        elif tag not in self._INLINE:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
