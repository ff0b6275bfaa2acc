"""Alerts, destinations and rules for the browser's teams. Filled in before the browser runs, or from a thread of its own:
Playwright's event loop runs in the tests' thread, and there Django asks nothing of a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

from django.db import connection

from tests.browser.hostile import PAYLOADS
from tracking import alerts
from tracking.alerts import destinations, outbox
from tracking.alerts.rules import set_rule
from tracking.audit import SYSTEM
from tracking.models import Alert, Destination, Team

_FACTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("loop", "high", {"cycle": ["search", "fetch"], "times": 17, "burned_usd": "3.98", "action": "warn", "first_step": 12}),
    ("budget", "critical", {"budget": "web-researcher, day", "percent": 100, "mode": "strict", "spent_usd": "12", "limit_usd": "12"}),
    ("unpriced", "low", {"models": ["mistral-ops-ft"], "calls": 38}),
    ("errors", "high", {"percent": "12.3", "threshold": "5", "errors": 37, "calls": 300}),
    ("circuit", "high", {"circuit": "openai/gpt-4o", "errors": 8, "calls": 10}),
    ("killed", "low", {"by": "Bob", "reason": "wrong customer"}),
)  # fmt: skip


def fill(slug: str) -> dict[str, str]:
    """One of the first is acknowledged, one resolved; a destination failed, one is muted. The page of one of them."""
    team = Team.objects.get(slug=slug)
    now = datetime.now(UTC)
    for place, (kind, severity, facts) in enumerate(_FACTS):
        opened = alerts.open_once(
            team, kind, severity, f"{kind}:{place}", run=f"run-{place}", agent="refund-resolver", payload=facts,
            now=now - timedelta(minutes=7 * place + 3),
        )  # fmt: skip
        if kind == "circuit":
            alerts.acknowledge(team, [opened.id], actor=SYSTEM)
        if kind == "killed":
            alerts.resolve(team, [opened.id], actor=SYSTEM)
    given = {"kind": "webhook", "actor": SYSTEM}
    first, _ = destinations.create(
        team, name="On call", address="https://hooks.invalid/x", events=["job.failed"], **given
    )
    second, _ = destinations.create(
        team, name="At night", address="https://night.invalid/", alert_kinds=["loop"], **given
    )
    Destination.objects.filter(pk=first.pk).update(tried_at=now, tried_error="There is no host hooks.invalid.")
    destinations.mute(second, now + timedelta(hours=8), actor=SYSTEM)
    set_rule(team, kind="latency", over=900, agent="refund-resolver", actor=SYSTEM)
    outbox.fan_out()
    return {"destination": str(first.pk)}


def attack(slug: str) -> dict[str, str]:
    """The corpus in every string of an alert, a destination and a rule."""
    team = Team.objects.get(slug=slug)
    names = [" ".join(payload.split()) for payload in PAYLOADS]
    for place, payload in enumerate(PAYLOADS):
        facts = dict.fromkeys(("budget", "subject", "circuit", "reason", "by", "mode", "action", "what"), payload)
        kind = Alert.Kind.values[place % len(Alert.Kind.values)]
        facts |= {"cycle": [payload, payload], "models": [payload], "budget_id": payload}
        if place % 5 == 0:
            facts |= {"title": payload, "what": payload, "todo": payload, "path": payload}
        alerts.open_once(team, kind, "high", f"{kind}:{payload}", run=payload, agent=payload, payload=facts)
    given = {"kind": "webhook", "actor": SYSTEM, "address": "https://nobody.invalid/"}
    made = [destinations.create(team, name=name[:120], **given)[0] for name in names[:20] if name.isprintable()]
    Destination.objects.filter(team=team).update(tried_at=datetime.now(UTC), tried_error=names[0])
    for name in names[:20]:
        if name.isprintable():
            set_rule(team, kind="errors", over=5, agent=name[:200], actor=SYSTEM)
    outbox.fan_out()
    return {"destination": str(made[0].pk)}


def in_a_thread(work: Callable[[], Any]) -> Any:
    """What ``work`` answers."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(work())
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return answers[0]
