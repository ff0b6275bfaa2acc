"""Secrets and personal data are taken out before anything is stored; ids of users, sessions and runs stay.

Works on encoded JSON, once a chunk: one pass of RE2, which is linear in any text, tells whether there is anything to
do at all. No pattern can match a quote or a backslash that JSON needs, so the text stays JSON. Ids, times and counts
are left alone: a card number must begin like one, have its length, and pass the Luhn check.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import orjson
import re2

from wflo.spans import Span

_SECRETS: dict[str, str] = {
    "key": r"\b(?:sk|pk|rk)[-_](?:[A-Za-z0-9]{1,20}[-_]){0,3}[A-Za-z0-9_-]{20,}",
    "aws_key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",
    "jwt": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]{8,})?",
    # One that was cut has no end: what looks like a key's lines goes.
    "private_key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"
    r"(?:[^\"]*?-----END [A-Z ]{0,30}PRIVATE KEY-----|(?:[A-Za-z0-9+/=\s:,-]|\\[nrt])*)",
    "url_password": r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s:/@\"\\]*:[^\s/\"\\]+@",
    "token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{18,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20,}|hf_[A-Za-z0-9]{30,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|wf_[a-z]{1,10}_[A-Za-z0-9]{12}_[A-Za-z0-9]{40,})",
    "bearer": r"(?i:\bbearer )[A-Za-z0-9._~+/-]{20,}=*",
}
_PERSONAL: dict[str, str] = {
    "mail": r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,5}\.[A-Za-z]{2,24}\b",
    "card": r"\b[2-6][0-9]{3}(?:[ -]?[0-9]{4,6}){2}[ -]?[0-9]{1,7}\b",
}
_POLICIES: dict[str, dict[str, str]] = {
    "secrets_and_personal": {**_SECRETS, **_PERSONAL},
    "secrets": _SECRETS,
    "off": {},
}
PATTERNS: tuple[str, ...] = (*_SECRETS, *_PERSONAL)
_CARD_LENGTHS = frozenset({14, 15, 16, 19})
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
        names = {
            self._names[int(match.lastindex) - 1]
            for match in self._pattern.finditer(raw)
            if self._replacement(match) != match.group()
        }
        return [name for name in self._names if name in names]

    def words(self, text: str) -> str:
        if self._pattern is None or not text:
            return text
        return self.body(text.encode("utf-8", "replace")).decode("utf-8", "replace")

    def _replacement(self, match: Any) -> bytes:
        found: bytes = match.group()
        name = self._names[int(match.lastindex) - 1]
        if name == "card" and not _is_card(found):
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
    return Redactor({name: (_SECRETS | _PERSONAL)[name] for name in names})


def _is_card(found: bytes) -> bool:
    digits = [byte - 48 for byte in found if 48 <= byte <= 57]
    if len(digits) not in _CARD_LENGTHS:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
