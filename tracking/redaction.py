"""Secrets and personal data are taken out before anything is stored; ids of users, sessions and runs stay.

Works on encoded JSON, once a chunk: one pass of RE2, which is linear in any text, tells whether there is anything to
do at all (``wflo.secret_words`` has the patterns). Ids, times and counts are left alone.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import orjson
import re2

from wflo.secret_words import PERSONAL, SECRETS, is_card
from wflo.spans import Span

_POLICIES: dict[str, dict[str, str]] = {
    "secrets_and_personal": {**SECRETS, **PERSONAL},
    "secrets": SECRETS,
    "off": {},
}
PATTERNS: tuple[str, ...] = (*SECRETS, *PERSONAL)
NAMES_REMEMBERED = 4_096


class Redactor:
    """One policy, compiled. ``body`` takes encoded JSON or any UTF-8; ``words`` takes plain text."""

    def __init__(self, patterns: dict[str, str]) -> None:
        self._names = tuple(patterns)
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are: every pattern is ASCII
        options.max_mem = 64 << 20
        joined = "|".join(f"({pattern})" for pattern in patterns.values())
        self._pattern = re2.compile(joined.encode(), options) if patterns else None
        self.name = lru_cache(NAMES_REMEMBERED)(self.words)  # for words that come again and again

    def body(self, raw: bytes) -> bytes:
        if self._pattern is None or self._pattern.search(raw) is None:
            return raw
        return bytes(self._pattern.sub(self._replacement, raw))

    def found(self, raw: bytes) -> list[str]:
        """Names of what would be struck out, each once, in the order of the policy."""
        if self._pattern is None or self._pattern.search(raw) is None:
            return []
        names = {name for _, _, name in self.spans(raw)}
        return [name for name in self._names if name in names]

    def spans(self, raw: bytes) -> list[tuple[int, int, str]]:
        """(from, to, name) of what would be struck out, in order."""
        if self._pattern is None:
            return []
        return [
            (match.start(), match.end(), self._names[int(match.lastindex) - 1])
            for match in self._pattern.finditer(raw)
            if self._replacement(match) != match.group()
        ]

    def words(self, text: str) -> str:
        if self._pattern is None or not text:
            return text
        return self.body(text.encode("utf-8", "replace")).decode("utf-8", "replace")

    def _replacement(self, match: Any) -> bytes:
        found: bytes = match.group()
        name = self._names[int(match.lastindex) - 1]
        if name == "card" and not is_card(found.decode()):
            return found
        if name == "url_password":
            return found[: found.index(b":", found.index(b"://") + 3) + 1] + b"[redacted]@"
        return b"[redacted " + name.encode() + b"]"


def redact_span(span: Span, redact: Redactor) -> None:
    """Clean what a span's row and its run are told by, in place; its payload is cleaned with its chunk."""
    span.name = redact.name(span.name)
    if span.error:
        span.error = redact.words(span.error)
    if span.agent:
        span.agent = redact.name(span.agent)
    if span.tool_name:
        span.tool_name = redact.name(span.tool_name)
    if span.purpose:
        span.purpose = redact.words(span.purpose)
    if span.tags:
        span.tags = tuple(map(redact.name, span.tags))
    if span.metadata:
        span.metadata = orjson.loads(redact.body(orjson.dumps(span.metadata, default=str)))


@cache
def redactor(policy: str) -> Redactor:
    """The policy's redactor; an unknown policy redacts everything it can."""
    return Redactor(_POLICIES.get(policy, _POLICIES["secrets_and_personal"]))


@cache
def redactor_of(names: tuple[str, ...]) -> Redactor:
    """Of some of PATTERNS, sorted."""
    return Redactor({name: (SECRETS | PERSONAL)[name] for name in names})
