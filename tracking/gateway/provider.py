"""Sending a call to its deployment, whoever carries it there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from tracking.errors import UpstreamFailed
from tracking.gateway.asked import Asked
from tracking.gateway.routing import DEMO, Route

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_CONTEXT_WORDS = ("context_length_exceeded", "maximum context length", "prompt is too long", "context window")


@dataclass(slots=True)
class Upstream:
    """A provider's answer: ``body`` of one that is whole, ``chunks`` of a stream that has begun."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    chunks: AsyncIterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def close(self) -> None:
        """Stops a stream: the provider's connection is closed."""
        if self.chunks is not None and hasattr(self.chunks, "aclose"):
            await self.chunks.aclose()


class Carrier(Protocol):
    async def send(self, route: Route, asked: Asked, body: dict[str, Any], timeout_s: float) -> Upstream:
        """Raises UpstreamFailed for any answer that is none, with what the provider said."""
        ...


async def send(route: Route, asked: Asked, *, output_tokens: int | None, timeout_s: float) -> Upstream:
    """Raises UpstreamFailed; ``is_retryable`` says whether another deployment may do better."""
    body = asked.dialect.sent(asked.body, model=route.name, output_tokens=output_tokens)
    return await _carrier(route, asked).send(route, asked, body, timeout_s)


def _carrier(route: Route, asked: Asked) -> Carrier:
    if route.provider == DEMO:
        from tracking.gateway import demo_provider

        return demo_provider.CARRIER
    if asked.dialect.provider == route.provider or (
        route.api_base and asked.dialect.provider == "openai" and route.provider != "anthropic"
    ):
        from tracking.gateway import http_provider

        return http_provider.CARRIER
    from tracking.gateway import litellm_provider  # costs seconds and 200 MB at its first call

    return litellm_provider.CARRIER


def is_retryable(error: UpstreamFailed) -> bool:
    """Whether another deployment may answer: the fault was the provider's, or this model's window was too small."""
    if error.upstream_status is None or error.upstream_status in RETRIED or error.upstream_status >= 500:
        return True
    return error.upstream_status in (400, 413) and any(
        word in (error.body or b"").decode("utf-8", "replace").lower() for word in _CONTEXT_WORDS
    )


def may_have_cost(error: UpstreamFailed) -> bool:
    """Whether the provider may bill for a call it did not answer: the request was sent and the outcome is unknown."""
    return error.upstream_status is None and error.code == "upstream_timeout"
