"""What the audit log says of budgets."""

from __future__ import annotations

from typing import Any

from tracking.ledger.opening import Opening
from tracking.ledger.terms import TERMS, Terms
from tracking.models import Budget


def terms_said(terms: Terms, names: list[str]) -> dict[str, Any]:
    """Limits stand together: the log takes no field that is named like a secret, and "token" may be one."""
    shown = {name: getattr(terms, name) for name in names if not name.startswith("limit_")}
    if any(name.startswith("limit_") for name in names):
        shown["limit"] = {"usd": terms.limit_usd, "tokens": terms.limit_tokens}
    return shown


def budget_said(budget: Budget) -> dict[str, Any]:
    scope = {"kind": budget.scope_kind, "id": budget.scope_id}
    return {**terms_said(Terms.of(budget), list(TERMS)), "scope": scope, "window": budget.window}


def opening_said(opened: Opening) -> dict[str, Any]:
    if opened.why_not:
        return {"nothing": opened.why_not}
    facts = {"usd": opened.usd, "tokens": opened.tokens, "subjects": len(opened.used)}
    return {**facts, **({"left_out": opened.left_out} if opened.left_out else {})}


def raise_said(budget: Budget) -> dict[str, Any]:
    return {"by": {"usd": budget.raised_usd, "tokens": budget.raised_tokens}, "until": budget.raised_until}
