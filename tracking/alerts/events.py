"""Something happened that a team's programs or people asked to be told of: a job done, a run killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from tracking.alerts.standing import payload_json
from tracking.alerts.words import event_words
from tracking.models import Delivery, Destination, Team

Event = Destination.Event


def notify(team: Team | int, event: str, payload: Mapping[str, Any]) -> int:
    """Tell every destination of the team that asked for ``event``; how many there are.

    Within the caller's transaction: the news is kept or lost with what it is of. ``payload`` is what a webhook gets as
    ``data``, with ``title`` and the like added for people (tracking.alerts.words.event_words). Raises Invalid beyond
    LIMITS["alert_payload_bytes"].
    """
    event = Event(event).value
    asked = Destination.objects.filter(team=team, events__contains=[event]).order_by("created_at")
    awake = [d for d in asked[: settings.LIMITS["destinations_per_team"]] if not is_muted(d)]
    if not awake:
        return 0
    words = event_words(event, payload)
    shown = {"title": words.title, "what": words.what, "todo": words.todo, "path": words.path}
    data = json.loads(payload_json({**shown, **payload}))
    now = datetime.now(UTC)
    Delivery.objects.bulk_create(
        Delivery(team_id=d.team_id, destination=d, event=event, payload=data, next_at=now, created_at=now)
        for d in awake
    )
    return len(awake)


def is_muted(destination: Destination, now: datetime | None = None) -> bool:
    return destination.muted_until is not None and destination.muted_until > (now or timezone.now())
