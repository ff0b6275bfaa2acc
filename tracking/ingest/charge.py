"""A row's cost, as columns hold it."""

from __future__ import annotations

from datetime import UTC, datetime

from tracking import pricing
from tracking.ingest.rows import COST_ESTIMATED, COST_KNOWN, COST_NONE, COST_UNKNOWN, KINDS
from tracking.ingest.shares import ERROR, MODEL_KINDS
from tracking.ingest.span_row import COST_SCALE, SpanRow
from wflo.pricing import CostStatus
from wflo.spans import Kind

_SCALE = 10**COST_SCALE
_STATUS = {
    CostStatus.NONE: COST_NONE,
    CostStatus.KNOWN: COST_KNOWN,
    CostStatus.UNKNOWN: COST_UNKNOWN,
    CostStatus.ESTIMATED: COST_ESTIMATED,
}


def charge(team_id: int, row: SpanRow) -> None:
    """Set a row's cost. Only a row that counts for a call owns one; a refused call costs nothing.

    A call of unknown tokens, or of a model without a price, is unknown; the emitter's own figure then stands in for
    it, marked as an estimate.
    """
    row.cost_units, row.cost_status = None, COST_NONE
    if not row.counted:
        return
    if row.has_usage or row.kind not in MODEL_KINDS:
        priced = pricing.price(
            team_id,
            kind=Kind.LLM if row.is_aggregate else KINDS[row.kind],
            usage=row.usage,
            model=row.model,
            provider=row.provider,
            at=datetime.fromtimestamp(row.started_us / 1e6, UTC),
            tool_name=row.tool_name,
            is_sum=row.is_aggregate,
        )
        row.cost_status = _STATUS[priced.status]
        if priced.cost_usd is not None:
            row.cost_units = int(priced.cost_usd * _SCALE)
    elif row.status != ERROR:
        row.cost_status = COST_UNKNOWN  # it was answered, and nobody says for how many tokens
    if row.cost_status == COST_UNKNOWN and row.reported_cost_usd:
        row.cost_units = int(row.reported_cost_usd * _SCALE)
        row.cost_status = COST_ESTIMATED
