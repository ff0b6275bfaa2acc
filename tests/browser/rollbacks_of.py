"""Jobs to roll back, for the browser's site: one under way that commented thrice, and what others like it cost."""

from __future__ import annotations

from decimal import Decimal

from tests.browser.alerts_of import in_a_thread
from tests.browser.hostile import PAYLOADS
from tests.browser.site import AGENT
from tests.tracking.queue.walked import walk
from tracking.audit import SYSTEM
from tracking.models import AgentJob, JobStep, Team
from tracking.queue import forks, states
from tracking.queue.forks import Wish
from tracking.steering import approvals

DEFINITION = {
    "name": AGENT, "model": "gpt-4o",
    "instructions": "You are the carrier desk. Find out where the parcel is.\nLook again until the status changes.\nNever promise a date.",
}  # fmt: skip
TURN = (
    ("model", "gpt-4o", "I look the parcel up."),
    ("tool", "tickets.comment", "We are looking for parcel JD0146."),
    ("model", "gpt-4o", "Still pending. I look again."),
)
QUESTION = {
    "action": "tickets.comment", "agent": AGENT, "risk": "medium", "question": "Comment on the customer's ticket?",
    "payload": {"text": "The carrier has not moved parcel JD0146 since Monday, and " * 4}, "timeout_s": 3_600, "on_timeout": "reject",
}  # fmt: skip


def fill(slug: str) -> dict[str, str]:
    return in_a_thread(lambda: _filled(Team.objects.get(slug=slug)))


def _filled(team: Team) -> dict[str, str]:
    for price in ("0.03", "0.05", "0.09"):
        states.ended(walk(team, TURN * 3, definition=DEFINITION, price=price), AgentJob.Status.COMPLETED)
    job = walk(
        team,
        TURN * 4,
        asked="Refund for order 88214, parcel never arrived",
        definition=DEFINITION,
        price="0.047",
        budget_usd=Decimal(1),
    )
    JobStep.objects.filter(team=team, run=job.run, position=5).update(has_undo=False)
    JobStep.objects.filter(team=team, run=job.run, position=8).update(
        undo_error="HTTPError: 503 from the ticket system"
    )
    gone = walk(team, TURN * 2, definition=DEFINITION, price="0.047")
    row = forks.rollback(team, gone.run, Wish(checkpoint="3", reason="it promised a date"), actor=SYSTEM)
    approvals.request(team, row.new_run, QUESTION)
    return {"walked": job.run, "went_back": str(gone.id)}


def attack(slug: str) -> dict[str, str]:
    """The corpus in what a job was asked, what its tools are called and were given, and why it was rolled back."""
    team = Team.objects.get(slug=slug)
    definition = {**DEFINITION, "instructions": "\n".join(PAYLOADS)}
    done = [("tool" if place % 2 else "model", text, text) for place, text in enumerate(PAYLOADS[:40])]
    job = walk(team, done, asked=PAYLOADS[0], definition=definition)
    JobStep.objects.filter(team=team, run=job.run, position=6).update(undo_error=PAYLOADS[0][:500])
    gone = walk(team, done, asked=PAYLOADS[1], definition=definition)
    forks.rollback(team, gone.run, Wish(checkpoint="3", reason=PAYLOADS[2][:500]), actor=SYSTEM)
    return {"walked": job.run, "went_back": str(gone.id)}
