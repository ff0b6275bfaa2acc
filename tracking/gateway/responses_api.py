"""GET and DELETE /v1/responses/{id}, and its input items: passed on to the deployment that keeps it. They cost nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tracking.errors import Invalid, NotFound
from tracking.gateway import api, call, http_provider, kept_responses
from tracking.gateway.dialects import RESPONSES
from tracking.gateway.routing import Route
from tracking.ingest.answers import MethodNotAllowed, send_bytes
from tracking.ingest.body import Receive, Scope, Send
from tracking.keys import Caller

BELOW = "/v1/responses/"
QUERY_CHARACTERS_MAX = 1_000
_PATH = re.compile(r"([A-Za-z0-9_-]{1,200})(/input_items)?/?")


async def kept_response(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        found = _PATH.fullmatch(scope["path"].removeprefix(BELOW))
        if found is None:
            raise NotFound("There is nothing at this address.")
        id, items = found[1], found[2] or ""
        method = scope["method"]
        if method != "GET" and (method != "DELETE" or items):
            raise MethodNotAllowed("This address takes GET only." if items else "This address takes GET and DELETE.")
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        caller = await api.caller_of(headers)
        call.check_team(caller)
        route = await _route(caller, id)
        answer = await http_provider.ask(method, route, f"{RESPONSES.path}/{id}{items}{_query(scope)}")
        if method == "DELETE":
            await kept_responses.forget(caller.team_id, id)
    except Exception as error:
        await api.refuse(send, RESPONSES, error)
        return
    await send_bytes(send, 200, answer.content_type.encode(), answer.body)


async def _route(caller: Caller, id: str) -> Route:
    kept = await kept_responses.find(caller.team_id, id)
    route = None if kept is None else await kept_responses.route_of(caller, kept)
    if route is None:
        raise NotFound(f'There is no response "{id}" of this team\'s.')
    return route


def _query(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    if len(query) > QUERY_CHARACTERS_MAX or not query.isprintable() or not query.isascii():
        raise Invalid("The query is too long or holds what a query cannot.")
    if re.search(r"(^|&)stream=(true|1)", query, re.IGNORECASE):
        raise Invalid("A kept response is given whole, not as a stream.", field="stream")
    return f"?{query}" if query else ""
