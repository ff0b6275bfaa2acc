"""The gateway as people see it: what may be named, what is under way, what was refused and why, what the cache saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core import signing
from django.db.models import Q, Sum

from tracking import circuits
from tracking.catalog import groups_of
from tracking.errors import Invalid, NotFound
from tracking.models import (
    ApiKey,
    Budget,
    BudgetPeriod,
    CacheDay,
    Circuit,
    Deployment,
    ModelGroup,
    Refusal,
    Reservation,
    Team,
)
from tracking.price_book import book

LIVE_MAX = 100
REFUSALS_SHOWN = 50
CACHE_DAYS = 14
_SALT = "tracking.reports.gateway"


@dataclass(frozen=True, slots=True)
class Behind:
    """A deployment of a group, in the order calls try it. ``circuit`` None: it never failed."""

    deployment: Deployment
    has_price: bool
    circuit: Circuit | None

    @property
    def state(self) -> str:
        if not self.deployment.is_active:
            return "off"
        return "closed" if self.circuit is None else self.circuit.state


@dataclass(frozen=True, slots=True)
class Group:
    group: ModelGroup
    behind: tuple[Behind, ...]

    @property
    def is_own(self) -> bool:
        return self.group.team_id is not None


@dataclass(frozen=True, slots=True)
class LiveCall:
    """``held_usd`` is the most it may come to; the bill is usually less."""

    id: UUID
    model: str
    run: str
    agent: str
    key: str
    held_usd: Decimal
    held_tokens: int
    began_at: datetime
    is_out: bool  # sent to its provider


@dataclass(frozen=True, slots=True)
class Saved:
    day: date
    hits: int
    misses: int
    saved_usd: Decimal

    @property
    def asked(self) -> int:
        return self.hits + self.misses


@dataclass(frozen=True, slots=True)
class RefusalPage:
    rows: tuple[Refusal, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Blocked:
    """One refused call, and how its budget stands now. ``budget`` None: no budget was the reason, or it is gone."""

    refusal: Refusal
    key: str
    budget: Budget | None = None
    limit_usd: Decimal | None = None
    spent_usd: Decimal | None = None
    held_usd: Decimal | None = None

    @property
    def free_at(self) -> datetime | None:
        """When it may be free, as it was told."""
        try:
            return datetime.fromisoformat(str(self.refusal.details.get("free_at")))
        except ValueError:
            return None

    @property
    def free_usd(self) -> Decimal | None:
        if self.limit_usd is None or self.spent_usd is None or self.held_usd is None:
            return None
        return self.limit_usd - self.spent_usd - self.held_usd


def groups(team: Team, rows: Sequence[Circuit]) -> list[Group]:
    """What the team may name as a model, its own first. ``rows``: the team's circuits."""
    found = list(groups_of(team).prefetch_related("deployments"))
    known = {row.name: row for row in rows}
    now = datetime.now(UTC)
    return [
        Group(
            group,
            tuple(
                Behind(one, _has_price(team, one.model, now), known.get(f"deployment:{one.pk}"))
                for one in group.deployments.all()
            ),
        )
        for group in found
    ]


def resting(rows: Sequence[Circuit]) -> list[tuple[Circuit, str]]:
    """Circuits of deployments that are not closed, each with the model it calls."""
    open_ones = [row for row in rows if row.state != Circuit.State.CLOSED and row.name.startswith(circuits.DEPLOYMENT)]
    models = circuits.models_of(open_ones)
    return [(row, models.get(row.name, "")) for row in open_ones]


def live_calls(team: Team) -> list[LiveCall]:
    """The oldest first, LIVE_MAX at most."""
    held = Reservation.objects.filter(team_id=team.pk, state=Reservation.State.HELD).order_by("created_at")[:LIVE_MAX]
    rows = list(held)
    keys = _key_names(team, [row.key_id for row in rows])
    return [
        LiveCall(
            row.id, row.model, row.run, row.agent, keys.get(row.key_id, ""), row.held_usd, row.held_tokens,
            row.created_at, row.dispatched_at is not None,
        )
        for row in rows
    ]  # fmt: skip


def cache_days(team: Team) -> list[Saved]:
    """The last days on which the cache answered or was asked, the latest first."""
    since = datetime.now(UTC).date() - timedelta(days=CACHE_DAYS)
    rows = CacheDay.objects.filter(team=team, day__gte=since).values("day")
    sums = rows.annotate(all_hits=Sum("hits"), all_misses=Sum("misses"), usd=Sum("saved_usd")).order_by("-day")
    return [Saved(row["day"], row["all_hits"], row["all_misses"], row["usd"]) for row in sums]


def refusals(team: Team, *, codes: Sequence[str] = (), cursor: str | None = None) -> RefusalPage:
    """Calls that were not made, the latest first. Raises Invalid for a cursor that is none of ours."""
    found = Refusal.objects.filter(team=team)
    if codes:
        found = found.filter(code__in=codes)
    if cursor:
        at, id = _after(cursor)
        found = found.filter(Q(at__lt=at) | Q(at=at, id__lt=id))
    rows = list(found.order_by("-at", "-id")[: REFUSALS_SHOWN + 1])
    shown = rows[:REFUSALS_SHOWN]
    more = len(rows) > len(shown)
    last = signing.dumps([shown[-1].at.isoformat(), str(shown[-1].id)], salt=_SALT) if more else None
    return RefusalPage(tuple(shown), last)


def codes_of(team: Team) -> list[str]:
    """Reasons that came up lately, for the filter."""
    newest = Refusal.objects.filter(team=team).order_by("-at").values_list("code", flat=True)[:1000]
    return sorted(set(newest))


def blocked(team: Team, call_id: str) -> Blocked:
    """Why a call was not made, by the id its answer told. Raises NotFound: for another team's too."""
    try:
        id = UUID(call_id.strip())
    except ValueError:
        raise NotFound("This is no id of a call. The answer has it as request_id, and as X-Wflo-Call-Id.") from None
    row = Refusal.objects.filter(team=team, id=id).first()
    if row is None:
        raise NotFound("No call of this team was refused under that id, or it is longer ago than refusals are kept.")
    key = _key_names(team, [row.key_id]).get(row.key_id, "")
    found = _budget(team, row.details)
    if found is None:
        return Blocked(row, key)
    # Of a budget for each of many nobody says here whose sums they were, so none are shown.
    of = BudgetPeriod.objects.filter(team_id=found.team_id or 0, budget_id=found.pk, subject="")
    period = of.order_by("-starts_at").first()
    if period is None:
        return Blocked(row, key, found)
    return Blocked(row, key, found, found.limit_usd, period.spent_usd, period.held_usd)


def _budget(team: Team, details: dict[str, Any]) -> Budget | None:
    try:
        id = UUID(str(details.get("budget_id")))
    except ValueError:
        return None
    return Budget.objects.filter(Q(team=team) | Q(team=None, organization=team.organization_id), pk=id).first()


def _key_names(team: Team, ids: Sequence[str]) -> dict[str, str]:
    wanted = {id for id in ids if id}
    return {str(pk): name for pk, name in ApiKey.objects.filter(team=team, pk__in=wanted).values_list("pk", "name")}


def _has_price(team: Team, model: str, now: datetime) -> bool:
    provider, _, name = model.partition("/")
    return book.find(team.pk, name or provider, provider if name else None, now) is not None


def _after(cursor: str) -> tuple[datetime, UUID]:
    try:
        at, id = signing.loads(cursor, salt=_SALT)
        return datetime.fromisoformat(at), UUID(id)
    except (signing.BadSignature, ValueError, TypeError):
        raise Invalid("The cursor is not one of ours.", field="cursor") from None
