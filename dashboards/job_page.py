"""What the page of one job shows: how it stands, its runs, its steps as they are done, its checkpoints, who is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dashboards.messages import cut, written
from tracking.checkpoints import store
from tracking.models import AgentJob, Approval, Team
from tracking.queue import costs, states, steps
from tracking.queue.live_door import token_of
from tracking.queue.steps import Kept
from tracking.reports import jobs as report
from tracking.steering import approvals

STEPS_SHOWN = 200
CHECKPOINTS_SHOWN = 30
BARS_HEIGHT, BARS_WIDTH = 40, 240
_WHAT_TO_DO = {
    "queued": "It waits for a worker.",
    "paused_budget": "Give it a larger budget, or raise the one that is used up: it goes on by itself then.",
    "waiting_approval": "It goes on when somebody has answered.",
    "needs_review": "Look at what changed, then retry it, or roll it back to a checkpoint before.",
    "failed": "Retry it: it goes on after its last step. Or roll it back to a checkpoint and change something.",
    "cancelled": "Retry it, and it goes on after its last step.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A step as a row."""

    step: Kept
    text: str
    arguments: str
    ms: float | None
    is_reused: bool
    is_under_way: bool


def body(team: Team, job: AgentJob) -> dict[str, Any]:
    every = steps.of_run(team.pk, job.run)
    done = [step for step in every if step.position is not None]
    lines = [_line(job, step) for step in every[-STEPS_SHOWN:]]
    cost = costs.of_jobs(team, [job])[job.id]
    runs = report.runs_of(team, job)
    is_over = job.status in ("completed", "failed", "cancelled")
    questions = approvals.of_team(team, status=Approval.Status.PENDING, run=job.run, limit=10)
    return {
        "team": team, "job": job, "cost": cost, "runs": runs, "lines": lines, "hidden": max(len(every) - STEPS_SHOWN, 0), "done": len(done),
        "reused": [step for step in done if step.run != job.run], "share": _share(job, cost.usd), "is_over": is_over,
        "what_to_do": _WHAT_TO_DO.get(job.status, ""), "output": _said(job.output), "token": "" if is_over else token_of(team.pk, job.id),
        "checkpoints": store.of_run(team, job.run, limit=CHECKPOINTS_SHOWN),
        "questions": [(one, None if one.payload is None else cut(written(one.payload))) for one in questions],
        "is_letter": job.status == AgentJob.Status.FAILED and states.letter_of(job) is not None,
        "members": [part["name"] for part in job.definition.get("members") or ()],
        "pattern": job.definition.get("pattern") or "single",
    }  # fmt: skip


def bars(counts: Sequence[int]) -> list[dict[str, int]]:
    """Places and sizes of a small chart: jobs that ended, a bar each minute or hour; those where none did are left out."""
    most, step = max(*counts, 1), BARS_WIDTH // len(counts)
    found = []
    for place, count in enumerate(counts):
        height = max(round(count / most * BARS_HEIGHT), 1)
        if count:
            ago = len(counts) - 1 - place
            found.append(
                {
                    "x": place * step,
                    "width": step - 1,
                    "y": BARS_HEIGHT - height,
                    "height": height,
                    "count": count,
                    "ago": ago,
                }
            )
    return found


def _line(job: AgentJob, step: Kept) -> Line:
    said = step.output.get("content") if isinstance(step.output, dict) else step.output
    calls = (
        [call["function"]["name"] for call in (step.output or {}).get("tool_calls") or ()]
        if isinstance(step.output, dict)
        else []
    )
    text = str(said or "") or (f"calls {', '.join(calls)}" if calls else "")
    ms = None if step.ended_at is None else (step.ended_at - step.begun_at).total_seconds() * 1000
    return Line(
        step, cut(text).text, "" if step.arguments is None else cut(written(step.arguments)).text, ms, step.run != job.run,
        step.position is None and job.status == AgentJob.Status.RUNNING,
    )  # fmt: skip


def _share(job: AgentJob, usd: Decimal | None) -> Decimal | None:
    """Of its budget that is spent."""
    return None if job.budget_usd is None or usd is None else min(usd / job.budget_usd, Decimal(1))


def _said(output: Any) -> Any:
    return None if output is None else cut(output if isinstance(output, str) else written(output))
