"""Servers that answer as none should, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat

GIBIBYTE = 2**30
Speech = Callable[[], Iterator[bytes]]


def _said(head: str, *, heads: str = "content-length: 0\r\n") -> Speech:
    return lambda: iter([f"HTTP/1.1 {head}\r\n{heads}\r\n".encode()])


def _for_ever(head: bytes, piece: bytes) -> Speech:
    """A head, then a gibibyte of pieces."""
    many = piece * max(65_536 // len(piece), 1)
    return lambda: chain([head], repeat(many, GIBIBYTE // len(many)))


def _dripping(head: bytes, piece: bytes) -> Speech:
    """A head, then a piece every now and then: always in time for a reader who only waits for the next."""

    def speech() -> Iterator[bytes]:
        yield head
        for _ in range(400):
            time.sleep(0.05)
            yield piece

    return speech


OK = b"HTTP/1.1 200 OK\r\n"
DRIPPING = {
    "a body that drips": _dripping(OK + b"content-length: 100000\r\n\r\n", b"x"),
    "heads that drip": _dripping(OK, b"a: b\r\n"),
    "a line that drips": _dripping(b"HTTP/1.1 200 ", b"x"),
    "continue, for ever": _dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
BAD = DRIPPING | {
    "fails for ever": _said("500 Internal Server Error"),
    "busy for an hour": _said("503 Service Unavailable", heads="content-length: 0\r\nretry-after: 3600\r\n"),
    "too many for an hour": _said("429 Too Many Requests", heads="content-length: 0\r\nretry-after: 3600\r\n"),
    "the key is wrong": _said("401 Unauthorized"),
    "redirects": _said("301 Moved", heads="location: http://127.0.0.1:1/\r\ncontent-length: 0\r\n"),
    "hangs up": lambda: iter([]),
    "no HTTP": lambda: iter([b"\x00\xff\xfe" * 500]),
    "no numbers": _said("two hundred", heads="content-length: many\r\n"),
    "an endless line": _for_ever(b"", b"x"),
    "endless heads": _for_ever(OK, b"a: b\r\n"),
    "a gibibyte": _for_ever(OK + b"content-length: %d\r\n\r\n" % GIBIBYTE, b"9"),
    "an endless body": _for_ever(OK + b"\r\n", b"["),
    "endless pieces": _for_ever(OK + b"transfer-encoding: chunked\r\n\r\n", b"4000\r\n" + b"{" * 0x4000 + b"\r\n"),
}


@contextlib.contextmanager
def a_bad_server(speech: Speech) -> Iterator[str]:
    """Its address. It hears a request's head, says its speech and hangs up."""

    def talk(caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError):
            caller.settimeout(20)
            caller.recv(65_536)
            for piece in speech():
                caller.sendall(piece)
            caller.shutdown(socket.SHUT_WR)
            while caller.recv(65_536):  # what it still says is read, or closing would take our words back
                pass

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listening.accept()
                threading.Thread(target=talk, args=(caller,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
