"""Server-sent events, cut out of bytes as they come (WHATWG HTML, 9.2)."""

from __future__ import annotations

import re

EVENT_BYTES_MAX = 4 * 2**20


class TooLong(ValueError):
    """An event that never ends."""


class Events:
    """Whole events, as the bytes they came in; what is not whole yet waits."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, data: bytes) -> list[bytes]:
        """The events that are whole now, each with the blank line that ends it. Raises TooLong."""
        rest = self._rest + data if self._rest else data
        if b"\r" in rest:
            found, self._rest = _cut_anywhere(rest)
        else:
            parts = rest.split(b"\n\n")
            self._rest = parts.pop()
            found = [part + b"\n\n" for part in parts]
        if len(self._rest) > EVENT_BYTES_MAX:
            raise TooLong
        return found

    @property
    def rest(self) -> bytes:
        return self._rest


# A line ends with CR, LF or both; a CR at the very end may be half of one.
_END = re.compile(rb"(?>\r\n|\n|\r(?!\Z)){2}")
_LINE = re.compile(rb"\r\n|\n|\r")


def _cut_anywhere(rest: bytes) -> tuple[list[bytes], bytes]:
    found, start = [], 0
    for end in _END.finditer(rest):
        found.append(rest[start : end.end()])
        start = end.end()
    return found, rest[start:]


def data_of(event: bytes) -> bytes:
    """The data of an event; its lines joined."""
    if event.startswith(b"data: ") and event.count(b"\n") == 2 and b"\r" not in event:
        return event[6:-2]
    return b"\n".join(_fields(event, b"data:"))


def name_and_data(event: bytes) -> tuple[bytes, bytes]:
    """Of an event that has a name: ``event: x`` and then its data."""
    if event.startswith(b"event: ") and event.count(b"\n") == 3 and b"\r" not in event:
        name, _, rest = event[7:-2].partition(b"\n")
        if rest.startswith(b"data: "):
            return name, rest[6:]
    names = _fields(event, b"event:")
    return names[-1] if names else b"", data_of(event)


def _fields(event: bytes, name: bytes) -> list[bytes]:
    return [line[len(name) :].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(name)]


def event(data: bytes, name: str = "") -> bytes:
    return (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + data + b"\n\n"
