"""The Model Context Protocol over streamable HTTP, as a client: shake hands, list tools, call one.

Blocking, for threads. Each request is an exchange of its own through tracking.egress, so addresses are judged, and time and
size have their ends. Answers come as JSON or as a stream of events, which is read until the answer is there.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings

from tracking import egress
from tracking.egress import Answer, CallFailed, Target

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26")  # that are spoken, the first is asked for
PAGES_MAX = 20
_METHOD_NOT_FOUND = -32601


class ServerFault(CallFailed):
    """The server of tools did not answer as it should."""

    code = "mcp_server_failed"


class ToolFault(Exception):
    """The tool said that it failed."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A tool as its server tells of it."""

    name: str
    description: str
    parameters: dict[str, Any]
    is_read_only: bool


class Session:
    """Talks with one server. Opened at its first use; opened again when the server has forgotten it."""

    def __init__(self, target: Target, headers: Mapping[str, str]) -> None:
        self._target, self._headers = target, dict(headers)
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._id = ""
        self._version = ""

    def tools(self) -> list[Listed]:
        """At most LIMITS["mcp_tools"]. Raises CallFailed."""
        found: list[Listed] = []
        cursor: Any = None
        for _ in range(PAGES_MAX):
            seconds = settings.LIMITS["mcp_list_seconds"]
            result = self._asked("tools/list", {"cursor": cursor} if cursor else {}, seconds)
            listed = result.get("tools")
            if not isinstance(listed, list):
                raise ServerFault("The server listed no tools.")
            found += [one for one in map(_listed, listed) if one is not None]
            cursor = result.get("nextCursor")
            if not cursor or len(found) >= settings.LIMITS["mcp_tools"]:
                break
        return found[: settings.LIMITS["mcp_tools"]]

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What the tool says. Raises ToolFault when it says that it failed, CallFailed when it could not be asked."""
        asked = {"name": name, "arguments": dict(arguments)}
        result = self._asked("tools/call", asked, settings.LIMITS["mcp_seconds"])
        text = _text(result)
        if result.get("isError") is True:
            raise ToolFault(text or "it did not say why")
        return text

    def close(self) -> None:
        """Tells the server that nobody comes again. Never raises."""
        if not self._id:
            return
        try:
            self._sent("DELETE", None, settings.LIMITS["mcp_list_seconds"])
        except CallFailed:
            pass
        self._id = self._version = ""

    def _asked(self, method: str, params: dict[str, Any], seconds: int) -> dict[str, Any]:
        id = self._opened()
        try:
            return self._request(method, params, seconds)
        except _Forgotten:
            self._opened(again=id)
            try:
                return self._request(method, params, seconds)
            except _Forgotten:
                raise ServerFault("The server forgets a session as soon as it has begun.") from None

    def _opened(self, *, again: str | None = None) -> str:
        """The session's id. ``again``: the one that the server has forgotten."""
        with self._lock:
            if again is not None and self._id == again:
                self._id = self._version = ""
            if not self._version:
                self._open()
            return self._id

    def _open(self) -> None:
        asked = {"protocolVersion": VERSIONS[0], "capabilities": {}, "clientInfo": {"name": "Wflo", "version": "1"}}
        result = self._request("initialize", asked, settings.LIMITS["mcp_list_seconds"])
        version = result.get("protocolVersion")
        if version not in VERSIONS:
            raise ServerFault(
                f"The server speaks version {str(version)[:40]} of the protocol; known are {', '.join(VERSIONS)}."
            )
        self._version = version
        told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        self._sent("POST", told, settings.LIMITS["mcp_list_seconds"])

    def _request(self, method: str, params: dict[str, Any], seconds: int) -> dict[str, Any]:
        id = next(self._numbers)
        message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        answer = self._sent("POST", message, seconds, id=id)
        if method == "initialize":
            self._id = answer.headers.get("mcp-session-id", "")[:500]
        said = _answer_to(id, answer)
        if said is None:
            raise ServerFault(
                "The server ended without an answer." if not answer.is_cut else "The answer is too large."
            )
        fault = said.get("error")
        if isinstance(fault, dict):
            raise _fault(fault, method)
        result = said.get("result")
        if not isinstance(result, dict):
            raise ServerFault("The server's answer has no result.")
        return result

    def _sent(self, method: str, message: dict[str, Any] | None, seconds: int, *, id: int = 0) -> Answer:
        headers = {**self._headers, "Accept": "application/json, text/event-stream", "User-Agent": "Wflo"}
        headers["Accept-Encoding"] = "identity"
        if message is not None:
            headers["Content-Type"] = "application/json"
        if self._id:
            headers["Mcp-Session-Id"] = self._id
        if self._version:
            headers["MCP-Protocol-Version"] = self._version
        answer = egress.exchange(
            self._target, method, None if message is None else orjson.dumps(message), headers, seconds=seconds,
            bytes_max=settings.LIMITS["mcp_bytes"], enough=lambda got: id > 0 and _in_events(id, got) is not None,
        )  # fmt: skip
        if answer.status == 404 and self._id:
            raise _Forgotten
        if not 200 <= answer.status < 300 and _answer_to(id, answer) is None:
            raise ServerFault(_refused(answer))
        return answer


class _Forgotten(ServerFault):
    """The server does not know the session any more."""


def _answer_to(id: int, answer: Answer) -> dict[str, Any] | None:
    if answer.headers.get("content-type", "").lower().startswith("text/event-stream"):
        return _in_events(id, answer.body)
    found = _json(answer.body)
    said = found if isinstance(found, list) else [found]
    return next((one for one in said if isinstance(one, dict) and _is_for(id, one)), None)


def _in_events(id: int, body: bytes) -> dict[str, Any] | None:
    """The answer among the events that are whole; what else is told there (progress, log lines) is nobody's here."""
    for data in _events(body):
        found = _json(data)
        if isinstance(found, dict) and _is_for(id, found):
            return found
    return None


def _is_for(id: int, message: Mapping[str, Any]) -> bool:
    """An error may come without an id, when the server could not read what it was asked."""
    return ("result" in message and message.get("id") == id) or ("error" in message and message.get("id") in (id, None))


def _events(body: bytes) -> Iterator[bytes]:
    whole = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removeprefix(b"\xef\xbb\xbf")
    *events, _ = whole.split(b"\n\n")
    for event in events:
        lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
        if lines:
            yield b"\n".join(lines)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def _fault(fault: Mapping[str, Any], method: str) -> Exception:
    said = f"{str(fault.get('message') or 'no reason given')[:300]} ({fault.get('code')})"
    if method == "tools/call" and fault.get("code") != _METHOD_NOT_FOUND:
        return ToolFault(said)
    return ServerFault(f"The server refused {method}: {said}")


def _refused(answer: Answer) -> str:
    if answer.status in (401, 403):
        return (
            f"The server wants other credentials: it answered {answer.status}. Give its header, such as Authorization."
        )
    if 300 <= answer.status < 400:
        return f"The server sends callers on to another address ({answer.status}): give that one."
    return f"The server answered {answer.status}: at this address nothing speaks the protocol."


def _listed(found: Any) -> Listed | None:
    """None for what cannot be offered to a model."""
    if not isinstance(found, dict) or not isinstance(found.get("name"), str) or not 0 < len(found["name"]) <= 128:
        return None
    schema = found.get("inputSchema")
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        schema = {"type": "object", "properties": {}}
    notes = found.get("annotations")
    is_read_only = isinstance(notes, dict) and notes.get("readOnlyHint") is True
    title = found.get("title") or (notes.get("title") if isinstance(notes, dict) else "")
    description = str(found.get("description") or title or "")
    return Listed(found["name"], description[:4_000], {"type": "object", **schema}, is_read_only)


def _text(result: Mapping[str, Any]) -> str:
    parts: list[str] = []
    content = result.get("content")
    for one in content if isinstance(content, list) else []:
        if not isinstance(one, dict):
            continue
        resource = one.get("resource")
        if one.get("type") == "text":
            parts.append(str(one.get("text", "")))
        elif isinstance(resource, dict) and isinstance(resource.get("text"), str):
            parts.append(resource["text"])
        elif one.get("type") == "resource_link":
            parts.append(f"{one.get('name', '')}: {one.get('uri', '')}")
        else:
            parts.append(f"[{str(one.get('type'))[:40]} left out: only text is read]")
    if not parts and result.get("structuredContent") is not None:
        return orjson.dumps(result["structuredContent"]).decode()
    return "\n".join(parts)
