"""Calls of models by AutoGen's clients: told by OpenAI's and Anthropic's own clients under them, else by their results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autogen_core.models import CreateResult

from wflo import recording
from wflo.context import Scope
from wflo.integrations.openai import with_usage
from wflo.integrations.watching import MARK, Operation, habit
from wflo.reading_usage import Answered
from wflo.runs import Run
from wflo.spans import Kind
from wflo.usage import Usage
from wflo.wrapping import Call, Habit, Invocation, wrap

_OPENAI = Operation(name="chat", provider="openai", asked="messages", prepare=with_usage)
_ANTHROPIC = Operation(name="chat", provider="anthropic", asked="messages")
# By the package of the client: what of it is called.
_PLACES: dict[str, list[tuple[tuple[str, ...], str, Operation]]] = {
    "openai": [
        (path, name, _OPENAI)
        for path in (("chat", "completions"), ("beta", "chat", "completions"))
        for name in ("create", "parse")
    ],
    "anthropic": [(("messages",), "create", _ANTHROPIC)],
}


def is_watched_below(client: Any, is_on: Callable[[], bool]) -> bool:
    """Whether the provider's client under one of AutoGen's is known; it is watched from now on, while ``is_on``."""
    below = getattr(client, "_client", None)
    places = _PLACES.get(type(below).__module__.partition(".")[0], [])
    for path, name, operation in places:
        owner = below
        for step in path:
            owner = getattr(owner, step, None)
        method = getattr(owner, name, None)
        if method is not None and not hasattr(method, MARK):
            wrapped = wrap(method, _while(is_on, habit(operation)))
            setattr(wrapped, MARK, True)
            setattr(owner, name, wrapped)
    return bool(places)


def _while(is_on: Callable[[], bool], inner: Habit) -> Habit:
    def around(invocation: Invocation) -> Any:
        if not is_on():
            return (yield Call())
        return (yield from inner(invocation))

    return around


def override(invocation: Invocation, run: Run) -> None:
    """Ask for the model that a rollback wants, where the client takes it with a call."""
    model = run.overrides.get("model")
    if model and "model" in (getattr(invocation.args[0], "_create_args", None) or {}):
        invocation.kwargs["extra_create_args"] = {**(invocation.kwargs.get("extra_create_args") or {}), "model": model}


class ModelCall:
    """A call that AutoGen's own result tells of: tokens in and out, no more."""

    def __init__(self, scope: Scope, client: Any, messages: Any) -> None:
        self.model = _model_of(client)
        asked = recording.safely(_asked, messages, default=None)
        self.span = recording.begin(scope, Kind.LLM, f"chat {self.model}".strip(), input=asked)
        self.result: Any = None

    def feed(self, piece: Any) -> None:
        if isinstance(piece, CreateResult):
            self.result = piece

    def end(self, answer: Any, error: BaseException | None = None) -> None:
        result = answer or self.result
        told = recording.safely(_answered, result, default=Answered())
        output = recording.safely(_said, result, default=None)
        recording.end_call(self.span, told, model=self.model, output=output, error=error)


def _model_of(client: Any) -> str:
    client = getattr(client, "client", client)  # under AutoGen's cache
    named = (getattr(client, "_create_args", None) or {}).get("model")
    return str(named or getattr(client, "_model_name", None) or getattr(client, "_model_id", None) or "")


def _asked(messages: Any) -> Any:
    return [{"type": one.type, "content": one.content} for one in messages]


def _said(result: Any) -> Any:
    return None if result is None else result.content


def _answered(result: Any) -> Answered:
    """One from AutoGen's cache was paid for before. Where nobody told of tokens, AutoGen says there were none."""
    if result is None:
        return Answered()
    asked, said = result.usage.prompt_tokens, result.usage.completion_tokens
    usage = Usage(input_tokens=asked, output_tokens=said) if asked or said else None
    if result.cached:
        usage = Usage(input_tokens=0, output_tokens=0)
    return Answered(usage=usage, finish_reason=str(result.finish_reason or ""))
