"""Calls of models by openai-agents: told by what its models give, whole or in pieces."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from agents.models.fake_id import FAKE_RESPONSES_ID

from wflo import context, recording
from wflo.context import Scope
from wflo.integrations.watching import is_own_gateway
from wflo.reading_usage import Answered, answered
from wflo.runs import Run
from wflo.spans import Kind
from wflo.wrapping import Invocation

PLACES = {"system_instructions": 1, "input": 2, "model_settings": 3}  # of the arguments, after the model itself


class ModelCall:
    """One call; ``answer`` is what it gave."""

    def __init__(self, scope: Scope, invocation: Invocation) -> None:
        recording.safely(_override, invocation, scope.run, default=None)
        model = invocation.args[0]
        self.model = str(getattr(model, "model", "") or "")
        self.provider = "openai" if type(model).__module__.startswith("agents.models.openai") else ""
        asked = {"instructions": _given(invocation, "system_instructions"), "input": _given(invocation, "input")}
        name = f"chat {self.model}".strip()
        self.span = recording.begin(scope, Kind.LLM, name, input=asked, provider=self.provider or None)
        recording.safely(_through_own_gateway, invocation, self.span.scope, default=None)
        self.answer: Any = None

    def feed(self, event: Any) -> None:
        """A piece of a stream: the last one has the whole answer."""
        response = getattr(event, "response", None)
        if response is not None:
            self.answer = response

    def end(self, answer: Any, error: BaseException | None = None) -> None:
        self.answer = answer or self.answer
        told = recording.safely(_answered, self.answer, default=Answered())
        output = getattr(self.answer, "output", None) or None
        recording.end_call(self.span, told, model=self.model, provider=self.provider, output=output, error=error)


def _answered(answer: Any) -> Answered:
    """Where a provider tells no usage, openai-agents says there were no tokens."""
    told = answered(answer)
    if told.usage is not None and not told.usage.input_tokens and not told.usage.output_tokens:
        told.usage = None
    if told.response_id == FAKE_RESPONSES_ID:  # one for all: by it a second call would be taken for the first
        told.response_id = ""
    return told


def _given(invocation: Invocation, name: str) -> Any:
    place = PLACES[name]
    return invocation.args[place] if place < len(invocation.args) else invocation.kwargs.get(name)


def _set(invocation: Invocation, name: str, value: Any) -> None:
    place = PLACES.get(name, 0)
    if place >= len(invocation.args):
        invocation.kwargs[name] = value
        return
    invocation.args = (*invocation.args[:place], value, *invocation.args[place + 1 :])


def _override(invocation: Invocation, run: Run) -> None:
    """Ask for the model that a rollback wants, where the model says by a field which one it is."""
    wanted, model = run.overrides.get("model"), invocation.args[0]
    if wanted and isinstance(getattr(model, "model", None), str):
        other = copy.copy(model)
        other.model = wanted
        invocation.args = (other, *invocation.args[1:])


def _through_own_gateway(invocation: Invocation, scope: Scope) -> None:
    """The gateway of the Wflo that is configured hangs its record under the call, and tells of a stream's usage."""
    client, settings = getattr(invocation.args[0], "_client", None), _given(invocation, "model_settings")
    if client is None or settings is None or not is_own_gateway(client.base_url):
        return
    with context.entered(scope):
        headers = {**context.headers(), **(settings.extra_headers or {})}
    usage = True if settings.include_usage is None else settings.include_usage
    _set(invocation, "model_settings", dataclasses.replace(settings, extra_headers=headers, include_usage=usage))
