"""The home page's question: what is going on now, what does today cost, and what needs a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from tracking.models import Run, Team
from tracking.reports import agent_runs
from tracking.reports.agent_runs import NO_RUNS, RunFacts
from tracking.reports.drops import drops_lately
from tracking.reports.runs import agent_colours
from tracking.reports.team_day import TeamDay, team_day
from tracking.reports.usual import DAYS_MAX, Usual, at, forecast, running_total, usual_day
from tracking.usage.query import UsageRow, usage, usage_rows
from tracking.usage.spend import Spent, daily_by_agent, door, first_hour, spend_by_agent, spend_by_hour

SPARK_DAYS = 14
AGENTS_SHOWN = 30
LIVE_SHOWN = 5
MODELS_SHOWN = 5
FAILURES_LEAST = 3
FAILED_SHARE_LEAST = Decimal("0.1")
QUIET_WEEKS_LEAST = 2
QUIET_SPANS_LEAST = 20

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class SpendToday:
    """``curve`` is the running total at each full hour begun, then at now. ``usual_usd`` is at this hour."""

    total: UsageRow
    curve: tuple[Decimal, ...]
    usual: Usual | None
    usual_usd: Decimal | None
    forecast_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class AgentToday:
    name: str | None
    row: UsageRow
    share: Decimal | None
    days: tuple[Decimal | None, ...]  # cost of each of the last SPARK_DAYS UTC days
    usual_usd: Decimal | None
    facts: RunFacts


@dataclass(frozen=True, slots=True)
class ModelToday:
    """``cost_usd`` None: none of its calls has a price."""

    name: str
    calls: int
    tokens: int
    cost_usd: Decimal | None
    unpriced_calls: int
    agents: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class LiveRun:
    id: UUID
    title: str
    agent: str | None
    started_at: datetime
    cost_usd: Decimal | None
    unpriced_calls: int
    is_looping: bool


@dataclass(frozen=True, slots=True)
class Need:
    """Something a person should see. ``kind``: unpriced, failing, rejected, dropped or quiet."""

    kind: str
    name: str | None
    count: int
    of: int = 0
    tokens: int = 0
    agents: tuple[str | None, ...] = ()
    usual_share: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Home:
    day: TeamDay
    spend: SpendToday
    needs: tuple[Need, ...]
    live: tuple[LiveRun, ...]
    live_count: int
    agents: tuple[AgentToday, ...]
    agents_more: int
    models: tuple[ModelToday, ...]  # dearest first
    colours: Mapping[str, int]


def has_data(team: Team) -> bool:
    """Whether any span ever came: a team without any is sent to the onboarding page."""
    return first_hour(team.pk) is not None


def home(team: Team, now: datetime) -> Home:
    day = team_day(team.time_zone, now)
    starts = _past_starts(team, day)
    today = usage([team.pk], start=day.start, end=now, group_by=["agent"])
    windows = spend_by_agent(team.pk, starts, hours=day.hours_begun)
    facts = agent_runs.by_agent(team, day.start, now + timedelta(minutes=5))
    agents = _agents(team, day, today.rows, today.totals, windows, facts)
    live, live_count = _live(team)
    models = _models(team, day)
    shown = agents[:AGENTS_SHOWN]
    needs = [
        *_unpriced(models),
        *_failing(team, day, facts),
        *_rejected(team, day),
        *_dropped(team, now),
        *_quiet(windows, {row.key["agent"] for row in today.rows}, day),
    ]
    names = (
        {agent.name for agent in shown} | {run.agent for run in live} | {name for need in needs for name in need.agents}
    )
    return Home(
        day,
        _spend(team, day, starts, today.totals),
        tuple(needs),
        live,
        live_count,
        shown,
        len(agents) - len(shown),
        models,
        agent_colours(team.pk, sorted(name for name in names if name)),
    )


def _past_starts(team: Team, day: TeamDay) -> list[datetime]:
    """Starts of past days like today, newest first, as far back as the team has data."""
    first = first_hour(team.pk)
    starts = [day.weeks_before(weeks) for weeks in range(1, DAYS_MAX + 1)]
    return [start for start in starts if first is not None and start + timedelta(days=1) > first]


def _spend(team: Team, day: TeamDay, starts: Sequence[datetime], total: UsageRow) -> SpendToday:
    hours = [start + timedelta(hours=i) for start in (day.start, *starts) for i in range(24)]
    spent = spend_by_hour(team.pk, hours)
    past = [[spent.get(start + timedelta(hours=i), ZERO) for i in range(24)] for start in starts]
    begun = [spent.get(day.start + timedelta(hours=i), ZERO) for i in range(day.hours_begun)]
    usual = usual_day(past)
    so_far = total.cost_usd or ZERO
    return SpendToday(
        total,
        running_total(begun),
        usual,
        at(usual.median, day.hour) if usual else None,
        forecast(so_far, usual, day.hour),
    )


def _agents(
    team: Team,
    day: TeamDay,
    rows: Sequence[UsageRow],
    total: UsageRow,
    windows: Mapping[str | None, Sequence[Spent]],
    facts: Mapping[str | None, RunFacts],
) -> tuple[AgentToday, ...]:
    midnight = day.now.replace(hour=0, minute=0, second=0, microsecond=0)
    sparks = daily_by_agent(team.pk, midnight - timedelta(days=SPARK_DAYS - 1), days=SPARK_DAYS)
    result = []
    for row in rows:
        name = row.key["agent"]
        share = row.cost_usd / total.cost_usd if row.cost_usd is not None and total.cost_usd else None
        result.append(
            AgentToday(
                name,
                row,
                share,
                tuple(spent.known_usd for spent in sparks.get(name, ())),
                _usual_spend(windows.get(name, ()), day),
                facts.get(name, NO_RUNS),
            )
        )
    return tuple(result)


def _usual_spend(windows: Sequence[Spent], day: TeamDay) -> Decimal | None:
    """What the agent had usually spent by now; its last begun hour counts by the share of it that is over."""
    past = usual_day([[spent.cost_usd, *[ZERO] * 23] for spent in windows])
    return past.median[-1] if past else None


def _live(team: Team) -> tuple[tuple[LiveRun, ...], int]:
    running = Run.objects.filter(team=team, status=Run.Status.RUNNING, is_hidden=False)
    fields = ("id", Run.TITLE, "entry_agent", "started_at", "cost_usd", "unpriced_calls", "loop_detected")
    rows = running.order_by("-cost_usd", "-started_at").values_list(*fields)
    newest = list(rows[: LIVE_SHOWN + 1])
    count = len(newest) if len(newest) <= LIVE_SHOWN else running.count()
    return tuple(LiveRun(*row) for row in newest[:LIVE_SHOWN]), count


def _models(team: Team, day: TeamDay) -> tuple[ModelToday, ...]:
    rows = usage_rows([team.pk], start=day.start, end=day.now, group_by=["agent", "model"])
    by_model: dict[str, list[UsageRow]] = {}
    for row in rows:
        if row.key["model"]:
            by_model.setdefault(row.key["model"], []).append(row)
    models = [_model(name, parts) for name, parts in by_model.items()]
    return tuple(sorted(models, key=lambda model: (-(model.cost_usd or ZERO), -model.tokens, model.name)))


def _model(name: str, parts: Sequence[UsageRow]) -> ModelToday:
    costs = [row.cost_usd for row in parts if row.cost_usd is not None]
    return ModelToday(
        name,
        sum(row.llm_calls for row in parts),
        sum(row.total_tokens + row.embedding_tokens for row in parts),
        sum(costs, ZERO) if costs else None,
        sum(row.unpriced_calls for row in parts),
        tuple(row.key["agent"] for row in parts),
    )


# --- what needs a person ---------------------------------------------------------------------------------------------


def _unpriced(models: Sequence[ModelToday]) -> list[Need]:
    found = [model for model in models if model.unpriced_calls]
    needs = [Need("unpriced", m.name, m.unpriced_calls, tokens=m.tokens, agents=m.agents) for m in found]
    return sorted(needs, key=lambda need: -need.count)[:MODELS_SHOWN]


def _failing(team: Team, day: TeamDay, today: Mapping[str | None, RunFacts]) -> list[Need]:
    """Agents whose runs fail today more than twice as often as in the week before."""
    suspects = {
        name: facts
        for name, facts in today.items()
        if facts.failed >= FAILURES_LEAST and facts.failed >= FAILED_SHARE_LEAST * facts.ended
    }
    if not suspects:
        return []
    week = agent_runs.by_agent(team, day.start - timedelta(days=7), day.start)
    needs = []
    for name, facts in suspects.items():
        before = week.get(name, NO_RUNS)
        usual = Decimal(before.failed) / before.ended if before.ended else None
        if usual is None or Decimal(facts.failed) / facts.ended > 2 * usual:
            needs.append(Need("failing", name, facts.failed, of=facts.ended, agents=(name,), usual_share=usual))
    return sorted(needs, key=lambda need: (-need.count, need.name or ""))


def _rejected(team: Team, day: TeamDay) -> list[Need]:
    counts = door(team.pk, day.start, day.now)
    received = counts.get("received", 0)
    refused = {
        word.removeprefix("rejected: "): n for word, n in counts.items() if word.startswith("rejected: ") and n > 0
    }
    return [
        Need("rejected", reason, n, of=received) for reason, n in sorted(refused.items(), key=lambda item: -item[1])
    ]


def _dropped(team: Team, now: datetime) -> list[Need]:
    """What senders gave up lately, all reasons together; ``name`` is the one most went for."""
    lines = drops_lately(team, now)
    return [Need("dropped", lines[0].reason.replace("_", " "), sum(line.events for line in lines))] if lines else []


def _quiet(windows: Mapping[str | None, Sequence[Spent]], seen: set[str | None], day: TeamDay) -> list[Need]:
    """Agents that were at work by this hour on each past day like today, and have done nothing today."""
    needs = []
    for name, past in windows.items():
        least = min((spent.spans for spent in past), default=0)
        if (
            name
            and name not in seen
            and len(past) >= QUIET_WEEKS_LEAST
            and least >= QUIET_SPANS_LEAST
            and day.hour >= 2
        ):
            needs.append(Need("quiet", name, least, of=len(past), agents=(name,)))
    return needs
