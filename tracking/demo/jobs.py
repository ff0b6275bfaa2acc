"""Agents that work for the demo team, on the models that need no key: one that gets done, several together, one that asks first, one
that goes round in circles, one without money. Its workers do them as they do anybody's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tracking.agents import store
from tracking.agents.definition import Definition
from tracking.audit import Actor
from tracking.models import AgentJob, Team
from tracking.queue import schedules, states, submit
from tracking.queue.submit import Wanted

AGENTS: tuple[dict[str, Any], ...] = (
    {
        "name": "delivery-desk", "description": "Answers what customers ask about dates and sums.", "model": "demo/agent",
        "instructions": "Answer from what the tools say.\nOne paragraph, no promise of a date.", "tools": ["clock", "calculator"],
    },
    {
        "name": "customer-notes", "description": "Keeps what customers told us; somebody says yes to each note.", "model": "demo/agent",
        "instructions": "Write down what was told, under the customer's number.", "tools": ["recall", "remember"],
        "approvals": {"remember": "medium"},
    },
    {
        "name": "parcel-watch", "description": "Looks after a parcel until it is there.", "model": "demo/loop",
        "instructions": "Look again until the parcel is there.", "tools": ["clock"], "limits": {"steps": 120, "tool_iterations": 60},
    },
    {
        "name": "newsroom", "description": "A draft, its facts, its last words.", "model": "demo/agent", "pattern": "pipeline",
        "members": [
            {"name": "drafter", "instructions": "Write three sentences."},
            {"name": "fact-checker", "instructions": "Say what is not certain.", "tools": ["clock"]},
            {"name": "editor", "instructions": "Make one paragraph of it."},
        ],
    },
)  # fmt: skip
ASKED: tuple[tuple[str, str, Decimal | None], ...] = (
    ("delivery-desk", "Three parcels at 4.90 each left on Monday: what do they come to, and which week is it?", Decimal("0.5")),
    ("newsroom", "The office is closed on the first Friday of the month.", Decimal("0.5")),
    ("customer-notes", "Customer 5521 wants invoices by post.", Decimal("0.5")),
    ("parcel-watch", "Where is parcel JD0146?", Decimal("0.5")),
    ("delivery-desk", "What do 1,200 labels at 0.031 come to?", Decimal("0.00001")),
)  # fmt: skip
SCHEDULE = ("Morning news", "newsroom", "What is new today, in a paragraph.", "0 7 * * 1-5")


def begin(team: Team, *, actor: Actor) -> int:
    """Have them asked, once however often; how many jobs there are. Raises Invalid."""
    known = store.names(team)
    for agent in AGENTS:
        if agent["name"] not in known:
            store.save(team, Definition.read(team, agent), actor=actor, note="as the demo has it", expected_version=0)
    for place, (agent_name, text, budget_usd) in enumerate(ASKED):
        wanted = Wanted(agent=agent_name, input=text, budget_usd=budget_usd, idempotency_key=f"demo {place}")
        submit.submit(team, wanted, actor=actor)
    name, agent_name, text, cron = SCHEDULE
    if name not in {row.name for row in schedules.of_team(team)}:
        schedules.make(team, name=name, agent=agent_name, input=text, cron=cron, budget_usd=Decimal("0.5"), actor=actor)
    return len(ASKED)


def end(team: Team, *, actor: Actor) -> None:
    """No more of them are done, nor asked for."""
    for row in schedules.of_team(team):
        schedules.remove(team, row.id, actor=actor)
    for job in AgentJob.objects.filter(team=team).exclude(status__in=states.ENDED):
        states.cancel(team, job.id, reason="The demo is removed.", actor=actor)
