"""What a span cost: its usage at the price its model had when the call was made, or unknown.

Prices come from the team, else an operator, else the bundled list; each dated, none ever changed. No price is never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from django.db import IntegrityError, connection, transaction

from tracking import audit
from tracking.audit import Actor
from tracking.errors import Invalid
from tracking.models import Price, Team
from tracking.models import Span as SpanModel
from tracking.price_book import Entry, book
from tracking.price_input import per_million, read_model, read_moment, read_rates
from wflo import price_map
from wflo.demo.rates import DEMO_RATES
from wflo.pricing import Cost, CostStatus, cost_usd
from wflo.rates import Rates
from wflo.usage import Usage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOAD_LOCK = 0x50524943  # "PRIC": one process loads the bundled list at a time

_CODES: dict[CostStatus, int] = {status: SpanModel.CostStatus[status.name].value for status in CostStatus}
_UNITS = 10  # a row counts money in 1e-10 USD


class Chargeable(Protocol):
    """What ``charge`` reads of a span's row and what it writes: ``tracking.ingest.span_row.SpanRow``."""

    tool_name: str | None
    model: str | None
    provider: str | None
    started_us: int
    is_aggregate: bool
    cost_units: int | None
    cost_status: int

    @property
    def usage(self) -> Usage: ...


@dataclass(frozen=True, slots=True)
class Bill:
    """A cost with its multiplication, for a page: the price row it rests on (None: unpriced) and its lines."""

    cost: Cost
    price: Entry | None


def charge(team_id: int, row: Chargeable) -> None:
    """Set the cost of a row that counts: its usage at the price its model had when the call began, or unknown.

    The model that answered is priced (the row holds the one asked for if nothing answered). A span without a model is
    a tool's: it has a price when someone set one for "tool/<its name>".
    """
    model, provider = row.model, row.provider
    if not model and row.tool_name:
        model, provider = f"tool/{row.tool_name}", None
    at = EPOCH + timedelta(microseconds=row.started_us)
    rates = book.rates(team_id, model, provider, at) if model else None
    if rates is None:
        row.cost_units, row.cost_status = None, _CODES[CostStatus.UNKNOWN]
        return
    cost = cost_usd(row.usage, rates, is_sum=row.is_aggregate)
    row.cost_units = None if cost.total is None else int(cost.total.scaleb(_UNITS))
    row.cost_status = _CODES[cost.status]


def bill(team_id: int, *, usage: Usage, model: str, provider: str | None, at: datetime, is_sum: bool = False) -> Bill:
    """The arithmetic behind a cost, at the prices known now. It differs from what is stored once a price was set
    for the past and the span not re-priced: compare the totals before showing it."""
    entry = book.find(team_id, model, provider, at)
    if entry is None:
        return Bill(Cost(None, (), (f'no price for "{model}"',)), None)
    return Bill(cost_usd(usage, entry.rates.at(at), is_sum=is_sum), entry)


@dataclass(frozen=True, slots=True)
class Loaded:
    listed: int  # models in the bundled list
    added: int
    changed: int


def load_bundled(*, now: datetime | None = None) -> Loaded:
    """Write what the bundled list (LiteLLM's, and our demo models) says that the table does not yet.

    A model's first price holds from 1970 on, so that late and old spans are priced; a changed one from ``now`` on. A
    model that left the list keeps its last price. Running it again writes nothing. Raises FileNotFoundError.
    """
    now = now or datetime.now(UTC)
    listed = {item.model: (item.provider, item.rates, Price.Source.LITELLM) for item in price_map.bundled()}
    listed |= {model: ("demo", rates, Price.Source.WFLO) for model, rates in DEMO_RATES.items()}
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOAD_LOCK])
        known = _latest_bundled()
        new, changed = [], 0
        for model, (provider, rates, source) in listed.items():
            data = rates.to_json()
            if known.get(model) == data:
                continue
            changed += model in known
            valid_from = now if model in known else EPOCH
            new.append(Price(model=model, provider=provider, rates=data, source=source, valid_from=valid_from))
        Price.objects.bulk_create(new, batch_size=1000)
        transaction.on_commit(book.expire)
    return Loaded(listed=len(listed), added=len(new) - changed, changed=changed)


def _latest_bundled() -> dict[str, Any]:
    rows = Price.objects.filter(team=None, source__in=(Price.Source.LITELLM, Price.Source.WFLO))
    return dict(rows.order_by("valid_from", "id").values_list("model", "rates"))


def set_price(
    actor: Actor,
    team: Team | None,
    model: str,
    figures: Mapping[str, object],
    *,
    valid_from: object = None,
) -> Price:
    """A new price of a model, for a team or (``team`` None, operators only: the door decides) for everyone.

    ``figures`` are USD per million tokens by the names of ``price_input.FIELDS``. Without ``valid_from`` a model's first
    price of the day holds from the day's first moment (UTC), a second one from now on: no earlier day changes. Spans
    stored before keep their cost until they are re-priced. The same price given again is the same row.
    Raises Invalid naming the field.
    """
    name, rates = read_model(model), read_rates(figures)
    given = read_moment(valid_from)
    now = datetime.now(UTC)
    mine = Price.objects.filter(team=team, model=name)
    if team is None:
        mine = mine.filter(source=Price.Source.OPERATOR)
    with transaction.atomic():
        before = mine.order_by("-valid_from").filter(valid_from__lte=given or now).first()
        if before is not None and before.rates == rates.to_json() and given in (None, before.valid_from):
            return before
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        first_of_day = before is None or before.valid_from < today
        row = Price(
            team=team,
            model=name,
            valid_from=given or (today if first_of_day else now),
            rates=rates.to_json(),
            source=Price.Source.TEAM if team else Price.Source.OPERATOR,
            created_by=actor.name[:200],
        )
        _save(row)
        audit.record(
            actor,
            team,
            "price.set",
            "price",
            name,
            before=_facts(before) if before else None,
            after=_facts(row),
        )
        transaction.on_commit(book.expire)
    return row


def _save(row: Price) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise Invalid(
            f"{row.model} has a price from {row.valid_from:%Y-%m-%d %H:%M:%S} UTC already, and prices are never changed. "
            "Give a later moment.",
            field="valid_from",
        ) from None


def _facts(row: Price) -> dict[str, Any]:
    rates = Rates.from_json(row.rates)
    figures = {name: format(usd.normalize(), "f") for name, usd in per_million(rates).items()}
    rest = {name: row.rates[name] for name in ("tiers", "services") if name in row.rates}
    return {"valid_from": row.valid_from.isoformat(), "source": row.source, **figures, **rest}
