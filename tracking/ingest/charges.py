"""What spans cost that no gateway held money for: charged to budgets in the transaction that stores them.

A span that came through the gateway is in the ledger already, and is named with its hold, so that only a budget made
since the hold is charged. What changes later (a duplicate told by another, a new price, a name that became known) is
charged as a difference, so entries always add up to what the stored spans cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from tracking.ingest.span_row import COST_SCALE, SpanRow
from tracking.ledger import verbs
from tracking.ledger.calls import Call, Charge
from tracking.sql import statements
from tracking.usage.deltas import HOUR_US, MEASURES, Cell, Measures

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUARTER_US = HOUR_US // 4  # days begin on a quarter of an hour wherever they do

_COST, _IN, _OUT, _EMBEDDED, _ESTIMATED = (
    MEASURES.index(name)
    for name in ("cost_units", "input_tokens", "output_tokens", "embedding_tokens", "estimated_calls")
)

# whose: agent, model asked for, model, key, user, quarter of an hour; and the hold of one that was held for
_Whose = tuple[str, str, str, str, str, int, UUID | None]


@dataclass(slots=True)
class Moves:
    """How much more, or less, a run costs than was known of it: units of 1e-10 USD, tokens, estimates."""

    sums: dict[_Whose, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))

    def note(self, row: SpanRow, cell: Cell, measures: Measures, sign: int, hold: UUID | None = None) -> None:
        units, tokens = measures[_COST], measures[_IN] + measures[_OUT] + measures[_EMBEDDED]
        if not units and not tokens:
            return
        asked = row.requested_model or ""
        at_us = cell.hour_us + row.started_us % HOUR_US // QUARTER_US * QUARTER_US
        sums = self.sums[cell.agent, asked, cell.model, cell.key_id, cell.user_id, at_us, hold]
        sums[0] += sign * units
        sums[1] += sign * tokens
        sums[2] += measures[_ESTIMATED]

    def charges(self, team_id: int, run: str, *, kind: str, reason: str) -> Iterable[Charge]:
        for (agent, asked, model, key_id, user, at_us, hold), (units, tokens, estimates) in self.sums.items():
            if not units and not tokens:
                continue
            models = (asked, model) if asked and asked != model else (model,)
            yield Charge(
                call=Call(team_id=team_id, key_id=key_id, run=run, agent=agent, user=user, models=models),
                at=EPOCH + timedelta(microseconds=at_us),
                usd=Decimal(units).scaleb(-COST_SCALE),
                tokens=tokens,
                kind=kind,
                reason=reason,
                is_estimated=estimates > 0,
                reservation=hold,
            )


def budgeted(cursor: psycopg.Cursor[Any], team_ids: Iterable[int]) -> set[int]:
    """Those of the teams under a budget. Until the transaction ends nobody makes another for them."""
    cursor.execute(statements("ledger")["budgeted"], {"teams": sorted(set(team_ids))})
    return {team_id for (team_id,) in cursor.fetchall()}


def save(
    cursor: psycopg.Cursor[Any],
    runs: Iterable[tuple[int, str, Moves]],
    *,
    kind: str = "charge",
    reason: str = "",
    actor: str = "",
) -> None:
    """Charge what runs (team, name, moves) cost more or less; the last thing of a transaction, for it locks budgets."""
    of_team: dict[int, list[Charge]] = defaultdict(list)
    for team_id, run, moves in runs:
        of_team[team_id] += moves.charges(team_id, run, kind=kind, reason=reason)
    if not of_team:
        return
    known = budgeted(cursor, of_team)
    for team_id in sorted(known):
        charges = of_team[team_id]
        if charges:
            statement = verbs.charge(team_id, charges, actor=actor)
            cursor.execute(statement.sql, statement.parameters)
