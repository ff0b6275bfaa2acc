"""OpenAI's responses, as a demo model reads and answers them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tracking.gateway.demo_provider.wire import named
from wflo.demo.reading import content_tokens, count, of_tool, text_of
from wflo.demo.scripts import Said, Told, tokens_of, words_of


def read(body: dict[str, Any]) -> Told:
    told = Told(cap=body.get("max_output_tokens"))
    told.tools = [
        of_tool(tool.get("name"), tool.get("parameters"), tool.get("description"))
        for tool in body.get("tools") or ()
        if isinstance(tool, dict) and tool.get("type") == "function"
    ]
    choice = body.get("tool_choice")
    told.choice = str(choice.get("name")) if isinstance(choice, dict) else choice if isinstance(choice, str) else "auto"
    text = body.get("text")
    wanted = text.get("format") if isinstance(text, dict) else None
    if isinstance(wanted, dict):
        told.is_json = wanted.get("type") in ("json_object", "json_schema")
        told.schema = wanted.get("schema")
    given = body.get("input")
    items = given if isinstance(given, list) else [{"role": "user", "content": given}]
    items = [item for item in items if isinstance(item, dict)]
    for item in items:
        _hear(told, item)
    system = tokens_of(text_of(body.get("instructions")))
    count(told, (_tokens(item) for item in items), told.tools, system_tokens=system)
    return told


def _hear(told: Told, item: dict[str, Any]) -> None:
    if item.get("role") == "user":
        told.question = text_of(item.get("content"))
        told.called, told.results = [], []
    elif item.get("type") == "function_call":
        told.called.append(str(item.get("name")))
    elif item.get("type") == "function_call_output":
        told.results.append(text_of(item.get("output")))


def _tokens(item: dict[str, Any]) -> int:
    texts = (text_of(item.get(name)) for name in ("arguments", "output"))
    return content_tokens(item.get("content")) + sum(tokens_of(text) for text in texts)


def whole(said: Said, id: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
    return _response(said, id, model, body, _items(said, id))


def _response(
    said: Said, id: str, model: str, body: dict[str, Any], output: list[dict[str, Any]], *, is_over: bool = True
) -> dict[str, Any]:
    status = "in_progress" if not is_over else "incomplete" if said.is_cut else "completed"
    return {
        "id": f"resp_{id}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": model,
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "temperature": body.get("temperature"),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p"),
        "usage": _usage(said) if is_over else None,
    }


def _items(said: Said, id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if said.thought:
        found.append(
            {"type": "reasoning", "id": f"rs_{id}", "summary": [{"type": "summary_text", "text": said.thought}]}
        )
    if said.text:
        part = {"type": "output_text", "text": said.text, "annotations": []}
        status = "incomplete" if said.is_cut else "completed"
        found.append(
            {"type": "message", "id": f"msg_{id}", "status": status, "role": "assistant", "content": [part]}
        )  # fmt: skip
    for call in said.calls:
        found.append(
            {
                "type": "function_call", "id": f"fc_{call.id[5:]}", "call_id": call.id, "name": call.name,
                "arguments": call.arguments, "status": "completed",
            }
        )  # fmt: skip
    return found


def stream(said: Said, id: str, model: str, body: dict[str, Any]) -> Iterator[bytes]:
    """Events, a word each; the last has the whole response."""
    items = _items(said, id)
    begun = _response(said, id, model, body, [], is_over=False)
    last = "response.incomplete" if said.is_cut else "response.completed"
    events: list[dict[str, Any]] = [
        {"type": f"response.{word}", "response": begun} for word in ("created", "in_progress")
    ]
    for index, item in enumerate(items):
        events += _item_events(item, index)
    events.append({"type": last, "response": _response(said, id, model, body, items)})
    for number, event in enumerate(events):
        yield named({**event, "sequence_number": number})


def _item_events(item: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
    bare: dict[str, dict[str, Any]] = {
        "message": {"content": [], "status": "in_progress"},
        "reasoning": {"summary": []},
        "function_call": {"arguments": "", "status": "in_progress"},
    }
    yield {"type": "response.output_item.added", "output_index": index, "item": item | bare[item["type"]]}
    at = {"item_id": item["id"], "output_index": index}
    if item["type"] == "function_call":
        for word in words_of(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **at, "delta": word}
        told = {"arguments": item["arguments"], "name": item["name"]}
        yield {"type": "response.function_call_arguments.done", **at, **told}
    else:
        is_thought = item["type"] == "reasoning"
        part = item["summary" if is_thought else "content"][0]
        at |= {"summary_index" if is_thought else "content_index": 0}
        kind = "reasoning_summary_part" if is_thought else "content_part"
        text = "reasoning_summary_text" if is_thought else "output_text"
        more: dict[str, Any] = {} if is_thought else {"logprobs": []}
        yield {"type": f"response.{kind}.added", **at, "part": part | {"text": ""}}
        for word in words_of(part["text"]):
            yield {"type": f"response.{text}.delta", **at, "delta": word, **more}
        yield {"type": f"response.{text}.done", **at, "text": part["text"], **more}
        yield {"type": f"response.{kind}.done", **at, "part": part}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _usage(said: Said) -> dict[str, Any]:
    return {
        "input_tokens": said.input_tokens,
        "input_tokens_details": {"cached_tokens": said.cached_tokens},
        "output_tokens": said.output_tokens,
        "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
        "total_tokens": said.input_tokens + said.output_tokens,
    }
