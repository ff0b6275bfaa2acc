"""Labelled traces of agents (tests/data/loops), played through the four doors that a run can be seen by.

A trace is a short script; ``played`` makes of it the calls of models and tools that would have happened, and ``requests`` and
``spans`` are what a gateway or a tracer would have seen of them. ``seen`` says at which call of a model the detector spoke.

A script has ``agents`` (name to system prompt) and ``events``, one after the other:
  {"user": text, "to": agent}            somebody says something to an agent
  {"ask": agent, "text": answer}         a call of a model that answers in words
  {"ask": agent, "calls": [[tool, arguments]], "results": [answer], "errors": [true]}   one that calls tools
  {"new": agent}                         the agent forgets its talk: the next item of a batch
  {"together": [ask, ask]}               calls in flight at the same time, each so many seconds ``after`` the first
  {"sleep": seconds}
``talk``: "own" (each agent has its own talk), "shared" (all read one, as after a hand-over), "group" (what one says the
others hear). A script may hold ``raw`` instead of events: messages in a provider's own shape, added call by call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from wflo import loops
from wflo.loops import LoopMemory, LoopPolicy, Step, Verdict
from wflo.spans import Kind

FOLDER = Path(__file__).resolve().parent / "data" / "loops"
DOORS = ("chat", "anthropic", "responses", "spans")
MODEL = "gpt-4.1-mini"
BEGAN_NS = 1_760_000_000 * 10**9
CALL_SECONDS, TOOL_SECONDS, CALL_USD = 1.5, 0.4, "0.002"


@dataclass(frozen=True, slots=True)
class Trace:
    name: str
    family: str
    framework: str
    is_by_hand: bool
    loop_at: int | None  # the call of a model at which a person would say "this is a loop"; None: honest
    script: dict[str, Any]

    @property
    def is_loop(self) -> bool:
        return self.loop_at is not None


@dataclass(slots=True)
class ToolRun:
    name: str
    arguments: Any
    result: Any
    is_error: bool
    started_ns: int
    ended_ns: int


@dataclass(slots=True)
class ModelCall:
    """One call of a model. ``messages`` are what it was sent, in one neutral shape: role, text, calls, results, name."""

    agent: str
    messages: list[dict[str, Any]]
    answer: dict[str, Any]
    options: dict[str, Any]
    started_ns: int
    ended_ns: int
    cost_usd: Decimal | None
    has_failed: bool = False
    attempt: int = 0
    dialect: str | None = None  # of raw messages
    tools: list[ToolRun] = field(default_factory=list)


def traces() -> list[Trace]:
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        held = json.loads(path.read_text())
        for one in held["traces"]:
            found.append(
                Trace(
                    one["name"],
                    held["family"],
                    one.get("framework", ""),
                    held["by"] == "hand",
                    one["loop_at"],
                    one,
                )
            )
    return found


# --- what happened ----------------------------------------------------------------------------------------------------


class _Stage:
    """Plays a script: keeps each agent's talk and the clock."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.agents: dict[str, str] = script["agents"]
        self.talk: str = script.get("talk", "own")
        self.talks: dict[str, list[dict[str, Any]]] = {agent: [] for agent in self.agents}
        self.clock_ns = BEGAN_NS
        self.ids = 0
        self.calls: list[ModelCall] = []
        for event in script["events"]:
            self.play(event)

    def play(self, event: dict[str, Any]) -> None:
        if "sleep" in event:
            self.clock_ns += _ns(event["sleep"])
        elif "new" in event:
            self.of(event["new"]).clear()
        elif "user" in event:
            for agent in [event["to"]] if "to" in event else self.agents:
                message = {"role": "user", "text": event["user"]}
                if message not in self.of(agent)[-1:] or self.talk == "own":
                    self.of(agent).append(message)
        elif "together" in event:
            began = self.clock_ns
            ends = []
            for one in event["together"]:
                self.clock_ns = began + _ns(one.get("after", 0))
                self.ask(one, is_kept=False)
                ends.append(self.clock_ns)
            self.clock_ns = max(ends)
        else:
            self.ask(event)

    def of(self, agent: str) -> list[dict[str, Any]]:
        return self.talks[next(iter(self.agents)) if self.talk == "shared" else agent]

    def ask(self, event: dict[str, Any], *, is_kept: bool = True) -> None:
        agent = event["ask"]
        began = self.clock_ns
        self.clock_ns += _ns(event.get("s", CALL_SECONDS))
        call = ModelCall(
            agent=agent,
            messages=[{"role": "system", "text": self.agents[agent]}, *self.of(agent)],
            answer={"text": event.get("text"), "calls": self._with_ids(event.get("calls", []))},
            options={"model": MODEL} | {key: event[key] for key in ("model", "temperature", "n") if key in event},
            started_ns=began,
            ended_ns=self.clock_ns,
            cost_usd=None if event.get("usd", "") is None else Decimal(event.get("usd", CALL_USD)),
            has_failed=event.get("failed", False),
            attempt=event.get("attempt", 0),
        )
        self.calls.append(call)
        if call.has_failed or not is_kept:
            return
        self._say(agent, {"role": "assistant", **call.answer})
        if "results" in event:
            self._run(call, event)

    def _with_ids(self, calls: list[Any]) -> list[tuple[str, str, Any]]:
        found = []
        for name, arguments in calls:
            self.ids += 1
            found.append((f"call_{self.ids:04d}", name, arguments))
        return found

    def _say(self, agent: str, message: dict[str, Any]) -> None:
        self.of(agent).append(message)
        if self.talk == "group" and message["text"]:
            for other in self.agents:
                if other != agent:
                    self.of(other).append({"role": "user", "text": message["text"], "name": agent})

    def _run(self, call: ModelCall, event: dict[str, Any]) -> None:
        errors = event.get("errors", [])
        for place, ((identity, name, arguments), result) in enumerate(
            zip(call.answer["calls"], event["results"], strict=True)
        ):
            began = self.clock_ns
            self.clock_ns += _ns(event.get("tool_s", TOOL_SECONDS))
            is_error = place < len(errors) and errors[place]
            call.tools.append(ToolRun(name, arguments, result, is_error, began, self.clock_ns))
            told = {"role": "tool", "text": "", "results": [(identity, result, is_error)]}
            self.of(call.agent).append(told)


def _ns(seconds: float) -> int:
    return round(seconds * 1_000_000_000)


def _raw_calls(script: dict[str, Any]) -> list[ModelCall]:
    """Calls whose messages are written in a provider's own shape; each adds to its agent's talk."""
    talks: dict[str, list[Any]] = {}
    clock, calls = BEGAN_NS, []
    dialect = script["dialect"]
    for one in script["raw"]:
        talk = talks.setdefault(one["agent"], [])
        if one.get("new"):
            talk.clear()
        talk += one.get("add", [])
        clock += _ns(one.get("wait", 0.3))
        began, clock = clock, clock + _ns(one.get("s", CALL_SECONDS))
        cost = Decimal(one.get("usd", CALL_USD))
        system = script.get("agents", {}).get(one["agent"], "")
        sent = [{"raw": system}, *({"raw": message} for message in talk)]
        calls.append(
            ModelCall(
                agent=one["agent"],
                messages=sent,
                answer={"raw": one["answer"]},
                options={"model": script.get("model", MODEL)} | one.get("options", {}),
                started_ns=began,
                ended_ns=clock,
                cost_usd=cost,
                attempt=one.get("attempt", 0),
                has_failed=one.get("failed", False),
                dialect=dialect,
            )
        )
        if not one.get("failed"):
            talk += one["answer"] if isinstance(one["answer"], list) else [one["answer"]]
    return calls


def played(trace: Trace) -> list[ModelCall]:
    return _raw_calls(trace.script) if "raw" in trace.script else _Stage(trace.script).calls


# --- what a gateway sees ----------------------------------------------------------------------------------------------


def chat_body(call: ModelCall) -> dict[str, Any]:
    return {**call.options, "messages": [_chat(message) for message in call.messages]}


def _chat(message: dict[str, Any]) -> dict[str, Any]:
    if message.get("results"):
        ((identity, result, _),) = message["results"]
        return {"role": "tool", "tool_call_id": identity, "content": _as_text(result)}
    said = {"role": message["role"], "content": message["text"]}
    if message.get("name"):
        said["name"] = message["name"]
    if message.get("calls"):
        said["tool_calls"] = [
            {"id": identity, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for identity, name, arguments in message["calls"]
        ]
    return said


def _as_text(result: Any) -> str:
    return result if isinstance(result, str) else json.dumps(result)


def anthropic_body(call: ModelCall) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for message in call.messages[1:]:
        said = _anthropic(message)
        if said["role"] == "user" and messages and messages[-1]["role"] == "user":
            messages[-1]["content"] += said["content"]  # roles take turns
        else:
            messages.append(said)
    return {**call.options, "max_tokens": 1024, "system": call.messages[0]["text"], "messages": messages}


def _anthropic(message: dict[str, Any]) -> dict[str, Any]:
    if message.get("results"):
        ((identity, result, is_error),) = message["results"]
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": identity, "content": _as_text(result)}
        return {"role": "user", "content": [block | ({"is_error": True} if is_error else {})]}
    text = f"{message['name']}: {message['text']}" if message.get("name") else message["text"]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    blocks += [
        {"type": "tool_use", "id": identity, "name": name, "input": arguments}
        for identity, name, arguments in message.get("calls", [])
    ]
    return {"role": message["role"], "content": blocks}


def responses_body(call: ModelCall) -> dict[str, Any]:
    items = [item for message in call.messages[1:] for item in _items(message)]
    return {**call.options, "instructions": call.messages[0]["text"], "input": items}


def _items(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if message.get("results"):
        ((identity, result, _),) = message["results"]
        yield {"type": "function_call_output", "call_id": identity, "output": _as_text(result)}
        return
    if message["text"]:
        text = f"{message['name']}: {message['text']}" if message.get("name") else message["text"]
        kind = "output_text" if message["role"] == "assistant" else "input_text"
        yield {"type": "message", "role": message["role"], "content": [{"type": kind, "text": text}]}
    for identity, name, arguments in message.get("calls", []):
        yield {"type": "function_call", "call_id": identity, "name": name, "arguments": json.dumps(arguments)}


def _raw_body(call: ModelCall) -> dict[str, Any]:
    system, *talk = [message["raw"] for message in call.messages]
    if call.dialect == "anthropic":
        return {**call.options, "system": system, "messages": talk}
    if call.dialect == "responses":
        return {**call.options, "instructions": system, "input": talk}
    return {**call.options, "messages": [{"role": "system", "content": system}, *talk] if system else talk}


def _raw_answer(call: ModelCall) -> loops.Answer:
    raw = call.answer["raw"]
    if call.dialect == "responses":
        return loops.answer({"output": raw}, "responses")
    return loops.answer(raw, "anthropic") if call.dialect == "anthropic" else _chat_answer(raw)


def _chat_answer(message: dict[str, Any]) -> loops.Answer:
    return loops.answer({"choices": [{"message": message}]})


def request_step(call: ModelCall, door: str) -> Step:
    """The call as a gateway knows it when it is over."""
    if call.dialect is not None:
        fingerprint, answer = loops.fingerprint(_raw_body(call), call.dialect), _raw_answer(call)
    elif door == "chat":
        message = _chat({"role": "assistant", **call.answer})
        fingerprint = loops.fingerprint(chat_body(call))
        answer = _chat_answer(message)
    elif door == "anthropic":
        fingerprint = loops.fingerprint(anthropic_body(call), "anthropic")
        answer = loops.answer(_anthropic({"role": "assistant", **call.answer}), "anthropic")
    else:
        fingerprint = loops.fingerprint(responses_body(call), "responses")
        answer = loops.answer({"output": list(_items({"role": "assistant", **call.answer}))}, "responses")
    return Step(
        kind=Kind.LLM,
        agent=call.agent,
        name=str(call.options["model"]),
        fingerprint=fingerprint,
        answer=None if call.has_failed else answer,
        started_ns=call.started_ns,
        ended_ns=call.ended_ns,
        cost_usd=call.cost_usd,
        has_failed=call.has_failed,
        attempt=call.attempt,
    )


# --- what a tracer sees -----------------------------------------------------------------------------------------------


def _parts(message: dict[str, Any]) -> dict[str, Any]:
    if message.get("results"):
        parts = [{"type": "tool_call_response", "id": i, "response": r} for i, r, _ in message["results"]]
        return {"role": "tool", "parts": parts}
    text = f"{message['name']}: {message['text']}" if message.get("name") else message["text"]
    parts = [{"type": "text", "content": text}] if text else []
    parts += [
        {"type": "tool_call", "id": identity, "name": name, "arguments": arguments}
        for identity, name, arguments in message.get("calls", [])
    ]
    return {"role": message["role"], "parts": parts}


def span_steps(call: ModelCall) -> list[Step]:
    if call.dialect is not None:
        return [request_step(call, "")]  # raw scripts have no spans of tools
    asked = loops.llm_step(
        [_parts(message) for message in call.messages],
        None if call.has_failed else [_parts({"role": "assistant", **call.answer})],
        agent=call.agent,
        model=str(call.options["model"]),
        options=call.options,
        started_ns=call.started_ns,
        ended_ns=call.ended_ns,
        cost_usd=call.cost_usd,
        has_failed=call.has_failed,
        attempt=call.attempt,
    )
    return [
        asked,
        *(
            loops.tool_step(
                tool.name,
                tool.arguments,
                tool.result,
                agent=call.agent,
                is_error=tool.is_error,
                started_ns=tool.started_ns,
                ended_ns=tool.ended_ns,
            )
            for tool in call.tools
        ),
    ]


# --- what the detector says -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """The first verdict that is a loop, and at which call of a model it was given; a refused call counts."""

    at: int
    verdict: Verdict
    delay: int  # calls of that agent since the one at which a person would have spoken; honest traces have none


def seen(trace: Trace, door: str, policy: LoopPolicy) -> Seen | None:
    """At a gateway a call is checked when it begins and remembered when it ended; spans are read when all is over."""
    calls = played(trace)
    found = _in_spans(calls, policy) if door == "spans" else _at_gateway(calls, door, policy)
    if found is None:
        return None
    at, verdict = found
    since = calls[trace.loop_at or at : at]
    return Seen(at, verdict, sum(call.agent == calls[at - 1].agent for call in since))


def _at_gateway(calls: list[ModelCall], door: str, policy: LoopPolicy) -> tuple[int, Verdict] | None:
    steps = [request_step(call, door) for call in calls]
    moments = sorted(
        [(step.started_ns, 1, at) for at, step in enumerate(steps)]
        + [(s.ended_ns, 0, at) for at, s in enumerate(steps)]
    )
    memory = LoopMemory()
    for _, is_start, at in moments:
        if is_start:
            steps[at] = replace(steps[at], siblings=_siblings(steps, at))
            planned = replace(steps[at], answer=None, cost_usd=None, has_failed=False)
            verdict = loops.check(memory, planned, policy)
        else:
            memory, verdict = loops.advance(memory, steps[at], policy)
            memory = LoopMemory.from_dict(json.loads(json.dumps(memory.to_dict())))
        if verdict.is_loop:
            return at + 1, verdict
    return None


def _siblings(steps: list[Step], at: int) -> int:
    """How many requests like this one are in flight when it begins, itself included: a gateway can count them."""
    mine = steps[at]
    return 1 + sum(
        other.started_ns <= mine.started_ns < other.ended_ns and _request(other) == _request(mine)
        for other in steps[:at]
    )


def _request(step: Step) -> str:
    return step.fingerprint.request if step.fingerprint else ""


def _in_spans(calls: list[ModelCall], policy: LoopPolicy) -> tuple[int, Verdict] | None:
    steps = [(step, at) for at, call in enumerate(calls, start=1) for step in span_steps(call)]
    memory = LoopMemory()
    for step, at in sorted(steps, key=lambda one: one[0].started_ns):
        memory, verdict = loops.advance(memory, step, policy)
        if verdict.is_loop:
            return at, verdict
    return None
