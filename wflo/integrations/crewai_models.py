"""Calls of models by CrewAI: told by OpenAI's and Anthropic's own clients under them, else by CrewAI's own events.

CrewAI's LLM calls the provider's client, or LiteLLM, or a REST API, as its class has it; for a few things CrewAI makes a
client of its own (``output_json``, embeddings). So the clients' classes are watched, for what is called within a crew.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from crewai.events.stream_context import add_stream_sink, reset_stream_sinks
from crewai.events.types.llm_events import LLMCallCompletedEvent
from crewai.types.usage_metrics import UsageMetrics

from wflo import context, recording
from wflo.context import Scope
from wflo.errors import BudgetExceededError
from wflo.integrations.openai import with_usage
from wflo.integrations.watching import MARK, Operation, habit
from wflo.reading_usage import Answered
from wflo.recording import OpenSpan
from wflo.spans import Kind
from wflo.usage import Usage
from wflo.wrapping import Call, Habit, Invocation, wrap

OWN_MARK = "_wflo_crewai"
_CHAT = Operation(name="chat", provider="openai", asked="messages", prepare=with_usage)
_RESPONSE = Operation(name="responses", provider="openai", asked="input")
_EMBEDDING = Operation(name="embeddings", provider="openai", asked="input", kind=Kind.EMBEDDING)
_MESSAGE = Operation(name="chat", provider="anthropic", asked="messages")
_MESSAGES = Operation(name="chat", provider="anthropic", asked="messages", is_stream=True)
# By the package of a client: the module and the classes of what is called, and how.
_PLACES: dict[str, list[tuple[str, tuple[str, ...], dict[str, Operation]]]] = {
    "openai": [
        ("openai.resources.chat", ("Completions", "AsyncCompletions"), {"create": _CHAT, "parse": _CHAT}),
        ("openai.resources.responses", ("Responses", "AsyncResponses"), {"create": _RESPONSE, "parse": _RESPONSE}),
        ("openai.resources.embeddings", ("Embeddings", "AsyncEmbeddings"), {"create": _EMBEDDING}),
    ],
    "anthropic": [
        (module, ("Messages", "AsyncMessages"), {"create": _MESSAGE, "stream": _MESSAGES})
        for module in ("anthropic.resources", "anthropic.resources.beta")
    ],
}
_calling: dict[str, Any] = {}  # by the call's span: the LLM


def watch_clients(is_within: Callable[[Scope | None], bool]) -> None:
    """The clients' classes, of the packages that are in use; what is called elsewhere is left alone."""
    for package, places in _PLACES.items():
        if package not in sys.modules:
            continue
        for module, kinds, methods in places:
            for kind in kinds:
                owner = getattr(importlib.import_module(module), kind, None)
                for name, operation in methods.items():
                    _put(owner, name, _within(is_within, name, operation))


def _put(owner: Any, name: str, around: Habit) -> None:
    method = vars(owner).get(name) if owner is not None else None
    if not inspect.isfunction(method) or hasattr(method, OWN_MARK) or hasattr(method, MARK):
        return
    wrapped = wrap(method, around)
    setattr(wrapped, OWN_MARK, True)
    setattr(owner, name, wrapped)


def _within(is_within: Callable[[Scope | None], bool], name: str, operation: Operation) -> Habit:
    inner = habit(operation)

    def around(invocation: Invocation) -> Any:
        scope = context.current()
        is_watched = hasattr(getattr(invocation.args[0], name, None), MARK)  # by ``wrap_openai`` and the like
        if scope is None or not is_within(scope) or is_watched:
            return (yield Call())
        if operation.kind is Kind.LLM and "model" in scope.run.overrides:
            invocation.kwargs["model"] = scope.run.overrides["model"]
        try:
            return (yield from inner(invocation))
        except BudgetExceededError as error:
            if hasattr(error.answer, "parse") and hasattr(error.answer, "headers"):  # asked for with its HTTP headers
                error.answer = error.answer.parse()
            raise

    return around


def refresh(llm: Any) -> None:
    """Have a client that was used before anybody watched forget what it remembers of its methods."""
    for client in (getattr(llm, "_client", None), getattr(llm, "_async_client", None)):
        for part in (client, getattr(client, "beta", None)):
            completions = getattr(getattr(part, "chat", None), "completions", None)
            raw = getattr(completions, "__dict__", {}).get("with_raw_response")
            if raw is not None and not hasattr(raw.create, OWN_MARK):
                vars(completions).pop("with_raw_response", None)


def is_called(call: OpenSpan | None, llm: Any) -> bool:
    """Whether we are in a call of this LLM: its class calls its base's."""
    return call is not None and _calling.get(call.id) is llm


class ModelCall:
    """A call by an LLM of CrewAI's. Where the provider's client under it tells of it, that is the record."""

    def __init__(self, scope: Scope, llm: Any, messages: Any) -> None:
        self.llm, self.model = llm, str(llm.model or "")
        # Not begun, so that it is never told as open: it may be the client's to tell.
        self.span = OpenSpan(
            scope.run,
            Kind.LLM,
            f"chat {self.model}".strip(),
            agent=scope.agent,
            parent_id=scope.span_id,
            input=messages,
        )
        self.scope = scope._replace(call=self.span)
        self._events: list[Any] = []

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear what CrewAI tells of the call meanwhile."""
        _calling[self.span.id] = self.llm
        token = add_stream_sink(self._hear)
        try:
            yield
        finally:
            reset_stream_sinks(token)
            del _calling[self.span.id]

    def _hear(self, source: Any, event: Any) -> None:
        if isinstance(event, LLMCallCompletedEvent) and source is self.llm:
            self._events.append(event)

    def end(self, answer: Any, error: BaseException | None = None) -> None:
        if self.span.has_inner:
            return
        provider = str(getattr(self.llm, "provider", None) or "")
        told = recording.safely(_answered, self._events, default=Answered())
        recording.end_call(self.span, told, model=self.model, provider=provider, output=answer, error=error)


def _answered(events: list[Any]) -> Answered:
    """Where nobody told of tokens, CrewAI says that there were none."""
    found = Answered()
    for event in events:
        metrics = UsageMetrics.from_provider_dict(event.usage)
        if metrics is not None and metrics.total_tokens:
            found.usage = Usage(
                input_tokens=metrics.prompt_tokens,
                output_tokens=metrics.completion_tokens,
                cached_tokens=metrics.cached_prompt_tokens,
                cache_write_tokens=metrics.cache_creation_tokens,
                reasoning_tokens=metrics.reasoning_tokens,
            )
        found.finish_reason = event.finish_reason or found.finish_reason
        found.response_id = event.response_id or found.response_id
    return found
