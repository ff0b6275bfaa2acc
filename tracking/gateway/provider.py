"""Sending a call to its deployment, whoever carries it there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from tracking.gateway.asked import Asked
from tracking.gateway.routing import DEMO, OWN_FORMATS, Route


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
    """Raises UpstreamFailed; ``failures`` knows whether another deployment may do better."""
    body = asked.dialect.sent(asked.body, model=route.name, output_tokens=output_tokens)
    return await _carrier(route, asked).send(route, asked, body, timeout_s)


def _carrier(route: Route, asked: Asked) -> Carrier:
    if route.provider == DEMO:
        from tracking.gateway import demo_provider

        return demo_provider.CARRIER
    if asked.dialect.provider == route.provider or (
        route.api_base and asked.dialect.is_common and route.provider not in OWN_FORMATS
    ):
        from tracking.gateway import http_provider

        return http_provider.CARRIER
    from tracking.gateway import litellm_provider  # costs seconds and 200 MB at its first call

    return litellm_provider.CARRIER
