"""Calls and tokens a minute, and calls at once: of a key, of a team, of a deployment. Counted in Redis by all processes.

Without a limit Redis is not asked. While Redis is away calls pass, counted and logged: rates protect providers and
neighbours, and decide no money. Tokens are taken as they are guessed from the request, and put right after the answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.conf import settings
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from tracking.errors import RateLimited
from tracking.gateway import finish, rate_script
from tracking.gateway.asked import Asked
from tracking.gateway.routing import Route

BYTES_PER_TOKEN = 4
LOG_SECONDS = 10

log = logging.getLogger(__name__)

_redis: Redis | None = None
_away_until = 0.0
_passed, _logged_at = 0, float("-inf")  # calls that no limit was asked of, since it was logged
_placed: dict[str, str] = {}  # id of a call -> where it counts as one at once
_renewing: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """``kind``: requests, tokens, concurrent."""

    key: str
    kind: str
    most: int
    whose: str
    cost: int = 1


@dataclass(slots=True)
class Taken:
    """What a call counts as, until it ends."""

    limits: list[Limit] = field(default_factory=list)
    deployment: list[Limit] = field(default_factory=list)


async def take(asked: Asked) -> None:
    """Of the caller's key and team. Raises RateLimited."""
    limits = _of_caller(asked)
    if not limits:
        return
    found = await _take(asked, limits)
    if found is None:
        return
    refused = _refused(limits, found)
    if refused is not None:
        raise refused
    asked.taken = Taken(limits)
    asked.rate_headers = _headers(limits, found)
    _keep_places(asked, limits)


async def has_room(asked: Asked, route: Route) -> bool:
    """Of a deployment: otherwise the next one is called."""
    limits = _of_deployment(asked, route)
    if not limits:
        return True
    found = await _take(asked, limits)
    if found is None:
        return True
    if any(wait for _, _, wait in found):
        return False
    asked.taken = asked.taken or Taken()
    asked.taken.deployment = limits
    return True


def crowded(asked: Asked) -> RateLimited:
    """The error to raise when no deployment has room."""
    return RateLimited(f'Every deployment of "{asked.model}" is called as often as it may be.', unit="deployment")


def ended(asked: Asked, tokens: int | None = None) -> None:
    """Behind the answer: no longer under way. ``tokens`` None: nothing was used."""
    taken, asked.taken = asked.taken, None
    if taken is None:
        return
    _placed.pop(str(asked.id), None)
    limits = [limit for limit in (*taken.limits, *taken.deployment) if limit.kind != "requests"]
    if limits:
        finish.behind(_end(asked, limits, tokens or 0))


async def close() -> None:
    global _redis
    redis, _redis = _redis, None
    if redis is not None:
        await redis.aclose()


# --- which limits -------------------------------------------------------------------------------------------------------


def _of_caller(asked: Asked) -> list[Limit]:
    caller, policy = asked.caller, asked.caller.policy
    team, key = f"wflo:rate:team:{caller.team_id}", f"wflo:rate:key:{caller.key_id}"
    found = []
    if policy.team_rpm_max is not None:
        found.append(Limit(f"{team}:requests", "requests", policy.team_rpm_max, "The team"))
    if policy.key_rpm_max is not None:
        found.append(Limit(f"{key}:requests", "requests", policy.key_rpm_max, f'The key "{caller.name}"'))
    if policy.key_tpm_max is not None:
        found.append(Limit(f"{key}:tokens", "tokens", policy.key_tpm_max, f'The key "{caller.name}"', _guess(asked)))
    if policy.key_concurrent_max is not None:
        found.append(Limit(f"{key}:concurrent", "concurrent", policy.key_concurrent_max, f'The key "{caller.name}"'))
    return found


def _of_deployment(asked: Asked, route: Route) -> list[Limit]:
    name, found = f"wflo:rate:deployment:{route.id}", []
    if route.rpm is not None:
        found.append(Limit(f"{name}:requests", "requests", route.rpm, route.model))
    if route.tpm is not None:
        found.append(Limit(f"{name}:tokens", "tokens", route.tpm, route.model, _guess(asked)))
    return found


def _guess(asked: Asked) -> int:
    size = len(asked.raw) if asked.raw is not None else len(orjson.dumps(asked.body))
    return max(size // BYTES_PER_TOKEN, 1)


# --- what is said of them -----------------------------------------------------------------------------------------------


def _refused(limits: Sequence[Limit], found: Sequence[Sequence[int]]) -> RateLimited | None:
    """By the limit that is longest to wait for."""
    wait_ms, place = max((wait, n) for n, (_, _, wait) in enumerate(found))
    if not wait_ms:
        return None
    limit = limits[place]
    what = {"requests": "calls a minute", "tokens": "tokens a minute", "concurrent": "calls at once"}[limit.kind]
    error = RateLimited(f"{limit.whose} may make {limit.most:,} {what}.", limit=limit.most, unit=limit.kind)
    if limit.kind == "tokens":
        error.message = f"{limit.whose} may use {limit.most:,} tokens a minute."
    error.retry_after_s = wait_ms / 1000
    return error


def _headers(limits: Sequence[Limit], found: Sequence[Sequence[int]]) -> list[tuple[bytes, bytes]]:
    """OpenAI's, of the limit with least left."""
    headers: list[tuple[bytes, bytes]] = []
    for kind in ("requests", "tokens"):
        of_kind = [
            (left, reset, limit) for limit, (left, reset, _) in zip(limits, found, strict=True) if limit.kind == kind
        ]
        if of_kind:
            left, reset_ms, limit = min(of_kind, key=lambda one: one[0])
            name = kind.encode()
            headers.append((b"x-ratelimit-limit-" + name, b"%d" % limit.most))
            headers.append((b"x-ratelimit-remaining-" + name, b"%d" % left))
            headers.append((b"x-ratelimit-reset-" + name, f"{reset_ms / 1000:.3f}s".encode()))
    return headers


# --- Redis --------------------------------------------------------------------------------------------------------------


async def _take(asked: Asked, limits: Sequence[Limit]) -> list[list[int]] | None:
    """None: Redis is away, and the call passes."""
    values: list[Any] = [str(asked.id), settings.LIMITS["rate_place_seconds"]]
    for limit in limits:
        values += [limit.kind, limit.most, limit.cost]
    found: list[list[int]] | None = await _do(rate_script.TAKE, [limit.key for limit in limits], values)
    return found


async def _end(asked: Asked, limits: Sequence[Limit], tokens: int) -> None:
    values: list[Any] = [str(asked.id)]
    for limit in limits:
        values += [limit.kind, tokens - min(limit.cost, limit.most)]
    await _do(rate_script.END, [limit.key for limit in limits], values)


async def _do(script: str, keys: Sequence[str], values: Sequence[Any]) -> Any:
    global _away_until
    if time.monotonic() < _away_until:
        _note_passed()
        return None
    try:
        async with asyncio.timeout(settings.LIMITS["rate_store_ms"] / 1000):
            return await opened().eval(script, len(keys), *keys, *values)
    except (RedisError, OSError, TimeoutError):
        _away_until = time.monotonic() + settings.LIMITS["rate_away_seconds"]
        _note_passed()
        return None


def _note_passed() -> None:
    global _passed, _logged_at
    _passed += 1
    if time.monotonic() - _logged_at > LOG_SECONDS:
        log.warning("Redis is away: rate limits are not kept; %d times so far", _passed)
        _passed, _logged_at = 0, time.monotonic()


def opened() -> Redis:
    """This loop's Redis, which waits no longer than LIMITS["rate_store_ms"]."""
    global _redis
    if _redis is None:
        seconds = settings.LIMITS["rate_store_ms"] / 1000
        pool = BlockingConnectionPool.from_url(
            settings.WFLO_REDIS_URL, max_connections=settings.LIMITS["rate_connections"], timeout=seconds,
            socket_timeout=seconds, socket_connect_timeout=seconds,
        )  # fmt: skip
        _redis = Redis.from_pool(pool)
    return _redis


def _keep_places(asked: Asked, limits: Sequence[Limit]) -> None:
    """A call's place among those at once lasts as long as the call, and not long after its process."""
    global _renewing
    for limit in limits:
        if limit.kind == "concurrent":
            _placed[str(asked.id)] = limit.key
            if _renewing is None or _renewing.done():
                _renewing = asyncio.get_running_loop().create_task(_renew())


async def _renew() -> None:
    while True:
        await asyncio.sleep(settings.LIMITS["rate_place_seconds"] / 4)
        placed = dict(_placed)
        if placed:
            await _do(rate_script.RENEW, list(placed.values()), [settings.LIMITS["rate_place_seconds"], *placed])
