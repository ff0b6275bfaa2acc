"""Answers that a provider keeps, so that a later call goes on from one: whose they are, where they lie, how long they are.

A provider keeps them for its key, which teams share: only what a team made itself may it go on from or read.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from tracking.errors import Refused
from tracking.gateway import finish, pool
from tracking.gateway.asked import Asked
from tracking.gateway.dialects.dialect import Seen
from tracking.gateway.routing import Route, resolve
from tracking.keys import Caller
from tracking.ledger.perform import perform
from tracking.ledger.verbs import Statement
from tracking.sql import statements

_SQL = statements("stored_responses")
REMEMBERED = 20_000
LOOKS, LOOK_AGAIN_SECONDS = 8, 0.05  # another process may be writing it down this moment
ID_CHARACTERS_MAX = 200


class ResponseUnknown(Refused):
    """There is no such response of this team's."""

    code = "previous_response_not_found"
    status = 400


@dataclass(frozen=True, slots=True)
class Kept:
    model: str
    deployment: str
    tokens: int


_known: OrderedDict[tuple[int, str], Kept] = OrderedDict()


async def recall(asked: Asked) -> None:
    """Find the answer a call goes on from. Raises ResponseUnknown, Unavailable."""
    if not asked.earlier:
        return
    kept = await find(asked.caller.team_id, asked.earlier)
    route = None if kept is None else await route_of(asked.caller, kept)
    if kept is None or route is None:
        raise ResponseUnknown(f'There is no response "{asked.earlier}" of this team\'s.', field="previous_response_id")
    asked.kept_tokens, asked.home = kept.tokens, (route.api_base, route.api_key)


def at_home(asked: Asked, order: list[Route]) -> list[Route]:
    """Of the deployments those that can see the answer a call goes on from. Raises ResponseUnknown."""
    if asked.home is None:
        return order
    found = [route for route in order if (route.api_base, route.api_key) == asked.home]
    if not found:
        raise ResponseUnknown(
            f'No deployment of "{asked.model}" keeps the response "{asked.earlier}".', field="previous_response_id"
        )
    return found


def remember(asked: Asked, route: Route, seen: Seen) -> None:
    """Behind the answer. A provider that kept it says so by its id."""
    is_kept = asked.dialect.name == "openai.responses" and asked.body.get("store") is not False
    if not is_kept or route.provider != "openai" or not 0 < len(seen.response_id) <= ID_CHARACTERS_MAX:
        return
    tokens = (seen.usage.total_tokens if seen.usage is not None else None) or 0
    _remember((asked.caller.team_id, seen.response_id), Kept(asked.model, route.id, tokens))
    parameters = {
        "team": asked.caller.team_id, "id": seen.response_id, "model": asked.model, "deployment": route.id,
        "tokens": tokens,
    }  # fmt: skip
    finish.behind(pool.do(Statement(_SQL["store"], parameters, _nothing)))


def _remember(key: tuple[int, str], kept: Kept) -> None:
    _known[key] = kept
    if len(_known) > REMEMBERED:
        _known.popitem(last=False)


async def find(team_id: int, id: str) -> Kept | None:
    known = _known.get((team_id, id))
    if known is not None or len(id) > ID_CHARACTERS_MAX or "\0" in id:
        return known
    for look in range(LOOKS):
        await asyncio.sleep(LOOK_AGAIN_SECONDS if look else 0)
        parameters = {"team": team_id, "id": id}
        rows: list[Any] = await pool.do(Statement(_SQL["find"], parameters, list))
        if rows:
            kept = Kept(*rows[0])
            _remember((team_id, id), kept)
            return kept
    return None


async def route_of(caller: Caller, kept: Kept) -> Route | None:
    """The deployment that keeps it, if it is still there."""
    routes = await resolve(caller, kept.model)
    return next((route for route in routes.deployments if route.id == kept.deployment), None)


async def forget(team_id: int, id: str) -> None:
    _known.pop((team_id, id), None)
    await pool.do(Statement(_SQL["forget"], {"team": team_id, "id": id}, _nothing))


def clear() -> None:
    """Of those that no provider keeps any more. For the clock, not for an event loop."""
    perform(Statement(_SQL["forget_old"], {"days": settings.LIMITS["responses_kept_days"]}, _nothing))


def _nothing(rows: Any) -> None:
    return None
