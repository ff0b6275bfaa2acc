"""Requests of pydantic-ai's agents to models: each is a call of the run, whole or streamed, whichever of its models answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic_ai.messages import ModelResponse
from pydantic_ai.models.wrapper import WrapperModel

from wflo import context, recording
from wflo.context import Scope
from wflo.integrations.watching import is_own_gateway
from wflo.reading_usage import Answered
from wflo.spans import Kind
from wflo.usage import Usage


class Watched(WrapperModel):
    """The model that serves a request, in the scope of its agent."""

    def __init__(self, wrapped: Any, scope: Scope) -> None:
        super().__init__(wrapped)
        self.scope = scope

    async def request(self, messages: Any, model_settings: Any, model_request_parameters: Any) -> ModelResponse:
        call = ModelCall(self, messages)
        try:
            with context.entered(call.span.scope):
                response = await self.wrapped.request(messages, call.settings(model_settings), model_request_parameters)
        except BaseException as error:
            call.end(None, error)
            raise
        call.end(response)
        self.scope.run.check_spent(self.scope.agent, response)
        return response

    @asynccontextmanager
    async def request_stream(
        self, messages: Any, model_settings: Any, model_request_parameters: Any, run_context: Any = None
    ) -> AsyncGenerator[Any]:
        """Its end is where whoever reads it has had enough: then it is counted as far as it went."""
        call = ModelCall(self, messages)
        async with AsyncExitStack() as stack:
            try:
                settings = call.settings(model_settings)
                stream = self.wrapped.request_stream(messages, settings, model_request_parameters, run_context)
                with context.entered(call.span.scope):
                    response = await stack.enter_async_context(stream)
            except BaseException as error:
                call.end(None, error)
                raise
            try:
                yield response
            except BaseException as error:
                call.end(response.get(), error)
                raise
            call.end(response.get())
        self.scope.run.check_spent(self.scope.agent, None)


class ModelCall:
    """One call. Raises, before it is made, what its run may not do."""

    def __init__(self, model: Watched, messages: Any) -> None:
        scope, self.wrapped = model.scope, model.wrapped
        scope.run.check(scope.agent)
        self.model, self.provider = str(self.wrapped.model_name), str(self.wrapped.system or "")
        name = f"chat {self.model}".strip()
        self.span = recording.begin(scope, Kind.LLM, name, input=messages, provider=self.provider or None)

    def settings(self, given: Any) -> Any:
        """The gateway of the Wflo that is configured hangs its record under the call."""
        if not is_own_gateway(getattr(self.wrapped, "base_url", None) or ""):
            return given
        with context.entered(self.span.scope):
            named = context.headers()
        settings = dict(given or {})
        return {**settings, "extra_headers": {**named, **(settings.get("extra_headers") or {})}}

    def end(self, response: ModelResponse | None, error: BaseException | None = None) -> None:
        told = recording.safely(_answered, response, default=Answered())
        provider = str(getattr(response, "provider_name", None) or self.provider)
        output = None if response is None else list(response.parts)
        recording.end_call(self.span, told, model=self.model, provider=provider, output=output, error=error)


def _answered(response: ModelResponse | None) -> Answered:
    if response is None:
        return Answered()
    return Answered(
        usage=_usage(response.usage), model=response.model_name or "", response_id=response.provider_response_id or "",
        finish_reason=response.finish_reason or "",
    )  # fmt: skip


def _usage(told: Any) -> Usage | None:
    """None where the provider told none: pydantic-ai counts no tokens then."""
    if not told.input_tokens and not told.output_tokens:
        return None
    return Usage(
        input_tokens=told.input_tokens, output_tokens=told.output_tokens, cached_tokens=told.cache_read_tokens,
        cache_write_tokens=told.cache_write_tokens, cache_write_1h_tokens=getattr(told, "cache_write_1h_tokens", None),
        reasoning_tokens=getattr(told, "output_reasoning_tokens", None) or told.details.get("reasoning_tokens"),
        audio_input_tokens=told.input_audio_tokens, audio_output_tokens=told.output_audio_tokens,
    )  # fmt: skip
