"""Loops noticed where they happen: in the process of the agent, before they are paid for once more.

    @detect_infinite_loop(max_iterations=10, similarity_threshold=0.9)
    async def agent(question): ...

What is called within (tools, models, as far as they are tracked) and the function itself, call after call of one run, are
judged by ``wflo.loops``, the rule that the gateway asks too: two equal turns pass, honest polling passes, agents are apart.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from wflo import loops, recording
from wflo.context import Scope
from wflo.errors import InfiniteLoopDetectedError
from wflo.loops import SDK, Action, LoopMemory, LoopPolicy, Step
from wflo.plain import plain
from wflo.recording import OpenSpan
from wflo.runs import Run
from wflo.spans import Kind
from wflo.wrapping import Call, Invocation, wrap

log = logging.getLogger("wflo")
MEMORIES_MAX = 200  # runs a decorated function is remembered in
ACTIONS = ("raise", "warn")


class Watch:
    """One run's steps, judged as they end. ``found`` is the loop that was seen, to be raised by who called."""

    def __init__(self, policy: LoopPolicy, *, action: str = "raise") -> None:
        self.policy, self.action = policy, action
        self.memory = LoopMemory()
        self.calls = 0

    def ended(self, span: OpenSpan, output: Any, error: BaseException | str | None) -> None:
        """A span of the run is over."""
        step = _step_of(span, output, error)
        if step is not None:
            self.take(step, span.run, span.scope)

    def take(self, step: Step, run: Run, scope: Scope) -> None:
        self.calls += 1
        self.memory, verdict = loops.advance(self.memory, step, self.policy)
        if verdict.action not in (Action.BLOCK, Action.KILL):
            return
        found = InfiniteLoopDetectedError(
            f"The run repeats itself: {verdict.why}",
            iteration=verdict.times,
            similarity=verdict.similarity or verdict.confidence,
            repeated_pattern=verdict.pattern,
        )
        self._report(run, scope, found)

    def _report(self, run: Run, scope: Scope, found: InfiniteLoopDetectedError) -> None:
        recording.occurred(
            "loop",
            scope=scope,
            name=found.repeated_pattern,
            iteration=found.iteration,
            similarity=round(found.similarity, 4),
            pattern=found.repeated_pattern,
            why=str(found),
        )
        if self.action == "raise":
            run.loop = found
        else:
            log.warning("%s", found)


def detect_infinite_loop(
    target: Any = None, *, max_iterations: int = 10, similarity_threshold: float = 0.9, action: str = "raise"
) -> Any:
    """Raises InfiniteLoopDetectedError (``iteration``, ``similarity``, ``repeated_pattern``) when what is called within
    repeats itself, or one call of the function makes more than ``max_iterations`` rounds of the same agent's model calls, or
    one run calls the function so often with the same arguments and the same result. ``action="warn"`` only logs and records.
    Raises ValueError for arguments that mean nothing."""
    if max_iterations < 1:
        raise ValueError("max_iterations: at least 1")
    if not 0 < similarity_threshold <= 1:
        raise ValueError("similarity_threshold: above 0 and at most 1")
    if action not in ACTIONS:
        raise ValueError(f"action: {' or '.join(ACTIONS)}")
    policy = _policy(similarity_threshold, max_iterations)
    own: dict[str, Watch] = {}

    def habit(invocation: Invocation) -> Generator[Any, Any, Any]:
        with recording.scope_here(invocation.name) as scope:
            run = scope.run
            watch = Watch(policy, action=action)
            run.watchers.append(watch.ended)
            pieces: list[Any] = []
            try:
                result = yield Call(scope, pieces.append)
            finally:
                run.watchers.remove(watch.ended)
            _called(invocation, scope, pieces or result)
            run.check_loop()
            return result

    def _called(invocation: Invocation, scope: Scope, result: Any) -> None:
        before = own.get(scope.run.id)
        if before is None:
            while len(own) >= MEMORIES_MAX:
                own.pop(next(iter(own)))
            before = own[scope.run.id] = Watch(policy, action=action)
        name, arguments = invocation.name, plain(dict(invocation.arguments()))
        before.take(loops.tool_step(name, arguments, plain(result), agent=scope.agent), scope.run, scope)

    return wrap(target, habit) if target is not None else lambda inner: wrap(inner, habit)


def watched(run: Run, *, similarity_threshold: float = 0.9, max_iterations: int | None = None) -> Watch:
    """Have all of a run watched, from now on."""
    watch = Watch(_policy(similarity_threshold, max_iterations))
    run.watchers.append(watch.ended)
    return watch


def _policy(similarity_threshold: float, max_iterations: int | None) -> LoopPolicy:
    """What is so sure as the threshold ends the run here: who asked for this wants no run that only warns for ever."""
    sure = min(SDK.block_confidence, similarity_threshold)
    return replace(SDK, similarity_min=similarity_threshold, iterations_max=max_iterations, block_confidence=sure)


def _step_of(span: OpenSpan, output: Any, error: BaseException | str | None) -> Step | None:
    """A call of a model or of a tool as the rule sees it; other spans are no steps."""
    started_ns, ended_ns = span.started_ns, span.ended_ns
    if span.kind is Kind.TOOL:
        told = str(error) if error is not None else plain(output)
        return loops.tool_step(
            span.name,
            plain(span.input),
            told,
            agent=span.agent,
            is_error=error is not None,
            started_ns=started_ns,
            ended_ns=ended_ns,
        )
    if span.kind is not Kind.LLM:
        return None
    asked = plain(span.input)
    body = asked if isinstance(asked, Mapping) else {"messages": asked if isinstance(asked, list) else [_said(asked)]}
    return Step(
        kind=Kind.LLM,
        agent=span.agent,
        name=span.name,
        fingerprint=loops.fingerprint(body) if body.get("messages") else None,
        answer=None if error is not None else _answer(output),
        has_failed=error is not None,
        started_ns=started_ns,
        ended_ns=ended_ns,
    )


def _said(asked: Any) -> dict[str, Any]:
    return {"role": "user", "content": asked if isinstance(asked, str) else str(asked)}


def _answer(output: Any) -> loops.Answer | None:
    told = plain(output)
    if isinstance(told, str):
        told = {"choices": [{"message": {"role": "assistant", "content": told}}]}
    if not isinstance(told, dict):
        return None
    if "choices" in told:
        return loops.answer(told)
    if "content" in told:
        return loops.answer(told, "anthropic")
    return loops.answer(told, "responses") if "output" in told else None
