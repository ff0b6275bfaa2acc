"""LiteLLM: what goes through its functions, its router and its proxy, as calls of the run they are made in.

    undo = instrument_litellm()            # every call of this process, held to the run's budgets
    litellm.callbacks.append(WfloLogger()) # recorded alone: where functions were imported by name, or in LiteLLM's proxy

LiteLLM's callbacks cannot refuse a call, so budgets hold where ``instrument_litellm`` is used. With both a call counts once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator
from typing import Any
from uuid import uuid4

import litellm
from litellm.integrations.custom_logger import CustomLogger

from wflo import context, recording
from wflo.context import Scope
from wflo.integrations.watching import MARK, Operation, habit
from wflo.reading_usage import Answered, answered
from wflo.recording import OpenSpan
from wflo.runs import Run
from wflo.spans import Kind
from wflo.wrapping import Call, Invocation, wrap

OPEN_MAX = 10_000  # calls under way that a logger remembers; the oldest is let go
_CHAT = Operation(name="chat", provider="", asked="messages")
_TEXT = Operation(name="text_completion", provider="", asked="prompt")
_RESPONSE = Operation(name="responses", provider="", asked="input")
_EMBEDDING = Operation(name="embeddings", provider="", asked="input", kind=Kind.EMBEDDING)
_FUNCTIONS = {
    "completion": _CHAT, "acompletion": _CHAT, "text_completion": _TEXT, "atext_completion": _TEXT,
    "responses": _RESPONSE, "aresponses": _RESPONSE, "embedding": _EMBEDDING, "aembedding": _EMBEDDING,
}  # fmt: skip
_NAMES = {"embedding": _EMBEDDING, "text_completion": _TEXT, "responses": _RESPONSE}  # by LiteLLM's type of a call


def instrument_litellm() -> Callable[[], None]:
    """Have every call of LiteLLM's functions recorded, and held to the budgets of the run it is made in; what undoes it.

    Functions that were imported by name before are not seen: ``WfloLogger`` sees them.
    """
    put: dict[str, Any] = {}
    for name, operation in _FUNCTIONS.items():
        function = getattr(litellm, name, None)
        if function is None or hasattr(function, MARK):
            continue
        wrapped = wrap(function, _named(operation))
        setattr(wrapped, MARK, True)
        setattr(litellm, name, wrapped)
        put[name] = function

    def undo() -> None:
        for name, function in put.items():
            setattr(litellm, name, function)
        put.clear()

    return undo


def _named(operation: Operation) -> Callable[[Invocation], Generator[Any, Any, Any]]:
    def around(invocation: Invocation) -> Generator[Any, Any, Any]:
        scope = context.current()
        if scope is not None and scope.call is not None and not scope.call.is_ended:
            return (yield Call())  # one function calls another
        given = invocation.arguments()
        if "args" not in given:
            invocation.args, invocation.kwargs = (), dict(given)
        provider = recording.safely(_provider, given, default="")
        whose = Operation(
            name=operation.name, provider=provider, asked=operation.asked, kind=operation.kind, prepare=_with_usage
        )
        return (yield from habit(whose)(invocation))

    return around


def _provider(given: dict[str, Any]) -> str:
    told = given.get("custom_llm_provider")
    return str(told or litellm.get_llm_provider(model=given["model"], api_base=given.get("api_base"))[1])


def _with_usage(invocation: Invocation) -> Callable[[Any], bool] | None:
    """Ask for a stream's usage; who did not ask does not see it."""
    given = invocation.kwargs
    options = given.get("stream_options")
    if not given.get("stream") or "messages" not in given or (options and "include_usage" in options):
        return None
    given["stream_options"] = {**(options or {}), "include_usage": True}
    return lambda piece: getattr(piece, "usage", None) is None


class WfloLogger(CustomLogger):
    """A callback of LiteLLM's: each call is a span of the run it was made in, else of a run of its own.

    One serves any number of calls, in any number of threads. What LiteLLM's cache answered costs nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open: OrderedDict[str, tuple[OpenSpan, Run | None]] = OrderedDict()
        self._lock = threading.Lock()

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: dict[str, Any]) -> None:
        with recording.quietly("litellm call"):
            scope = context.current()
            if scope is not None and scope.call is not None and not scope.call.is_ended:
                return  # it is watched nearer to whoever made it
            self._ended(kwargs, error="it was tried again")
            self._began(scope, str(model or ""), messages, kwargs)

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        with recording.quietly("litellm answer"):
            self._ended(kwargs, response_obj)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        with recording.quietly("litellm failure"):
            self._ended(kwargs, error=kwargs.get("exception") or "it failed")

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self.log_failure_event(kwargs, response_obj, start_time, end_time)

    def _began(self, scope: Scope | None, model: str, asked: Any, kwargs: dict[str, Any]) -> None:
        operation = _NAMES.get(str(kwargs.get("call_type") or "").removeprefix("a"), _CHAT)
        own = None
        if scope is None:
            own = Run(id=f"temp-{uuid4().hex}", name=operation.name)
            recording.opened(own)
            scope = Scope(own)
        provider = str(kwargs.get("custom_llm_provider") or "")
        name = f"{operation.name} {model}".strip()
        span = recording.begin(scope, operation.kind, name, input=asked, provider=provider or None)
        with self._lock:
            self._open[str(kwargs.get("litellm_call_id"))] = (span, own)
            forgotten = self._open.popitem(last=False)[1] if len(self._open) > OPEN_MAX else None
        if forgotten is not None:
            _end(*forgotten, Answered(), {}, error="nobody told of its end")

    def _ended(self, kwargs: dict[str, Any], answer: Any = None, *, error: Any = None) -> None:
        with self._lock:
            span, own = self._open.pop(str(kwargs.get("litellm_call_id")), (None, None))
        if span is not None:
            _end(span, own, answered(answer), kwargs, output=answer, error=error)


def _end(span: OpenSpan, own: Run | None, told: Answered, kwargs: dict[str, Any], **outcome: Any) -> None:
    span.has_inner = span.has_inner or bool(kwargs.get("cache_hit"))  # so that it is no call of a model
    recording.end_call(
        span,
        told,
        model=str(kwargs.get("model") or ""),
        provider=str(kwargs.get("custom_llm_provider") or ""),
        **outcome,
    )
    if own is not None:
        error = outcome.get("error")
        recording.closed(own, error=error if isinstance(error, BaseException) else None)
