"""Deployments that do not speak the caller's dialect, through LiteLLM: the only file of the server that imports it.

That costs six seconds of work and 200 MB, so it happens at the first call that needs it, in a thread. Of a request only
the fields named here reach LiteLLM, for its functions take hundreds by which a caller could lead a call elsewhere. Its
retries, callbacks, caches and budgets are left alone: an attempt is one request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any

import orjson

from tracking.errors import UpstreamFailed
from tracking.gateway import litellm_answers, litellm_errors
from tracking.gateway.asked import Asked
from tracking.gateway.failures import UpstreamTimeout
from tracking.gateway.provider import Upstream
from tracking.gateway.routing import Route

NO_KEY = "none"  # where a deployment has no key: without one LiteLLM would send a key of the environment's there

_CHAT = frozenset(
    {
        "messages", "functions", "function_call", "temperature", "top_p", "top_k", "n", "stream", "stream_options", "stop",
        "max_tokens", "max_completion_tokens", "modalities", "prediction", "audio", "presence_penalty",
        "frequency_penalty", "logit_bias", "response_format", "seed", "tools", "tool_choice", "parallel_tool_calls",
        "logprobs", "top_logprobs", "reasoning_effort", "verbosity", "service_tier", "thinking", "web_search_options",
    }
)  # fmt: skip
_EMBEDDINGS = frozenset({"input", "dimensions", "encoding_format"})
_RESPONSES = frozenset(
    {
        "input", "instructions", "max_output_tokens", "parallel_tool_calls", "reasoning", "stream", "temperature", "text",
        "tool_choice", "tools", "top_p", "service_tier",
    }
)  # fmt: skip
_MESSAGES = frozenset(
    {
        "messages", "max_tokens", "stop_sequences", "stream", "system", "temperature", "thinking", "tool_choice", "tools",
        "top_k", "top_p", "output_config", "output_format",
    }
)  # fmt: skip
# For the provider's books and caches alone: an answer is the same without them.
_HINTS = frozenset(
    {
        "user",
        "metadata",
        "store",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "include",
        "truncation",
    }
)
# As good as not said.
_IDLE: dict[str, tuple[Any, ...]] = {
    "n": (1,), "logprobs": (False,), "logit_bias": ({},), "service_tier": ("auto", "default"), "tools": ([],),
    "functions": ([],), "stream": (False,), "background": (False,), "modalities": (["text"],), "frequency_penalty": (0,),
    "presence_penalty": (0,), "encoding_format": ("float",),
}  # fmt: skip

_FIELDS = {
    "openai.chat": _CHAT,
    "openai.embeddings": _EMBEDDINGS,
    "openai.responses": _RESPONSES,
    "anthropic.messages": _MESSAGES,
}
_litellm: ModuleType | None = None


class _LiteLlm:
    async def send(self, route: Route, asked: Asked, body: dict[str, Any], timeout_s: float) -> Upstream:
        fields = _fields(route, asked, body)
        litellm = await asyncio.to_thread(_imported) if _litellm is None else _litellm
        call = _function(litellm, asked.dialect.name)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await call(**fields, **_where(route, asked, timeout_s))
                if asked.is_stream:
                    return await _stream(litellm_answers.Pieces(answer), route, asked)
        except TimeoutError:
            raise UpstreamTimeout(route, timeout_s) from None
        except Exception as error:  # whatever a provider's adapter may raise (reliability B47)
            raise litellm_errors.read(error, route, timeout_s) from error
        return Upstream(200, litellm_answers.whole(answer, asked.dialect.name))


CARRIER = _LiteLlm()


def _imported() -> ModuleType:
    """Nothing is fetched, no .env file is read, nothing is printed."""
    global _litellm
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    import litellm
    import litellm.anthropic_interface.messages

    litellm.suppress_debug_info = True
    module: ModuleType = litellm
    _litellm = module
    return module


def _function(litellm: ModuleType, dialect: str) -> Callable[..., Awaitable[Any]]:
    functions: dict[str, Callable[..., Awaitable[Any]]] = {
        "openai.chat": litellm.acompletion,
        "openai.embeddings": litellm.aembedding,
        "openai.responses": litellm.aresponses,
        "anthropic.messages": litellm.anthropic_interface.messages.acreate,
    }
    return functions[dialect]


def _fields(route: Route, asked: Asked, body: dict[str, Any]) -> dict[str, Any]:
    """Raises UpstreamFailed naming what this deployment cannot be asked."""
    known = _FIELDS.get(asked.dialect.name)
    if known is None:
        raise _cannot(route, f"calls in the dialect {asked.dialect.name}")
    found: dict[str, Any] = {}
    for name, value in body.items():
        if name == "model" or value is None or name in _HINTS or value in _IDLE.get(name, ()):
            continue
        if name not in known:
            raise _cannot(route, f'"{name}"')
        found[name] = value
    for tool in found.get("tools", ()):
        if not isinstance(tool, dict) or tool.get("type", "custom") not in ("function", "custom"):
            raise _cannot(route, "tools that the provider runs itself")
    return found


def _where(route: Route, asked: Asked, timeout_s: float) -> dict[str, Any]:
    """Where the call goes and with which key; one request, told to nobody else."""
    return {
        "model": route.name,
        "custom_llm_provider": route.provider,
        "api_base": _base(route) or None,
        "api_key": route.api_key or (NO_KEY if route.api_base else None),
        "timeout": timeout_s,
        "num_retries": 0,
        "max_retries": 0,
        "no-log": True,
        **({"_skip_mcp_handler": True} if asked.dialect.name == "openai.chat" else {}),
    }


def _base(route: Route) -> str:
    """LiteLLM puts "/v1/messages" after Anthropic's address, we "/messages": the same address serves both."""
    return route.api_base.removesuffix("/v1") if route.provider == "anthropic" else route.api_base


def _cannot(route: Route, what: str) -> UpstreamFailed:
    message = f'"{route.model}" is reached through LiteLLM, which does not take {what}.'
    body = orjson.dumps({"error": {"message": message, "type": "invalid_request_error"}})
    return UpstreamFailed(message, status=400, provider=route.provider, upstream_status=400, body=body)


async def _stream(pieces: litellm_answers.Pieces, route: Route, asked: Asked) -> Upstream:
    """Waits for a piece that the provider said: some adapters send nothing before they are asked for it."""
    begun: list[Any] = []
    try:
        async for piece in pieces:
            begun.append(piece)
            if not litellm_answers.is_made_up(piece, asked.dialect.name):
                break
    except BaseException:
        await pieces.aclose()
        raise
    return Upstream(200, content_type="text/event-stream", chunks=_events(pieces, begun, route, asked))


async def _events(pieces: litellm_answers.Pieces, begun: list[Any], route: Route, asked: Asked) -> AsyncIterator[bytes]:
    """The stream in the dialect's own events. One that breaks off ends with the error, and without the last event."""
    writer = litellm_answers.Writer(asked.dialect.name, pieces)
    try:
        for piece in begun:
            for event in writer.events(piece):
                yield event
        async for piece in pieces:
            for event in writer.events(piece):
                yield event
        for event in writer.end():
            yield event
    except Exception as error:
        known = litellm_errors.read(error, route, 0)
        yield asked.dialect.error_event(
            {"message": known.message, "type": "upstream_error", "code": f"{route.provider}_error"}
        )
    finally:
        await pieces.aclose()
