"""Which model speaks: the one handed in, a built-in ``demo/…``, or LiteLLM's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from wflo.agents.demo_model import DemoModel
from wflo.agents.model import Answer, Model, Piece, Request

Ask = Callable[[Request], Awaitable[Answer]]

_DEMO = DemoModel()
_litellm: Model | None = None


class Asked:
    """A plain ``async def ask(request)`` as a model; its streams are of one piece."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def ask(self, request: Request) -> Answer:
        return await self._ask(request)

    async def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        answer = await self._ask(request)
        yield Piece(
            text=answer.text, thought=answer.message.get("reasoning_content") or "", calls=answer.calls,
            finish_reason=answer.finish_reason, usage=answer.usage, cost_usd=answer.cost_usd, model=answer.model, raw=answer.raw,
        )  # fmt: skip


def model_for(name: str, ask: Model | Ask | None = None) -> Model:
    """``ask`` where it is given; else whoever serves ``name``."""
    global _litellm
    if ask is not None:
        return Asked(ask) if callable(ask) else ask
    if name.startswith("demo/"):
        return _DEMO
    if _litellm is None:
        from wflo.agents.litellm_model import LiteLLMModel

        _litellm = LiteLLMModel()
    return _litellm


def takes_schemas(name: str, ask: Any = None) -> bool:
    """Whether a structured answer may be asked for by its JSON schema."""
    if name.startswith("demo/"):
        return True
    if ask is not None:
        return bool(getattr(ask, "takes_schemas", False))
    from wflo.agents import litellm_model

    return litellm_model.takes_schemas(name)
