"""A provider of four makers' wire formats on loopback: OpenAI's chat and responses, Anthropic's messages, Gemini's.

It says the turns of a script: text, ``Calls``, or ``Fault``. What it was asked is in ``requests``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = (11, 7)


@dataclass(frozen=True, slots=True)
class Calls:
    """Tool calls: (name, arguments as JSON)."""

    calls: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """``status`` with an error body; ``cut`` breaks a stream off after that many events; ``refusal`` is the model's own no."""

    status: int = 0
    message: str = "the provider failed"
    code: str = "error"
    cut: int = 0
    refusal: str = ""


class Provider:
    def __init__(self) -> None:
        self.turns: list[Any] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.keys: list[str] = []
        self.hung_up = threading.Event()
        self.url = ""

    def script(self, *turns: Any) -> None:
        self.turns, self.requests, self.keys = list(turns), [], []
        self.hung_up.clear()

    def turn(self) -> Any:
        return self.turns[min(len(self.requests), len(self.turns)) - 1]


class _Handler(BaseHTTPRequestHandler):
    provider: Provider  # the server's

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.provider.keys.append(
            self.headers.get("authorization")
            or self.headers.get("x-api-key")
            or self.headers.get("x-goog-api-key")
            or ""
        )
        self.provider.requests.append((self.path.partition("?")[0], body))
        turn = self.provider.turn()
        if isinstance(turn, Fault) and turn.status:
            self._send(
                turn.status,
                {"error": {"message": turn.message, "type": turn.code, "code": turn.code, "status": turn.code}},
            )
            return
        kind = _kind_of(self.path)
        is_stream = body.get("stream") or "streamGenerateContent" in self.path
        if not is_stream:
            self._send(200, _WHOLE[kind](turn))
            return
        self._stream(_EVENTS[kind](turn), turn)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        if status == 429:
            self.send_header("retry-after", "0")
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, events: list[tuple[str, Any]], turn: Any) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for number, (name, data) in enumerate(events):
                if isinstance(turn, Fault) and turn.cut and number >= turn.cut:
                    self.close_connection = True  # without the last chunk: the connection broke
                    return
                head = f"event: {name}\n" if name else ""
                text = data if isinstance(data, str) else json.dumps(data)
                self._chunk(f"{head}data: {text}\n\n".encode())
                self.wfile.flush()
                if isinstance(turn, str) and turn.startswith("slow"):
                    time.sleep(0.05)
            self._chunk(b"")
        except OSError:
            self.provider.hung_up.set()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def a_provider() -> Iterator[Provider]:
    provider = Provider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()


def _kind_of(path: str) -> str:
    if "messages" in path:
        return "anthropic"
    if "enerateContent" in path:
        return "gemini"
    return "responses" if "responses" in path else "chat"


def _words(turn: Any) -> str:
    if isinstance(turn, Fault):
        return turn.refusal or "it begins well"
    return turn if isinstance(turn, str) else ""


def _calls(turn: Any) -> tuple[tuple[str, str], ...]:
    return turn.calls if isinstance(turn, Calls) else ()


# --- OpenAI's chat ----------------------------------------------------------------------------------------------------

_CHAT_USAGE = {
    "prompt_tokens": USAGE[0],
    "completion_tokens": USAGE[1],
    "total_tokens": sum(USAGE),
    "prompt_tokens_details": {"cached_tokens": 3},
}


def _chat_calls(turn: Any) -> list[dict[str, Any]]:
    return [
        {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": said}}
        for n, (name, said) in enumerate(_calls(turn))
    ]


def _chat(turn: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _words(turn) or None}
    if isinstance(turn, Fault) and turn.refusal:
        message |= {"content": None, "refusal": turn.refusal}
    if _calls(turn):
        message["tool_calls"] = _chat_calls(turn)
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if _calls(turn) else "stop"}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [choice],
        "usage": _CHAT_USAGE,
    }


def _chat_events(turn: Any) -> list[tuple[str, Any]]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> tuple[str, Any]:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return "", {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": choices,
            **more,
        }

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": f"{word} "}) for word in _words(turn).split()]
    for call in _chat_calls(turn):
        arguments = call["function"]["arguments"]
        events.append(
            chunk({"tool_calls": [{**call, "function": {"name": call["function"]["name"], "arguments": ""}}]})
        )
        events += [
            chunk({"tool_calls": [{"index": call["index"], "function": {"arguments": part}}]})
            for part in (arguments[:4], arguments[4:])
        ]
    events.append(chunk({}, "tool_calls" if _calls(turn) else "stop"))
    events.append(
        (
            "",
            {
                "id": "c",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "gpt-4o-mini",
                "choices": [],
                "usage": _CHAT_USAGE,
            },
        )
    )
    return [*events, ("", "[DONE]")]


# --- OpenAI's responses -----------------------------------------------------------------------------------------------


def _items(turn: Any) -> list[dict[str, Any]]:
    if _calls(turn):
        return [
            {
                "type": "function_call",
                "id": f"fc_{n}",
                "call_id": f"call_{n}",
                "name": name,
                "arguments": said,
                "status": "completed",
            }
            for n, (name, said) in enumerate(_calls(turn))
        ]
    content = [{"type": "output_text", "text": _words(turn), "annotations": []}]
    return [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}]


def _response(turn: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": USAGE[0], "output_tokens": USAGE[1], "total_tokens": sum(USAGE), "input_tokens_details": {"cached_tokens": 3},
        "output_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    return {
        "id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4o-mini", "output": _items(turn), "usage": usage,
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True, "temperature": 1, "tool_choice": "auto",
        "tools": [], "top_p": 1, "max_output_tokens": None, "previous_response_id": None, "reasoning": None, "text": None, "truncation": None, "user": None,
    }  # fmt: skip


def _response_events(turn: Any) -> list[tuple[str, Any]]:
    whole = _response(turn)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "output": [], "usage": None, "status": "in_progress"}}
    ]
    for place, item in enumerate(whole["output"]):
        bare = {**item, "content": []} if item["type"] == "message" else {**item, "arguments": ""}
        events.append({"type": "response.output_item.added", "output_index": place, "item": bare})
        where = {"item_id": item["id"], "output_index": place}
        if item["type"] == "message":
            events += [
                {"type": "response.output_text.delta", **where, "content_index": 0, "delta": f"{word} "}
                for word in _words(turn).split()
            ]
            events.append({"type": "response.output_text.done", **where, "content_index": 0, "text": _words(turn)})
        else:
            events += [
                {"type": "response.function_call_arguments.delta", **where, "delta": part}
                for part in (item["arguments"][:4], item["arguments"][4:])
            ]
            events.append({"type": "response.function_call_arguments.done", **where, "arguments": item["arguments"]})
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    events.append({"type": "response.completed", "response": whole})
    return [(one["type"], {**one, "sequence_number": number}) for number, one in enumerate(events)]


# --- Anthropic's messages ---------------------------------------------------------------------------------------------


def _blocks(turn: Any) -> list[dict[str, Any]]:
    if _calls(turn):
        return [
            {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": _loaded(said)}
            for n, (name, said) in enumerate(_calls(turn))
        ]
    return [{"type": "text", "text": _words(turn)}]


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {}


def _message(turn: Any) -> dict[str, Any]:
    reason = "refusal" if isinstance(turn, Fault) and turn.refusal else "tool_use" if _calls(turn) else "end_turn"
    usage = {
        "input_tokens": USAGE[0] - 3,
        "output_tokens": USAGE[1],
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 0,
    }
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": _blocks(turn),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _message_events(turn: Any) -> list[tuple[str, Any]]:
    whole = _message(turn)
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}]
    for place, block in enumerate(whole["content"]):
        bare = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
        events.append({"type": "content_block_start", "index": place, "content_block": bare})
        if block["type"] == "text":
            deltas = [{"type": "text_delta", "text": f"{word} "} for word in _words(turn).split()]
        else:
            text = _calls(turn)[place][1]
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", text[:4], text[4:])]
        events += [{"type": "content_block_delta", "index": place, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": place})
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": USAGE[1]},
        }
    )
    events.append({"type": "message_stop"})
    return [(one["type"], one) for one in events]


# --- Gemini's ---------------------------------------------------------------------------------------------------------


def _gemini(turn: Any) -> dict[str, Any]:
    parts = [{"functionCall": {"name": name, "args": _loaded(said)}} for name, said in _calls(turn)] or [
        {"text": _words(turn)}
    ]
    reason = "SAFETY" if isinstance(turn, Fault) and turn.refusal else "STOP"
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}],
        "usageMetadata": _gemini_usage(),
        "modelVersion": "gemini-2.5-flash",
    }


def _gemini_usage() -> dict[str, Any]:
    return {
        "promptTokenCount": USAGE[0],
        "candidatesTokenCount": USAGE[1],
        "totalTokenCount": sum(USAGE),
        "cachedContentTokenCount": 3,
    }


def _gemini_events(turn: Any) -> list[tuple[str, Any]]:
    if _calls(turn):
        return [("", _gemini(turn))]
    words = [
        {
            "candidates": [{"content": {"role": "model", "parts": [{"text": f"{word} "}]}, "index": 0}],
            "modelVersion": "gemini-2.5-flash",
        }
        for word in _words(turn).split()
    ]
    end = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": _gemini_usage(),
        "modelVersion": "gemini-2.5-flash",
    }
    return [("", one) for one in (*words, end)]


_WHOLE = {"chat": _chat, "responses": _response, "anthropic": _message, "gemini": _gemini}
_EVENTS = {"chat": _chat_events, "responses": _response_events, "anthropic": _message_events, "gemini": _gemini_events}
