"""Server-sent events, cut out of bytes as they come (WHATWG HTML, 9.2)."""

from __future__ import annotations

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
            rest = rest.replace(b"\r\n", b"\n")
            if rest.endswith(b"\r"):  # its newline may still come
                self._rest = rest
                return []
        parts = rest.split(b"\n\n")
        self._rest = parts.pop()
        if len(self._rest) > EVENT_BYTES_MAX:
            raise TooLong
        return [part + b"\n\n" for part in parts if part]

    @property
    def rest(self) -> bytes:
        return self._rest


def data_of(event: bytes) -> bytes:
    """The data of an event; its lines joined."""
    if event.startswith(b"data: ") and event.count(b"\n") == 2:
        return event[6:-2]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)


def event(data: bytes, name: str = "") -> bytes:
    return (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + data + b"\n\n"
