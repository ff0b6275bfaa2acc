"""Re-pricing: what past calls of a model cost at the prices known now, with the old figure kept.

Runs are taken a few at a time, each locked while its sums change, so that totals are right at every moment between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import psycopg
from django.db import connection, transaction

from tracking import audit
from tracking.audit import Actor
from tracking.ingest import charges
from tracking.ingest.charge import charge
from tracking.ingest.run_state import RunState
from tracking.ingest.share import span_lines
from tracking.ingest.shares import totals_of
from tracking.ingest.span_row import COST_SCALE
from tracking.ingest.write import lock_runs, save_spans, save_usage
from tracking.models import PriceChange, Repricing, Team
from tracking.price_book import book
from tracking.sql import statements
from tracking.usage.deltas import Deltas
from wflo.model_names import price_keys

RUNS_PER_TRANSACTION = 50


@dataclass(frozen=True, slots=True)
class Preview:
    """What a re-pricing would touch: spans of these models, as they were reported."""

    models: list[str]
    runs: int


def preview(team: Team, model: str, since: datetime) -> Preview:
    names = models_priced_as(team, model)
    with connection.cursor() as cursor:
        cursor.execute(statements("reprice")["count_runs"], {"team": team.id, "models": names, "since": since})
        return Preview(names, int(cursor.fetchone()[0]))


def models_priced_as(team: Team, model: str) -> list[str]:
    """The model names spans of the team carry whose price is looked up under ``model``."""
    with connection.cursor() as cursor:
        cursor.execute(statements("reprice")["models_seen"], {"team": team.id})
        seen = cursor.fetchall()
    key = model.strip().lower()
    return sorted({name for name, provider in seen if key in price_keys(name, provider or None, is_published=False)})


def reprice(team: Team, model: str, since: datetime, actor: Actor) -> Repricing:
    """Charge the team's calls of ``model`` that began at ``since`` or later again; safe to run again."""
    job = Repricing.objects.create(
        team=team, model=model.lower(), since=since, requested_by=actor.name[:200], requested_at=datetime.now(UTC)
    )
    names = models_priced_as(team, model)
    book.expire()  # the price this is for may have been set by another process a moment ago
    for traces in _bites(team, names, since):
        with transaction.atomic():
            _reprice_runs(job, team, traces, frozenset(names), since)
    job.finished_at = datetime.now(UTC)
    job.save(update_fields=["finished_at", "spans_changed", "spans_unpriced_before", "old_usd", "new_usd"])
    after = {
        "since": since.isoformat(),
        "spans": job.spans_changed,
        "old_usd": str(job.old_usd),
        "new_usd": str(job.new_usd),
    }
    with transaction.atomic():
        audit.record(actor, team, "price.reprice", "price", model, before=None, after=after)
    return job


def _bites(team: Team, names: list[str], since: datetime) -> Iterator[list[UUID]]:
    last = UUID(int=0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                statements("reprice")["next_runs"],
                {"team": team.id, "models": names, "since": since, "after": last, "limit": RUNS_PER_TRANSACTION},
            )
            traces = [row[0] for row in cursor.fetchall()]
        if not traces:
            return
        yield traces
        last = traces[-1]


def _reprice_runs(job: Repricing, team: Team, traces: list[UUID], names: frozenset[str], since: datetime) -> None:
    since_us = int(since.timestamp() * 1_000_000)
    with connection.cursor() as wrapper:
        cursor = cast("psycopg.Cursor[Any]", wrapper.cursor)
        states = lock_runs(cursor, [(team.id, trace) for trace in traces])
        deltas, changes = Deltas.empty(), []
        for state in states:
            state.is_repriced = True
            changes += _charge_again(job, state, names, since_us)
            state.contribute(deltas)
        touched = [state for state in states if state.changed]
        save_spans(cursor, touched, "".join(map(span_lines, touched)))
        save_usage(cursor, deltas, {})
        for state in touched:
            totals = totals_of(state.rows.values())
            cost = None if totals.cost_units is None else Decimal(totals.cost_units).scaleb(-COST_SCALE)
            cursor.execute(
                statements("reprice")["update_cost"],
                {"team": team.id, "id": state.id, "cost": cost, "unpriced": totals.unpriced_calls,
                 "estimated": totals.estimated_calls},
            )  # fmt: skip
        moved = [(state.team_id, state.named, state.moves) for state in touched]
        reason = f"{job.model} priced anew from {job.since:%Y-%m-%d %H:%M} UTC"
        charges.save(cursor, moved, kind="reprice", reason=reason, actor=job.requested_by)
    PriceChange.objects.bulk_create(changes, batch_size=500)


def _charge_again(job: Repricing, state: RunState, names: frozenset[str], since_us: int) -> list[PriceChange]:
    changes = []
    for span_id, row in state.rows.items():
        if not row.counted or row.model not in names or row.started_us < since_us:
            continue
        old = (row.cost_units, row.cost_status)
        state.will_change(row)
        charge(state.team_id, row)
        if (row.cost_units, row.cost_status) == old:
            continue
        state.changed.add(span_id)
        old_usd = None if old[0] is None else Decimal(old[0]).scaleb(-COST_SCALE)
        job.spans_changed += 1
        job.spans_unpriced_before += old_usd is None
        job.old_usd += old_usd or 0
        job.new_usd += row.cost_usd or 0
        changes.append(
            PriceChange(
                team_id=state.team_id, day=state.day, trace_id=state.trace_id, span_id=span_id, repricing_id=job.id,
                run_id=state.id, old_usd=old_usd, new_usd=row.cost_usd,
            )
        )  # fmt: skip
    return changes
