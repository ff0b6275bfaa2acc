"""A job that did some steps, as a worker would have written them, without a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tracking.audit import SYSTEM
from tracking.models import AgentJob, Team
from tracking.queue import steps
from tracking.queue.claims import Claim
from tracking.queue.journal import Journal
from tracking.queue.submit import Wanted, submit

DEFINITION = {"name": "helper", "model": "demo/echo", "instructions": "Be brief."}
WALK = (("model", "echo", "a"), ("tool", "write_down", "wrote it"), ("model", "echo", "done"))


def walk(
    team: Team,
    done: Sequence[tuple[str, str, str]] = WALK,
    *,
    asked: str = "look for owls",
    definition: dict[str, Any] | None = None,
    has_undo: bool = True,
    price: str | None = "0.25",
    **fields: Any,
) -> AgentJob:
    """Each step: its kind, its name, what it said. Tools change the world; models cost ``price``, None for one that nobody knows."""
    wanted = Wanted(input=asked, definition=definition or DEFINITION, **fields)
    job, _ = submit(team, wanted, actor=SYSTEM)
    AgentJob.objects.filter(team=team, id=job.id).update(
        status=AgentJob.Status.RUNNING, fence=1, lease_until=job.created_at + timedelta(days=1)
    )
    claim = Claim(team.pk, job.id, 1)
    agent = str((definition or DEFINITION)["name"])
    journal = Journal(team, claim, job.run, steps_max=len(done) + 1, is_strict=True)
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": asked}]
    for place, (kind, name, said) in enumerate(done):
        step = steps.Begin(
            run=job.run, key=bytes([place]) * 16, kind=kind, agent=agent, name=name, lane=b"l" * 16, ordinal=place,
            effect="write" if kind == "tool" else "", has_undo=kind == "tool" and has_undo,
            arguments={"text": said} if kind == "tool" else None,
        )  # fmt: skip
        assert steps.begin(claim, step) == 1
        message = {"role": "assistant" if kind == "model" else "tool", "content": said}
        messages = [*messages, message]
        usd = Decimal(price) if kind == "model" and price is not None else None
        step_done = steps.Done(output=message, cost_usd=usd, input_tokens=100, output_tokens=10)
        steps.end(claim, step, step_done, journal._checkpoint(f"{kind} {name}", step, messages, "single"))
    job.refresh_from_db()
    return job
