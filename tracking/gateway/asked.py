"""What a request asks for, whatever its dialect: read from headers and body once, before anything is decided."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from tracking import ids
from tracking.errors import InvalidCall
from tracking.gateway.dialects.dialect import Dialect
from tracking.keys import Caller
from wflo.ids import trace_id_of

T = TypeVar("T", int, float, Decimal)

RUN_CHARS_MAX = 128
NAME_CHARS_MAX = 200
PASSED_CHARS_MAX = 1_000
RUN_BUDGET_USD_MAX = 1_000_000

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_EXTENSIONS = ("agentwall_run_id", "agentwall_agent_id", "agentwall_metadata")


@dataclass(slots=True, kw_only=True)
class Asked:
    """One request. ``body`` has lost our own fields; ``raw`` is what may be sent on when nothing else must change."""

    dialect: Dialect
    caller: Caller
    body: dict[str, Any]
    raw: bytes | None
    model: str
    is_stream: bool
    output_tokens: int | None  # the cap asked for
    choices: int
    run: str  # the caller's name for the run, or a fresh one
    is_named: bool  # the caller named the run, so others may belong to it
    trace_id: str
    root: str = ""  # the run all this hangs under; ``run`` itself where none is named
    parent_id: str | None = None
    agent: str = ""
    user: str = ""
    session: str = ""
    job: str = ""
    purpose: str = ""
    step: int | None = None
    retry_count: int = 0  # the client library's own: the same request again, not a loop
    idempotency_key: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    passed_headers: dict[str, str] = field(default_factory=dict)  # of the dialect's own, sent on
    earlier: str = ""  # the answer it goes on from, which a provider keeps
    home: tuple[str, str] | None = field(default=None, repr=False)  # address and key of who keeps it
    kept_tokens: int = 0  # of the prompt, kept there
    judged: Any = None  # tracking.gateway.loop_guard.Judged: whether its run goes round in circles
    taken: Any = None  # tracking.gateway.rate_limits.Taken: what it counts as under rate limits
    repetitions_max: int | None = None  # the caller's own limits on loops, stricter than its team's
    similarity_min: float | None = None
    run_budget_usd: Decimal | None = None  # what the caller says its run may spend
    guard: Any = None  # tracking.gateway.guard.Guard: what prompt and answer are looked at for
    guarded: tuple[str, ...] = ()  # what was found in the prompt
    agent_probe: uuid.UUID | None = None  # the call tries whether its agent may call again
    cache_control: str = ""  # the client's wish: no-store, no-cache
    cache_place: Any = None  # tracking.gateway.answer_cache.Place: where the answer is to be kept
    rate_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    id: uuid.UUID = field(default_factory=ids.uuid4)  # of the call, and of its first reservation


def read(dialect: Dialect, caller: Caller, headers: Mapping[bytes, bytes], body: dict[str, Any], raw: bytes) -> Asked:
    """Raises InvalidCall naming the field."""
    extension = {name: body.pop(name) for name in _EXTENSIONS if name in body}
    wanted = dialect.read(body)
    named = _word(headers, b"x-wflo-run-id", b"x-agentwall-run-id", b"x-run-id", most=RUN_CHARS_MAX)
    named = named or _text(extension.get("agentwall_run_id"), "agentwall_run_id", RUN_CHARS_MAX)
    trace_id, parent_id = _traced(headers)
    run = named or trace_id or str(ids.uuid4())
    metadata = extension.get("agentwall_metadata")
    step = _word(headers, b"x-agentwall-step", most=12)
    return Asked(
        dialect=dialect,
        caller=caller,
        body=body,
        raw=None if extension else raw,
        model=wanted.model,
        is_stream=wanted.is_stream,
        output_tokens=wanted.output_tokens,
        choices=wanted.choices,
        run=run,
        is_named=bool(named or trace_id),
        trace_id=trace_id or trace_id_of(run),
        root=_word(headers, b"x-wflo-root-run-id", most=RUN_CHARS_MAX) or run,
        parent_id=parent_id,
        agent=_word(headers, b"x-wflo-agent", b"x-agentwall-agent-id")
        or _text(extension.get("agentwall_agent_id"), "agentwall_agent_id", NAME_CHARS_MAX),
        user=wanted.user or _word(headers, b"x-wflo-user"),
        session=_word(headers, b"x-wflo-session-id"),
        purpose=_word(headers, b"x-wflo-purpose"),
        step=int(step) if step.isdigit() else None,
        retry_count=_count(headers.get(b"x-stainless-retry-count", b"")),
        idempotency_key=_word(headers, b"idempotency-key", most=255),
        metadata=metadata if isinstance(metadata, dict) else {},
        earlier=wanted.earlier,
        passed_headers=_passed(headers, dialect),
        cache_control=_word(headers, b"cache-control").lower(),
        repetitions_max=_limit(headers, b"x-max-repetitions", int, 1, 1000),
        similarity_min=_limit(headers, b"x-loop-threshold", float, 0.01, 1),
        run_budget_usd=_limit(headers, b"x-run-budget", Decimal, 0, RUN_BUDGET_USD_MAX),
    )


def _passed(headers: Mapping[bytes, bytes], dialect: Dialect) -> dict[str, str]:
    found = {name: _word(headers, name.encode(), most=PASSED_CHARS_MAX) for name in dialect.passed_headers}
    return {name: value for name, value in found.items() if value.isascii() and value}


def _word(headers: Mapping[bytes, bytes], *names: bytes, most: int = NAME_CHARS_MAX) -> str:
    for name in names:
        value = headers.get(name)
        if value:
            return _text(value.decode("utf-8", "replace").strip(), name.decode(), most)
    return ""


def _text(value: Any, field: str, most: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidCall(f"{field} must be text.", field=field)
    if len(value) > most or not value.isprintable():
        raise InvalidCall(f"{field} must be printable text of at most {most} characters.", field=field)
    return value


def _traced(headers: Mapping[bytes, bytes]) -> tuple[str, str | None]:
    """(trace id, span id to hang the call under) from W3C's traceparent and our own header."""
    found = _TRACEPARENT.fullmatch(headers.get(b"traceparent", b"").decode("latin-1").strip().lower())
    trace_id, parent_id = found.groups() if found and found[1].strip("0") and found[2].strip("0") else ("", None)
    own = headers.get(b"x-wflo-span-id", b"").decode("latin-1").strip().lower()
    return trace_id, own if re.fullmatch(r"[0-9a-f]{16}", own) else parent_id


def _limit(headers: Mapping[bytes, bytes], name: bytes, kind: type[T], least: float, most: float) -> T | None:
    """A limit of the caller's own. Raises InvalidCall naming the header."""
    text = headers.get(name, b"").decode("latin-1").strip()
    if not text:
        return None
    shown = name.decode().title()
    try:
        value = kind(text)
    except (ValueError, InvalidOperation):
        value = None
    if value is None or value != value or not least <= value <= most:
        raise InvalidCall(f"{shown} is a number from {least} to {most}.", field=shown)
    return value


def _count(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 6 else 0
