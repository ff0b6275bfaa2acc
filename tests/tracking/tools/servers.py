"""Real servers on this machine's loopback: one of web pages, and one that speaks the Model Context Protocol."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

READ_TOOL = {
    "name": "search",
    "description": "Searches the shop.",
    "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    "annotations": {"readOnlyHint": True},
}
WRITE_TOOL = {"name": "order.place", "description": "Places an order.", "inputSchema": {"type": "object"}}


@dataclass(slots=True)
class Pages:
    """``pages``: path -> (status, headers, body)."""

    url: str
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Mcp:
    """``calls``: tools called, with their arguments; ``methods``: everything asked, in order.

    ``stream``: answers are events among others, and the connection stays open after them. ``forgets``: so many sessions are
    unknown when they are used next.
    """

    url: str
    tools: list[dict[str, Any]] = field(default_factory=lambda: [READ_TOOL, WRITE_TOOL])
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    stream: bool = False
    page: int = 100
    version: str = "2025-06-18"
    wants: str = ""  # an Authorization header
    forgets: int = 0
    results: dict[str, Any] = field(default_factory=dict)  # of a tool, instead of the usual one
    release: threading.Event = field(default_factory=threading.Event)  # of streams that stay open


@contextmanager
def pages_server() -> Iterator[Pages]:
    class Handler(_Quiet):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            status, headers, body = found.pages.get(self.path, (404, {}, b"nothing here"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with _served(Handler) as port:
        found = Pages(f"http://127.0.0.1:{port}")
        yield found


@contextmanager
def mcp_server() -> Iterator[Mcp]:
    class Handler(_Quiet):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told = {name.lower(): value for name, value in self.headers.items()}
            server.headers.append(told)
            server.methods.append(message["method"])
            if server.wants and told.get("authorization") != server.wants:
                return self._plain(401)
            if message["method"] == "initialize":
                session = uuid.uuid4().hex
                server.sessions.add(session)
                result = {
                    "protocolVersion": server.version,
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "shop"},
                }
                return self._said(message, {"result": result}, session=session)
            if server.forgets and message["method"] != "notifications/initialized":
                server.forgets -= 1
                server.sessions.clear()
            if told.get("mcp-session-id") not in server.sessions:
                return self._plain(404)
            if "id" not in message:
                return self._plain(202)
            return self._said(message, self._answer(message))

        def do_DELETE(self) -> None:
            server.methods.append("DELETE")
            server.sessions.discard(self.headers.get("Mcp-Session-Id", ""))
            self._plain(204)

        def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
            params = message["params"]
            if message["method"] == "tools/list":
                start = int(params.get("cursor", 0))
                result: dict[str, Any] = {"tools": server.tools[start : start + server.page]}
                if start + server.page < len(server.tools):
                    result["nextCursor"] = str(start + server.page)
                return {"result": result}
            name, arguments = params["name"], params["arguments"]
            server.calls.append((name, arguments))
            usual = {"content": [{"type": "text", "text": f"{name} got {json.dumps(arguments)}"}]}
            given = server.results.get(name, {"result": usual})
            return given if isinstance(given, dict) else {"result": given}

        def _said(self, message: dict[str, Any], answer: dict[str, Any], *, session: str = "") -> None:
            body = json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}).encode()
            self.send_response(200)
            if session:
                self.send_header("Mcp-Session-Id", session)
            if not server.stream:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            note = json.dumps(
                {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}
            ).encode()
            self.wfile.write(b": hello\n\nevent: message\ndata: " + note + b"\n\n")
            half = len(body) // 2
            self.wfile.write(b"id: 1\r\ndata: " + body[:half])
            self.wfile.flush()
            time.sleep(0.01)
            self.wfile.write(body[half:] + b"\r\n\r\n")
            self.wfile.flush()
            server.release.wait(90)  # who waits for the end of the stream waits long

        def _plain(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with _served(Handler) as port:
        server = Mcp(f"http://127.0.0.1:{port}/mcp")
        try:
            yield server
        finally:
            server.release.set()


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
