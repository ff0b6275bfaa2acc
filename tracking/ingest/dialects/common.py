"""What means the same in every dialect: who it was for, what went wrong, when the first token came."""

from __future__ import annotations

import re
from typing import Any

from tracking.ingest.dialects.fields import Attributes, text
from wflo.spans import Span, Status

ERROR_MAX = 500
_FIRST_TOKEN_EVENTS = frozenset(
    {
        "First Token Stream Event",
        "gen_ai.content.completion.chunk",
        "new_token",
        "mlflow.chunk.item.0",
        "ai.stream.firstChunk",
        "llm.content.completion.chunk",
    }
)
# LangGraph hands over, and stops to ask, by raising. No step failed.
_CONTROL = re.compile(
    r"(?:[\w.]+: ){0,2}(?:ParentCommand\()?Command\(graph=|(?:[\w.]+: ){0,2}(?:GraphInterrupt\b|\(?Interrupt\(value=)"
)
_TRACEBACK = "Traceback (most recent call last)"


def read_common(span: Span) -> None:
    """Session and user of a span, the words of its error, and its first token, where an event marks it."""
    attributes = span.attributes
    span.session_id = text(attributes, "session.id", "gen_ai.conversation.id", "langfuse.session.id")
    span.user_id = text(
        attributes, "user.id", "enduser.id", "gen_ai.user", "llm.user", "gen_ai.request.user", "langfuse.user.id"
    )
    if span.events:
        _read_events(span)
    if span.status is Status.ERROR:
        read_error(span)
        if span.error and _CONTROL.match(span.error):
            span.status, span.error = Status.UNSET, None


def _read_events(span: Span) -> None:
    for event in span.events:
        if event.get("name") in _FIRST_TOKEN_EVENTS:
            elapsed = event.get("time_ns", 0) - span.started_ns
            if elapsed > 0:
                span.first_token_ms = elapsed / 1e6
            return


def read_error(span: Span) -> None:
    """The words of a failure: the status's, else the exception's, else the kind of error."""
    words = span.error or _exception(span.events)
    if not words:
        attributes = span.attributes
        words = text(
            attributes,
            "gen_ai.framework.error.message",
            "error.message",
            "exception.message",
            "tool.error",
            "error.type",
        )
    span.error = _first_words(words) if words else None


def _exception(events: list[dict[str, Any]]) -> str | None:
    for event in reversed(events):
        if event.get("name") == "exception":
            attributes: Attributes = event.get("attributes") or {}
            kind, message = text(attributes, "exception.type"), attributes.get("exception.message")
            if isinstance(message, str) and message:
                return f"{kind}: {message}" if kind else message
            return kind
    return None


def _first_words(words: str) -> str:
    words = words.partition(_TRACEBACK)[0].strip() or words
    return words if len(words) <= ERROR_MAX else words[: ERROR_MAX - 1] + "…"


def service_facts(resource: Attributes) -> tuple[str | None, str | None]:
    """Environment and release of the program that sent the spans."""
    environment = text(resource, "deployment.environment.name", "deployment.environment")
    return environment, text(resource, "service.version")
