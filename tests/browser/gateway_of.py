"""Groups, calls refused and under way, a breaker and credits for the browser's teams."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from django.db import transaction

from tests.browser.hostile import PAYLOADS
from tracking import credits
from tracking.audit import SYSTEM
from tracking.models import CacheDay, Circuit, Deployment, ModelGroup, Refusal, Team


def fill(slug: str) -> dict[str, str]:
    """The id of the first refused call."""
    team, now = Team.objects.get(slug=slug), datetime.now(UTC)
    group = ModelGroup.objects.create(team=team, name="ChatFast", cache_seconds=600)
    for place, model in enumerate(("openai/gpt-4o-mini", "demo/echo", "mistral/no-price-yet")):
        made = Deployment.objects.create(group=group, model=model, priority=place, weight=place + 1)
        if place == 0:
            Circuit.objects.create(
                team_id=team.pk, name=f"deployment:{made.pk}", state="open", failures=5, changed_at=now, retry_at=now,
                last_error="502 from upstream",
            )  # fmt: skip
    ids = [
        _refused(team, code, f"Refused: {code}.", {"limit": 1, "current_cost": 1, "held": 0, "unit": "usd"})
        for code in ("budget_exceeded", "loop_detected", "run_killed", "model_unpriced", "rate_limit_exceeded")
    ]
    CacheDay.objects.create(team=team, day=now.date(), model="ChatFast", hits=40, misses=9, saved_usd=Decimal("1.25"))
    credits.open_account(team, allocated=100, mode="consumption_usd", actor=SYSTEM)
    for usd in ("0.4", "1.2", "99"):
        _charged(team, "report", usd)
    credits.add(team, 20, kind="one_time_payment", paid_usd=Decimal("9.99"), reason="order 7", actor=SYSTEM)
    return {"refusal": ids[0]}


def attack(slug: str) -> dict[str, str]:
    """The corpus in every string of groups, refused calls, breakers and credits."""
    team, now = Team.objects.get(slug=slug), datetime.now(UTC)
    names = [" ".join(payload.split())[:100] for payload in PAYLOADS]
    first = ""
    credits.open_account(team, allocated=1_000, actor=SYSTEM)
    for place, text in enumerate(names):
        if place < 20:
            group = ModelGroup.objects.create(team=team, name=f"{place} {text}")
            Deployment.objects.create(group=group, model=f"openai/{text}")
            Circuit.objects.create(
                team_id=team.pk, name=f"{place} {text}", state="open", last_error=text, changed_at=now, retry_at=now
            )
        id = _refused(team, text[:40], text, {"pattern": text, "limit": text, "unit": text}, said=text)
        first = first or id
        _charged(team, text, "0")
        credits.add(team, 1, reason=text, actor=SYSTEM)
    return {"refusal": first}


def _refused(team: Team, code: str, message: str, details: dict[str, object], *, said: str = "researcher") -> str:
    id = uuid4()
    Refusal.objects.create(
        team=team, id=id, at=datetime.now(UTC), code=code, status=429, message=message, details=details, run=said[:100],
        agent=said, end_user=said, model=said,
    )  # fmt: skip
    return str(id)


def _charged(team: Team, job_type: str, usd: str) -> None:
    with transaction.atomic():
        credits.charge(team, uuid4(), job_type, client_usd=Decimal(usd), tokens=0)
