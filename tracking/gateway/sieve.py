"""A stream with its secrets taken out as it goes by.

A secret may lie across any pieces, so of each text the end is kept back in which one may have begun: the last word, digits
that may grow to a card's number, a private key that has not ended. What is let go of holds no beginning of one.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings

from tracking.gateway.dialects import counts
from tracking.gateway.dialects.deltas import ALL, Lane, deltas_of, ended_by, without_odds
from tracking.gateway.dialects.sse import Events, event, name_and_data
from tracking.redaction import Redactor

# No secret but a private key has any of these within it, save the blanks of a card's number and the one after "bearer".
_WORD = re.compile(r"[^\s\"\\]*\Z")
_DIGITS = re.compile(r"\b[0-9][0-9 -]*\Z")
_FIGURES = re.compile(r"[0-9 -]*")
_BEARER = re.compile(r"\bbearer\s?\Z", re.IGNORECASE)
_KEY_BEGUN = re.compile(r"-----BEGIN [A-Z ]{0,30}(?:PRIVATE KEY-----|-{0,4}\Z)")
_KEY_ENDED = re.compile(r"-----END [A-Z ]{0,30}PRIVATE KEY-----")
_REST_OF_WORD = re.compile(r"[^\s\"\\]*")
_REST_OF_KEY = re.compile(r"(?:[A-Za-z0-9+/=\s:,-]|\\[nrt])*")
_SHORTEST = 128  # characters in which every pattern has shown that it is one


class Sieve:
    """``feed`` bytes as they come, ``end`` once; both give back what may be told. ``found``: names of what was taken out."""

    def __init__(self, redactor: Redactor, *, is_blocking: bool = False) -> None:
        self.found: list[str] = []
        self.redactor = redactor
        self._is_blocking = is_blocking
        self._events = Events()
        self._lanes: dict[Lane, _Text] = {}
        self._added = 0  # events of our own, by which those that are numbered move on

    @property
    def is_stopped(self) -> bool:
        """Something was found that ends the stream; what was fed last is not told."""
        return self._is_blocking and bool(self.found)

    def feed(self, data: bytes) -> bytes:
        """Raises TooLong."""
        return b"".join(self._passed(one) for one in self._events.cut(data))

    def end(self) -> bytes:
        rest = self._events.rest
        return self._flushed([ALL]) + (self._struck(rest) if rest else b"")

    def _passed(self, one: bytes) -> bytes:
        name, inside = name_and_data(one)
        said = counts.loaded(inside) if inside else None
        if said is None:
            return (self._flushed([ALL]) if inside else b"") + self._struck(one)
        deltas, ended = deltas_of(said), ended_by(said)
        if not deltas:
            return self._flushed(ended) + self._told(said, name)
        before = self._flushed(ended, but={delta.lane for delta in deltas})
        without_odds(said)
        for delta in deltas:
            text = self._lanes.setdefault(delta.lane, _Text())
            piece = delta.box[delta.key]
            is_last = any(_is_within(delta.lane, lane) for lane in ended)
            delta.box[delta.key] = text.last(piece, self) if is_last else text.pushed(piece, self)
            text.event, text.name = said, name
            if is_last:
                del self._lanes[delta.lane]
        return before + self._told(said, name)

    def _flushed(self, ended: list[Lane], but: set[Lane] | None = None) -> bytes:
        """What was kept back of texts that are at their end, each as one more event like its last."""
        out = []
        for lane in [lane for lane in self._lanes if any(_is_within(lane, beginning) for beginning in ended)]:
            if but and lane in but:
                continue
            text = self._lanes.pop(lane)
            rest = text.last("", self)
            if rest and text.event is not None:
                self._added += 1
                out.append(self._told(_only(text.event, lane, rest), text.name))
        return b"".join(out)

    def _told(self, said: dict[str, Any], name: bytes) -> bytes:
        if self._added and isinstance(said.get("sequence_number"), int):
            said = {**said, "sequence_number": said["sequence_number"] + self._added}
        return event(self._struck(orjson.dumps(said)), name.decode("utf-8", "replace"))

    def _struck(self, raw: bytes) -> bytes:
        self.found += [name for name in self.redactor.found(raw) if name not in self.found]
        return self.redactor.body(raw)

    def words(self, text: str) -> str:
        return self._struck(text.encode("utf-8", "replace")).decode("utf-8", "replace") if text else text


@dataclass(slots=True)
class _Text:
    """One lane: what of it is kept back, and the last event that had a piece of it."""

    kept: str = ""
    event: dict[str, Any] | None = None
    name: bytes = b""
    _swallowed: re.Pattern[str] | None = field(default=None, repr=False)  # the rest of a secret too long to keep

    def pushed(self, piece: str, sieve: Sieve) -> str:
        text = self._after_secret(self.kept + piece)
        cut = _may_begin(text, sieve.redactor)
        if len(text) - cut > settings.LIMITS["guard_kept_back_chars"]:
            return self._too_long(text, sieve)
        self.kept = text[cut:]
        return sieve.words(text[:cut])

    def last(self, piece: str, sieve: Sieve) -> str:
        text, self.kept = self._after_secret(self.kept + piece), ""
        return sieve.words(text)

    def _after_secret(self, text: str) -> str:
        if self._swallowed is None or not text:
            return text
        found = self._swallowed.match(text)
        end = found.end() if found is not None else 0
        if end < len(text):
            self._swallowed = None
        return text[end:]

    def _too_long(self, text: str, sieve: Sieve) -> str:
        """A word without end: if it ends in a secret, the rest of that is one too."""
        raw = text.encode("utf-8", "replace")
        spans = sieve.redactor.spans(raw)
        if spans and spans[-1][1] == len(raw):
            self._swallowed = _REST_OF_KEY if spans[-1][2] == "private_key" else _REST_OF_WORD
            self.kept = ""
            return sieve.words(text)
        cut = len(raw) - _SHORTEST
        cut = next((start for start, end, _ in spans if start < cut < end), cut)
        while cut and raw[cut] & 0xC0 == 0x80:  # within a character
            cut -= 1
        self.kept = raw[cut:].decode("utf-8", "replace")
        return sieve.words(raw[:cut].decode("utf-8", "replace"))


def _may_begin(text: str, redactor: Redactor) -> int:
    """From where on a secret may be that has not ended; never within one that has."""
    cut = _start(_WORD, text, len(text))
    while (earlier := _before_figures(text, cut)) < cut:
        cut = earlier
    before = _BEARER.search(text, 0, cut)
    if before is not None:
        cut = before.start()
    for begun in _KEY_BEGUN.finditer(text):
        if begun.start() < cut and _KEY_ENDED.search(text, begun.end()) is None:
            cut = begun.start()
    whole = redactor.spans(text.encode("latin-1", "replace"))  # a byte a character: places are the same
    return next((start for start, end, _ in whole if start < cut < end), cut)


def _before_figures(text: str, cut: int) -> int:
    """Where the word begins with which figures begin that go on at ``cut``."""
    figures = _FIGURES.match(text, cut)
    digits = _DIGITS.search(text, 0, figures.end() if figures is not None else cut)
    return cut if digits is None or digits.start() >= cut else _start(_WORD, text, digits.start())


def _start(pattern: re.Pattern[str], text: str, end: int) -> int:
    found = pattern.search(text, 0, end)
    return found.start() if found is not None else end


def _is_within(lane: Lane, beginning: Lane) -> bool:
    return lane[: len(beginning)] == beginning


def _only(said: dict[str, Any], lane: Lane, words: str) -> dict[str, Any]:
    """The event once more, with these words for the lane and none for others."""
    again = copy.deepcopy(said)
    for delta in deltas_of(again):
        delta.box[delta.key] = words if delta.lane == lane else ""
    return again
