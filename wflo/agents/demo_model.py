"""The built-in models, ``demo/…``: no provider, no key, no network; and ``Scripted``, which says what it is told to."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wflo.agents.errors import APIConnectionError, InvalidRequestError, LLMError, RateLimitError
from wflo.agents.model import Answer, Piece, Request
from wflo.demo import chat
from wflo.demo.rates import DEMO_RATES
from wflo.demo.scripts import FAILURES, MODELS, SLOW_SECONDS, say, words_of
from wflo.pricing import cost_usd
from wflo.usage import Usage


class DemoModel:
    """Answers ``demo/<name>`` by the scripts of wflo.demo; the same request has the same answer."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._turns = itertools.count()

    async def ask(self, request: Request) -> Answer:
        whole = self._said(request)
        if request.model == "demo/slow":
            await asyncio.sleep(whole["usage"]["completion_tokens"] * SLOW_SECONDS)
        choice = whole["choices"][0]
        usage = _usage(whole["usage"])
        return Answer(
            message={
                name: value for name, value in choice["message"].items() if value is not None or name == "content"
            },
            usage=usage,
            cost_usd=cost_usd(usage, DEMO_RATES[request.model]).total,
            model=request.model,
            finish_reason=choice["finish_reason"],
            raw=whole,
        )

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        name, body = self._read(request)
        said = say(name, chat.read(body))
        for chunk in chat.chunks(
            said, str(next(self._numbers)), request.model, {**body, "stream_options": {"include_usage": True}}
        ):
            if name == "slow":
                await asyncio.sleep(SLOW_SECONDS)
            if not chunk["choices"]:
                usage = _usage(chunk["usage"])
                yield Piece(usage=usage, cost_usd=cost_usd(usage, DEMO_RATES[request.model]).total, model=request.model)
                continue
            choice = chunk["choices"][0]
            delta = choice["delta"]
            yield Piece(
                text=delta.get("content") or "",
                thought=delta.get("reasoning_content") or "",
                calls=delta.get("tool_calls") or [],
                finish_reason=choice["finish_reason"] or "",
                raw=chunk,
            )

    def _said(self, request: Request) -> dict[str, Any]:
        name, body = self._read(request)
        return chat.whole(say(name, chat.read(body)), str(next(self._numbers)), request.model, body)

    def _read(self, request: Request) -> tuple[str, dict[str, Any]]:
        name = request.model.removeprefix("demo/")
        if name not in MODELS:
            known = ", ".join(f"demo/{one}" for one in sorted(MODELS))
            raise InvalidRequestError(
                f'There is no model "{request.model}". There are: {known}.', status=404, provider="demo"
            )
        if name == "error":
            turn = next(self._turns)
            if turn % 2 == 0:
                status, words = FAILURES[turn // 2 % len(FAILURES)]
                raise (RateLimitError if status == 429 else APIConnectionError)(words, status=status, provider="demo")
        body = {
            "messages": request.messages, "tools": request.tools, "tool_choice": request.tool_choice,
            "response_format": request.response_format, "max_tokens": request.options.get("max_tokens"),
        }  # fmt: skip
        return name, body


def _usage(told: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=told["prompt_tokens"],
        output_tokens=told["completion_tokens"],
        cached_tokens=told["prompt_tokens_details"]["cached_tokens"],
        cache_write_tokens=told["prompt_tokens_details"].get("cache_creation_tokens"),
        reasoning_tokens=told["completion_tokens_details"]["reasoning_tokens"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """One turn of a script: words, or calls of tools as (name, arguments)."""

    text: str = ""
    calls: Sequence[tuple[str, dict[str, Any] | str]] = ()
    usage: Usage = field(default_factory=lambda: Usage(input_tokens=10, output_tokens=5))
    after_s: float = 0


class Scripted:
    """A model for tests and examples: says each turn of a script in order, then the last again; raises where one is an error.

    ``requests`` is what it was asked. A turn is text, ``Says``, an exception, or a list of calls as (name, arguments).
    """

    def __init__(self, turns: Iterable[Any], *, name: str = "scripted") -> None:
        self._turns = list(turns)
        self.name = name
        self.requests: list[Request] = []

    async def ask(self, request: Request) -> Answer:
        turn = self._next(request)
        if turn.after_s:
            await asyncio.sleep(turn.after_s)
        calls = [
            {"id": f"call_{len(self.requests)}_{place}", "type": "function",
             "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)}}
            for place, (name, given) in enumerate(turn.calls)
        ]  # fmt: skip
        message: dict[str, Any] = {"role": "assistant", "content": turn.text or (None if calls else "")}
        if calls:
            message["tool_calls"] = calls
        return Answer(
            message=message, usage=turn.usage, model=self.name, finish_reason="tool_calls" if calls else "stop"
        )

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        answer = await self.ask(request)
        for word in words_of(answer.text):
            yield Piece(text=word)
        for place, call in enumerate(answer.calls):
            yield Piece(calls=[{"index": place, **call}])
        yield Piece(finish_reason=answer.finish_reason, usage=answer.usage, model=self.name)

    def _next(self, request: Request) -> Says:
        self.requests.append(replace(request, messages=[dict(message) for message in request.messages]))
        turn = self._turns[min(len(self.requests), len(self._turns)) - 1]
        if callable(turn) and not isinstance(turn, type):
            turn = turn(request)
        if isinstance(turn, BaseException):
            raise turn if isinstance(turn, LLMError) else LLMError(str(turn))
        if isinstance(turn, Says):
            return turn
        return Says(text=turn) if isinstance(turn, str) else Says(calls=turn)
