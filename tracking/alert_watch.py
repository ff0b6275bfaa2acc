"""The clock looks at every team's rules, opens alerts and closes those that are over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from tracking.alerts.judging import judged_calls, judged_spend
from tracking.alerts.rules import Kind, Rule, key_of, rules_of
from tracking.alerts.standing import open_once, resolve_key, stored_key
from tracking.models import Alert, Team
from tracking.reports.team_day import team_day
from tracking.reports.watched import WINDOW, calls_now, spend_now, unpriced_models
from tracking.sql import statements
from tracking.usage import slices

log = logging.getLogger(__name__)

MODELS_TOLD = 20  # of those without a price, at a time
PRICED_AGAIN = timedelta(hours=24)  # a model without an unpriced call for so long has a price


def watch(now: datetime | None = None) -> int:
    """Every team that used anything lately, or has such an alert open. How many there were."""
    now = now or datetime.now(UTC)
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"since": now - 2 * WINDOW, "slice": slices.TOTAL, "kinds": Kind.values}
        cursor.execute(statements("alerts")["teams_to_watch"], values)
        ids = [team_id for (team_id,) in cursor.fetchall()]
    for team in Team.objects.filter(pk__in=ids).order_by("pk"):
        try:
            watch_team(team, now)
        except Exception:  # one team's trouble is not the others'
            log.exception("the rules of team %s could not be looked at", team.slug)
    return len(ids)


def watch_team(team: Team, now: datetime) -> None:
    for rule in rules_of(team):
        if rule.is_on:
            _LOOK[rule.kind](team, rule, now)


def _look_at_calls(team: Team, rule: Rule, now: datetime) -> None:
    facts = judged_calls(rule.threshold, calls_now(team, rule.agent, now))
    if facts is None:
        resolve_key(team, key_of(rule.kind, rule.agent))
        return
    since = (now - WINDOW).replace(minute=0, second=0, microsecond=0)
    _open(team, rule, key_of(rule.kind, rule.agent), {**facts, "since": since}, now)


def _look_at_spend(team: Team, rule: Rule, now: datetime) -> None:
    """One a day: what was spent does not go away, so the alert ends with its day."""
    day = team_day(team.time_zone, now)
    key = key_of(rule.kind, rule.agent, f"{day.start:%Y-%m-%d}")
    _resolve_others(team, f"{key_of(rule.kind, rule.agent)}:2", {key}, agent=rule.agent)
    seen = spend_now(team, rule.agent, now)
    facts = judged_spend(rule.threshold, seen) if seen is not None else None
    if facts is not None:
        _open(team, rule, key, {**facts, "weekday": day.weekday}, now)


def _look_at_prices(team: Team, rule: Rule, now: datetime) -> None:
    """One a model."""
    fresh = unpriced_models(team, now - WINDOW, now)
    lately = unpriced_models(team, now - PRICED_AGAIN, now)
    for model in [model for model, calls in fresh.items() if calls > rule.over][:MODELS_TOLD]:
        facts = {"models": [model], "calls": lately.get(model, fresh[model])}
        _open(team, rule, key_of(rule.kind, "", model), facts, now)
    _resolve_others(team, f"{key_of(rule.kind, '')}:", {key_of(rule.kind, "", model) for model in lately})


_LOOK: dict[str, Callable[[Team, Rule, datetime], None]] = {
    Kind.ERRORS: _look_at_calls,
    Kind.LATENCY: _look_at_calls,
    Kind.SPIKE: _look_at_spend,
    Kind.UNPRICED: _look_at_prices,
}


def _open(team: Team, rule: Rule, key: str, facts: Mapping[str, Any], now: datetime) -> None:
    open_once(team, rule.kind, rule.severity, key, payload=facts, agent=rule.agent, now=now, counts=False)


def _resolve_others(team: Team, prefix: str, keys: set[str], *, agent: str = "") -> None:
    alerts = Alert.objects.filter(team=team, resolved_at=None, dedupe_key__startswith=prefix, agent=agent)
    alerts.exclude(dedupe_key__in=map(stored_key, keys)).update(resolved_at=datetime.now(UTC))
