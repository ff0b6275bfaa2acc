"""``complete``, ``structured_complete`` and ``stream_complete``: one question, its tools, its answer. ``Client`` remembers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

from wflo.agents import loop, models, steps
from wflo.agents.conversation import Conversation, Role, SystemPrompt
from wflo.agents.errors import LLMError
from wflo.agents.guardrails import Guardrails
from wflo.agents.loop import Limits, Outcome
from wflo.agents.model import Message, Model, Piece, Request
from wflo.agents.models import Ask, model_for
from wflo.agents.retry import RetryConfig
from wflo.agents.settings import settings
from wflo.agents.steps import OnStep
from wflo.agents.structured import Form, answer_in
from wflo.agents.tools import Tool, tools_of

T = TypeVar("T")

Tools = Iterable[Callable[..., Any] | Tool]


@dataclass(slots=True, kw_only=True)
class ToolExecutionResult:
    """An answer and how it came about, all calls of the loop together.

    ``tokens_used``: prompt, completion, total; None where no provider said. ``cost_usd`` None: a call's price is not known.
    """

    final_response: str
    tool_calls_made: int = 0
    tool_execution_history: list[dict[str, Any]] = field(default_factory=list)
    raw_response: Any = field(default=None, repr=False)
    tokens_used: dict[str, int] | None = None
    cost_usd: Decimal | None = None
    model: str = ""
    iterations: int = 0
    messages: list[Message] = field(default_factory=list, repr=False)

    @property
    def estimated_cost_usd(self) -> float | None:
        return None if self.cost_usd is None else float(self.cost_usd)

    @classmethod
    def of(cls, outcome: Outcome) -> ToolExecutionResult:
        answer, tally = outcome.answer, outcome.tally
        has_usage = answer is not None and (answer.usage is not None or tally.input_tokens > 0)
        return cls(
            final_response=outcome.text,
            tool_calls_made=len(outcome.history),
            tool_execution_history=outcome.history,
            raw_response=None if answer is None else answer.raw,
            tokens_used=tally.tokens if has_usage else None,
            cost_usd=tally.known_usd,
            model="" if answer is None else answer.model,
            iterations=outcome.iterations,
            messages=outcome.messages,
        )


ExecutionResult = ToolExecutionResult


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingChunk:
    """``done`` is true of the last one, which has the whole ``result``."""

    content: str = ""
    done: bool = False
    tool_calls_made: int = 0
    result: ToolExecutionResult | None = None


@dataclass(slots=True, kw_only=True)
class Setup:
    """Who is asked, and how. ``options``: the provider's own parameters (temperature, max_tokens, api_key, ...)."""

    model: str | None = None
    system_prompt: str | None = None
    tools: Tools | None = None
    max_tool_iterations: int | None = None
    max_cost_usd: Decimal | float | None = None
    ask: Model | Ask | None = None
    on_step: OnStep | None = None
    retry: RetryConfig | None = None
    guardrails: Guardrails | None = None
    agent: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.model or settings.default_model

    def request(self, user_message: str, before: list[Message]) -> Request:
        prompt = settings.default_system_prompt if self.system_prompt is None else self.system_prompt
        head = [{"role": "system", "content": prompt}] if prompt else []
        said: Message = {"role": "user", "content": user_message}
        return Request(model=self.name, messages=[*head, *before, said], agent=self.agent, options=self.options)

    def limits(self) -> Limits:
        most = None if self.max_cost_usd is None else Decimal(str(self.max_cost_usd))
        turns = settings.max_tool_iterations if self.max_tool_iterations is None else self.max_tool_iterations
        if turns < 1:
            raise ValueError("max_tool_iterations must be at least 1.")
        return Limits(max_iterations=turns, max_cost_usd=most)


async def complete(
    user_message: str, model: str | None = None, system_prompt: str | None = None, tools: Tools | None = None,
    execute_tools: bool = True, max_tool_iterations: int | None = None, **more: Any,
) -> ToolExecutionResult:  # fmt: skip
    """An answer, after as many tool calls as the model wants. ``more``: fields of Setup, and the provider's own options.

    When the turns run out the result says so in words. Raises LLMError (errors.py has the tree).
    """
    setup = _setup(model, system_prompt, tools, max_tool_iterations, more)
    return await _complete(setup, user_message, [], execute_tools)


async def structured_complete(
    user_message: str, response_format: type[T], model: str | None = None, system_prompt: str | None = None, **more: Any
) -> T:
    """An answer that is a ``response_format``. Raises StructuredOutputError with the last answer, LLMError."""
    return await _structured(_setup(model, system_prompt, None, None, more), user_message, response_format, [])


async def stream_complete(
    user_message: str, model: str | None = None, system_prompt: str | None = None, tools: Tools | None = None,
    execute_tools: bool = True, max_tool_iterations: int | None = None, **more: Any,
) -> AsyncGenerator[StreamingChunk, None]:  # fmt: skip
    """The words of every turn as they come; the last chunk is ``done`` and has the result. Close it to stop the provider."""
    setup = _setup(model, system_prompt, tools, max_tool_iterations, more)
    chunks = _streamed(setup, user_message, [], execute_tools)
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()


class Client:
    """Remembers what was said: user's messages and final answers, not the tool traffic between them."""

    def __init__(
        self, model: str | None = None, system_prompt: str | SystemPrompt | None = None, tools: Tools | None = None,
        max_tool_iterations: int | None = None, **more: Any,
    ) -> None:  # fmt: skip
        self.setup = _setup(model, system_prompt, tools, max_tool_iterations, more)
        self.conversation = Conversation()
        self.tally = steps.Tally()

    @property
    def model(self) -> str:
        return self.setup.name

    @property
    def system_prompt(self) -> str:
        return settings.default_system_prompt if self.setup.system_prompt is None else self.setup.system_prompt

    @property
    def tools(self) -> list[Tool]:
        return tools_of(self.setup.tools)

    @property
    def max_tool_iterations(self) -> int:
        return self.setup.limits().max_iterations

    async def complete(self, user_message: str, execute_tools: bool = True) -> ToolExecutionResult:
        with steps.counting() as tally:
            result = await _complete(self.setup, user_message, self._before(), execute_tools)
        self._remember(user_message, result.final_response, tally)
        return result

    async def structured_complete(self, user_message: str, response_format: type[T]) -> T:
        with steps.counting() as tally:
            found = await _structured(self.setup, user_message, response_format, self._before())
        self._remember(user_message, Form[T](response_format).written(found), tally)
        return found

    async def stream_complete(
        self, user_message: str, execute_tools: bool = True
    ) -> AsyncGenerator[StreamingChunk, None]:
        chunks = _streamed(self.setup, user_message, self._before(), execute_tools)
        try:
            async for chunk in chunks:
                if chunk.result is not None:
                    self._remember(user_message, chunk.result.final_response, None)
                yield chunk
        finally:
            await chunks.aclose()

    def reset_conversation(self) -> None:
        self.conversation.clear()

    def _before(self) -> list[Message]:
        return [dict(message) for message in self.conversation.messages_dict]

    def _remember(self, said: str, answered: str, tally: steps.Tally | None) -> None:
        self.conversation.add_message(Role.USER, said)
        self.conversation.add_message(Role.ASSISTANT, answered)
        if tally is not None:
            self.tally.join(tally)


_FIELDS = ("ask", "on_step", "retry", "max_cost_usd", "guardrails", "agent", "options")


def _setup(
    model: str | None,
    system_prompt: str | SystemPrompt | None,
    tools: Tools | None,
    turns: int | None,
    more: dict[str, Any],
) -> Setup:
    known = {name: more.pop(name) for name in _FIELDS if name in more}
    known["options"] = {**(known.get("options") or {}), **more}
    prompt = system_prompt.content if isinstance(system_prompt, SystemPrompt) else system_prompt
    return Setup(model=model, system_prompt=prompt, tools=tools, max_tool_iterations=turns, **known)


async def _complete(setup: Setup, user_message: str, before: list[Message], execute_tools: bool) -> ToolExecutionResult:
    guardrails = setup.guardrails
    if guardrails is not None:
        user_message = await guardrails.look_at_input(user_message)
    request, model = setup.request(user_message, before), model_for(setup.name, setup.ask)
    tools, limits = tools_of(setup.tools), setup.limits()
    outcome = Outcome()
    for tries in count():
        found = await loop.run(
            model, request, tools, limits=limits, retry=setup.retry, on_step=setup.on_step, execute_tools=execute_tools
        )
        outcome = found.after(outcome)
        again = None if guardrails is None else await guardrails.look_at_output(outcome, tries)
        if again is None:
            break
        request.messages = [*outcome.messages, {"role": "user", "content": again}]
    return ToolExecutionResult.of(outcome)


async def _let_in(setup: Setup, user_message: str) -> str:
    """What may be asked where the answer is told as it comes, or as a value: an output check would come too late."""
    if setup.guardrails is None:
        return user_message
    if setup.guardrails.output:
        raise ValueError("Output guardrails need the whole answer in words: use complete, or leave them out here.")
    return await setup.guardrails.look_at_input(user_message)


async def _structured(setup: Setup, user_message: str, of: type[T], before: list[Message]) -> T:
    user_message = await _let_in(setup, user_message)
    value, _ = await answer_in(
        model_for(setup.name, setup.ask), setup.request(user_message, before), Form[T](of),
        takes_schemas=models.takes_schemas(setup.name, setup.ask), retry=setup.retry, on_step=setup.on_step,
    )  # fmt: skip
    return value


async def _streamed(
    setup: Setup, user_message: str, before: list[Message], execute_tools: bool
) -> AsyncGenerator[StreamingChunk, None]:
    user_message = await _let_in(setup, user_message)
    turns = loop.turns(
        model_for(setup.name, setup.ask), setup.request(user_message, before), tools_of(setup.tools), setup.limits(),
        setup.retry, setup.on_step, execute_tools=execute_tools,
    )  # fmt: skip
    made = 0
    try:
        async for found in turns:
            if isinstance(found, Piece):
                made += sum(1 for call in found.calls if (call.get("function") or {}).get("name"))
                if found.text:
                    yield StreamingChunk(content=found.text, tool_calls_made=made)
                continue
            result = ToolExecutionResult.of(found)
            yield StreamingChunk(done=True, tool_calls_made=result.tool_calls_made, result=result)
    finally:
        await turns.aclose()


GlueLLM = Client

__all__ = [
    "Client", "ExecutionResult", "GlueLLM", "LLMError", "Setup", "StreamingChunk", "ToolExecutionResult", "complete",
    "stream_complete", "structured_complete",
]  # fmt: skip
