"""A small cast of steps for the rule of loops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from wflo.loops import (
    INGEST,
    LoopMemory,
    LoopPolicy,
    Step,
    Verdict,
    advance,
    tool_step,
)
from wflo.loops.turns import chat_answer, chat_fingerprint
from wflo.spans import Kind

SECOND = 10**9
T0 = 1_760_000_000 * SECOND


def ask(*said: str, answer: str | None = "", agent: str = "a", at: float = 0, **more: Any) -> Step:
    """A call of a model. ``said``: the talk, the user first, then in turns; ``answer`` None: not known."""
    messages = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(said)]
    options = {key: more.pop(key) for key in ("n", "temperature", "model", "seed") if key in more}
    system = [{"role": "system", "content": more.pop("system")}] if "system" in more else []
    started = T0 + round(at * SECOND)
    known = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
    fields: dict[str, Any] = {
        "kind": Kind.LLM,
        "agent": agent,
        "name": "gpt-4.1",
        "fingerprint": chat_fingerprint({"messages": [*system, *messages], **options}),
        "answer": None if answer is None else chat_answer(known),
        "started_ns": started,
        "ended_ns": started + SECOND,
        "cost_usd": Decimal("0.01"),
    }
    return Step(**(fields | more))


def call(
    name: str = "search",
    arguments: Any = None,
    result: Any = "found",
    *,
    at: float = 0,
    takes: float = 0.2,
    agent: str = "a",
    **more: Any,
) -> Step:
    started = T0 + round(at * SECOND)
    ended = started + round(takes * SECOND)
    given = {"q": "cats"} if arguments is None else arguments
    return tool_step(name, given, result, agent=agent, started_ns=started, ended_ns=ended, **more)


def run(steps: Iterable[Step], policy: LoopPolicy = INGEST) -> list[Verdict]:
    """The verdict at every step."""
    memory, verdicts = LoopMemory(), []
    for step in steps:
        memory, found = advance(memory, step, policy)
        verdicts.append(found)
    return verdicts


def agent_calls(calls: Iterable[Step], *, every: float = 3, user: str = "Go on.") -> list[Step]:
    """Calls of tools with the calls of the model that asked for them, one round every so many seconds."""
    steps: list[Step] = []
    for place, one in enumerate(calls):
        begins = place * every
        steps.append(ask(user, answer=None, at=begins))
        started = T0 + round((begins + 1.2) * SECOND)
        steps.append(replace(one, started_ns=started, ended_ns=started + (one.ended_ns - one.started_ns)))
    return [replace(step, fingerprint=_growing(step, place)) for place, step in enumerate(steps)]


def _growing(step: Step, place: int) -> Any:
    """The talk of an agent with tools grows, so no two of its requests are alike."""
    if step.fingerprint is None:
        return None
    return replace(
        step.fingerprint, request=f"r{place}", plain=f"p{place}", turn=f"t{place}", shape=f"s{place}", words=()
    )


def first(verdicts: list[Verdict]) -> int | None:
    """The ordinal of the first step that is part of a loop."""
    return next((place for place, one in enumerate(verdicts, start=1) if one.is_loop), None)


def telling(rounds: Iterable[tuple[str, str]], *, at: float, **options: Any) -> Step:
    """A call of a model whose request tells these calls and answers."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Compare."}]
    for n, (name, result) in enumerate(rounds):
        told = {"id": f"c{n}", "function": {"name": name, "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [told]},
            {"role": "tool", "tool_call_id": f"c{n}", "content": result},
        ]
    return replace(ask("", at=at), fingerprint=chat_fingerprint({"messages": messages, **options}), answer=None)
