"""Going on from a checkpoint of a job's run: rolling back, forking. What it means is in previews.py. History is never rewritten.

A rollback stops the job's latest run and gives the job another, which has the steps up to the checkpoint and goes on from there. A
fork leaves the job alone and gives a new one. What the steps before cost is paid, and is not paid again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

import orjson
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from tracking import audit, ids
from tracking.agents.resolve import body_of
from tracking.audit import SYSTEM, Actor
from tracking.checkpoints import store
from tracking.errors import Conflict, Invalid, TooLarge
from tracking.models import AgentJob, Approval, Checkpoint, JobRun, Rollback, Run, Team
from tracking.queue import states, steps, submit, wake
from tracking.queue.previews import cost_of, job_of, position_of, spent
from tracking.queue.steps import Kept
from tracking.queue.stops import Broke, Failed, Looped, Stop
from tracking.sql import statements
from tracking.steering import approvals
from tracking.store_time import store_now

OVERRIDES = ("model", "instructions", "state")
REASON_CHARACTERS_MAX = 500
_BY_ITSELF = UUID("5b0a3c8e-0d0b-4a55-8f0e-3b8ddc1f4f10")
Status = AgentJob.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """``checkpoint``: id, version or "latest"; ``overrides``: model, instructions, state (the checkpoint's, edited); ``budget_usd``: for
    what comes; ``undo``: steps whose effects are taken back first, by their keys or positions. ``id`` makes a wish that is said twice
    one."""

    checkpoint: str
    reason: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    budget_usd: Decimal | None = None
    undo: Sequence[str] = ()
    id: UUID | None = None


def rollback(team: Team, run: str, wish: Wish, *, actor: Actor) -> Rollback:
    """Stop the job's latest run and have it go on from a checkpoint of ``run``, in a run of its own. Said twice it is done once.

    Raises NotFound, Invalid naming the field, Conflict.
    """
    to = store.find(team, run, wish.checkpoint)
    changes = _changes(to, wish)
    with transaction.atomic():
        job = states.locked(job_of(team, run))
        known = _known(team, run, to, wish, job)
        if known is not None:
            return known
        undo = _undoable(team, run, position_of(to), wish.undo)
        if job.status in states.ENDED:
            submit.demand_room(team)
        number = JobRun.objects.filter(team=team, job_id=job.id).count() + 1
        made = _job_run(team, job, number, f"{job.id}.{number}", run, to, changes, undo)
        row = _written(team, run, to, wish, actor, made.run)
        _stop(team, job.run, row, actor)
        if run == job.run:
            later = Checkpoint.objects.filter(team=team, run=run, version__gt=to.version, superseded_at=None)
            later.update(superseded_at=row.answered_at)
        job.fence, job.run, job.position = job.fence + 1, made.run, made.from_position
        if wish.budget_usd is not None:
            job.budget_usd = _budget(wish.budget_usd) + spent(job)
        job.lease_until, job.lease_owner = None, ""
        states.save(job, "fence", "run", "position", "budget_usd", "lease_until", "lease_owner")
        states.revive(job)
        states.letters_taken(job, actor)
        after = {
            "checkpoint": to.version, "new_run": made.run, "reason": row.reason, "overrides": sorted(wish.overrides),
            "budget_usd": wish.budget_usd, "undo": len(undo),
        }  # fmt: skip
        audit.record(actor, team, "run.rollback", "run", run, after=after)
    wake.soon()
    return row


def fork(team: Team, run: str, wish: Wish, *, actor: Actor, key_id: str = "") -> AgentJob:
    """A new job that goes on from a checkpoint of ``run``, which is left alone. Without a budget it has one as the old job has.

    Raises as ``rollback`` does.
    """
    to = store.find(team, run, wish.checkpoint)
    changes = _changes(to, wish)
    if wish.undo:
        raise Invalid("A fork leaves the other run alone, with what it did: roll back to undo that.", field="undo")
    job = job_of(team, run)
    now = store_now()
    id = wish.id or ids.uuid7(int(now.timestamp() * 1000))
    new = AgentJob(
        team=team, id=id, agent=job.agent, agent_version=job.agent_version, definition=job.definition, input=job.input,
        metadata=job.metadata, run=str(id), budget_usd=job.budget_usd if wish.budget_usd is None else _budget(wish.budget_usd),
        steps_max=job.steps_max, priority=job.priority, run_at=now, forked_from=run, created_by=actor.name[:200], key_id=key_id,
        user_id=actor.user_id, created_at=now, changed_at=now, position=position_of(to),
    )  # fmt: skip
    known = _known_fork(team, id, run)
    if known is not None:
        return known
    try:
        with transaction.atomic():
            submit.demand_room(team)
            new.save(force_insert=True)
            _job_run(team, new, 1, new.run, run, to, changes, ())
            after = {
                "checkpoint": to.version,
                "job": str(id),
                "reason": _reason(wish),
                "overrides": sorted(wish.overrides),
            }
            audit.record(actor, team, "run.fork", "run", run, after=after)
    except IntegrityError:
        known = _known_fork(team, id, run)
        if known is None:
            raise
        return known
    wake.soon()
    return new


def rolled_back_by_itself(job: AgentJob, stop: Stop) -> bool:
    """A definition may ask for it: after a loop to before the loop, after a failure to the last step; once each in a job. ``job`` is
    locked."""
    why = "loop" if isinstance(stop, Looped) else "error" if isinstance(stop, Failed) else "budget"
    id = uuid5(_BY_ITSELF, f"{job.id}:{why}")
    if why not in (job.definition.get("rollback_on") or ()) or _is_done(job.team, id):
        return False
    to = _before(job, stop)
    if to is None:
        return False
    overrides = {"instructions": _hint(job, to.agent, stop.reason)} if why == "loop" else {}
    wish = Wish(checkpoint=str(to.version), reason=f"by itself, after: {stop.reason}"[:500], overrides=overrides, id=id)
    rollback(job.team, job.run, wish, actor=SYSTEM)
    if isinstance(stop, Broke):
        states.pauses(states.locked(job), stop.reason, stop.details)
    return True


# --- what was said before ---------------------------------------------------------------------------------------------


def _known(team: Team, run: str, to: Checkpoint, wish: Wish, job: AgentJob) -> Rollback | None:
    """The same wish, said before: by its id, or one that nothing has come of yet. Raises Conflict for an id of another wish."""
    if wish.id is not None:
        known = Rollback.objects.filter(team=team, id=wish.id).first()
        if known is not None and (known.run, known.checkpoint_id) != (run, to.id):
            raise Conflict("That id is of another rollback.", field="id")
        return known
    last = Rollback.objects.filter(team=team, run=run, checkpoint_id=to.id, new_run=job.run).first()
    if last is None or job.status not in (Status.QUEUED, Status.RUNNING) or job.position != position_of(to):
        return None
    is_same = (last.overrides, last.budget_usd) == (dict(wish.overrides), wish.budget_usd)
    return last if is_same else None


def _known_fork(team: Team, id: UUID, run: str) -> AgentJob | None:
    known = AgentJob.objects.select_related("team").filter(team=team, id=id).first()
    if known is not None and known.forked_from != run:
        raise Conflict("That id is of another job.", field="id")
    return known


def _is_done(team: Team, id: UUID) -> bool:
    return Rollback.objects.filter(team=team, id=id).exists()


# --- rows -------------------------------------------------------------------------------------------------------------


def _job_run(
    team: Team,
    job: AgentJob,
    number: int,
    name: str,
    parent: str,
    to: Checkpoint,
    changes: dict[str, Any],
    undo: Sequence[str],
) -> JobRun:
    """It goes by what its parent was changed to as well."""
    position = position_of(to)
    reused = [step for step in steps.of_run(team.pk, parent) if step.position is not None and step.position <= position]
    before = JobRun.objects.get(team=team, run=parent).overrides.get("agents") or {}
    agents = {
        name: {**before.get(name, {}), **changes["agents"].get(name, {})} for name in {*before, *changes["agents"]}
    }
    overrides = {"agents": agents, "messages": changes["messages"], "undo": list(undo)}
    return JobRun.objects.create(
        team=team, run=name, job_id=job.id, number=number, parent=parent, from_position=position, checkpoint_id=to.id,
        reused_usd=cost_of(reused), overrides={name: value for name, value in overrides.items() if value}, created_at=store_now(),
    )  # fmt: skip


def _written(team: Team, run: str, to: Checkpoint, wish: Wish, actor: Actor, new_run: str) -> Rollback:
    now = store_now()
    return Rollback.objects.create(
        team=team, id=wish.id or uuid4(), run=run, checkpoint_id=to.id, checkpoint_version=to.version, checkpoint_name=to.name,
        status=Rollback.Status.TAKEN, reason=_reason(wish), overrides=dict(wish.overrides), budget_usd=wish.budget_usd,
        requested_by=actor.name, requested_at=now, answered_at=now, new_run=new_run,
    )  # fmt: skip


def _stop(team: Team, run: str, row: Rollback, actor: Actor) -> None:
    """No more calls are made for it, a stream under way ends, and nobody is asked for it any more."""
    words = f'rolled back to checkpoint {row.checkpoint_version} ("{row.checkpoint_name}"); it goes on as {row.new_run}'
    with connection.cursor() as cursor:
        cursor.execute(
            statements("run_control")["kill"],
            {"team": team.pk, "names": [run], "reason": words, "by": row.requested_by},
        )
    Run.objects.filter(team=team, external_id=run, ended_at=None).update(
        status=Run.Status.CANCELLED, error=words[:500], ended_at=row.answered_at
    )
    for one in Approval.objects.filter(team=team, run=run, status=Approval.Status.PENDING, expires_at__gt=store_now()):
        approvals.cancel(team, one.id, actor=actor)


# --- what is wished ---------------------------------------------------------------------------------------------------


def _changes(to: Checkpoint, wish: Wish) -> dict[str, Any]:
    """As its runner takes them: by agent, and the messages it goes on from. Raises Invalid naming the field, TooLarge."""
    given = {
        name: value for name, value in wish.overrides.items() if value is not None and (name, value) != ("model", "")
    }
    unknown = [name for name in given if name not in OVERRIDES]
    if unknown:
        raise Invalid(f"{unknown[0]} cannot be changed; {', '.join(OVERRIDES)} can.", field="overrides")
    text = orjson.dumps(given, default=str)
    if len(text) > settings.LIMITS["checkpoint_bytes"]:
        raise TooLarge("What is changed is larger than a checkpoint may be.", field="overrides")
    if b"\\u0000" in text:
        raise Invalid("overrides hold a NUL character.", field="overrides")
    changed: dict[str, str] = {}
    for name in ("model", "instructions"):
        if name in given:
            if not isinstance(given[name], str):
                raise Invalid(f"{name} is text.", field=f"overrides.{name}")
            changed[name] = given[name]
    return {
        "agents": {to.agent: changed} if changed else {},
        "messages": _messages(to, given["state"], has_instructions="instructions" in given) if "state" in given else [],
    }


def _messages(to: Checkpoint, state: Any, *, has_instructions: bool) -> list[dict[str, Any]]:
    """Without the instructions, unless they were edited here, and nowhere else."""
    saved = store.state_of(to)
    if not (isinstance(saved, dict) and saved.get("messages")):
        raise Invalid(
            "This checkpoint has no messages to edit; those after an answer or a tool's result have.",
            field="overrides.state",
        )
    messages = state.get("messages") if isinstance(state, dict) else state
    is_good = isinstance(messages, list) and messages and all(
        isinstance(one, dict) and one.get("role") in ("system", "user", "assistant", "tool") for one in messages
    )  # fmt: skip
    if not is_good or not isinstance(messages, list):
        raise Invalid(
            'The edited state has "messages": an array of messages, each with a role (system, user, assistant, tool).',
            field="overrides.state",
        )
    if (
        len(messages) > 1
        and messages[0]["role"] == "system"
        and (has_instructions or messages[0] == saved["messages"][0])
    ):
        return messages[1:]
    return messages


def _undoable(team: Team, run: str, position: int, undo: Sequence[str]) -> list[str]:
    """The keys of these steps. Raises Invalid, Conflict."""
    if not undo:
        return []
    known: dict[str, Kept] = {}
    for one in steps.of_run(team.pk, run):
        known |= {one.key.hex(): one, str(one.position): one}
    for name in undo:
        step = known.get(name)
        if step is None or not step.has_undo or step.position is None or step.position <= position:
            raise Invalid("Only a step after the checkpoint whose tool has an undo can be undone.", field="undo")
        if step.undone_at is not None:
            raise Conflict(f"{step.name} (step {step.position}) was undone already.", field="undo")
    return list(dict.fromkeys(known[name].key.hex() for name in undo))


def _reason(wish: Wish) -> str:
    return states.reason_of(wish.reason)[:REASON_CHARACTERS_MAX]


def _budget(value: Decimal) -> Decimal:
    if value <= 0:
        raise Invalid("A budget is more than 0.", field="budget_usd")
    return value


# --- by itself --------------------------------------------------------------------------------------------------------


def _before(job: AgentJob, stop: Stop) -> Checkpoint | None:
    """The checkpoint to go back to: before the loop began, or after its first pass where the run began with it; else the last."""
    rows = Checkpoint.objects.filter(team=job.team_id, run=job.run, superseded_at=None).order_by("-version")
    if not isinstance(stop, Looped):
        return rows.first()
    done = [step for step in steps.of_run(job.team_id, job.run) if step.position is not None and not step.is_inherited]
    answers = [place for place, step in enumerate(done) if step.kind == "model"]
    first = max(int(stop.details.get("first_step") or 1), 2)
    if len(answers) < first:
        return None
    to = done[answers[first - 1] - 1].checkpoint_id
    return None if to is None else rows.filter(id=to).first()


def _hint(job: AgentJob, agent: str, reason: str) -> str:
    changed = JobRun.objects.get(team=job.team_id, run=job.run).overrides.get("agents") or {}
    told = {**body_of(job.definition, agent), **changed.get(agent, {})}.get("instructions") or ""
    return f"{told}\n\nYou went round in circles before: {reason} Go another way, or answer with what you know.".strip()
