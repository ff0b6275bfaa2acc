"""Runs to compare: a walk of steps, and one that goes on from it, told through the product's own writer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson

from tests.told import agent, call, tool
from tests.tracking.ingest.spans import BEGAN_NS, SECOND, stored
from tracking.checkpoints import store as checkpoints
from tracking.checkpoints.new import NewCheckpoint
from tracking.ingest.writer import Store
from tracking.models import Checkpoint, Rollback, Team
from tracking.reports.run import find_run
from tracking.reports.runs import RunRow
from wflo.spans import Span

MODEL = "gpt-4o-mini"  # 1,000 tokens in and 100 out: $0.00021


def asks(number: int, asked: str, answered: str, *, trace: int, **fields: Any) -> Span:
    return call(
        number, trace=trace, parent=1, agent=fields.pop("agent", "planner"), name=f"chat {fields.get('model', MODEL)}",
        attributes={
            "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": asked,
            "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": answered,
        },
        **fields,
    )  # fmt: skip


def uses(number: int, name: str, arguments: Any, result: Any, *, trace: int, **fields: Any) -> Span:
    return tool(
        number, name, trace=trace, parent=1, agent="planner",
        attributes={"gen_ai.tool.call.arguments": written(arguments), "gen_ai.tool.call.result": written(result)}, **fields,
    )  # fmt: skip


def written(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def root(name: str, *, trace: int, says: str = "Find the parcel", answers: str = "", **fields: Any) -> Span:
    said = {"input.value": says, "output.value": answers}
    return agent(1, "planner", trace=trace, run_id=name, lasts=fields.pop("lasts", 9), attributes=said, **fields)


def walk(name: str, *, trace: int = 1, answers: str = "It is in Oslo.", found: Any = None) -> list[Span]:
    """Think, look, think, answer."""
    return [
        root(name, trace=trace, answers=answers),
        asks(2, "Find the parcel", "I look it up.", trace=trace),
        uses(3, "parcels.find", {"id": 7, "deep": {"in": ["a"]}}, found or {"place": "Oslo"}, trace=trace),
        asks(4, "What now?", "Tell them.", trace=trace),
        asks(5, "Say it", answers, trace=trace),
    ]


def run_of(team: Team, name: str) -> RunRow:
    return find_run(team.id, name).run


def at(seconds: float) -> datetime:
    """As spans count: so many seconds after they began."""
    return datetime.fromtimestamp((BEGAN_NS + seconds * SECOND) / SECOND, UTC)


def saved(team: Team, run: str, seconds: float) -> Checkpoint:
    """What a run saved at a moment, told by itself in an event of its own."""
    told = checkpoints.save(NewCheckpoint(team_id=team.pk, run=run, state={"n": seconds}, redaction="off", name="here"))
    Checkpoint.objects.filter(team=team, id=told.id).update(created_at=at(seconds))
    return checkpoints.find(team, run, str(told.id))


def went_back(team: Team, to: Checkpoint, new_run: str, *, status: str = "taken") -> Rollback:
    return Rollback.objects.create(
        team=team, id=uuid4(), run=to.run, checkpoint_id=to.id, checkpoint_version=to.version, checkpoint_name=to.name, status=status,
        requested_by="Alice", requested_at=at(20), answered_at=at(21), new_run=new_run,
    )  # fmt: skip


def fork(
    store: Store, team: Team, *, says: str = "What now, in short?", answers: str = "Bergen."
) -> tuple[RunRow, RunRow]:
    """A run of four steps, and one that went back to after its second and took two others: the second and the fourth differ."""
    stored(store, team, *walk("first"))
    stored(
        store, team, root("second", trace=2, begins=30, lasts=4, answers=answers),
        asks(2, says, "Tell them.", trace=2, begins=31), asks(3, "Say it", answers, trace=2, begins=32, model="gpt-4o"),
    )  # fmt: skip
    went_back(team, saved(team, "first", 3.8), "second")
    return run_of(team, "first"), run_of(team, "second")
