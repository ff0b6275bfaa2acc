"""One run of a claimed job: made again from its beginning, its steps read as far as they go, and made from there on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction

from tracking.errors import Invalid, TooLarge, Unavailable, WfloServerError
from tracking.gateway.threads import in_thread
from tracking.keys import Caller, caller_of
from tracking.models import AgentJob, JobRun
from tracking.queue import forks, states
from tracking.queue.build import Crew, is_strict, risks_of
from tracking.queue.claims import Claim
from tracking.queue.journal import Journal
from tracking.queue.kept_tools import Keeper
from tracking.queue.live import Words
from tracking.queue.model import GuardedModel
from tracking.queue.places import Conversations
from tracking.queue.spans import Teller
from tracking.queue.stops import (
    Again,
    Broke,
    Cancelled,
    Diverged,
    Failed,
    Held,
    Killed,
    Looped,
    Lost,
    Stop,
    Waiting,
    Yielded,
    stop_in,
)
from tracking.queue.undoing import undo
from tracking.redaction import redactor
from tracking.sql import statements
from wflo.agents.errors import LLMError
from wflo.agents.steps import Step, StepKind, watching

log = logging.getLogger("wflo.queue")
Status = AgentJob.Status


@dataclass(slots=True)
class Running:
    """A job under way in this process. ``stop`` ends it: at its next step, or, where it is cancelled, now."""

    claim: Claim
    task: asyncio.Task[None] | None = None
    journal: Journal | None = None
    wanted: Stop | None = None

    def stop(self, why: Stop, *, now: bool = False) -> None:
        self.wanted = self.wanted or why
        if self.journal is not None:
            self.journal.stop = self.wanted
        if now and self.task is not None:
            self.task.cancel()


async def run(running: Running) -> None:
    """Do a claimed job as far as it goes, and say how it went. Raises nothing but what nobody foresaw."""
    claim = running.claim
    try:
        output = await _done(running)
    except BaseException as error:
        stop = running.wanted if isinstance(error, asyncio.CancelledError) else stop_in(error)
        await _stopped(claim, stop if stop is not None else _unforeseen(error))
        if stop is None and not isinstance(error, Exception):
            raise
    else:
        await _written(claim, lambda job: states.ended(job, Status.COMPLETED, output=output))


async def _done(running: Running) -> Any:
    claim = running.claim
    job, job_run = await in_thread(lambda: _read(claim))
    caller = await in_thread(lambda: caller_of(job.team, key_id=job.key_id, name=job.created_by, user_id=job.user_id))
    journal = await Journal.opened(
        job.team, claim, job.run, steps_max=job.steps_max, is_strict=is_strict(job.definition),
    )  # fmt: skip
    running.journal = journal
    await undo(job, job_run)
    journal.stop = running.wanted
    words = Words(job.team_id, job.run)
    teller = Teller(caller, job.run, job_run.parent)
    crew = _crew(job, journal, caller, teller, words, job_run.overrides.get("agents") or {})
    minutes = float((job.definition.get("limits") or {}).get("minutes") or settings.LIMITS["job_minutes"])
    await teller.run_began(job.agent, job.agent, job.input, job.metadata)
    try:
        with watching(_marker(journal)):
            async with asyncio.timeout(minutes * 60):
                output = await crew.run_all(job.definition, job.input)
    except TimeoutError:
        failure: BaseException = Failed(f"The job did not end within its {minutes:g} minutes.")
        await teller.run_ended(error=str(failure))
        raise failure from None
    except BaseException as error:
        await _told(teller, error)
        raise
    finally:
        await words.close()
        await crew.close()
    await teller.run_ended(output=output)
    return _clean(output, redactor(job.team.redaction).body)


def _crew(
    job: AgentJob, journal: Journal, caller: Caller, teller: Teller, words: Words, changes: dict[str, Any]
) -> Crew:
    conversations = Conversations(redactor(job.team.redaction).body)
    pattern = str(job.definition.get("pattern") or "single")
    model = GuardedModel(
        journal=journal, conversations=conversations, caller=caller, job_id=str(job.id), pattern=pattern,
        budget_left=lambda: in_thread(lambda: budget_left(job)), said=words.said, over=words.over, metadata=job.metadata,
    )  # fmt: skip
    keeper = Keeper(journal, conversations, teller, pattern, risks_of(job.definition))
    return Crew(job.team, str(job.id), job.run, model, keeper, teller, changes)


def budget_left(job: AgentJob) -> Decimal | None:
    """What this run of the job may spend: the job's budget, without what its other runs spent. None: no budget of its own."""
    budget = AgentJob.objects.filter(team=job.team_id, id=job.id).values_list("budget_usd", flat=True).get()
    if budget is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(statements("queue")["spent"], {"team": job.team_id, "job": job.id})
        others = sum((usd for run, usd in cursor.fetchall() if run != job.run), Decimal(0))
    return max(budget - others, Decimal(0))


def _marker(journal: Journal) -> Callable[[Step], Any]:
    """Turns of a pattern and its stages are checkpoints too; models' answers and tools' results make their own."""

    async def mark(step: Step) -> None:
        if step.kind in (StepKind.TURN, StepKind.STAGE) and not journal.is_reading:
            state = {
                "kind": str(step.kind),
                "agent": step.agent,
                "pattern": step.workflow,
                "name": step.name,
                "said": step.text,
                "number": step.number,
            }
            await journal.marked(f"{step.kind} {step.name}", step.agent, state)

    return mark


# --- how it went ------------------------------------------------------------------------------------------------------


async def _told(teller: Teller, error: BaseException) -> None:
    """Of the run itself, where it is over with this."""
    stop = stop_in(error)
    if isinstance(stop, Failed | Looped | Killed) or (stop is None and isinstance(error, Exception)):
        await teller.run_ended(error=str(stop or error))


def _unforeseen(error: BaseException) -> Stop:
    if isinstance(error, LLMError):
        return Failed(str(error))
    if isinstance(error, TooLarge | Invalid):
        return Failed(error.message)
    if isinstance(error, Unavailable):
        return Again(error.message)
    if isinstance(error, asyncio.CancelledError):
        return Yielded()
    if isinstance(error, BaseExceptionGroup):
        return _unforeseen(error.exceptions[0])
    if not isinstance(error, WfloServerError):
        log.error("a job failed in a way nobody foresaw", exc_info=error)
    return Failed(f"{type(error).__name__}: {error}")


async def _stopped(claim: Claim, stop: Stop) -> None:
    if isinstance(stop, Lost):
        log.info("job %s: %s", claim.job_id, stop.reason)
        return

    def write(job: AgentJob) -> None:
        reason = stop.reason
        if isinstance(stop, Broke | Looped | Failed) and forks.rolled_back_by_itself(job, stop):
            return
        if isinstance(stop, Yielded):
            states.yielded(job)
        elif isinstance(stop, Held):
            states.held(job, reason, stop.after_s)
        elif isinstance(stop, Again):
            states.again(job, reason, stop.after_s)
        elif isinstance(stop, Broke):
            states.pauses(job, reason, stop.details)
        elif isinstance(stop, Waiting):
            states.waits(job, Status.WAITING_APPROVAL, reason)
        elif isinstance(stop, Diverged):
            states.waits(job, Status.NEEDS_REVIEW, reason)
        elif isinstance(stop, Cancelled | Killed):
            states.ended(job, Status.CANCELLED, reason=reason or job.reason)
        else:
            states.ended(job, Status.FAILED, reason=reason)

    await _written(claim, write)


async def _written(claim: Claim, write: Callable[[AgentJob], None]) -> None:
    """Under the claim's fence: who lost the job writes nothing."""

    def work() -> None:
        with transaction.atomic():
            job = (
                AgentJob.objects.select_for_update(of=("self",)).select_related("team")
                .filter(team=claim.team_id, id=claim.job_id, fence=claim.fence, status=Status.RUNNING).first()
            )  # fmt: skip
            if job is not None:
                write(job)

    for attempt in range(6):
        try:
            await in_thread(work)
            return
        except Unavailable:
            await asyncio.sleep(0.5 * 2**attempt)
    log.error("job %s: how it went could not be written; its lease will run out", claim.job_id)


def _read(claim: Claim) -> tuple[AgentJob, JobRun]:
    job = AgentJob.objects.select_related("team").get(team=claim.team_id, id=claim.job_id)
    return job, JobRun.objects.get(team=claim.team_id, run=job.run)


def _clean(value: Any, clean: Callable[[bytes], bytes]) -> Any:
    return orjson.loads(clean(orjson.dumps(value, default=str)).replace(b"\\u0000", b"\\ufffd"))
