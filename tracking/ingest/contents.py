"""What a span's model was told and what it said, read when the span is opened.

Contents travel in nine ways: JSON messages, flattened indexed attributes, span events, one event with everything, log
records, inputs and outputs as JSON or as a Python ``repr``, and more. They are stored as sent and made one shape here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tracking.ingest.flattened import flattened
from tracking.ingest.messages import Message, Part, as_json, decoded, messages_of, parts_of
from tracking.ingest.tool_offers import ToolOffer, is_offer, tools_of
from tracking.ingest.tool_runs import arguments, result
from wflo.spans import Kind, Span

PREVIEW_CHARS = 300
PREVIEW_READ_CHARS = 1_200  # before secrets are taken out: one that is cut in two is none that can be found
PREVIEW_JSON_MAX = 64 * 1024
_OPERATION_DETAILS = "gen_ai.client.inference.operation.details"
_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CHOICE = "gen_ai.choice"

# Attributes that hold messages, the most telling first; then those that hold any input or output.
_INPUT_MESSAGES = ("gen_ai.input.messages", "ai.prompt.messages", "pydantic_ai.all_messages", "ai.prompt")
_INPUTS = (
    "langfuse.observation.input",
    "mlflow.spanInputs",
    "gen_ai.tool.call.arguments",
    "ai.toolCall.args",
    "traceloop.entity.input",
    "gen_ai.task.input",
    "crewai.task.description",
    "gen_ai.tool.args",
    "tool.arguments",
    "gen_ai.prompt",
    "raw_input",
    "input.value",
    "ai.values",
    "ai.value",
    "input",
)
_OUTPUT_MESSAGES = ("gen_ai.output.messages",)
_OUTPUTS = (
    "langfuse.observation.output",
    "mlflow.spanOutputs",
    "gen_ai.tool.call.result",
    "ai.toolCall.result",
    "traceloop.entity.output",
    "gen_ai.task.output",
    "crewai.crew.result",
    "gen_ai.completion",
    "final_result",
    "output.value",
    "response",
    "output",
)


@dataclass(frozen=True, slots=True)
class Document:
    content: str
    id: str | None = None
    score: float | None = None
    metadata: Any = None


@dataclass(slots=True)
class Contents:
    """``input_text`` and ``output_text``: the plain words, or the raw value as sent when it is no message."""

    input: list[Message] = field(default_factory=list)
    output: list[Message] = field(default_factory=list)
    tools: list[ToolOffer] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    input_text: str = ""
    output_text: str = ""


def contents(payload: dict[str, Any], *, convention: str, kind: Kind) -> Contents:
    """From a stored payload: ``attributes``, and ``events`` and ``logs`` where it has them. Never raises.

    Model calls and agents hold messages; of all other kinds, input and output are the values themselves.
    """
    attributes = _map(payload.get("attributes"))
    events = _list(payload.get("events"))
    logs = _list(payload.get("logs"))
    found = Contents(tools=tools_of(attributes), documents=_documents(attributes, kind))
    _read_words(found, attributes, events, logs, convention=convention, kind=kind)
    return found


def _read_words(
    found: Contents, attributes: dict[str, Any], events: list[Any], logs: list[Any], *, convention: str, kind: Kind
) -> None:
    """What was said on both sides."""
    raw_input, raw_output = _first(attributes, _INPUTS), _first(attributes, _OUTPUTS)
    if kind in (Kind.LLM, Kind.AGENT, Kind.CHAIN, Kind.OTHER, Kind.GUARDRAIL):
        found.input = _input_messages(attributes, events, logs, kind=kind)
        found.output = _output_messages(attributes, events, logs)
        if convention == "logfire" or "events" in attributes:
            _read_logfire(attributes, found)
        if not found.input and raw_input is not None:
            value = decoded(raw_input)
            value = [item for item in value if not is_offer(item)] if isinstance(value, list) else value
            found.input = messages_of(value, role="user")
        if not found.output and raw_output is not None:
            found.output = messages_of(decoded(raw_output), role="assistant")
        found.input_text = _asked(found.input)
        found.output_text = _answered(found.output)
        return
    if raw_input is None:
        raw_input = _event_words(events, "gen_ai.tool.message")
    if raw_output is None:
        raw_output = _event_words(events, _CHOICE)
    found.input_text = _plain(arguments(raw_input)) if raw_input is not None else _words(attributes, _INPUT_MESSAGES)
    found.output_text = _plain(result(raw_output)) if raw_output is not None else _words(attributes, _OUTPUT_MESSAGES)


def preview(span: Span) -> tuple[str, str]:
    """The first words asked and the last words answered, each in one line to be ``shortened`` once secrets are out;
    empty where nothing says so.

    Contents longer than PREVIEW_JSON_MAX are not parsed.
    """
    attributes = {
        key: value
        for key, value in span.attributes.items()
        if not isinstance(value, str) or len(value) <= PREVIEW_JSON_MAX
    }
    found = Contents()
    _read_words(found, attributes, span.events, [], convention=span.convention, kind=span.kind)
    return _line(found.input_text), _line(found.output_text)


def _line(words: str) -> str:
    return " ".join(words[:PREVIEW_READ_CHARS].split())


def shortened(words: str) -> str:
    """At most PREVIEW_CHARS of them."""
    return words if len(words) <= PREVIEW_CHARS else words[: PREVIEW_CHARS - 1] + "…"


def _asked(messages: list[Message]) -> str:
    """What the user said first, else whatever comes first and is no instruction."""
    for message in messages:
        if message.role == "user" and message.text:
            return message.text
    return next((message.text for message in messages if message.role != "system" and message.text), "")


def _answered(messages: list[Message]) -> str:
    return next((message.text for message in reversed(messages) if message.text), "")


def _input_messages(attributes: dict[str, Any], events: list[Any], logs: list[Any], *, kind: Kind) -> list[Message]:
    found = flattened(attributes, "llm.input_messages.") or flattened(attributes, "gen_ai.prompt.")
    if not found:
        value = _first(attributes, _INPUT_MESSAGES)
        found = messages_of(decoded(value), role="user") if value is not None else []
        if kind is Kind.AGENT and "pydantic_ai.all_messages" in attributes:
            while found and found[-1].role == "assistant":
                found.pop()  # the whole talk is kept in one; its end is the output
    if not found:
        found = _from_events(events, is_output=False) or _from_logs(logs, is_output=False)
    instructions = attributes.get("gen_ai.system_instructions")
    if instructions is not None and not any(message.role == "system" for message in found):
        found = messages_of(decoded(instructions), role="system") + found
    return found


def _output_messages(attributes: dict[str, Any], events: list[Any], logs: list[Any]) -> list[Message]:
    found = flattened(attributes, "llm.output_messages.") or flattened(attributes, "gen_ai.completion.")
    if not found:
        value = _first(attributes, _OUTPUT_MESSAGES)
        found = messages_of(decoded(value), role="assistant") if value is not None else []
    if not found:
        found = _vercel_output(attributes)
    if not found:
        found = _from_events(events, is_output=True) or _from_logs(logs, is_output=True)
    return found


def _vercel_output(attributes: dict[str, Any]) -> list[Message]:
    parts: list[Part] = []
    reasoning = attributes.get("ai.response.reasoning")
    if isinstance(reasoning, str) and reasoning:
        parts.append({"type": "reasoning", "text": reasoning})
    words = _first(attributes, ("ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object"))
    if words is not None:
        parts.append({"type": "text", "text": words if isinstance(words, str) else _plain(words)})
    calls = decoded(_first(attributes, ("ai.response.toolCalls", "ai.result.toolCalls")))
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, dict):
            parts += parts_of([{**call, "type": "tool-call"}])
    return [Message("assistant", tuple(parts))] if parts else []


def _from_events(events: list[Any], *, is_output: bool) -> list[Message]:
    found: list[Message] = []
    for event in events:
        event = _map(event)
        found += _from_record(str(event.get("name") or ""), _map(event.get("attributes")), is_output=is_output)
    return found


def _from_logs(logs: list[Any], *, is_output: bool) -> list[Message]:
    found: list[Message] = []
    for record in logs:
        record = _map(record)
        body, attributes = record.get("body"), _map(record.get("attributes"))
        value = {**attributes, **body} if isinstance(body, dict) else {**attributes, "content": body}
        found += _from_record(str(record.get("event_name") or ""), value, is_output=is_output)
    return found


def _from_record(name: str, value: dict[str, Any], *, is_output: bool) -> list[Message]:
    """Messages of one event or log record, if it is of the side asked for."""
    if name == _OPERATION_DETAILS:
        sides = ("gen_ai.output.messages",) if is_output else ("gen_ai.system_instructions", "gen_ai.input.messages")
        found: list[Message] = []
        for key in sides:
            if key in value:
                said_by = "assistant" if is_output else "system" if "instructions" in key else "user"
                found += messages_of(decoded(value[key]), role=said_by)
        return found
    if name == _CHOICE:
        return messages_of(_said(value, "assistant"), role="assistant") if is_output else []
    role = _EVENT_ROLES.get(name)
    if role is None or is_output:
        return []
    return messages_of(_said(value, role), role=role)


def _said(value: dict[str, Any], role: str) -> Any:
    """One event's words as a message; contents sent as JSON text are decoded."""
    inner = decoded(value.get("message", value.get("content")))
    if isinstance(inner, dict) and ("content" in inner or "tool_calls" in inner or "role" in inner):
        return {"role": role, **inner}
    calls = decoded(value.get("tool_calls"))
    return {
        "role": value.get("role") or role,
        "content": inner if isinstance(inner, list | str) else None if inner is None else _plain(inner),
        "tool_calls": calls if isinstance(calls, list) else [],
        "tool_call_id": value.get("id") if role == "tool" else None,
        "name": value.get("name"),
    }


def _words(attributes: dict[str, Any], keys: tuple[str, ...]) -> str:
    """The words of messages that stand on a span that is no talk: what was embedded, what was searched."""
    value = _first(attributes, keys)
    return "" if value is None else "\n".join(message.text for message in messages_of(decoded(value), role="user"))


def _event_words(events: list[Any], name: str) -> Any:
    for event in events:
        event = _map(event)
        if event.get("name") == name:
            inner = _map(event.get("attributes"))
            return inner.get("message", inner.get("content"))
    return None


def _read_logfire(attributes: dict[str, Any], found: Contents) -> None:
    """Logfire keeps the events of a call as one JSON attribute."""
    events = decoded(attributes.get("events"))
    if not isinstance(events, list):
        return
    records = [{"event_name": _map(event).get("event.name"), "body": event} for event in events]
    found.input = found.input or _from_logs(records, is_output=False)
    found.output = found.output or _from_logs(records, is_output=True)
    told: list[Message] = []
    while found.input and found.input[-1].role == "assistant":
        told.insert(0, found.input.pop())  # the answer closes the list of what was said
    found.output = found.output or told


def _documents(attributes: dict[str, Any], kind: Kind) -> list[Document]:
    for prefix in ("retrieval.documents.", "reranker.output_documents."):
        groups: dict[int, dict[str, Any]] = defaultdict(dict)
        for key, value in attributes.items():
            if key.startswith(prefix):
                index, _, part = key[len(prefix) :].partition(".document.")
                if index.isdecimal() and len(index) < 7:
                    groups[int(index)][part] = value
        if groups:
            return [_document(groups[index]) for index in sorted(groups)]
    if kind is not Kind.RETRIEVER:
        return []
    value = decoded(_first(attributes, (*_OUTPUT_MESSAGES, *_OUTPUTS)))
    value = value.get("documents", value) if isinstance(value, dict) else value
    return [_document(item) for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _document(item: dict[str, Any]) -> Document:
    metadata = decoded(item.get("metadata"))
    score = item.get("score")
    identity = item.get("id") or _map(metadata).get("id")
    content = next((item[key] for key in ("content", "page_content", "text") if item.get(key)), None)
    return Document(
        content=_plain(content if content is not None else item),
        id=str(identity) if identity else None,
        score=float(score) if isinstance(score, int | float) else None,
        metadata=metadata,
    )


def _first(attributes: dict[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = attributes.get(key)
        if value is not None and value != "":
            return value
    return None


def _plain(value: Any) -> str:
    """A value as a reader would see it: a JSON text that is one string loses its quotes, all else stays as sent."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return as_json(value)
    if value[:1] == '"':
        inner = decoded(value)
        return inner if isinstance(inner, str) else value
    return value


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
