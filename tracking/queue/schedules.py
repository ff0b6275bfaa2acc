"""Jobs that come again. Each moment of a schedule gives one job, whoever looks first; moments that nobody looked at give one together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab
from django.conf import settings
from django.db import IntegrityError, transaction

from tracking import audit, ids
from tracking.agents import store as agents
from tracking.audit import Actor
from tracking.errors import Invalid, NotFound, WfloServerError
from tracking.models import JobSchedule, Team
from tracking.queue import states, submit
from tracking.queue.submit import Wanted
from tracking.store_time import store_now

NAME_CHARACTERS_MAX = 120


def make(
    team: Team,
    *,
    name: str,
    agent: str,
    input: str,
    cron: str,
    actor: Actor,
    budget_usd: Decimal | None = None,
    priority: int = 0,
) -> JobSchedule:
    """Raises Invalid naming the field, NotFound for an agent that is not there."""
    name = " ".join(name.replace("\0", "").split())
    if not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise Invalid(f"Give the schedule a name of at most {NAME_CHARACTERS_MAX} characters.", field="name")
    agents.find(team, agent)
    now = store_now()
    if JobSchedule.objects.filter(team=team).count() >= settings.LIMITS["schedules_per_team"]:
        raise Invalid(f"A team has at most {settings.LIMITS['schedules_per_team']} schedules. Delete one first.")
    row = JobSchedule(
        team=team, id=ids.uuid7(int(now.timestamp() * 1000)), name=name, agent=agent, input=submit.input_of(input), cron=" ".join(cron.split()),
        budget_usd=budget_usd, priority=states.priority_of(priority), next_at=next_of(cron, team.time_zone, now),
        created_by=actor.name[:200], created_at=now,
    )  # fmt: skip
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            audit.record(
                actor,
                team,
                "job_schedule.make",
                "job_schedule",
                str(row.id),
                after={"name": name, "agent": agent, "cron": row.cron},
            )
    except IntegrityError:
        raise Invalid(f'The team has a schedule "{name}" already.', field="name") from None
    return row


def remove(team: Team, id: object, *, actor: Actor) -> None:
    """Raises NotFound."""
    with transaction.atomic():
        row = find(team, id)
        JobSchedule.objects.filter(team=team, id=row.id).delete()
        audit.record(actor, team, "job_schedule.remove", "job_schedule", str(row.id), before={"name": row.name})


def switch(team: Team, id: object, *, is_active: bool, actor: Actor) -> JobSchedule:
    """On again, its next moment is one to come. Raises NotFound."""
    with transaction.atomic():
        row = find(team, id)
        row.is_active = is_active
        row.next_at = next_of(row.cron, team.time_zone, store_now())
        row.save(update_fields=["is_active", "next_at"])
        audit.record(actor, team, "job_schedule.switch", "job_schedule", str(row.id), after={"is_active": is_active})
    return row


def find(team: Team, id: object) -> JobSchedule:
    try:
        found = JobSchedule.objects.filter(team=team, id=UUID(str(id))).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound("This team has no such schedule.")
    return found


def of_team(team: Team) -> list[JobSchedule]:
    return list(JobSchedule.objects.filter(team=team).order_by("name"))


def submit_due() -> int:
    """Jobs of all schedules whose moment has come; how many."""
    now, done = store_now(), 0
    with transaction.atomic():
        due = (
            JobSchedule.objects.select_for_update(skip_locked=True, of=("self",)).select_related("team")
            .filter(is_active=True, next_at__lte=now).order_by("next_at")[: settings.LIMITS["jobs_looked_at"]]
        )  # fmt: skip
        for row in due:
            done += _submit(row)
            row.last_at, row.next_at = now, next_of(row.cron, row.team.time_zone, now)
            row.save(update_fields=["last_at", "next_at"])
    return done


def next_of(cron: str, zone: str, after: datetime) -> datetime:
    """The first moment after ``after`` (UTC) that five fields of cron name, in a time zone. Raises Invalid."""
    fields = cron.split()
    if len(fields) != 5:
        raise Invalid("A schedule has five fields: minute, hour, day of month, month, day of week.", field="cron")
    minute, hour, day, month, weekday = fields
    wall = after.astimezone(ZoneInfo(zone)).replace(
        tzinfo=UTC
    )  # Celery knows one zone: what clocks there show is told as its own
    try:
        table = crontab(minute, hour, weekday, day, month, nowfun=lambda: wall)
        rest: timedelta = table.remaining_estimate(wall)
    except (ParseException, ValueError) as error:
        raise Invalid(f"The schedule cannot be read: {error}", field="cron") from error
    found = (wall + rest).replace(second=0, microsecond=0, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return found if found > after else found + timedelta(minutes=1)


def _submit(row: JobSchedule) -> int:
    """One that cannot be asked for is left out: what is wrong with its agent is seen on its page."""
    wanted = Wanted(
        agent=row.agent, input=row.input, budget_usd=row.budget_usd, priority=row.priority, schedule_id=row.id,
        idempotency_key=f"schedule:{row.id}:{row.next_at}", metadata={"schedule": row.name},
    )  # fmt: skip
    try:
        with transaction.atomic():
            submit.submit(row.team, wanted, actor=Actor("schedule", str(row.id), f"schedule {row.name}"))
    except WfloServerError:
        return 0
    return 1
