"""Deployments that speak the caller's own dialect: straight over HTTP, their bytes untouched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
from django.conf import settings

from tracking.errors import UpstreamFailed
from tracking.gateway import failures, reach
from tracking.gateway.asked import Asked
from tracking.gateway.failures import UpstreamTimeout, UpstreamUnclear
from tracking.gateway.provider import Upstream
from tracking.gateway.routing import Route

_session: aiohttp.ClientSession | None = None


class _Http:
    async def send(self, route: Route, asked: Asked, body: dict[str, Any], timeout_s: float) -> Upstream:
        url = route.api_base.rstrip("/") + asked.dialect.path
        data = orjson.dumps(body)
        try:
            async with asyncio.timeout(timeout_s):
                response = await _client().post(url, data=data, headers=_headers(route, asked), allow_redirects=False)
                if response.status != 200 or not asked.is_stream:
                    return await _whole(response, route)
        except TimeoutError:
            raise UpstreamTimeout(route, timeout_s) from None
        except aiohttp.ClientPayloadError as error:
            raise UpstreamUnclear(route, type(error).__name__) from error
        except aiohttp.ClientError as error:
            raise _unreachable(route, error) from error
        return Upstream(200, content_type=_type(response), chunks=_pieces(response))


CARRIER = _Http()


async def ask(method: str, route: Route, path: str) -> Upstream:
    """A question that costs nothing, of what OpenAI's provider keeps. Raises UpstreamFailed."""
    timeout_s = settings.LIMITS["gateway_question_seconds"]
    headers = {"accept-encoding": "identity", "user-agent": "wflo", "authorization": f"Bearer {route.api_key}"}
    try:
        async with asyncio.timeout(timeout_s):
            url = route.api_base.rstrip("/") + path
            response = await _client().request(method, url, headers=headers, allow_redirects=False)
            return await _whole(response, route)
    except TimeoutError:
        raise UpstreamTimeout(route, timeout_s) from None
    except aiohttp.ClientError as error:
        raise _unreachable(route, error) from error


async def close() -> None:
    global _session
    session, _session = _session, None
    if session is not None:
        await session.close()


def _client() -> aiohttp.ClientSession:
    global _session
    if _session is None or _session.closed:
        _session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.LIMITS["gateway_upstream_connections"],
                keepalive_timeout=30,
                socket_factory=reach.a_socket,
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=True,
            skip_auto_headers=("User-Agent",),
        )
    return _session


def _headers(route: Route, asked: Asked) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "wflo"}
    if asked.dialect.provider == "anthropic":
        headers |= {"anthropic-version": "2023-06-01", **asked.passed_headers}
        if route.api_key:
            headers["x-api-key"] = route.api_key
    elif route.api_key:
        headers["authorization"] = f"Bearer {route.api_key}"
    return headers


async def _whole(response: aiohttp.ClientResponse, route: Route) -> Upstream:
    try:
        body = await _read(response)
    finally:
        response.release()
    if response.status == 200:
        return Upstream(200, body, _type(response))
    raise UpstreamFailed(
        failures.said(body) or f"The provider answered {response.status}.",
        status=response.status if 400 <= response.status < 600 else 502,
        provider=route.provider,
        upstream_status=response.status,
        body=body,
        retry_after_s=failures.retry_after(response.headers.get("retry-after")),
    )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    most = settings.LIMITS["gateway_answer_bytes"]
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > most:
            response.close()
            raise UpstreamFailed(f"The provider's answer is larger than {most:,} bytes.", status=502)
    return bytes(body)


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The stream as it comes. Ends early, without an error, when the provider's connection breaks."""
    try:
        async for piece in response.content.iter_any():
            yield piece
    except aiohttp.ClientError:
        return
    finally:
        response.close()


def _type(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("content-type", "application/json")


def _unreachable(route: Route, error: aiohttp.ClientError) -> UpstreamFailed:
    return UpstreamFailed(
        f'The provider of "{route.model}" could not be reached ({type(error).__name__}).', provider=route.provider
    )
