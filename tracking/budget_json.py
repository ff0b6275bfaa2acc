"""Reports of budgets as the JSON of their doors. Amounts stay Decimals: ``reading_json.write`` writes them digit by digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tracking.ledger.budgets import Adjusted, Made
from tracking.reports.budget_entries import Entry, HoldInFlight
from tracking.reports.budget_outlook import Outlook, Range
from tracking.reports.budget_standing import Standing
from tracking.reports.budgets import BudgetLine
from tracking.reports.what_if import WhatIf

_PERCENT, _SHARE = Decimal("0.01"), Decimal("0.0001")


def line_json(line: BudgetLine) -> dict[str, Any]:
    row, standing = line.row, line.row.standing
    return {
        "id": row.id,
        "name": row.name,
        "scope": {"kind": row.scope_kind, "id": row.scope_id or None, "name": row.scope_name or None},
        "window": row.window,
        "mode": row.mode,
        "limit_usd": row.limit_usd,
        "limit_tokens": row.limit_tokens,
        "alert_at": list(row.alert_at),
        "raised_usd": row.raised_usd,
        "raised_tokens": row.raised_tokens,
        "raised_until": row.raised_until,
        "created_at": row.created_at,
        "archived_at": row.archived_at,
        "subject": (standing.subject or None) if row.is_many else None,
        "subjects": row.subjects if row.is_many else None,
        **_sums_json(standing),
        "window_start": standing.starts_at,
        "window_end": standing.ends_at,
        "forecast_usd": line.outlook.usd.p50 if line.outlook.usd else None,
        "exhausted_at": line.exhausted_at,
    }


def whole_json(line: BudgetLine) -> dict[str, Any]:
    return {**line_json(line), "forecast": _forecast_json(line.outlook)}


def made_json(line: BudgetLine, made: Made) -> dict[str, Any]:
    return {
        **whole_json(line),
        "opened_usd": made.opening.usd,
        "opened_tokens": made.opening.tokens,
        "opened_why_not": made.opening.why_not or None,
        "calls_under_way": made.calls_under_way,
    }


def subject_json(standing: Standing) -> dict[str, Any]:
    return {"subject": standing.subject, **_sums_json(standing)}


def _sums_json(standing: Standing) -> dict[str, Any]:
    return {
        "spent_usd": standing.spent_usd,
        "held_usd": standing.held_usd,
        "available_usd": standing.free_usd,
        "spent_tokens": standing.spent_tokens,
        "held_tokens": standing.held_tokens,
        "available_tokens": standing.free_tokens,
        "spent_percent": standing.spent_percent.quantize(_PERCENT),
        "is_exhausted": standing.is_exhausted,
    }


def _forecast_json(told: Outlook) -> dict[str, Any]:
    return {
        "why_not": told.why_not or None,
        "until": told.until,
        **_range_json(told.usd, "usd"),
        **_range_json(told.tokens, "tokens"),
        "exhausted_at": told.exhausted_at,
        "exhausted_early_at": told.exhausted_early_at,
        "back_test_error": None if told.error is None else told.error.quantize(_SHARE),
        "back_tests": told.tries,
        "back_test_hours": told.tried_hours,
        "history_hours": told.history_hours,
        "season": None if told.why_not else "week" if told.is_by_week else "day",
        "drift": None if told.drift is None else told.drift.quantize(_SHARE),
    }


def _range_json(found: Range | None, unit: str) -> dict[str, Any]:
    p10, p50, p90 = (found.p10, found.p50, found.p90) if found else (None, None, None)
    return {f"p10_{unit}": p10, f"p50_{unit}": p50, f"p90_{unit}": p90}


def entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "kind": entry.kind,
        "usd": entry.usd,
        "tokens": entry.tokens,
        "subject": entry.subject or None,
        "window_start": entry.window_start,
        **_who_json(entry),
        "reservation_id": entry.reservation_id,
        "is_estimated": entry.is_estimated,
        "actor": entry.actor or None,
        "reason": entry.reason or None,
    }


def hold_json(hold: HoldInFlight) -> dict[str, Any]:
    return {
        "id": hold.id,
        "created_at": hold.created_at,
        "dispatched_at": hold.dispatched_at,
        "lease_until": hold.lease_until,
        "lease_seconds": round(hold.lease_seconds, 3),
        "held_usd": hold.held_usd,
        "held_tokens": hold.held_tokens,
        "subject": hold.subject or None,
        **_who_json(hold),
    }


def _who_json(one: Entry | HoldInFlight) -> dict[str, Any]:
    return {
        "key_id": one.key_id or None,
        "run": one.run or None,
        "agent": one.agent or None,
        "model": one.model or None,
        "user": one.end_user or None,
    }


def adjusted_json(done: Adjusted) -> dict[str, Any]:
    return {
        "entry_id": done.entry_id,
        "at": done.at,
        "window_start": done.starts_at,
        "window_end": done.ends_at,
        "spent_usd": done.spent_usd,
        "spent_tokens": done.spent_tokens,
    }


def what_if_json(told: WhatIf) -> dict[str, Any]:
    found = told.found
    return {
        "limit_usd": told.rule.limit_usd,
        "limit_tokens": told.rule.limit_tokens,
        "mode": told.rule.mode,
        "days": told.days,
        "from": told.start,
        "is_cut": told.is_cut,
        "calls": found.calls,
        "blocked_calls": found.blocked_calls,
        "saved_usd": found.saved_usd,
        "saved_tokens": found.saved_tokens,
        "blocked": [
            {"agent": one.agent or None, "calls": one.calls, "usd": one.usd, "tokens": one.tokens}
            for one in found.blocked
        ],
        "first_blocked_at": found.first_blocked_at,
        "unstoppable_calls": found.seen_calls,
        "unstoppable_usd": found.seen_usd,
        "sentence": told.sentence,
    }
