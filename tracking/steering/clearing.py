"""What is over is forgotten with the runs it was of: after as many days as its team keeps."""

from __future__ import annotations

from datetime import timedelta

from tracking.models import Approval, DeadLetter, Poll, SharedValue, Team
from tracking.store_time import store_now


def clear_old() -> int:
    """How many rows went. Dead letters that nobody has handled stay."""
    gone, now = 0, store_now()
    handled = (DeadLetter.Status.RETRIED, DeadLetter.Status.DISCARDED)
    for team in Team.objects.all():
        before = now - timedelta(days=team.retention_days)
        for rows in (
            Approval.objects.filter(team=team, expires_at__lt=before).exclude(status=Approval.Status.PENDING),
            DeadLetter.objects.filter(team=team, changed_at__lt=before, status__in=handled),
            Poll.objects.filter(team=team, closes_at__lt=before),
            SharedValue.objects.filter(team=team, changed_at__lt=before),
        ):
            gone += rows.delete()[0]
    return gone
