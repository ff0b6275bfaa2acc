"""GET /v1/models and /v1/models/{name}: what this key may call, as OpenAI's clients read it, or Anthropic's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from tracking.gateway import api, routing
from tracking.gateway.dialects import CHAT, MESSAGES
from tracking.gateway.routing import ModelUnknown
from tracking.ingest.answers import MethodNotAllowed, send_bytes
from tracking.ingest.body import Receive, Scope, Send
from tracking.keys import Caller

BELOW = "/v1/models/"
_JSON = b"application/json"


async def models(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/models, and one of them below it."""
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    is_anthropic = b"anthropic-version" in headers
    try:
        if scope["method"] != "GET":
            raise MethodNotAllowed("This address takes GET only.")
        caller = await api.caller_of(headers)
        name = scope["path"].removeprefix(BELOW).strip("/") if scope["path"].startswith(BELOW) else ""
        form = _anthropic if is_anthropic else _openai
        if name:
            answer = form(*await _found(caller, name))
        else:
            listed = [form(*one) for one in await routing.names(caller)]
            answer = _anthropic_list(listed) if is_anthropic else {"object": "list", "data": listed}
    except Exception as error:
        await api.refuse(send, MESSAGES if is_anthropic else CHAT, error)
        return
    await send_bytes(send, 200, _JSON, orjson.dumps(answer))


async def _found(caller: Caller, name: str) -> tuple[str, int]:
    """A group by its name, or a model by its own. Raises ModelUnknown, ModelNotAllowed."""
    made = dict(await routing.names(caller)).get(name)
    if made is None:
        routes = await routing.resolve(caller, name)
        if not routes.deployments:
            raise ModelUnknown(field="model")
    return name, made or 0


def _openai(name: str, made: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": made, "owned_by": "wflo"}


def _anthropic(name: str, made: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(made, UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": name, "display_name": name, "created_at": at}


def _anthropic_list(listed: list[dict[str, Any]]) -> dict[str, Any]:
    ends = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]} if listed else {"first_id": None, "last_id": None}
    return {"data": listed, "has_more": False, **ends}
