"""Runs for tests of what is read: told through the product's own writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.tracking.ingest.spans import call, span, stored
from tracking import pricing
from tracking.ingest.writer import Store
from tracking.models import Run, Team
from wflo.spans import Kind, Span, Status

UNPRICED = "nobody-prices-this"


@contextmanager
def a_store() -> Iterator[Store]:
    """A writer's own connection, with prices to charge by."""
    pricing.load_bundled()
    store = Store()
    try:
        yield store
    finally:
        store.close()


def agent(number: int, name: str, **fields: Any) -> Span:
    return span(number, kind=Kind.AGENT, agent=name, name=f"invoke_agent {name}", **fields)


def tool(number: int, name: str, **fields: Any) -> Span:
    return span(number, kind=Kind.TOOL, tool_name=name, name=f"execute_tool {name}", **fields)


def told_run(trace: int = 1, *, says: str = "Find the parcel", **fields: Any) -> list[Span]:
    """A root that was asked something, two model calls of two agents, a tool call that failed."""
    return [
        agent(1, "planner", trace=trace, lasts=9, attributes={"input.value": says, "output.value": "It is in Oslo."}, **fields),
        call(2, trace=trace, parent=1, attributes=_messages(says, "I will look it up.")),
        tool(3, "carriers.find", trace=trace, parent=1, status=Status.ERROR, error="carrier answered 503"),
        agent(4, "writer", trace=trace, parent=1, lasts=3),
        call(5, trace=trace, parent=4, tokens=(2000, 300), model="gpt-4o", purpose="Write the answer"),
    ]  # fmt: skip


def _messages(asked: str, answered: str) -> dict[str, Any]:
    return {
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": asked,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": answered,
    }


def tell_one(store: Store, team: Team, trace: int = 1, **fields: Any) -> Run:
    stored(store, team, *told_run(trace, **fields))
    return Run.objects.get(team=team, trace_id=f"{trace:032x}")


def tell_many(store: Store, team: Team) -> None:
    """Twelve runs that differ in everything the list can be asked for; trace ids 1 to 12."""
    for trace in range(1, 13):
        facts: dict[str, Any] = {
            "user_id": f"u{trace % 3}",
            "environment": None if trace % 4 == 0 else ("prod", "dev")[trace % 2],
            "tags": ("nightly",) if trace % 5 == 0 else (),
            "session_id": "s1" if trace < 4 else None,
        }
        root = agent(
            1, ("planner", "scout")[trace % 2], trace=trace, begins=trace // 2 * 100, lasts=trace % 5 + 0.5,
            status=Status.ERROR if trace % 6 == 0 else Status.OK, error="it broke" if trace % 6 == 0 else None,
            attributes={"input.value": f"Task {trace}"}, run_id=f"ours-{trace}", **facts,
        )  # fmt: skip
        calls = [
            call(
                number, trace=trace, parent=1, begins=trace // 2 * 100 + 0.1, tokens=(100 * (trace % 4), 10),
                model=UNPRICED if trace % 3 == 0 else "gpt-4o-mini",
            )
            for number in range(2, 2 + trace % 4)
        ]  # fmt: skip
        stored(store, team, root, *calls)
