"""The clock looks at how fast agents spend, beside what each of them usually does: of teams whose breaker wants it.

What is usual is an agent's own: the median of the hours of the last HISTORY in which it spent anything. Sums by the hour say
who may be too fast at all; only of those the calls of the last minutes are added up. What was spent before a circuit moved
last is not held against it again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings

from tracking import agent_breaker
from tracking.circuits import AGENT
from tracking.models import Circuit, Team
from tracking.usage import slices
from tracking.usage.spend import hourly_by_name, spent_since
from wflo.agent_breaker import BreakerPolicy, Fast, Mode, too_fast

HISTORY = timedelta(days=28)

log = logging.getLogger(__name__)


def watch(now: datetime | None = None) -> int:
    """Every team whose breaker looks at speed; how many agents it found too fast."""
    now, found = now or datetime.now(UTC), 0
    for team in Team.objects.filter(breaker__mode__in=[Mode.ON, Mode.TELL]).order_by("pk"):
        try:
            found += watch_team(team, now)
        except Exception:  # one team's trouble is not the others'
            log.exception("how fast the agents of team %s spend could not be looked at", team.slug)
    return found


def watch_team(team: Team, now: datetime) -> int:
    policy = agent_breaker.policy_of(team)
    if not policy.is_on or policy.speed_max is None:
        return 0
    since = now - timedelta(minutes=policy.speed_minutes)
    suspects = _suspects(team, policy, since, now)
    circuits = {
        row.name: row for row in Circuit.objects.filter(team_id=team.pk, name__in=[AGENT + n for n in suspects])
    }
    return sum(
        _look_at(team, policy, agent, hours, circuits.get(AGENT + agent), since, now)
        for agent, hours in suspects.items()
    )


def _suspects(team: Team, policy: BreakerPolicy, since: datetime, now: datetime) -> Mapping[str, Sequence[Decimal]]:
    """The past hours of agents that spent enough in the hours which the last minutes are part of; the dearest first."""
    start = since.replace(minute=0, second=0, microsecond=0)
    lately: dict[str, Decimal] = {}
    for agent, _, usd, _ in hourly_by_name([team.pk], slices.AGENT, start=start, end=now):
        lately[agent] = lately.get(agent, Decimal(0)) + usd
    dear = sorted(
        (agent for agent, usd in lately.items() if agent and usd >= policy.speed_usd_min), key=lately.__getitem__
    )
    names = dear[-settings.LIMITS["breaker_agents"] :][::-1]
    if not names:
        return {}
    hours: dict[str, list[Decimal]] = {}
    for agent, _, usd, _ in hourly_by_name([team.pk], slices.AGENT, start=start - HISTORY, end=start, names=names):
        if usd > 0:
            hours.setdefault(agent, []).append(usd)
    return {
        agent: past
        for agent in names
        if (past := hours.get(agent)) and too_fast(policy, lately[agent], past, policy.speed_minutes) is not None
    }


def _look_at(
    team: Team,
    policy: BreakerPolicy,
    agent: str,
    hours: Sequence[Decimal],
    circuit: Circuit | None,
    since: datetime,
    now: datetime,
) -> bool:
    if circuit is not None and circuit.state == Circuit.State.OPEN:
        return False
    begin = max(since, circuit.changed_at) if circuit is not None else since
    spent = spent_since(team.pk, agent, begin)
    fast = too_fast(policy, spent, hours, policy.speed_minutes)
    if fast is None:
        return False
    agent_breaker.trip(team.pk, agent, policy, _words(fast), _facts(fast, len(hours)))
    return True


def _words(fast: Fast) -> str:
    return (
        f"It spent ${fast.spent_usd:.2f} in {fast.minutes} minutes, {fast.times} times what it usually does"
        f" (${fast.usual_usd:.4f})."
    )


def _facts(fast: Fast, hours: int) -> dict[str, object]:
    return {
        "speed": {
            "spent_usd": fast.spent_usd, "usual_usd": fast.usual_usd, "times": fast.times, "minutes": fast.minutes,
            "hours_known": hours,
        }
    }  # fmt: skip
