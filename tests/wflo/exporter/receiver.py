"""A server of the tests that takes events as Wflo does, and misbehaves as it is told."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Receiver:
    """``bodies`` are the requests that were read; ``answer`` says what is answered to each."""

    server: ThreadingHTTPServer
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Answer | None] = lambda body: ok(body)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def events(self) -> list[dict[str, Any]]:
        with self.lock:
            return [event for body in self.bodies for event in body["events"]]

    def wait(self, until: Callable[[], bool], seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, self.bodies
            time.sleep(0.01)


def ok(body: dict[str, Any], **more: Any) -> Answer:
    return (
        200,
        {},
        json.dumps({"accepted": len(body["events"]), "known": 0, "rejected": [], "control": {}, **more}).encode(),
    )


def status(code: int, **headers: str) -> Callable[[dict[str, Any]], Answer]:
    return lambda body: (code, {name.replace("_", "-"): value for name, value in headers.items()}, b"{}")


@contextmanager
def a_receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            body = json.loads(gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw)
            body["path"], body["key"] = self.path, self.headers.get("authorization")
            answer = receiver.answer(body)
            if answer is None or answer[0] == 200:
                with receiver.lock:
                    receiver.bodies.append(body)
            if answer is None:
                self.close_connection = True
                return
            code, headers, content = answer
            self.send_response(code)
            for name, value in {"content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def a_black_hole() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def a_closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
