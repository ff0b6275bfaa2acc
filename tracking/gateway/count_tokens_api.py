"""POST /v1/messages/count_tokens: asked of the provider where it is Anthropic's, else counted here. It costs nothing."""

from __future__ import annotations

import asyncio

import orjson
from django.conf import settings

from tracking.errors import WfloServerError
from tracking.gateway import api, call, http_provider, routing, tokens
from tracking.gateway.asked import Asked
from tracking.gateway.dialects import MESSAGES, Dialect
from tracking.gateway.dialects.anthropic_messages import AnthropicMessages
from tracking.gateway.routing import Route
from tracking.ingest.answers import send_bytes
from tracking.ingest.body import Receive, Scope, Send, Stream


class _Counting(AnthropicMessages):
    name = "anthropic.count_tokens"
    path = "/messages/count_tokens"


_COUNTING: Dialect = _Counting()


async def count_tokens(scope: Scope, receive: Receive, send: Send) -> None:
    stream = Stream(receive)
    try:
        asked = await api.read(scope, stream, _COUNTING)
        call.check_team(asked.caller)
        route = (await routing.resolve(asked.caller, asked.model)).in_order()[0]
        body = await _counted(asked, route)
    except Exception as error:
        if not stream.is_ended and isinstance(error, WfloServerError):
            await stream.finish(error)
        await api.refuse(send, MESSAGES, error)
        return
    await send_bytes(send, 200, b"application/json", body)


async def _counted(asked: Asked, route: Route) -> bytes:
    if route.provider == MESSAGES.provider:
        asked.is_stream = False
        body = asked.dialect.sent(asked.body, model=route.name, output_tokens=None)
        timeout_s = settings.LIMITS["gateway_question_seconds"]
        return (await http_provider.CARRIER.send(route, asked, body, timeout_s)).body
    everything = asked.dialect.counted(asked.body)
    found = await asyncio.to_thread(tokens.count, everything, provider=route.provider, model=route.name)
    return orjson.dumps({"input_tokens": found})
