"""The agent loop: ask the model, call the tools it wants, tell it what they said, until it answers.

One loop for whole and streamed answers. Tools of one answer run at the same time; whatever goes wrong in them is told to
the model. The conversation is a list of messages in OpenAI's form, so a run goes on from any step's messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from wflo.agents import steps, telemetry
from wflo.agents.assembly import Assembly
from wflo.agents.errors import BudgetExceededError, LLMError, classify
from wflo.agents.model import Answer, Message, Model, Piece, Request
from wflo.agents.retry import RetryConfig, retried
from wflo.agents.steps import OnStep, Step, StepKind, Tally
from wflo.agents.tools import Tool, ToolResult, unknown

MAX_ITERATIONS_TEXT = "Maximum tool execution iterations reached."
TOOLS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``max_cost_usd`` is looked at before each call: what was answered is delivered, the next call is not made."""

    max_iterations: int = 10
    max_cost_usd: Decimal | None = None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """``messages`` is the whole conversation, ``history`` what tools were called with and said."""

    text: str = ""
    messages: list[Message] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)  # tool_name, arguments, result, error
    iterations: int = 0
    tally: Tally = field(default_factory=Tally)
    answer: Answer | None = None

    def after(self, before: Outcome) -> Outcome:
        """With what ``before`` took to come here."""
        before.tally.join(self.tally)
        self.tally = before.tally
        self.history = before.history + self.history
        self.iterations += before.iterations
        return self


async def run(
    model: Model, request: Request, tools: Sequence[Tool] = (), *, limits: Limits = Limits(), retry: RetryConfig | None = None,
    on_step: OnStep | None = None, execute_tools: bool = True,
) -> Outcome:  # fmt: skip
    """To the end. Raises LLMError: of the kind the failing call raised, saying in which turn."""
    outcome = None
    async for found in turns(
        model, request, tools, limits, retry, on_step, execute_tools=execute_tools, is_stream=False
    ):
        if isinstance(found, Outcome):
            outcome = found
    assert outcome is not None
    return outcome


async def turns(
    model: Model, request: Request, tools: Sequence[Tool], limits: Limits, retry: RetryConfig | None, on_step: OnStep | None, *,
    execute_tools: bool = True, is_stream: bool = True,
) -> AsyncGenerator[Piece | Outcome, None]:  # fmt: skip
    """The pieces of every answer as they come, where ``is_stream``; the outcome last. Raises as ``run`` does.

    Closing it closes the provider's stream.
    """
    outcome = Outcome(messages=list(request.messages))
    known = {tool.name: tool for tool in tools}
    agent = request.agent or steps.current_agent()
    request = replace(request, tools=[tool.spec for tool in tools], messages=outcome.messages, agent=agent)
    for iteration in range(1, limits.max_iterations + 1):
        _demand_money(outcome, limits)
        outcome.iterations = iteration
        try:
            with telemetry.llm_span(request) as span:
                if is_stream:
                    assembly = Assembly()
                    pieces = _pieces(model, request, retry)
                    try:
                        async for piece in pieces:
                            assembly.add(piece)
                            yield piece
                    finally:
                        await pieces.aclose()
                    answer = assembly.answer()
                else:
                    answer = await retried(lambda: model.ask(request), retry)
                telemetry.answered(span, answer)
        except LLMError as error:
            error.at(iteration)
            raise
        _take(outcome, answer)
        await _tell_answer(outcome, answer, agent, on_step)
        if not answer.calls or not execute_tools:
            yield outcome
            return
        await _call_tools(outcome, answer, known, agent, on_step)
    outcome.text = MAX_ITERATIONS_TEXT
    yield outcome


async def _pieces(model: Model, request: Request, retry: RetryConfig | None) -> AsyncGenerator[Piece, None]:
    """Tried again as long as nothing came; after that a failure is one."""
    stream: AsyncGenerator[Piece, None] | None = None

    async def begun() -> Piece | None:
        nonlocal stream
        stream = model.stream(request)
        try:
            return await anext(stream)
        except StopAsyncIteration:
            return None
        except Exception as error:
            raise classify(error) from error

    first = await retried(begun, retry)
    assert stream is not None
    try:
        if first is not None:
            yield first
            async for piece in stream:
                yield piece
    finally:
        await stream.aclose()


def _take(outcome: Outcome, answer: Answer) -> None:
    outcome.answer, outcome.text = answer, answer.text
    outcome.messages.append(answer.message)
    outcome.tally.add(answer.usage, answer.cost_usd)
    steps.counted(answer.usage, answer.cost_usd)


def _demand_money(outcome: Outcome, limits: Limits) -> None:
    if limits.max_cost_usd is not None and outcome.tally.cost_usd >= limits.max_cost_usd:
        raise BudgetExceededError(
            f"${outcome.tally.cost_usd:f} of ${limits.max_cost_usd:f} is spent after {outcome.iterations} calls; the next was not made.",
            outcome=outcome,
        )


async def _tell_answer(outcome: Outcome, answer: Answer, agent: str, on_step: OnStep | None) -> None:
    if steps.is_watched(on_step):
        await steps.tell(
            Step(
                kind=StepKind.MODEL, agent=agent, number=len(outcome.messages), iteration=outcome.iterations,
                workflow=steps.current_workflow(), name=answer.model, messages=(answer.message,), text=answer.text,
                usage=answer.usage, cost_usd=answer.cost_usd,
            ),
            on_step,
        )  # fmt: skip


async def _call_tools(
    outcome: Outcome, answer: Answer, known: dict[str, Tool], agent: str, on_step: OnStep | None
) -> None:
    """All at the same time; told to the model in the order in which it asked."""
    gate = asyncio.Semaphore(TOOLS_AT_ONCE)

    async def one(call: dict[str, Any]) -> ToolResult:
        async with gate:
            return await _called(call, known)

    if len(answer.calls) == 1:
        results = [await _called(answer.calls[0], known)]
    else:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(call)) for call in answer.calls]
        results = [task.result() for task in tasks]
    for call, result in zip(answer.calls, results, strict=True):
        name = call["function"]["name"]
        message: Message = {"role": "tool", "tool_call_id": call["id"], "content": result.text}
        outcome.messages.append(message)
        outcome.history.append(
            {"tool_name": name, "arguments": result.arguments, "result": result.text, "error": result.is_error}
        )
        if steps.is_watched(on_step):
            await steps.tell(
                Step(
                    kind=StepKind.TOOL, agent=agent, number=len(outcome.messages), iteration=outcome.iterations,
                    workflow=steps.current_workflow(), name=name, messages=(message,), text=result.text,
                    is_error=result.is_error, detail={"arguments": result.arguments},
                ),
                on_step,
            )  # fmt: skip


async def _called(call: dict[str, Any], known: dict[str, Tool]) -> ToolResult:
    name, arguments = call["function"]["name"], call["function"].get("arguments") or "{}"
    found = known.get(name)
    with steps.calling(call), telemetry.tool_span(name, arguments) as span:
        result = unknown(name, list(known.values()), arguments) if found is None else await found.call(arguments)
        telemetry.tool_answered(span, result)
    return result
