"""Something at an address that is no provider: it says what it is told to, whatever it is asked."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def a_peer(answer: bytes, *, pause_s: float = 0) -> Iterator[str]:
    """The address of what answers each connection with these bytes, waits, and hangs up."""
    is_over = threading.Event()

    class Peer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.sendall(answer)
            is_over.wait(pause_s)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Peer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            is_over.set()
            server.shutdown()
