"""Every provider through LiteLLM: the only file of the library that imports it, at its first call.

Nothing of LiteLLM's process is touched: no callbacks, caches, budgets or retries of its own. One request is one request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any

from wflo import model_names
from wflo.agents.assembly import Assembly
from wflo.agents.errors import classify
from wflo.agents.model import Answer, Message, Piece, Request
from wflo.agents.settings import settings
from wflo.usage import Usage

_ONE_REQUEST: dict[str, Any] = {"num_retries": 0, "max_retries": 0, "caching": False, "no-log": True}
_KEPT = ("content", "tool_calls", "reasoning_content", "thinking_blocks", "function_call", "refusal")
_litellm: Any = None


def litellm_module() -> Any:
    """LiteLLM, imported now if it was not. Nothing is fetched. Raises ImportError saying what to install."""
    global _litellm
    if _litellm is None:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else its import waits for the network
        try:
            import litellm
        except ImportError as error:
            raise ImportError('Models other than demo/… need LiteLLM: pip install "wflo[agents]"') from error
        litellm.suppress_debug_info = True
        _litellm = litellm
    return _litellm


class LiteLLMModel:
    async def ask(self, request: Request) -> Answer:
        litellm = _litellm or await asyncio.to_thread(litellm_module)
        try:
            response = await litellm.acompletion(**arguments_of(request))
        except Exception as error:  # whatever a provider's adapter raises
            raise classify(error) from error
        return read_answer(response)

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        litellm = _litellm or await asyncio.to_thread(litellm_module)
        arguments = arguments_of(request) | {"stream": True, "stream_options": {"include_usage": True}}
        stream: Any = None
        try:
            stream = await litellm.acompletion(**arguments)
            async for chunk in stream:
                yield _piece(chunk)
        except Exception as error:
            raise classify(error) from error
        finally:
            await _closed(stream)


def ask_now(request: Request) -> Answer:
    """The same without an event loop. Raises LLMError."""
    try:
        return read_answer(litellm_module().completion(**arguments_of(request)))
    except Exception as error:
        raise classify(error) from error


def arguments_of(request: Request) -> dict[str, Any]:
    """For LiteLLM's completion functions."""
    model = model_names.normalise(request.model)
    options = {**_ONE_REQUEST, **request.options}
    if "api_key" not in options and (key := settings.api_key_for(model.partition("/")[0])):
        options["api_key"] = key
    arguments: dict[str, Any] = {"model": model, "messages": request.messages, **options}
    if request.tools:
        arguments["tools"] = request.tools
        if request.tool_choice is not None:
            arguments["tool_choice"] = request.tool_choice
    if request.response_format is not None:
        arguments["response_format"] = request.response_format
    return arguments


def takes_schemas(model: str) -> bool:
    """Whether the model's provider keeps an answer to a JSON schema. A model nobody knows: no."""
    try:
        return bool(litellm_module().supports_response_schema(model=model_names.normalise(model)))
    except Exception:  # a model it does not know
        return False


def read_answer(response: Any) -> Answer:
    choice = response.choices[0]
    usage = usage_of(getattr(response, "usage", None))
    return Answer(
        message=_message(choice.message),
        usage=usage,
        cost_usd=_cost(response, usage),
        model=response.model or "",
        finish_reason=choice.finish_reason or "",
        raw=response,
    )


def _message(said: Any) -> Message:
    message: Message = {"role": "assistant", "content": None}
    for name in _KEPT:
        value = getattr(said, name, None)
        if value:
            message[name] = [_plain(one) for one in value] if isinstance(value, list) else _plain(value)
    refusal = (getattr(said, "provider_specific_fields", None) or {}).get("refusal")
    if refusal and not message["content"]:
        message["content"] = refusal  # the model's own no is what it answers
    return message


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value


def _piece(chunk: Any) -> Piece:
    choices = chunk.choices
    usage = usage_of(getattr(chunk, "usage", None))
    if not choices:
        return Piece(usage=usage, cost_usd=_cost(chunk, usage), model=chunk.model or "", raw=chunk)
    delta = choices[0].delta
    calls = getattr(delta, "tool_calls", None) or []
    return Piece(
        text=getattr(delta, "content", None) or "",
        thought=getattr(delta, "reasoning_content", None) or "",
        calls=[_plain(call) for call in calls],
        finish_reason=choices[0].finish_reason or "",
        usage=usage,
        cost_usd=_cost(chunk, usage),
        model=chunk.model or "",
        raw=chunk,
    )


def usage_of(told: Any) -> Usage | None:
    """LiteLLM's usage, in inclusive buckets; None where nothing is told."""
    if told is None or getattr(told, "prompt_tokens", None) is None:
        return None
    read, written = getattr(told, "prompt_tokens_details", None), getattr(told, "completion_tokens_details", None)
    return Usage(
        input_tokens=told.prompt_tokens,
        output_tokens=told.completion_tokens,
        cached_tokens=getattr(read, "cached_tokens", None),
        cache_write_tokens=getattr(told, "cache_creation_input_tokens", None)
        or getattr(read, "cache_creation_tokens", None),
        reasoning_tokens=getattr(written, "reasoning_tokens", None),
    )


def _cost(response: Any, usage: Usage | None) -> Decimal | None:
    """What LiteLLM reckons it cost. Its 0 for a model it has no price of means that nobody knows."""
    if usage is None:
        return None
    hidden = getattr(response, "_hidden_params", None) or {}
    cost = hidden.get("response_cost")
    if cost is None:
        try:
            cost = litellm_module().completion_cost(
                completion_response=response, model=hidden.get("litellm_model_name") or response.model
            )
        except Exception:  # no price
            return None
    return Decimal(str(cost)) if cost else None


async def _closed(stream: Any) -> None:
    """The provider's own stream below LiteLLM's, so that an answer nobody reads on is not paid for further."""
    if stream is None:
        return
    for inner in (stream, getattr(stream, "completion_stream", None)):
        close = getattr(inner, "aclose", None) or getattr(inner, "close", None)
        if close is None:
            continue
        try:
            found = close()
            if asyncio.iscoroutine(found):
                await found
        except Exception:  # it was closed, or broke
            return


def read_stream(chunks: Any) -> Answer:
    """The whole answer of a stream that is read without an event loop."""
    assembly = Assembly()
    for chunk in chunks:
        assembly.add(_piece(chunk))
    return assembly.answer()
