"""Our own events -> Span: what the SDK and plain scripts send to POST /api/v1/ingest.

An event is an object with ``kind``, ``event_id``, ``run_id`` (the caller's own id of the run), ``ts`` (RFC 3339, or Unix
seconds) and, as it likes, ``seq``, ``trace_id``, ``span_id``, ``parent_span_id``, ``agent``, ``name``, ``attributes``,
``metadata``, ``tags``, ``session_id``, ``user_id``, ``environment``, ``release``, ``status``, ``error``, ``input``,
``output``, ``duration_ms``. ``ts`` is when a thing began; of ``run.end`` and ``span.end``, when it ended.

Ids follow from the event alone, so that a batch sent twice, or in any order, gives the same spans. The names of the
GenAI conventions are used for what they name, so that one reader serves every sender.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from tracking.errors import TooLarge
from tracking.ingest.decoded import ATTRIBUTES_MAX, DecodeError, fitting
from tracking.ingest.event_fields import ATTEMPTS_MAX, TEXT_MAX, BadField, Event
from tracking.ingest.strict_json import loads
from wflo.ids import root_span_id_of, span_id_of, trace_id_of
from wflo.spans import Kind, Rejected, Span, Status
from wflo.usage import Usage

CONVENTION = "wflo"
_OPERATIONS = {
    Kind.AGENT: "invoke_agent",
    Kind.LLM: "chat",
    Kind.TOOL: "execute_tool",
    Kind.CHAIN: "invoke_workflow",
    Kind.RETRIEVER: "retrieval",
    Kind.EMBEDDING: "embeddings",
}
_TOKENS = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "cache_write_1h_tokens": "wflo.usage.cache_write_1h_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "audio_input_tokens": "wflo.usage.audio_input_tokens",
    "audio_output_tokens": "wflo.usage.audio_output_tokens",
    "image_input_tokens": "wflo.usage.image_input_tokens",
    "image_output_tokens": "wflo.usage.image_output_tokens",
}


@dataclass(slots=True)
class Events:
    """The spans of a batch of events, with the place in the request that each came from."""

    spans: list[Span] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    parents: dict[str, str] = field(default_factory=dict)  # run -> the run it goes on from, or belongs to
    open_runs: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class State:
    """A state that a checkpoint's event brought. ``span`` is the event's own."""

    id: UUID
    run: str
    name: str
    agent: str
    step: str
    span: Span
    value: Any
    lossy_paths: list[str]


def decode_events(body: bytes, *, events_max: int, open_runs_max: int = 200, reasons_max: int = 20) -> Events:
    """Read ``{"events": [...]}``, with ``open_runs`` and ``dropped`` beside them. An event with a wrong field is rejected
    alone, naming it.

    Raises DecodeError when the body is not such an object, TooLarge beyond ``events_max``.
    """
    request = loads(body)
    events = request.get("events") if isinstance(request, dict) else None
    if not isinstance(events, list):
        raise DecodeError('Send {"events": [...]}.', field="events")
    if len(events) > events_max:
        raise TooLarge(f"More than {events_max:,} events in one request. Send them in smaller parts.", field="events")
    out = Events(
        open_runs=_open_runs(request.get("open_runs"), open_runs_max),
        dropped=_dropped(request.get("dropped"), reasons_max),
    )
    for index, raw in enumerate(events):
        try:
            span = _span_of(raw)
        except BadField as wrong:
            event_id = raw.get("event_id") if isinstance(raw, dict) else None
            out.rejected.append(
                Rejected(
                    index=index,
                    code=wrong.code,
                    message=f"{wrong.field}: {wrong.expected}" if wrong.field else wrong.expected,
                    event_id=event_id if isinstance(event_id, str) else None,
                )
            )
            continue
        out.spans.append(span)
        out.places.append(index)
        if span.name.startswith("checkpoint") and raw.get("state") is not None:
            out.states.append(_state_of(Event.of(raw), span))
        if span.links and span.run_id:
            out.parents[span.run_id] = raw["parent_run_id"]
    out.run_ids = sorted({span.run_id for span in out.spans if span.run_id})
    return out


def _open_runs(value: Any, most: int) -> list[str]:
    """Runs that the sender has open, by its own names."""
    if value is None:
        return []
    if (
        not isinstance(value, list)
        or len(value) > most
        or not all(isinstance(run, str) and 0 < len(run) <= TEXT_MAX for run in value)
    ):
        raise DecodeError(f"An array of at most {most} run ids of 1 to {TEXT_MAX} characters.", field="open_runs")
    return [run for run in value if "\0" not in run]


def _dropped(value: Any, most: int) -> dict[str, int]:
    """Events that the sender had to give up, by reason."""
    if value is None:
        return {}
    is_right = isinstance(value, dict) and len(value) <= most
    if not is_right or not all(
        _is_reason(name) and type(count) is int and 0 <= count <= 10**9 for name, count in value.items()
    ):
        raise DecodeError(f"An object of at most {most} reasons, each with a whole number.", field="dropped")
    return {name: count for name, count in value.items() if count}


def _is_reason(name: str) -> bool:
    return 0 < len(name) <= 40 and name.isascii() and name.replace("_", "").isalnum()


def _state_of(event: Event, span: Span) -> State:
    try:
        id = UUID(event.text("checkpoint_id"))
    except (BadField, ValueError):
        id = uuid5(NAMESPACE_OID, f"{span.run_id}:{event.text('event_id')}")
    paths = event.raw.get("lossy_paths")
    return State(
        id=id,
        run=span.run_id or "",
        name=event.text("name", most=500),
        agent=span.agent or "",
        step=str(event.raw.get("step") or "")[:200],
        span=span,
        value=event.raw["state"],
        lossy_paths=[path for path in paths if isinstance(path, str)] if isinstance(paths, list) else [],
    )


def _span_of(raw: Any) -> Span:
    event = Event.of(raw)
    kind = event.kind
    build = _KINDS.get(kind)
    if build is None:
        raise BadField("kind", f"is one of {', '.join(_KINDS)}", code="unknown_kind")
    event_id = event.text("event_id", required=True)
    run_id = event.text("run_id", required=True)
    span = Span(
        trace_id=event.trace_id() or trace_id_of(run_id),
        span_id=span_id_of(run_id, event.text("span_id") or f"event:{event_id}"),
        run_id=run_id,
        convention=CONVENTION,
        scope=CONVENTION,
        name=event.text("name", most=500),
        started_ns=event.time_ns("ts", required=True),
    )
    parent = event.text("parent_span_id", alias="parent_id")
    span.parent_id = span_id_of(run_id, parent) if parent else root_span_id_of(run_id)
    _common(event, span)
    build(event, span)
    if len(span.attributes) > ATTRIBUTES_MAX:
        notes: list[str] = []
        span.attributes = fitting(span.attributes, notes, of="event")
        span.notes += tuple(notes)
    return span


def _common(event: Event, span: Span) -> None:
    """What every kind may carry."""
    span.attributes = event.mapping("attributes")
    agent = event.text("agent", most=200)
    if agent:
        span.agent = span.attributes["gen_ai.agent.name"] = agent
    session_id, user_id = event.text("session_id"), event.text("user_id")
    if session_id:
        span.session_id = span.attributes["session.id"] = session_id
    if user_id:
        span.user_id = span.attributes["user.id"] = user_id
    span.environment = event.text("environment") or None
    span.release = event.text("release") or None
    if span.environment:
        span.resource["deployment.environment.name"] = span.environment
    if span.release:
        span.resource["service.version"] = span.release
    span.tags = event.texts("tags")
    span.metadata = event.mapping("metadata") or None
    seq = event.count("seq")
    if seq is not None and not event.kind.endswith(".end"):
        span.attributes["wflo.seq"] = seq
    _status(event, span)


def _status(event: Event, span: Span) -> None:
    status = event.text("status")
    error = event.text("error", most=None)
    try:
        span.status = Status({"completed": "ok", "failed": "error"}.get(status, status)) if status else Status.UNSET
    except ValueError:
        raise BadField("status", "is ok, error or unset (completed and failed are understood)") from None
    if error:
        span.status, span.error = Status.ERROR, error


def _set_kind(span: Span, kind: Kind) -> None:
    span.kind = kind
    span.attributes["wflo.span.kind"] = kind.value
    if kind in _OPERATIONS:
        span.attributes["gen_ai.operation.name"] = _OPERATIONS[kind]


def _contents(event: Event, span: Span, *, input_to: str, output_to: str) -> None:
    for name, attribute in (("input", input_to), ("output", output_to)):
        value = event.content(name)
        if value:
            span.attributes[attribute] = value


def _ended(event: Event, span: Span) -> None:
    """For what is told once, when it is over: it lasted ``duration_ms``, or no time at all."""
    span.ended_ns = span.started_ns + event.duration_ns("duration_ms")


def _run(event: Event, span: Span) -> None:
    """run.start and run.end: the root span of the run, open until the second has come.

    What the end does not say (the kind, the name) is left unset, so that the start's word stands.
    """
    root = event.text("span_id") or "root"
    span.span_id, span.parent_id = span_id_of(span.run_id or "", root), None
    _contents(event, span, input_to="input.value", output_to="output.value")
    parent_run = event.text("parent_run_id")
    if parent_run:
        link = {"trace_id": trace_id_of(parent_run), "span_id": root_span_id_of(parent_run), "attributes": {}}
        span.links = [link]


def _run_start(event: Event, span: Span) -> None:
    _run(event, span)
    _set_kind(span, Kind.AGENT if span.agent else Kind.CHAIN)
    span.name = span.name or span.agent or span.run_id or ""


def _closing(event: Event, span: Span) -> None:
    """Turn ``ts`` into the end; the beginning is what ``duration_ms`` says, else known from the opening event."""
    span.ended_ns = span.started_ns
    span.started_ns -= event.duration_ns("duration_ms")


def _run_end(event: Event, span: Span) -> None:
    _run(event, span)
    _closing(event, span)
    if span.status is Status.UNSET:
        span.status = Status.OK


def _span_start(event: Event, span: Span) -> None:
    event.text("span_id", required=True)
    kind = event.text("span_kind") or Kind.OTHER
    try:
        _set_kind(span, Kind(kind))
    except ValueError:
        raise BadField("span_kind", f"is one of {', '.join(Kind)}") from None
    if span.kind is Kind.LLM or span.kind is Kind.EMBEDDING:
        _model(event, span)
    elif span.kind is Kind.TOOL:
        _tool(event, span)
    else:
        _contents(event, span, input_to="input.value", output_to="output.value")


def _span_end(event: Event, span: Span) -> None:
    _span_start(event, span)
    if "span_kind" not in event.raw:
        span.attributes.pop("wflo.span.kind")  # the opening event knows better
    _closing(event, span)


def _llm_call(event: Event, span: Span) -> None:
    _set_kind(span, Kind.EMBEDDING if event.text("operation") == "embeddings" else Kind.LLM)
    _model(event, span)
    _ended(event, span)
    span.name = span.name or f"chat {span.model or span.requested_model or ''}".rstrip()


def _model(event: Event, span: Span) -> None:
    for name, attribute in (
        ("model", "gen_ai.response.model"),
        ("requested_model", "gen_ai.request.model"),
        ("provider", "gen_ai.provider.name"),
        ("response_id", "gen_ai.response.id"),
        ("finish_reason", "gen_ai.response.finish_reasons"),
        ("purpose", "wflo.purpose"),
    ):
        value = event.text(name)
        if value:
            setattr(span, name, value)
            span.attributes[attribute] = [value] if name == "finish_reason" else value
    tokens: dict[str, Any] = {name: event.count(name) for name in _TOKENS}
    for name, count in tokens.items():
        if count is not None:
            span.attributes[_TOKENS[name]] = count
    usage = Usage(**tokens, service_tier=event.text("service_tier") or None)
    span.usage = usage if usage.is_known else None
    span.reported_cost_usd = event.money("cost_usd")
    if span.reported_cost_usd is not None:
        span.attributes["wflo.cost_usd"] = str(span.reported_cost_usd)
    span.attempt = event.count("attempt", most=ATTEMPTS_MAX)
    if span.attempt is not None:
        span.attributes["wflo.attempt"] = span.attempt
    span.first_token_ms = event.duration_ms("first_token_ms")
    _contents(event, span, input_to="gen_ai.input.messages", output_to="gen_ai.output.messages")


def _tool_call(event: Event, span: Span) -> None:
    _set_kind(span, Kind.TOOL)
    _tool(event, span)
    if not span.tool_name:
        raise BadField("tool", "is missing", code="missing")
    _ended(event, span)
    span.name = span.name or span.tool_name


def _tool(event: Event, span: Span) -> None:
    span.tool_name = event.text("tool", alias="tool_name") or None
    span.tool_call_id = event.text("tool_call_id") or None
    if span.tool_name:
        span.attributes["gen_ai.tool.name"] = span.tool_name
    if span.tool_call_id:
        span.attributes["gen_ai.tool.call.id"] = span.tool_call_id
    _contents(event, span, input_to="gen_ai.tool.call.arguments", output_to="gen_ai.tool.call.result")


def _occurrence(event: Event, span: Span) -> None:
    """What happened at a moment: a step of its own, with every field the event brought."""
    kind = event.kind
    _set_kind(span, Kind.OTHER)
    for name, value in event.rest().items():
        if (kind, name) != ("checkpoint", "state"):  # kept by itself
            span.attributes[f"wflo.{kind}.{name}"] = value
    _contents(event, span, input_to="input.value", output_to="output.value")
    _ended(event, span)
    span.name = f"{kind}: {span.name}" if span.name else kind


_KINDS: dict[str, Callable[[Event, Span], None]] = {
    "run.start": _run_start,
    "run.end": _run_end,
    "span.start": _span_start,
    "span.end": _span_end,
    "llm_call": _llm_call,
    "tool_call": _tool_call,
    "agent_message": _occurrence,
    "loop": _occurrence,
    "retry": _occurrence,
    "circuit": _occurrence,
    "consensus": _occurrence,
    "checkpoint": _occurrence,
}
