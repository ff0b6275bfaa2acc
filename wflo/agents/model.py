"""What a loop asks of a model, whoever serves it: a request in OpenAI's chat form, an answer with its usage and cost.

``Model`` is the seam: the library's own speaks through LiteLLM (litellm_model.py) or to the built-in demo models
(demo_model.py); the server hands in its guarded gateway.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from wflo.usage import Usage

Message = dict[str, Any]  # OpenAI's chat form


@dataclass(slots=True, kw_only=True)
class Request:
    """``options`` are the provider's own: temperature, max_tokens, api_key and so on."""

    model: str
    messages: list[Message]
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    agent: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Answer:
    """``message`` goes back into the conversation as it is. ``cost_usd`` None: nobody knows what it cost."""

    message: Message
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    model: str = ""
    finish_reason: str = ""
    raw: Any = field(default=None, repr=False)

    @property
    def text(self) -> str:
        content = self.message.get("content")
        return content if isinstance(content, str) else text_of(content)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return self.message.get("tool_calls") or []


@dataclass(slots=True, kw_only=True)
class Piece:
    """What a stream said since the last one. ``calls``: deltas of tool calls; the last piece has usage and cost."""

    text: str = ""
    thought: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = ""
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    model: str = ""
    raw: Any = field(default=None, repr=False)


class Model(Protocol):
    async def ask(self, request: Request) -> Answer:
        """Raises LLMError."""
        ...

    def stream(self, request: Request) -> AsyncGenerator[Piece, None]:
        """Closing it closes the provider's stream. Raises LLMError."""
        ...


def text_of(content: Any) -> str:
    """The text of a message's content, which may be parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return ""
