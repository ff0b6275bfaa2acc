"""Answers kept for a while: the same question of a team to a group that keeps its answers costs nothing.

The same is exact: the whole request but who asks (``user``, ``metadata``), whole and streamed apart. What binds a call
binds an answer from here too: the key's models, the team's standing, rates, a stopped run, loops. Answers that were cut,
refused or broke off are not kept. They lie in Redis, sealed, so losing it loses nothing; while it is away every call is
made. ``Cache-Control: no-cache`` asks anew, ``no-store`` keeps nothing either.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from django.conf import settings
from redis.exceptions import RedisError

from tracking import sealed
from tracking.errors import Refused
from tracking.gateway import call, finish, loop_guard, pool, rate_limits
from tracking.gateway.asked import Asked
from tracking.gateway.call import Answered, Begun
from tracking.gateway.dialects.dialect import Seen
from tracking.gateway.finish import Bill
from tracking.gateway.kept_answers import Kept, Tape
from tracking.gateway.routing import resolve
from tracking.ledger.verbs import Statement
from tracking.sql import statements

_NOT_ASKED = ("user", "metadata", "safety_identifier")  # they change nothing of an answer
_TEXT = "latin-1"  # sealed text is of characters: one a byte
_NAME = b"x-wflo-cache"
MISS, HIT = (_NAME, b"miss"), (_NAME, b"hit")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Place:
    """Where an answer will be kept, and what a stream said so far."""

    key: str
    seconds: int
    tape: Tape = field(default_factory=Tape)


async def find(asked: Asked) -> Kept | None:
    """An answer given before; else None, and ``asked.cache_place`` where the coming one is to be kept. Raises RateLimited."""
    if "no-store" in asked.cache_control or asked.guard is not None:  # what is kept was not looked at
        return None
    try:
        routes = await resolve(asked.caller, asked.model)
        call.check_team(asked.caller)
    except Refused:
        return None  # the call itself says so
    if not routes.cache_seconds:
        return None
    asked.cache_place = place = Place(_key(asked), routes.cache_seconds)
    kept = None if "no-cache" in asked.cache_control else await _get(place.key)
    if kept is None or not await _may_be_told(asked):
        finish.behind(_counted(asked, misses=1))
        return None
    await rate_limits.take(asked)
    rate_limits.ended(asked)
    finish.behind(_counted(asked, hits=1, saved_usd=kept["usd"]))
    finish.note_cached(asked, kept["model"])
    return Kept(200, _headers(asked, kept["model"]), _body(asked, kept))


async def keep(asked: Asked, answered: Answered) -> None:
    """A whole answer, unless the budget cut it short."""
    if asked.cache_place is not None and not answered.begun.held.is_cut:
        body = answered.body.rstrip()
        await _put(asked.cache_place, body, answered.begun.route.model, answered.bill.usd)


def record(begun: Begun) -> Place | None:
    """What a stream says is kept when it comes to its own end; its tape takes each piece."""
    place: Place | None = begun.asked.cache_place
    if place is None:
        return None

    async def closed(bill: Bill, error: str) -> None:
        is_whole = not (error or begun.course.notes or begun.held.is_cut)
        said = place.tape.whole()
        if is_whole and said is not None:
            await _put(place, said, begun.route.model, bill.usd)

    begun.on_close = closed
    return place


async def _may_be_told(asked: Asked) -> bool:
    """Not where the run was stopped or goes round in circles: the call itself is refused then, as any."""
    if not asked.is_named:
        return True
    parameters = {"team": asked.caller.team_id, "runs": sorted({asked.root, asked.run})}
    if await pool.do(Statement(statements("gateway")["stopped"], parameters, bool)):
        return False
    judged = loop_guard.judge(asked)
    if loop_guard.must_refuse(judged):
        return False
    await loop_guard.remember(asked, loop_guard.turn(asked, judged, Seen(), Decimal(0)))
    return True


def _key(asked: Asked) -> str:
    body = {name: value for name, value in asked.body.items() if name not in _NOT_ASKED}
    whole = orjson.dumps([asked.dialect.name, body], option=orjson.OPT_SORT_KEYS)
    return f"wflo:answer:{asked.caller.team_id}:{hashlib.sha256(whole).hexdigest()}"


async def _get(key: str) -> dict[str, Any] | None:
    try:
        found = await rate_limits.opened().get(key)
        return dict(orjson.loads(sealed.unseal(found))) if isinstance(found, bytes) else None
    except (RedisError, OSError, ValueError) as error:
        log.warning("no answer could be looked for: %s", error)
        return None


async def _put(place: Place, body: bytes, model: str, usd: Decimal | None) -> None:
    if len(body) > settings.LIMITS["kept_answer_bytes"]:
        return
    text = orjson.dumps({"body": body.decode(_TEXT), "model": model, "usd": None if usd is None else str(usd)})
    try:
        await rate_limits.opened().set(place.key, sealed.seal(text.decode()), ex=place.seconds)
    except (RedisError, OSError) as error:
        log.warning("an answer could not be kept: %s", error)


async def _counted(asked: Asked, *, hits: int = 0, misses: int = 0, saved_usd: str | None = None) -> None:
    """What it saved is what the answer cost; nothing is added where nobody knows that."""
    parameters = {
        "team": asked.caller.team_id, "model": asked.model[:200], "hits": hits, "misses": misses, "usd": saved_usd or "0",
    }  # fmt: skip
    await pool.do(Statement(statements("gateway")["cache_day"], parameters, len))


def _headers(asked: Asked, model: str) -> list[tuple[bytes, bytes]]:
    run = asked.run.encode("utf-8", "replace")
    return [
        HIT,
        (b"x-agentwall-run-id", run),
        (b"x-agentwall-cost", b"0"),
        (b"x-wflo-run-id", run),
        (b"x-wflo-call-id", str(asked.id).encode()),
        (b"x-wflo-model", model.encode("utf-8", "replace")),
        (b"x-wflo-cost-usd", b"0"),
        *asked.rate_headers,
    ]


def _body(asked: Asked, kept: dict[str, Any]) -> bytes:
    body = str(kept["body"]).encode(_TEXT)
    if asked.is_stream:
        return body
    known = {"run_id": asked.run, "cost_usd": 0, "is_cached": True, "provider": kept["model"].partition("/")[0]}
    comma = b"" if body == b"{}" else b","
    return body[:-1] + comma + b'"agentwall":' + orjson.dumps(known) + b"}"
