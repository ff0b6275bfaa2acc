"""API keys: make, find who calls with one, revoke.

Only the SHA-256 of a key is kept. A process remembers for ``LIMITS["key_cache_seconds"]`` whom a key belongs to, so a
revoked key is refused everywhere within that time; and for a minute that a key is unknown, so that a sender with a
wrong key costs one look-up a minute however often it calls.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.db.models import Q
from django.http import HttpRequest
from ninja.security.base import AuthBase

from tracking import audit
from tracking.audit import Actor
from tracking.errors import Invalid, KeyMissing, NotAllowed, NotFound, Unauthenticated, Unavailable
from tracking.models import ApiKey, Team
from wflo import agent_breaker
from wflo import keys as key_text
from wflo.agent_breaker import BreakerPolicy

Scope = ApiKey.Scope
ALL_SCOPES: tuple[str, ...] = tuple(ApiKey.Scope.values)

_UNKNOWN_SECONDS = 60
_LAST_USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a team wants done with its calls; None: no limit."""

    status: str = Team.Status.ACTIVE
    organization_id: int = 0
    loop_action: str = Team.LoopAction.KILL
    loop_policy: Mapping[str, Any] = field(default_factory=dict, hash=False)
    guard: str = Team.Guard.OFF
    breaker: BreakerPolicy = agent_breaker.OFF
    run_steps_max: int | None = None
    run_minutes_max: int | None = None
    run_idle_minutes_max: int | None = None
    team_rpm_max: int | None = None
    key_rpm_max: int | None = None
    key_tpm_max: int | None = None
    key_concurrent_max: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling now, for which team, with which rights."""

    team_id: int
    team_slug: str
    key_id: str | None = None
    user_id: int | None = None
    scopes: frozenset[str] = frozenset()
    name: str = ""
    allowed_models: tuple[str, ...] = ()
    redaction: str = Team.Redaction.SECRETS_AND_PERSONAL
    spans_per_day_max: int | None = None
    policy: Policy = Policy()
    is_operator: bool = False

    def actor(self, *, request_id: str = "") -> Actor:
        return Actor("key", self.key_id or "", self.name, self.user_id, request_id)

    def demand(self, scope: str) -> None:
        """Raises NotAllowed, naming the scope, unless the caller has it."""
        if scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "none"
            raise NotAllowed(f'The key "{self.name}" has no scope "{scope}". Its scopes: {has}.')


# --- who is calling -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    key_expires_at: datetime | None
    forget_at: float


class _Memory:
    """What this process knows of keys. Two bounded tables, so that wrong keys never push out good ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, _Known] = {}
        self._unknown: dict[bytes, float] = {}
        self.away_until = 0.0

    def find(self, digest: bytes) -> _Known | None:
        """Raises Unauthenticated for a key known to be wrong; None when it must be looked up."""
        now = time.monotonic()
        known = self._known.get(digest)
        if known is not None and known.forget_at > now:
            return known
        if self._unknown.get(digest, 0.0) > now:
            raise Unauthenticated("Nobody knows this API key. It may have been revoked.")
        return None

    def keep(self, digest: bytes, known: _Known | None) -> None:
        with self._lock:
            self._known.pop(digest, None)
            self._unknown.pop(digest, None)
            if known is not None:
                _make_room(self._known)
                self._known[digest] = known
            else:
                _make_room(self._unknown)
                self._unknown[digest] = time.monotonic() + _UNKNOWN_SECONDS

    def forget(self, digest: bytes) -> None:
        with self._lock:
            self._known.pop(digest, None)
            self._unknown.pop(digest, None)


def _make_room(table: dict[bytes, _Known] | dict[bytes, float]) -> None:
    while len(table) >= settings.LIMITS["keys_cached"]:
        table.pop(next(iter(table)))


_memory = _Memory()
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="wflo-keys")
_asked: dict[bytes, asyncio.Task[_Known | None]] = {}


def secret_of(authorization: str | None, x_api_key: str | None = None) -> str:
    """The key of a request, from its two headers. A key in the address is never read: addresses end up in logs.

    Raises KeyMissing when there is none.
    """
    scheme, _, rest = (authorization or "").strip().partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        return rest.strip()
    if x_api_key and x_api_key.strip():
        return x_api_key.strip()
    raise KeyMissing()


def caller_for(secret: str, *, scope: str | None = None) -> Caller:
    """Who this key belongs to. Raises Unauthenticated, NotAllowed (scope missing), Unavailable (PostgreSQL away)."""
    digest = _digest(secret)
    known = _memory.find(digest)
    if known is None:
        known = _look_up(digest)
    return _checked(known, scope)


async def acaller_for(secret: str, *, scope: str | None = None) -> Caller:
    """``caller_for`` for an event loop: a look-up runs in a thread, once for all requests waiting for the same key."""
    digest = _digest(secret)
    known = _memory.find(digest)
    if known is None:
        known = await _ask(digest)
    return _checked(known, scope)


async def _ask(digest: bytes) -> _Known | None:
    loop = asyncio.get_running_loop()
    task = _asked.get(digest)
    if task is None or task.done() or task.get_loop() is not loop:
        task = loop.create_task(_look_up_in_thread(digest))
        _asked[digest] = task
        task.add_done_callback(lambda done: _answered(digest, done))
    try:
        return await asyncio.wait_for(asyncio.shield(task), settings.LIMITS["key_lookup_seconds"])
    except TimeoutError:
        raise Unavailable() from None


def _answered(digest: bytes, task: asyncio.Task[_Known | None]) -> None:
    _asked.pop(digest, None)
    if not task.cancelled():
        task.exception()  # those who waited have it; asyncio would report it again when nobody waited long enough


async def _look_up_in_thread(digest: bytes) -> _Known | None:
    return await asyncio.get_running_loop().run_in_executor(_threads, _look_up_and_hang_up, digest)


def _look_up_and_hang_up(digest: bytes) -> _Known | None:
    try:
        return _look_up(digest)
    finally:
        close_old_connections()


def _digest(secret: str) -> bytes:
    if key_text.is_typo(secret):
        raise Unauthenticated("This API key has a typing error in it: its checksum does not fit.")
    return key_text.digest_of(secret)


def _checked(known: _Known | None, scope: str | None) -> Caller:
    if known is None:
        raise Unauthenticated("Nobody knows this API key. It may have been revoked.")
    if known.key_expires_at is not None and known.key_expires_at <= datetime.now(UTC):
        raise Unauthenticated(f"This API key expired on {known.key_expires_at:%Y-%m-%d %H:%M} UTC.")
    if scope is not None:
        known.caller.demand(scope)
    return known.caller


def _look_up(digest: bytes) -> _Known | None:
    """Ask PostgreSQL, and remember what it said. While it is away, one look-up a second finds out."""
    if _memory.away_until > time.monotonic():
        raise Unavailable()
    asked_at = time.monotonic()
    try:
        key = ApiKey.objects.select_related("team").filter(digest=digest, revoked_at=None).first()
        if key is not None:
            _mark_used(key)
    except (OperationalError, InterfaceError) as error:
        _memory.away_until = time.monotonic() + 1
        raise Unavailable() from error
    known = None
    if key is not None:
        known = _Known(_caller_of(key), key.expires_at, asked_at + settings.LIMITS["key_cache_seconds"])
    _memory.keep(digest, known)
    return known


def _caller_of(key: ApiKey) -> Caller:
    return Caller(
        team_id=key.team_id,
        team_slug=key.team.slug,
        key_id=str(key.pk),
        scopes=frozenset(key.scopes),
        name=key.name,
        allowed_models=tuple(key.allowed_models),
        redaction=key.team.redaction,
        spans_per_day_max=key.team.spans_per_day_max,
        policy=_policy_of(key.team, key),
        is_operator=key.is_operator,
    )


def caller_of(team: Team, *, key_id: str = "", name: str = "", user_id: int | None = None) -> Caller:
    """Who works for a team without sending a key: as the key that asked for it, as long as that is good, else as the team."""
    key = ApiKey.objects.filter(team=team, pk=key_id, revoked_at=None).first() if key_id else None
    return Caller(
        team_id=team.pk,
        team_slug=team.slug,
        key_id=key_id or None,
        user_id=user_id,
        scopes=frozenset(ALL_SCOPES),
        name=name,
        allowed_models=() if key is None else tuple(key.allowed_models),
        redaction=team.redaction,
        spans_per_day_max=team.spans_per_day_max,
        policy=_policy_of(team, key),
    )


def _policy_of(team: Team, key: ApiKey | None) -> Policy:
    return Policy(
        status=team.status,
        organization_id=team.organization_id,
        loop_action=team.loop_action,
        loop_policy=team.loop_policy,
        guard=team.guard,
        breaker=agent_breaker.read_stored(team.breaker),
        run_steps_max=team.run_steps_max,
        run_minutes_max=team.run_minutes_max,
        run_idle_minutes_max=team.run_idle_minutes_max,
        team_rpm_max=team.rpm_max,
        key_rpm_max=None if key is None else key.rpm_max,
        key_tpm_max=None if key is None else key.tpm_max,
        key_concurrent_max=None if key is None else key.concurrent_max,
    )


def _mark_used(key: ApiKey) -> None:
    now = datetime.now(UTC)
    if key.last_used_at is None or key.last_used_at < now - _LAST_USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _LAST_USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


class ApiKeyAuth(AuthBase):
    """django-ninja's ``auth=``: ``request.auth`` is a Caller with one of the scopes. Cookies are not looked at."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = 'An API key: "Authorization: Bearer <key>", or "X-API-Key: <key>".'

    def __init__(self, scope: str, *others: str) -> None:
        self.scope, self.others = scope, others
        super().__init__()

    def __call__(self, request: HttpRequest) -> Caller:
        headers = request.headers
        secret = secret_of(headers.get("Authorization"), headers.get("X-API-Key"))
        for other in self.others:
            try:
                return caller_for(secret, scope=other)
            except NotAllowed:
                continue
        return caller_for(secret, scope=self.scope)


# --- making and unmaking --------------------------------------------------------------------------------------------


def mint(
    team: Team,
    *,
    name: str,
    scopes: Iterable[str],
    actor: Actor,
    allowed_models: Iterable[str] = (),
    expires_at: datetime | None = None,
    is_operator: bool = False,
    rpm_max: int | None = None,
    tpm_max: int | None = None,
    concurrent_max: int | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its text, which is never to be had again. Raises Invalid naming the field.

    ``rpm_max``, ``tpm_max`` and ``concurrent_max``: calls and tokens a minute and calls at once; None: any number.
    """
    text = key_text.new_key()
    key = _new(team, text, name, scopes, actor, allowed_models, expires_at)
    key.is_operator = is_operator
    for limit, most in (("rpm_max", rpm_max), ("tpm_max", tpm_max), ("concurrent_max", concurrent_max)):
        if most is not None and not 0 < most < 2**31:
            raise Invalid(f"{limit} is a whole number from 1 on.", field=limit)
        setattr(key, limit, most)
    return _add(key, "key.make", actor), text


def import_key(
    team: Team, text: str, *, name: str, actor: Actor, scopes: Iterable[str] = ALL_SCOPES, is_operator: bool = False
) -> ApiKey | None:
    """Make a key of a text given from outside (WFLO_API_KEY). None when the team has it already.

    Raises Invalid when the text cannot be a key, or is one of another team.
    """
    if (
        not text
        or len(text) > settings.LIMITS["key_characters"]
        or not text.isascii()
        or not text.isprintable()
        or " " in text
    ):
        raise Invalid("An API key is one word of printable ASCII characters.", field="WFLO_API_KEY")
    if key_text.is_typo(text):
        raise Invalid("The API key has a typing error in it: its checksum does not fit.", field="WFLO_API_KEY")
    known = ApiKey.objects.filter(digest=key_text.digest_of(text)).first()
    if known is not None and known.team_id != team.pk:
        raise Invalid("The API key belongs to another team of this installation.", field="WFLO_API_KEY")
    if known is not None:
        return None
    key = _new(team, text, name, scopes, actor, (), None)
    key.is_operator = is_operator
    return _add(key, "key.import", actor)


def revoke(key: ApiKey, *, actor: Actor) -> bool:
    """End a key. Every process refuses it within LIMITS["key_cache_seconds"]. False when it had ended before."""
    with transaction.atomic():
        if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=datetime.now(UTC)):
            return False
        audit.record(actor, key.team, "key.revoke", "key", key.pk, before=_facts(key))
    _memory.forget(bytes(key.digest))
    return True


def rotate(key: ApiKey, *, actor: Actor) -> tuple[ApiKey, str]:
    """A new key with the same rights. The old one goes on for LIMITS["key_rotation_hours"], so that no call fails."""
    ends = datetime.now(UTC) + timedelta(hours=settings.LIMITS["key_rotation_hours"])
    text = key_text.new_key()
    with transaction.atomic():
        new = _new(key.team, text, key.name, key.scopes, actor, key.allowed_models, key.expires_at)
        new.is_operator = key.is_operator
        new.rpm_max, new.tpm_max, new.concurrent_max = key.rpm_max, key.tpm_max, key.concurrent_max
        _add(new, "key.make", actor)
        old = ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=ends), pk=key.pk, revoked_at=None)
        if old.update(expires_at=ends):
            after = {**_facts(key), "expires_at": ends}
            audit.record(actor, key.team, "key.rotate", "key", key.pk, before=_facts(key), after=after)
    _memory.forget(bytes(key.digest))
    return new, text


def keys_of(team: Team) -> list[ApiKey]:
    """The team's keys: live ones first, newest first."""
    keys = ApiKey.objects.filter(team=team).select_related("created_by").order_by("-created_at")
    return sorted(keys[: settings.LIMITS["keys_listed"]], key=lambda key: not is_live(key))


def is_live(key: ApiKey) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > datetime.now(UTC))


def key_of(team: Team, key_id: object) -> ApiKey:
    """The team's key of that id. Raises NotFound, for another team's key too."""
    try:
        wanted = UUID(str(key_id))
    except ValueError:
        raise NotFound("This team has no such key.") from None
    key = ApiKey.objects.select_related("team").filter(team=team, pk=wanted).first()
    if key is None:
        raise NotFound("This team has no such key.")
    return key


def _new(
    team: Team,
    text: str,
    name: str,
    scopes: Iterable[str],
    actor: Actor,
    allowed_models: Iterable[str],
    expires_at: datetime | None,
) -> ApiKey:
    name = " ".join(name.replace("\0", "").split())
    if not name or len(name) > 120:
        raise Invalid("Give the key a name of at most 120 characters.", field="name")
    wanted = set(scopes)
    if not wanted or not wanted <= set(ALL_SCOPES):
        raise Invalid(f"Give scopes out of: {', '.join(ALL_SCOPES)}.", field="scopes")
    models = sorted({model.strip() for model in allowed_models if model.strip()})
    if any(len(model) > 200 or "\0" in model for model in models):
        raise Invalid("A model's name has at most 200 characters.", field="allowed_models")
    if expires_at is not None:
        expires_at = _utc(expires_at)
        if expires_at <= datetime.now(UTC):
            raise Invalid("The key would have expired already. Give a time to come.", field="expires_at")
    return ApiKey(
        team=team,
        name=name,
        prefix=key_text.prefix_of(text),
        digest=key_text.digest_of(text),
        scopes=[scope for scope in ALL_SCOPES if scope in wanted],
        allowed_models=models,
        expires_at=expires_at,
        created_by_id=actor.user_id,
    )


def _utc(moment: datetime) -> datetime:
    """PostgreSQL takes fewer zones than Python: none further off than 16 hours."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Invalid("The time is out of range.", field="expires_at") from None


def _add(key: ApiKey, action: str, actor: Actor) -> ApiKey:
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=key.team_id)  # two at once must not pass the limit
        if ApiKey.objects.filter(team=key.team, revoked_at=None).count() >= settings.LIMITS["keys_per_team"]:
            raise Invalid(f"A team has at most {settings.LIMITS['keys_per_team']} keys. Revoke one first.")
        key.save(force_insert=True)
        audit.record(actor, key.team, action, "key", key.pk, after=_facts(key))
    _memory.forget(bytes(key.digest))
    return key


def _facts(key: ApiKey) -> dict[str, object]:
    return {
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "allowed_models": key.allowed_models,
        "expires_at": key.expires_at,
        "limits": [key.rpm_max, key.tpm_max, key.concurrent_max],
    }
