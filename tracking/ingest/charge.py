"""Which rows own a cost, and what stands in for one that is unknown."""

from __future__ import annotations

from tracking import pricing
from tracking.codes import COST_ESTIMATED, COST_NONE, COST_UNKNOWN
from tracking.ingest.shares import ERROR, MODEL_KINDS
from tracking.ingest.span_row import COST_SCALE, SpanRow

_SCALE = 10**COST_SCALE


def charge(team_id: int, row: SpanRow) -> None:
    """Set a row's cost. Only a row that counts for a call owns one; a refused call costs nothing.

    A call of unknown tokens, or of a model without a price, is unknown; the emitter's own figure then stands in for
    it, marked as an estimate. A tool costs nothing unless someone set a price for it.
    """
    row.cost_units, row.cost_status = None, COST_NONE
    if not row.counted:
        return
    if row.kind in MODEL_KINDS or row.is_aggregate:
        if row.has_usage:
            pricing.charge(team_id, row)
        elif row.status != ERROR:
            row.cost_status = COST_UNKNOWN  # it was answered, and nobody says for how many tokens
    elif row.tool_name:
        pricing.charge(team_id, row)
        if row.cost_status == COST_UNKNOWN:
            row.cost_status = COST_NONE
    if row.cost_status == COST_UNKNOWN and row.reported_cost_usd:
        row.cost_units = int(row.reported_cost_usd * _SCALE)
        row.cost_status = COST_ESTIMATED
