"""A budget's terms as people write them, to values that make sense together. Each mistake names its field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Q

from tracking.errors import Invalid
from tracking.models import ApiKey, Budget, Run, Team
from tracking.models.budgets import usual_thresholds
from tracking.models.teams import one_line

LIMIT_USD_MAX = Decimal(10) ** 10
LIMIT_TOKENS_MAX = 10**15
NAME_LENGTH_MAX = 120
REASON_LENGTH_MAX = 500
_ID_LENGTHS = {Budget.Scope.RUN: 128}
_ID_LENGTH_MAX = 200
_DECIMALS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What may be changed of a budget later. ``limit_usd`` or ``limit_tokens`` is there, or both."""

    name: str
    limit_usd: Decimal | None
    limit_tokens: int | None
    mode: str
    alert_at: list[int]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Terms:
        """Raises Invalid naming the field, also one that is no term."""
        for field in given:
            if field not in TERMS:
                raise Invalid(f'"{field}" cannot be changed; a budget has {", ".join(TERMS)}.', field=field)
        terms = cls(
            name=read_line(given.get("name"), field="name", most=NAME_LENGTH_MAX),
            limit_usd=read_usd(given.get("limit_usd"), field="limit_usd"),
            limit_tokens=read_tokens(given.get("limit_tokens"), field="limit_tokens"),
            mode=_chosen(Budget.Mode, given.get("mode") or Budget.Mode.STRICT, "mode"),
            alert_at=_thresholds(given["alert_at"] if given.get("alert_at") is not None else usual_thresholds()),
        )
        if terms.limit_usd is None and terms.limit_tokens is None:
            raise Invalid("Give a limit: limit_usd, limit_tokens or both.", field="limit_usd")
        return terms

    @classmethod
    def of(cls, budget: Budget) -> Terms:
        return cls(**{name: getattr(budget, name) for name in TERMS})


TERMS: tuple[str, ...] = tuple(field.name for field in fields(Terms))


@dataclass(frozen=True, slots=True)
class Scope:
    """What a budget is about, and for how long at a time. ``id`` '': each of its kind by itself."""

    kind: str
    id: str
    window: str


def read_scope(team: Team, kind: object, id: object, window: object) -> Scope:
    """Raises Invalid for a pair that makes no sense, and for a key that is not the team's."""
    kind = _chosen(Budget.Scope, kind, "scope.kind")
    window = _chosen(Budget.Window, window, "window")
    if id is not None and not isinstance(id, str | int | UUID):
        raise Invalid("scope.id is a text.", field="scope.id")
    named = "" if id is None else str(id).strip()
    if "\0" in named or len(named) > _ID_LENGTHS.get(Budget.Scope(kind), _ID_LENGTH_MAX):
        raise Invalid("scope.id is too long, or has a NUL in it.", field="scope.id")
    _one_line(named, "scope.id")
    return Scope(kind, _named(team, Budget.Scope(kind), named), window)


def _named(team: Team, kind: Budget.Scope, named: str) -> str:
    """The id under which calls carry what was named."""
    match kind:
        case Budget.Scope.ORGANIZATION | Budget.Scope.TEAM:
            own = team.organization if kind is Budget.Scope.ORGANIZATION else team
            if named not in ("", str(own.pk), own.slug, own.name):
                raise Invalid(f"A budget here is of this {kind}: leave the id out.", field="scope.id")
            return ""
        case Budget.Scope.KEY if named:
            return _key_id(team, named)
        case Budget.Scope.RUN if named:
            return run_name(team, named)
    return named


def _key_id(team: Team, named: str) -> str:
    """A key by its id, its prefix or its name."""
    found = ApiKey.objects.filter(Q(name=named) | Q(prefix=named) | Q(pk=_uuid(named)), team=team).order_by(
        "-created_at"
    )
    live = list(found.filter(revoked_at=None)[:2])
    if len(live) > 1:
        raise Invalid(f'The team has several keys called "{named}": give the id of one.', field="scope.id")
    key = live[0] if live else found.first()
    if key is None:
        raise Invalid(f'The team has no key "{named}".', field="scope.id")
    return str(key.pk)


def run_name(team: Team, named: str) -> str:
    """How calls of a run name it, whichever of its three ids is given: its external id, else its trace id in hex."""
    uuid = _uuid(named)
    run = Run.objects.filter(Q(external_id=named) | Q(trace_id=uuid) | Q(id=uuid), team=team).first()
    if run is None:
        return named
    return run.external_id or run.trace_id.hex


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


# --- single values ---------------------------------------------------------------------------------------------------


def read_usd(value: object, *, field: str, is_signed: bool = False) -> Decimal | None:
    """USD with at most 10 decimals, from 0 unless ``is_signed``; None for nothing given. Raises Invalid."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
            raise InvalidOperation
        usd = Decimal(str(value).strip())
    except InvalidOperation:
        raise Invalid(f"{field} is an amount in USD, such as 12.50.", field=field) from None
    if not usd.is_finite() or abs(usd) >= LIMIT_USD_MAX:
        raise Invalid(f"{field} is below {LIMIT_USD_MAX:,} USD.", field=field)
    if usd < 0 and not is_signed:
        raise Invalid(f"{field} is 0 or more.", field=field)
    exponent = usd.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > _DECIMALS:
        raise Invalid(f"{field} has at most {_DECIMALS} decimals.", field=field)
    return usd + 0  # no -0


def read_tokens(value: object, *, field: str, is_signed: bool = False) -> int | None:
    """A whole number, from 0 unless ``is_signed``; None for nothing given. Raises Invalid."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
            raise ValueError
        number = Decimal(str(value).strip())
        if not number.is_finite() or number != number.to_integral_value():
            raise ValueError
    except (ValueError, InvalidOperation):
        raise Invalid(f"{field} is a whole number.", field=field) from None
    if abs(number) > LIMIT_TOKENS_MAX:
        raise Invalid(f"{field} is at most {LIMIT_TOKENS_MAX:,}.", field=field)
    if number < 0 and not is_signed:
        raise Invalid(f"{field} is 0 or more.", field=field)
    return int(number)


def read_line(value: object, *, field: str, most: int) -> str:
    """One line of text that is not empty. Raises Invalid."""
    text = " ".join(value.split(" ")).strip() if isinstance(value, str) else ""
    if not text:
        raise Invalid(f"Give {'a name' if field == 'name' else f'a {field}'} in one line.", field=field)
    if len(text) > most:
        raise Invalid(f"{field} has at most {most} characters.", field=field)
    _one_line(text, field)
    return text


def read_until(until: datetime, now: datetime) -> datetime:
    """When a raise ends: to come, and within LIMITS["budget_raise_days"]. Raises Invalid."""
    days = settings.LIMITS["budget_raise_days"]
    try:
        until = until.astimezone(UTC)
    except OverflowError:
        raise Invalid("The time is out of range.", field="until") from None
    if not now < until <= now + timedelta(days=days):
        raise Invalid(f"A raise ends at a time to come, within {days} days.", field="until")
    return until


def _thresholds(values: object) -> list[int]:
    if not isinstance(values, Iterable) or isinstance(values, str | Mapping):
        raise Invalid("alert_at is a list of percents, such as 50, 75, 90.", field="alert_at")
    percents = [read_tokens(value, field="alert_at") for value in values]
    if any(percent is None or not 1 <= percent <= 100 for percent in percents):
        raise Invalid("alert_at holds whole percents from 1 to 100.", field="alert_at")
    return sorted({percent for percent in percents if percent is not None})


def _chosen(choices: type[Budget.Scope] | type[Budget.Window] | type[Budget.Mode], value: object, field: str) -> str:
    if value not in choices.values:
        raise Invalid(f"{field} is one of {', '.join(choices.values)}.", field=field)
    return str(value)


def _one_line(text: str, field: str) -> None:
    try:
        one_line(text)
    except ValidationError:
        raise Invalid(f"{field} is one line, without control characters.", field=field) from None
