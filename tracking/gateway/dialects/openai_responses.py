"""OpenAI's responses: items in, items out; the provider may keep them and go on from one it kept."""

from __future__ import annotations

from typing import Any

import orjson

from tracking.errors import InvalidCall
from tracking.gateway.dialects import counts
from tracking.gateway.dialects.dialect import Reader, Seen, Wanted, pieces_of
from tracking.gateway.dialects.fields import count, model_of, text
from tracking.gateway.dialects.sse import Events, event, name_and_data
from wflo.usage import Usage

# Tools that the caller runs; whatever else is offered runs at the provider, at prices of its own.
_CALLERS_TOOLS = frozenset(
    {"function", "custom", "namespace", "local_shell", "apply_patch", "computer_use_preview", "computer", "tool_search"}
)
PIECE_CHARACTERS = 12  # a delta is a token; a longer one was put together of many
KEPT_REASONING_TOKENS = 4_096  # of a reasoning item whose text the provider keeps; most are far smaller
_ENDS = {b"response.completed": "completed", b"response.incomplete": "incomplete", b"response.failed": "failed"}


class OpenAiResponses:
    name = "openai.responses"
    path = "/responses"
    provider = "openai"
    is_common = False
    is_embedding = False
    output_field = "max_output_tokens"
    output_least = 16
    passed_headers: tuple[str, ...] = ()

    def read(self, body: dict[str, Any]) -> Wanted:
        model = model_of(body)
        given = body.get("input")
        if given is not None and not isinstance(given, str | list):
            raise InvalidCall("input must be text or a list of items.", field="input")
        for place, item in enumerate(given if isinstance(given, list) else ()):
            if not isinstance(item, dict):
                raise InvalidCall(f"input.{place} must be an object.", field=f"input.{place}")
        if body.get("background"):
            raise InvalidCall(
                "background is not taken: what such a call costs is known only after it was answered.",
                field="background",
            )
        if body.get("conversation") is not None:
            raise InvalidCall(
                "conversation is not taken: a provider's conversations belong to its key, which teams share. Use"
                " previous_response_id.",
                field="conversation",
            )
        earlier = body.get("previous_response_id")
        if earlier is not None and not isinstance(earlier, str):
            raise InvalidCall("previous_response_id must be text.", field="previous_response_id")
        return Wanted(
            model=model,
            is_stream=body.get("stream") is True,
            output_tokens=count(body, "max_output_tokens"),
            user=text(body, "user") or text(body, "safety_identifier"),
            earlier=earlier or "",
        )

    def sent(self, body: dict[str, Any], *, model: str, output_tokens: int | None) -> dict[str, Any]:
        out = {**body, "model": model}
        if output_tokens is not None:
            out["max_output_tokens"] = output_tokens
        return out

    def answered(self, answer: dict[str, Any]) -> Seen:
        seen = Seen()
        take(seen, answer)
        return seen

    def reader(self, body: dict[str, Any]) -> Reader:
        return ResponsesReader()

    def prompt(self, body: dict[str, Any]) -> Any:
        given = body.get("input")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or ())
        instructions = body.get("instructions")
        return [{"role": "system", "content": instructions}, *items] if instructions else items

    def counted(self, body: dict[str, Any]) -> list[Any]:
        given = body.get("input")
        items = given if isinstance(given, list) else ()
        kept = sum(item.get("type") == "reasoning" and not item.get("encrypted_content") for item in items)
        return [self.prompt(body), body.get("tools"), body.get("text"), counts.Tokens(kept * KEPT_REASONING_TOKENS)]

    def unforeseen(self, body: dict[str, Any]) -> str:
        for tool in body.get("tools") or ():
            kind = tool.get("type") if isinstance(tool, dict) else None
            if kind not in _CALLERS_TOOLS and not (kind == "shell" and _is_local(tool)):
                return f'the tool "{kind}"'
        if body.get("prompt"):
            return '"prompt", a text kept at the provider'
        items = body.get("input")
        kept = [item for item in items if item.get("type") == "item_reference"] if isinstance(items, list) else ()
        return "an item_reference, whose text is kept at the provider" if kept else ""

    def error_body(self, error: dict[str, Any]) -> dict[str, Any]:
        return {"error": error, "detail": {"error": error}}

    def error_event(self, error: dict[str, Any]) -> bytes:
        """As OpenAI's error event, and once more under ``error``, by which its clients know to raise it."""
        said = {
            "type": "error", "code": error.get("code"), "message": error.get("message"), "param": None,
            "sequence_number": 0, "error": error,
        }  # fmt: skip
        return event(orjson.dumps(said), "error")

    def cut_event(self, seen: Seen, error: dict[str, Any]) -> bytes:
        """The answer as far as it came, "incomplete", and before it the reason."""
        response = {
            "id": seen.response_id, "object": "response", "created_at": 0, "status": "incomplete", "error": None,
            "incomplete_details": {"reason": "max_output_tokens"}, "model": seen.model, "output": seen.message or [],
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": None,
        }  # fmt: skip
        said = {"type": "response.incomplete", "sequence_number": seen.pieces, "response": response}
        return self.error_event(error) + event(orjson.dumps(said), "response.incomplete")


def _is_local(tool: dict[str, Any]) -> bool:
    environment = tool.get("environment")
    return isinstance(environment, dict) and environment.get("type") == "local"


class ResponsesReader:
    """Relays a stream untouched. Its last event holds the whole answer; the pieces are kept for a stream that has none."""

    def __init__(self) -> None:
        self.seen = Seen(is_complete=False)
        self.held_back = b""
        self._events = Events()
        self._items: dict[int, dict[str, Any]] = {}
        self._texts: list[str] = []
        self._is_told = False

    def feed(self, data: bytes) -> bytes:
        out = []
        for one in self._events.cut(data):
            name, inside = name_and_data(one)
            if inside == b"[DONE]":
                self.held_back += one
                continue
            if inside and self._is_end(name, inside):
                self.held_back += one
            else:
                out.append(one)
        return b"".join(out)

    def _is_end(self, name: bytes, inside: bytes) -> bool:
        seen = self.seen
        said = counts.loaded(inside)
        if said is None:
            return False
        kind = said.get("type") or name.decode("utf-8", "replace")
        if kind.endswith(".delta"):
            self._add(said)
        elif kind == "response.created":
            take(seen, said.get("response"))
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._item(said)
        elif kind == "error":
            seen.error = str(said.get("message") or said.get("error") or "error")[:500]
        elif kind.encode() in _ENDS:
            take(seen, said.get("response"))
            self._is_told = seen.is_complete = True
            return True
        return False

    def _add(self, said: dict[str, Any]) -> None:
        piece = said.get("delta")
        if isinstance(piece, str):
            self.seen.pieces += pieces_of(piece, characters=PIECE_CHARACTERS)
            self.seen.output_bytes += len(piece)
            self._texts.append(piece)

    def _item(self, said: dict[str, Any]) -> None:
        place, item = said.get("output_index"), said.get("item")
        if isinstance(place, int) and isinstance(item, dict):
            self._items[place] = item

    def end(self) -> Seen:
        """Without its last event the answer is what was said of it. Once."""
        if not self._is_told:
            self._is_told = True
            seen = self.seen
            seen.text = "".join(self._texts)
            seen.message = self._unfinished()
        return self.seen

    def _unfinished(self) -> list[dict[str, Any]]:
        """Items that are whole, and the last one with the text that came of it."""
        items = [self._items[place] for place in sorted(self._items)]
        if items and items[-1].get("type") == "message" and not items[-1].get("content"):
            part = {"type": "output_text", "text": self.seen.text, "annotations": []}
            items[-1] = {**items[-1], "status": "incomplete", "content": [part]}
        return items


def take(seen: Seen, response: Any) -> None:
    """What a response object tells, into ``seen``."""
    if not isinstance(response, dict):
        return
    usage = usage_of(response.get("usage"), response.get("service_tier"))
    seen.usage = usage or seen.usage
    seen.is_usage_bad = usage is None and bool(response.get("usage"))
    seen.model = _text(response.get("model")) or seen.model
    seen.response_id = _text(response.get("id")) or seen.response_id
    status = _text(response.get("status"))
    seen.finish_reason = {"in_progress": "", "queued": ""}.get(status, status)
    if status == "failed" and isinstance(response.get("error"), dict):
        seen.error = _text(response["error"].get("message"))[:500] or "the response failed"
    output = response.get("output")
    if isinstance(output, list):
        seen.message = output
        seen.text = "".join(_texts_of(output))
        seen.output_bytes = len(orjson.dumps(output))


def _texts_of(output: list[Any]) -> list[str]:
    parts = [part for item in output if isinstance(item, dict) for part in item.get("content") or ()]
    return [_text(part.get("text")) for part in parts if isinstance(part, dict)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def usage_of(usage: Any, service_tier: Any = None) -> Usage | None:
    """None when it is missing or its counts are no counts."""
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = counts.tokens(usage.get("input_tokens")), counts.tokens(usage.get("output_tokens"))
    if tokens_in is None or tokens_out is None:
        return None
    inside = counts.details(usage, "input_tokens_details")
    outside = counts.details(usage, "output_tokens_details")
    return Usage(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cached_tokens=counts.tokens(inside.get("cached_tokens")),
        cache_write_tokens=counts.tokens(inside.get("cache_write_tokens")),
        reasoning_tokens=counts.tokens(outside.get("reasoning_tokens")),
        audio_input_tokens=counts.tokens(inside.get("audio_tokens")),
        audio_output_tokens=counts.tokens(outside.get("audio_tokens")),
        image_input_tokens=counts.tokens(inside.get("image_tokens")),
        service_tier=service_tier if isinstance(service_tier, str) else None,
    )
