"""Jobs on the server: an agent that a team keeps there is asked to do something, waited for, and sent back to a checkpoint.

    job = start_job("researcher", "Write about owls", budget_usd=2).wait()
    print(job.output, job.cost_usd)
    shorter = fork(job.run, 3, instructions="Be brief.").wait()

Needs a server (``WFLO_ENDPOINT``) and a key with the scope "jobs", or "admin". ``roll_back`` is for any run, also for one that
another process drives: that one is asked, and goes on when it hears of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from wflo.client import Client, client
from wflo.errors import ServerError

OVER = frozenset({"completed", "failed", "cancelled"})
ASK_SECONDS, ASK_MAX_SECONDS = 0.25, 3.0


@dataclass(frozen=True, slots=True)
class Job:
    """As it stood when it was asked for last. ``status``: queued, running, paused_budget, waiting_approval, needs_review, completed,
    failed, cancelled; ``reason`` says why it stands so. ``runs``: oldest first. ``cost_usd`` is of all of them, None while nothing
    of it is known; ``told`` is all that the server said."""

    id: str
    agent: str
    status: str
    reason: str
    output: Any
    runs: tuple[str, ...]
    cost_usd: Decimal | None
    budget_usd: Decimal | None
    told: Mapping[str, Any] = field(repr=False)

    @property
    def run(self) -> str:
        """The latest of its runs."""
        return self.runs[-1]

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    def refreshed(self) -> Job:
        """As it stands now. Raises ServerError."""
        return find_job(self.id)

    def wait(self, timeout_seconds: float | None = None) -> Job:
        """As it stands once it is over. What waits for a person or for money is waited for too. Raises TimeoutError, ServerError."""
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        job, pause = self.refreshed(), ASK_SECONDS
        while not job.is_over:
            left = pause if until is None else until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"The job {self.id} is {job.status}{f': {job.reason}' if job.reason else ''}")
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, ASK_MAX_SECONDS)
            job = _asked_again(job)
        return job

    async def wait_async(self, timeout_seconds: float | None = None) -> Job:
        """The same for code that awaits."""
        return await asyncio.to_thread(self.wait, timeout_seconds)

    def cancel(self, reason: str = "") -> Job:
        """Stops it within ten seconds; one that is over stays as it is. Raises ServerError."""
        return _job(_server().post(f"/api/v1/agent-jobs/{self.id}/cancel", {"reason": reason}))

    def retry(self) -> Job:
        """Takes it up again after its last step. Raises ServerError, with status 409 when there is nothing to try again."""
        return _job(_server().post(f"/api/v1/agent-jobs/{self.id}/retry", {}))

    def change(self, *, budget_usd: Decimal | float | None = None, priority: int | None = None) -> Job:
        """More money, or another place in the queue; a job that was out of money goes on. Raises ServerError."""
        body = _given(budget_usd=_text(budget_usd), priority=priority)
        return _job(_server().request("PATCH", f"/api/v1/agent-jobs/{self.id}", body))


@dataclass(frozen=True, slots=True)
class Rollback:
    """``status``: taken, with the run that goes on as ``new_run``; or requested, of a run whose process has not heard of it yet."""

    id: str
    run: str
    checkpoint: int
    status: str
    new_run: str | None


def start_job(
    agent: str | Mapping[str, Any],
    input: str,
    *,
    version: int | None = None,
    budget_usd: Decimal | float | None = None,
    max_steps: int | None = None,
    priority: int = 0,
    metadata: Mapping[str, Any] | None = None,
    idempotency_key: str = "",
) -> Job:
    """Have an agent of the team do something: its name, or a definition for this job alone. The same ``idempotency_key`` again is
    the same job. Raises ServerError naming the field."""
    who = {"agent": agent, "version": version} if isinstance(agent, str) else {"definition": dict(agent)}
    rest = _given(
        **who, budget_usd=_text(budget_usd), max_steps=max_steps, metadata=metadata, idempotency_key=idempotency_key or None
    )  # fmt: skip
    return _job(_server().post("/api/v1/agent-jobs", {"input": input, "priority": priority, **rest}))


def find_job(id: str) -> Job:
    """Raises ServerError, with status 404 when the team has no such job."""
    return _job(_server().get(f"/api/v1/agent-jobs/{quote(id, safe='')}"))


def roll_back(
    run: str,
    checkpoint: str | int = "latest",
    *,
    model: str | None = None,
    instructions: str | None = None,
    state: Any = None,
    undo: Sequence[str | int] = (),
    budget_usd: Decimal | float | None = None,
    reason: str = "",
    id: str | None = None,
) -> Rollback:
    """Have a run go on from a checkpoint (id, version or "latest") in a run of its own; what came after stays on record.

    A job's run is stopped and goes on at once; ``undo`` are steps (positions or keys) whose effects are taken back first, and
    ``id``, made by the caller, makes a rollback that is asked twice one. A run that another process drives is asked. ``state`` is
    the checkpoint's, edited; ``budget_usd`` is for what comes. Raises ServerError naming the field.
    """
    body = _wish(checkpoint, model, instructions, state, budget_usd, reason, id)
    body |= {"undo": [str(step) for step in undo]}
    found = _server().post(f"/api/v1/runs/{quote(run, safe='')}/rollback", body)
    return Rollback(
        id=found["id"], run=found["run"], checkpoint=found["checkpoint"]["version"], status=found["status"], new_run=found["new_run"]
    )  # fmt: skip


def fork(
    run: str,
    checkpoint: str | int = "latest",
    *,
    model: str | None = None,
    instructions: str | None = None,
    state: Any = None,
    budget_usd: Decimal | float | None = None,
    reason: str = "",
    id: str | None = None,
) -> Job:
    """A new job that goes on from a checkpoint of a job's run, which is left alone. ``id``, made by the caller, is the new job's, so
    that a fork that is asked twice is one. Raises ServerError, with status 409 for a run that another process drives."""
    body = _wish(checkpoint, model, instructions, state, budget_usd, reason, id)
    return _job(_server().post(f"/api/v1/runs/{quote(run, safe='')}/fork", body))


def _wish(
    checkpoint: str | int, model: str | None, instructions: str | None, state: Any,
    budget_usd: Decimal | float | None, reason: str, id: str | None,
) -> dict[str, Any]:  # fmt: skip
    overrides = _given(model=model, instructions=instructions, state=state)
    rest = _given(budget_usd=_text(budget_usd), id=id)
    return {"checkpoint": checkpoint, "reason": reason, "overrides": overrides, **rest}


def _asked_again(job: Job) -> Job:
    """A server that is away for a moment is asked again later."""
    try:
        return job.refreshed()
    except ServerError as error:
        if not error.may_pass:
            raise
        return job


def _server() -> Client:
    found = client()
    if found is None:
        raise ServerError("Jobs are the server's: set WFLO_ENDPOINT and WFLO_API_KEY, or call wflo.configure().")
    return found


def _job(told: Mapping[str, Any]) -> Job:
    return Job(
        id=told["id"], agent=told["agent"], status=told["status"], reason=told["reason"] or "", output=told["output"],
        runs=tuple(told["run_ids"]), cost_usd=_decimal(told["cost_usd"]), budget_usd=_decimal(told["budget_usd"]), told=told,
    )  # fmt: skip


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _text(usd: Decimal | float | None) -> str | None:
    return None if usd is None else str(usd)


def _decimal(usd: float | None) -> Decimal | None:
    return None if usd is None else Decimal(str(usd))
