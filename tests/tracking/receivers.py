"""Real receivers on this machine's loopback: an HTTP server and a mail server that keep what they are sent."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class HttpReceiver:
    """``statuses`` are given in turn, then 204. A status of 0 closes the connection without a word.

    ``hold``: two events; the first is set when a request is there, and it is answered when the second is.
    """

    port: int
    got: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    answer: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hold: tuple[threading.Event, threading.Event] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            receiver.got.append(Received(self.path, dict(self.headers.items()), body))
            if receiver.hold:
                arrived, go_on = receiver.hold
                arrived.set()
                go_on.wait()
            status = receiver.statuses.pop(0) if receiver.statuses else 204
            if not status:
                return
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(receiver.answer)))
            self.end_headers()
            if status != 204:
                self.wfile.write(receiver.answer)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests say what was wrong."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        receiver = HttpReceiver(port)
        yield receiver


@dataclass(slots=True)
class MailReceiver:
    """``refuses``: recipients it will not take."""

    port: int
    got: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}?from=wflo@example.org&tls=off"


@contextmanager
def mail_receiver() -> Iterator[MailReceiver]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 receiver")
            recipients: list[str] = []
            while line := self.rfile.readline().decode("ascii", "replace").strip():
                word = line[:4].upper()
                if word == "RCPT" and line[8:].strip("<> ") in receiver.refuses:
                    self._say("550 no such person")
                    continue
                if word == "RCPT":
                    recipients.append(line[8:].strip("<> "))
                if word == "DATA":
                    self._say("354 go on")
                    receiver.got.append(self._mail())
                    receiver.recipients.append(recipients)
                    recipients = []
                self._say("221 bye" if word == "QUIT" else "250 fine")
                if word == "QUIT":
                    return

        def _mail(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            message = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(message, EmailMessage)
            return message

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        receiver = MailReceiver(port)
        yield receiver


@contextmanager
def _serving(server: socketserver.ThreadingTCPServer) -> Iterator[int]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
