"""Models that a person may type: what a field for one offers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tracking import catalog
from tracking.models import Team
from tracking.usage.query import usage_rows

DEMO_MODELS = ("demo/agent", "demo/echo", "demo/json")
OFFERED = 60
USED_DAYS = 30


def model_choices(team: Team) -> list[str]:
    """Groups, models behind them, and those called lately."""
    groups = list(catalog.groups_of(team))
    now = datetime.now(UTC)
    used = usage_rows([team.pk], start=now - timedelta(days=USED_DAYS), end=now, group_by=["model"])
    names = [group.name for group in groups]
    names += [deployment.model for group in groups for deployment in group.deployments.all()]
    names += [str(row.key["model"]) for row in used if row.key["model"]]
    return list(dict.fromkeys([*names[:OFFERED], *DEMO_MODELS]))
