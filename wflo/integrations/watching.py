"""A provider's client, watched: each of its calls of a model is a span, held to the run's budgets; answers stay what they are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from wflo import config, context, recording
from wflo.reading_usage import Answered, StreamReader, answered
from wflo.recording import OpenSpan
from wflo.spans import Kind
from wflo.streams import is_stream, watched
from wflo.wrapping import Call, Habit, Invocation, wrap

MARK = "_wflo_watched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of a client. ``asked`` says where the arguments have what is asked; ``prepare`` may change them, and gives
    which pieces of a stream the caller is to see (None: all)."""

    name: str
    provider: str
    asked: str
    kind: Kind = Kind.LLM
    prepare: Callable[[Invocation], Callable[[Any], bool] | None] | None = None
    is_stream: bool = False  # always: what it gives manages one


def habit(operation: Operation) -> Habit:
    def around(invocation: Invocation) -> Generator[Any, Any, Any]:
        model = str(invocation.kwargs.get("model") or "")
        with recording.scope_here(operation.name) as scope:
            scope.run.check(scope.agent)
            label = f"{operation.name} {model}".strip()
            asked = invocation.kwargs.get(operation.asked)
            span = recording.begin(scope, operation.kind, label, input=asked, provider=operation.provider)
            keep = recording.safely(_prepared, operation, invocation, span, default=None)
            try:
                answer = yield Call(span.scope)
            except BaseException as error:
                _end(span, Answered(), operation, model, error=error)
                raise
            if operation.is_stream or is_stream(answer):
                return _followed(answer, span, operation, model, keep)
            told, output = recording.safely(_read, answer, default=(Answered(), None))
            _end(span, told, operation, model, output=output)
            scope.run.check_spent(span.agent, answer)
            return answer

    return around


def patched(owner: Any, name: str, operation: Operation) -> Callable[[], None] | None:
    """Watch one method of a class or of an object; what undoes it, None where it was watched already or is not there."""
    method = getattr(owner, name, None)
    if method is None or hasattr(method, MARK):
        return None
    had = name in vars(owner)
    wrapped = wrap(method, habit(operation))
    setattr(wrapped, MARK, True)
    setattr(owner, name, wrapped)

    def undo() -> None:
        with contextlib.suppress(AttributeError):
            if had:
                setattr(owner, name, method)
            else:
                delattr(owner, name)

    return undo


def is_own_gateway(base_url: Any) -> bool:
    """Whether a client's address is the gateway of the Wflo that is configured."""
    settings = config.current()
    if not settings.endpoint:
        return False
    own, other = urlsplit(settings.endpoint), urlsplit(str(base_url))
    return (own.hostname, own.port) == (other.hostname, other.port)


def _prepared(operation: Operation, invocation: Invocation, span: OpenSpan) -> Callable[[Any], bool] | None:
    client = getattr(getattr(invocation.function, "__self__", None), "_client", None)
    if client is None and invocation.args:
        client = getattr(invocation.args[0], "_client", None)
    if client is not None and is_own_gateway(client.base_url):
        with context.entered(span.scope):
            named = context.headers()
        invocation.kwargs["extra_headers"] = {**named, **(invocation.kwargs.get("extra_headers") or {})}
    invocation.seen["base_url"] = "" if client is None else str(client.base_url)
    return None if operation.prepare is None else operation.prepare(invocation)


def _read(answer: Any) -> tuple[Answered, Any]:
    if hasattr(answer, "parse") and hasattr(answer, "headers"):  # asked for with its HTTP headers
        answer = answer.parse()
    return answered(answer), answer


def _followed(stream: Any, span: OpenSpan, operation: Operation, model: str, keep: Callable[[Any], bool] | None) -> Any:
    reader = StreamReader()

    def over(error: BaseException | None) -> None:
        told, output = reader.found, reader.text or None
        if told.usage is None:  # read in a way of its own, that puts the answer together
            whole = recording.safely(getattr, watch._stream, "current_message_snapshot", None, default=None)
            told, output = (answered(whole), whole) if whole is not None else (told, output)
        _end(span, told, operation, model, output=output, error=error)

    watch = watched(stream, reader.feed, over, keep)
    return watch


def _end(span: OpenSpan, told: Answered, operation: Operation, model: str, **outcome: Any) -> None:
    recording.end_call(span, told, model=model, provider=operation.provider, **outcome)
