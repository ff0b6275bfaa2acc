"""A team's rules: one of each kind for the whole team, there from the start, and more for single agents.

A default is no row until somebody changes it, so that a better default reaches every team that never did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from tracking import audit
from tracking.alerts.judging import Threshold
from tracking.audit import Actor
from tracking.errors import Invalid, NotFound
from tracking.models import Alert, AlertRule, Team

Kind = AlertRule.Kind
DEFAULTS: Mapping[str, tuple[Decimal, int, str]] = {
    Kind.ERRORS: (Decimal(5), 20, "high"),
    Kind.LATENCY: (Decimal(5000), 20, "low"),
    Kind.SPIKE: (Decimal(200), 0, "high"),
    Kind.UNPRICED: (Decimal(0), 0, "low"),
}
_MOST: Mapping[str, int] = {Kind.ERRORS: 100, Kind.LATENCY: 86_400_000, Kind.SPIKE: 100_000, Kind.UNPRICED: 1_000_000}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in force or switched off. ``id`` None: the default of its kind. ``agent`` '': the whole team."""

    id: UUID | None
    kind: str
    agent: str
    over: Decimal
    calls_least: int
    severity: str
    is_on: bool

    @property
    def threshold(self) -> Threshold:
        return Threshold(self.kind, self.over, self.calls_least)


def rules_of(team: Team) -> list[Rule]:
    """Those of the whole team first, kind by kind, then those of agents by name."""
    stored = {(row.kind, row.agent): row for row in AlertRule.objects.filter(team=team).order_by("kind", "agent")}
    of_team = [_rule(stored[kind, ""]) if (kind, "") in stored else default(kind) for kind in Kind.values]
    return of_team + sorted((_rule(row) for row in stored.values() if row.agent), key=lambda r: (r.agent, r.kind))


def default(kind: str) -> Rule:
    over, calls_least, severity = DEFAULTS[kind]
    return Rule(None, kind, "", over, calls_least, severity, is_on=True)


def set_rule(
    team: Team,
    *,
    kind: str,
    over: Decimal | str | float | int,
    actor: Actor,
    agent: str = "",
    calls_least: int | None = None,
    severity: str | None = None,
    is_on: bool = True,
) -> Rule:
    """Make or change the rule of that kind and agent. Raises Invalid naming the field."""
    if kind not in Kind.values:
        raise Invalid(f"Give a kind out of: {', '.join(Kind.values)}.", field="kind")
    usual = DEFAULTS[kind]
    if kind == Kind.UNPRICED and agent:
        raise Invalid("What has no price is told for the whole team.", field="agent")
    row = AlertRule(
        team=team,
        kind=kind,
        agent=agent.strip(),
        threshold=threshold_of(kind, over),
        calls_least=usual[1] if calls_least is None else calls_least,
        severity=severity or usual[2],
        is_on=is_on,
    )
    try:
        row.clean_fields(exclude=["team"])
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(messages[0], field={"threshold": "over"}.get(field, field)) from error
    return _rule(_save(row, actor))


def remove_rule(team: Team, rule_id: object, *, actor: Actor) -> None:
    """An agent's rule goes; a whole team's is as it was at first. Raises NotFound."""
    try:
        row = AlertRule.objects.filter(team=team, pk=UUID(str(rule_id))).first()
    except ValueError:
        row = None
    if row is None:
        raise NotFound("This team has no such rule.")
    with transaction.atomic():
        audit.record(actor, team, "alert_rule.remove", "alert_rule", row.pk, before=_facts(row))
        row.delete()
        _end(row)


def key_of(kind: str, agent: str, more: str = "") -> str:
    """What is the same alert again. ``more``: the day of a spike, the model without a price."""
    return ":".join(filter(None, ("rule", kind, agent, more)))


def _save(row: AlertRule, actor: Actor) -> AlertRule:
    team = row.team
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        known = AlertRule.objects.filter(team=team, kind=row.kind, agent=row.agent).first()
        if known is None and AlertRule.objects.filter(team=team).count() >= settings.LIMITS["alert_rules_per_team"]:
            raise Invalid(f"A team has at most {settings.LIMITS['alert_rules_per_team']} rules.", field="agent")
        if known is not None:
            row.pk = known.pk
        row.save(force_update=known is not None, force_insert=known is None)
        before = _facts(known) if known is not None else None
        audit.record(actor, team, "alert_rule.set", "alert_rule", row.pk, before=before, after=_facts(row))
        if not row.is_on:
            _end(row)
    return row


def _end(row: AlertRule) -> None:
    """What the rule opened is over with it."""
    opened = Alert.objects.filter(team_id=row.team_id, kind=row.kind, agent=row.agent, resolved_at=None)
    opened.filter(dedupe_key__startswith=key_of(row.kind, "")).update(resolved_at=datetime.now(UTC))


def threshold_of(kind: str, value: object) -> Decimal:
    """As a rule keeps it. Raises Invalid for the field "over"."""
    try:
        number = Decimal(str(value)).quantize(Decimal("0.001"))
    except InvalidOperation:
        raise Invalid("Give a number.", field="over") from None
    if not number.is_finite() or not 0 <= number <= _MOST[kind]:
        raise Invalid(f"Give a number from 0 to {_MOST[kind]:,}.", field="over")
    return number


def _rule(row: AlertRule) -> Rule:
    return Rule(
        row.pk, row.kind, row.agent, row.threshold, row.calls_least, Alert.Severity(row.severity).value, row.is_on
    )


def _facts(row: AlertRule) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "agent": row.agent,
        "over": row.threshold,
        "calls_least": row.calls_least,
        "severity": row.severity,
        "is_on": row.is_on,
    }
