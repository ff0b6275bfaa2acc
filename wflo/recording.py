"""Spans as they happen: begun, ended, counted for their run, and handed to the exporter as one event each.

A span that has ended is one event, whatever it was. One that is still open when a batch leaves is told as begun, so that a
running agent is seen while it runs. What goes wrong in here is logged once a minute and never reaches the host.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

from wflo import config, context, exporter, runs
from wflo.context import Scope
from wflo.ids import new_span_id
from wflo.plain import plain, to_json
from wflo.price_list import cost_of
from wflo.reading_usage import Answered
from wflo.redacting import redacted
from wflo.runs import Run
from wflo.spans import Kind

T = TypeVar("T")

log = logging.getLogger("wflo")
QUIET_SECONDS = 60.0
_logged: dict[str, float] = {}
_lock = threading.Lock()
_open: dict[str, OpenSpan] = {}
_heard: list[Callable[[dict[str, Any]], None]] = []  # who wants events too (``wflo.testing``)


class OpenSpan:
    """One step that is under way. ``end`` it once; a second time does nothing."""

    __slots__ = (
        "agent",
        "attributes",
        "fields",
        "has_inner",
        "id",
        "input",
        "is_announced",
        "is_ended",
        "kind",
        "name",
        "parent_id",
        "run",
        "started",
        "started_ns",
    )

    def __init__(self, run: Run, kind: Kind, name: str, *, agent: str, parent_id: str, input: Any = None) -> None:
        self.run, self.kind, self.name, self.agent, self.parent_id = run, kind, name, agent, parent_id
        self.id = new_span_id()
        self.input = input
        self.fields: dict[str, Any] = {}
        self.attributes: dict[str, Any] = {}
        self.is_announced = self.is_ended = False
        self.has_inner = False  # a call of a model within it was recorded by itself
        self.started_ns = time.time_ns()
        self.started = time.perf_counter_ns()

    @property
    def scope(self) -> Scope:
        return Scope(self.run, self.id, self.agent, self if self.kind is Kind.LLM else None)

    def end(self, *, output: Any = None, error: BaseException | str | None = None, **fields: Any) -> None:
        """It is over. ``fields``: those of an ingest event (model, input_tokens, ...)."""
        if self.is_ended:
            return
        self.is_ended = True
        duration_ms = (time.perf_counter_ns() - self.started) / 1e6
        _open.pop(self.id, None)
        if self.run.watchers:
            self._watched(output, error)
        if not self.run.is_told:
            return
        if isinstance(error, GeneratorExit):
            error = None  # whoever read a stream had enough of it
        try:
            event = self._head("span.end", self.started_ns + int(duration_ms * 1e6))
            event["duration_ms"] = round(duration_ms, 3)
            event["status"] = "ok" if error is None else "error"
            if error is not None:
                event["error"] = error if isinstance(error, str) else words_of(error)
            send(event | self.fields | fields, self.attributes, input=self.input, output=output)
        except Exception as fault:
            told("end", fault)

    @property
    def ended_ns(self) -> int:
        """Now, as the span's clock has it."""
        return self.started_ns + time.perf_counter_ns() - self.started

    def _watched(self, output: Any, error: BaseException | str | None) -> None:
        for watch in list(self.run.watchers):
            try:
                watch(self, output, error)
            except Exception as fault:
                told("watch", fault)

    def _head(self, kind: str, at_ns: int) -> dict[str, Any]:
        event = {
            "kind": kind, "event_id": f"{self.id}:{kind[5:]}", "run_id": self.run.id, "ts": at_ns / 1e9, "span_id": self.id,
            "span_kind": self.kind.value, "name": self.name[:500],
        }  # fmt: skip
        if self.parent_id:
            event["parent_span_id"] = self.parent_id
        if self.agent:
            event["agent"] = self.agent[:200]
        return event

    def start_event(self) -> bytes:
        """For whoever looks while it is open."""
        self.is_announced = True
        return encoded(self._head("span.start", self.started_ns) | self.fields, self.attributes, input=self.input)


def begin(scope: Scope, kind: Kind, name: str, *, agent: str = "", input: Any = None, **fields: Any) -> OpenSpan:
    """A step begins within ``scope`` (``scope_here`` gives one)."""
    run = scope.run
    span = OpenSpan(run, kind, name, agent=agent or scope.agent, parent_id=scope.span_id, input=input)
    try:
        if fields:
            span.fields = {key: value for key, value in fields.items() if value is not None}
        if kind is Kind.LLM and scope.call is not None:
            scope.call.has_inner = True
        run.step = name
        if span.agent:
            run.agent = span.agent
        if run.is_told:
            _open[span.id] = span
    except Exception as fault:
        told("begin", fault)
    return span


def end_call(
    span: OpenSpan, answer: Answered, *, model: str, provider: str = "", output: Any = None, error: Any = None
) -> None:
    """A model's call is over: counted for its run and agent, at what it cost as far as that is known here."""
    if span.is_ended:
        return
    if span.has_inner:  # what was called within has told it
        span.kind = Kind.CHAIN
        span.end(output=output, error=error)
        return
    fields: dict[str, Any] = {}
    try:
        cost = _cost(answer, model, provider)
        ms = (time.perf_counter_ns() - span.started) / 1e6
        is_error = error is not None and not isinstance(error, GeneratorExit)
        span.run.used.add_call(span.agent, answer.usage, cost, ms=ms, is_error=is_error)
        fields = _call_fields(answer, model, provider, cost)
    except Exception as fault:
        told("end_call", fault)
    span.end(output=output, error=error, **fields)


def _cost(answer: Answered, model: str, provider: str) -> Decimal | None:
    """By the model that answered, else by the one that was asked for: a deployment's name says nothing of its price."""
    usage = answer.usage
    if usage is None:
        return None
    names = dict.fromkeys(name for name in (answer.model, model) if name)
    return next((cost for name in names if (cost := cost_of(usage, name, provider)) is not None), None)


def _call_fields(answer: Answered, model: str, provider: str, cost: Decimal | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "requested_model": model or None, "model": answer.model or None, "provider": provider or None,
        "response_id": answer.response_id[:128] or None, "finish_reason": answer.finish_reason or None,
        "cost_usd": None if cost is None else str(cost),
    }  # fmt: skip
    if answer.usage is not None:
        fields |= {name: getattr(answer.usage, name) for name in answer.usage.__dataclass_fields__}
    return {name: value for name, value in fields.items() if value is not None}


def occurred(
    kind: str,
    *,
    scope: Scope | None = None,
    name: str = "",
    input: Any = None,
    output: Any = None,
    whole: Mapping[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Something happened at a moment: agent_message, loop, retry, circuit, consensus, checkpoint. Outside of every run it
    is not told. ``whole``: plain JSON that is told uncut."""
    scope = scope or context.current()
    if scope is None or not scope.run.is_told:
        return
    with quietly(kind):
        event = {
            "kind": kind, "event_id": fields.pop("event_id", None) or new_span_id(), "run_id": scope.run.id,
            "ts": time.time(), "name": name[:500],
        }  # fmt: skip
        if scope.span_id:
            event["parent_span_id"] = scope.span_id
        if scope.agent:
            event["agent"] = scope.agent[:200]
        kept = {key: value for key, value in fields.items() if value is not None}
        send(event | plain(kept), {}, whole, input=input, output=output)


# --- runs -----------------------------------------------------------------------------------------------------------------


@contextmanager
def running(run: Run, *, input: Any = None, agent: str = "", parent_run_id: str = "", **fields: Any) -> Iterator[Run]:
    """The run from its beginning to its end, and the current one meanwhile. ``fields``: session_id, user_id, tags, metadata."""
    opened(run, input=input, agent=agent, parent_run_id=parent_run_id, **fields)
    try:
        with runs.entered(run, agent):
            yield run
    except BaseException as error:
        closed(run, error=error)
        raise
    closed(run)


def opened(run: Run, *, input: Any = None, agent: str = "", parent_run_id: str = "", **fields: Any) -> None:
    runs.opened(run)
    with quietly("run"):
        event: dict[str, Any] = {
            "kind": "run.start",
            "event_id": f"{run.id}:start",
            "run_id": run.id,
            "ts": time.time(),
        }
        event |= {"name": run.name[:500], "agent": agent[:200], "parent_run_id": parent_run_id}
        settings = config.current()
        event |= {"environment": settings.environment, "release": settings.release, **fields}
        send({key: value for key, value in event.items() if value}, {}, input=input)


def closed(run: Run, *, output: Any = None, error: BaseException | None = None) -> None:
    runs.closed(run)
    with quietly("run"):
        event: dict[str, Any] = {"kind": "run.end", "event_id": f"{run.id}:end", "run_id": run.id, "ts": time.time()}
        event |= {"name": run.name[:500], "duration_ms": round((time.monotonic() - run.started) * 1000, 3)}
        event["status"] = "ok" if error is None else "error"
        if error is not None:
            event["error"] = words_of(error)
        send(event, {}, output=output)


@contextmanager
def scope_here(name: str) -> Iterator[Scope]:
    """The scope we are in; outside of every run one of a run of its own, for as long as this lasts. Enters nothing: a
    generator's caller would find itself in it between two pieces."""
    scope = context.current()
    if scope is not None:
        yield scope
        return
    run = Run(id=f"temp-{uuid4().hex}", name=name)
    opened(run)
    try:
        yield Scope(run)
    except BaseException as error:
        closed(run, error=None if isinstance(error, GeneratorExit) else error)
        raise
    closed(run)


# --- events ---------------------------------------------------------------------------------------------------------------


def send(
    event: dict[str, Any], attributes: Mapping[str, Any], whole: Mapping[str, Any] | None = None, **contents: Any
) -> None:
    if _heard:
        told = {name: plain(value) for name, value in contents.items() if value is not None}
        for listen in list(_heard):
            listen({**event, "attributes": dict(attributes), **told, **(whole or {})})
    if config.current().is_sending:
        exporter.put(encoded(event, attributes, whole, **contents))


def encoded(
    event: dict[str, Any], attributes: Mapping[str, Any], whole: Mapping[str, Any] | None = None, **contents: Any
) -> bytes:
    """The event as JSON. What people wrote is cut to size and redacted; ids, times and counts are as they are."""
    settings = config.current()
    parts = [to_json(event)[:-1]]
    if settings.capture_content:
        if attributes:
            contents["attributes"] = dict(attributes)
        for name, value in contents.items():
            if value is not None:
                _add(parts, name, to_json(plain(value, settings.content_characters)), settings.redact)
        for name, value in (whole or {}).items():
            _add(parts, name, to_json(value), settings.redact)
    return (",".join(parts) + "}").encode("utf-8", "replace")


def _add(parts: list[str], name: str, text: str, policy: str | Callable[[str], str]) -> None:
    """A field, redacted; one that cannot be redacted is left out, never told raw."""
    try:
        parts.append(f'"{name}":{redacted(text, policy)}')
    except Exception as fault:
        told("redact", fault)


def words_of(error: BaseException) -> str:
    """What a failure says of itself; asked with care, since it is a stranger's."""
    try:
        said = str(error)
    except Exception:
        said = ""
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return safely(redacted, text[:2_000], config.current().redact, default=type(error).__name__)


@contextmanager
def quietly(where: str) -> Iterator[None]:
    """What goes wrong within is logged and goes no further."""
    try:
        yield
    except Exception as error:
        told(where, error)


def safely(function: Callable[..., T], *args: Any, default: T) -> T:
    """What the function gives, else ``default``; its failure is logged and goes no further."""
    try:
        return function(*args)
    except Exception as fault:
        told(getattr(function, "__name__", "?"), fault)
        return default


def told(where: str, error: Exception) -> None:
    """Log a fault of our own, once a minute for each place."""
    now = time.monotonic()
    with _lock:
        is_due = now - _logged.get(where, -QUIET_SECONDS) >= QUIET_SECONDS
        if is_due:
            _logged[where] = now
    if is_due:
        log.warning("wflo could not record (%s): %s", where, type(error).__name__, exc_info=error)


def hear(listener: Callable[[dict[str, Any]], None]) -> None:
    """Have every event told to ``listener`` too."""
    _heard.append(listener)


def hear_no_more(listener: Callable[[dict[str, Any]], None]) -> None:
    _heard.remove(listener)


def _announced() -> Iterator[bytes]:
    for span in list(_open.values()):
        if not span.is_announced:
            with quietly("announce"):
                yield span.start_event()


def _forget() -> None:
    """A child process begins with nothing open: its parent tells of what was."""
    _open.clear()


exporter.announce(_announced, runs.open_ids)
exporter.listen(runs.heard)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
