"""Decorators that watch calls and hold them to budgets. They stack in any order, on functions of any kind, on methods and
on classes; signatures, answers and exceptions stay what they were.

    @track_agent_cost(agent_name="researcher", budget_usd=2.00)
    @track_llm_call(model="gpt-4o-mini")
    async def research(topic: str): ...
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from decimal import Decimal
from typing import Any, TypeVar, overload

from wflo import recording
from wflo.context import Scope
from wflo.errors import AgentBudgetExceededError, BudgetExceededError
from wflo.reading_usage import StreamReader, answered
from wflo.recording import OpenSpan
from wflo.runs import Run
from wflo.spans import Kind
from wflo.streams import is_stream, watched
from wflo.wrapping import Call, Habit, Invocation, wrap

T = TypeVar("T", bound=Callable[..., Any])
Steps = Generator[Any, Any, Any]


@overload
def track_llm_call(target: T) -> T: ...
@overload
def track_llm_call(
    target: None = None, *, model: str = "", provider: str = "", name: str = "", agent_name: str = "", purpose: str = ""
) -> Callable[[T], T]: ...
def track_llm_call(
    target: Any = None, *, model: str = "", provider: str = "", name: str = "", agent_name: str = "", purpose: str = ""
) -> Any:
    """Record each call of a model: tokens, cost, time, what was asked and answered. The answer is given back as it is.

    ``model`` is what is asked for, "" where the answer tells. Usage is read from the answers of OpenAI, Anthropic, Gemini
    and LiteLLM, whole or streamed. Before a call the budgets it falls under are looked at, after it they are again:
    BudgetExceededError then has the answer, which is paid for and recorded.
    """

    def habit(invocation: Invocation) -> Steps:
        with recording.scope_here(name or invocation.name) as scope:
            return (yield from _llm(invocation, scope))

    def _llm(invocation: Invocation, scope: Scope) -> Steps:
        agent = agent_name or scope.agent
        scope.run.check(agent)
        asked: Any = recording.safely(invocation.arguments, default=dict[str, Any]())
        named = model or recording.safely(_model_of, asked, default="")
        span = recording.begin(
            scope,
            Kind.LLM,
            name or f"chat {named}".strip(),
            agent=agent,
            input=recording.safely(_asked, asked, default=None),
            purpose=purpose or None,
        )
        reader = StreamReader()
        try:
            answer = yield Call(span.scope, reader.feed)
        except BaseException as error:
            recording.end_call(
                span, reader.found, model=named, provider=provider, output=reader.text or None, error=error
            )
            raise
        if is_stream(answer):
            return _followed(answer, span, model=named, provider=provider)
        _ended(span, answer, reader, model=named, provider=provider)
        scope.run.check_spent(agent, answer)
        return answer

    return _decorated(target, habit)


def _ended(span: OpenSpan, answer: Any, reader: StreamReader, *, model: str, provider: str) -> None:
    told = reader.found if reader.pieces else recording.safely(answered, answer, default=reader.found)
    output = (reader.text or None) if reader.pieces else answer
    recording.end_call(span, told, model=model, provider=provider, output=output)


def _followed(stream: Any, span: OpenSpan, *, model: str, provider: str) -> Any:
    """A stream that the function gave back: its span ends with it."""
    reader = StreamReader()

    def over(error: BaseException | None) -> None:
        recording.end_call(span, reader.found, model=model, provider=provider, output=reader.text or None, error=error)

    return watched(stream, reader.feed, over)


@overload
def track_tool_call(target: T) -> T: ...
@overload
def track_tool_call(target: None = None, *, tool_name: str = "", agent_name: str = "") -> Callable[[T], T]: ...
def track_tool_call(target: Any = None, *, tool_name: str = "", agent_name: str = "") -> Any:
    """Record each call of a tool: arguments, result, time, success. Calls of models within it are its children."""

    def habit(invocation: Invocation) -> Steps:
        name = tool_name or invocation.name.rpartition(".")[2]
        with recording.scope_here(name) as scope:
            agent = agent_name or scope.agent
            scope.run.check_control()
            span = recording.begin(
                scope,
                Kind.TOOL,
                name,
                agent=agent,
                input=recording.safely(invocation.arguments, default=None),
                tool=name,
            )
            pieces: list[Any] = []
            try:
                result = yield Call(span.scope, pieces.append)
            except BaseException as error:
                scope.run.used.add_tool(agent, name, is_error=True)
                span.end(error=error)
                raise
            scope.run.used.add_tool(agent, name)
            span.end(output=pieces or result)
            scope.run.check_loop()
            return result

    return _decorated(target, habit)


def track_agent_cost(agent_name: str, budget_usd: float | Decimal | None = None) -> Callable[[Any], Any]:
    """What is called within is this agent's: its spans carry the name, its cost is kept apart, and held to ``budget_usd``.

    On a function, a method, a class, or called with an object that acts. Raises AgentBudgetExceededError.
    """
    limit = None if budget_usd is None else Decimal(str(budget_usd))

    def habit(invocation: Invocation) -> Steps:
        with recording.scope_here(agent_name) as scope:
            run = scope.run
            if limit is not None:
                run.agent_budgets.setdefault(agent_name, limit)
            if scope.agent == agent_name and scope.span_id:  # one method of the agent calls another
                return (yield Call(scope))
            run.check(agent_name)
            span = recording.begin(
                scope,
                Kind.AGENT,
                agent_name,
                agent=agent_name,
                input=recording.safely(invocation.arguments, default=None),
            )
            pieces: list[Any] = []
            try:
                result = yield Call(span.scope, pieces.append)
                _check_agent(run, agent_name, result)
            except BaseException as error:
                span.end(error=error)
                raise
            span.end(output=pieces or result)
            return result

    return lambda target: wrap(target, habit)


def _check_agent(run: Run, agent: str, result: Any) -> None:
    limit, spent = run.agent_budgets.get(agent), run.used.spent_usd(agent)
    if limit is not None and spent > limit:
        raise AgentBudgetExceededError(agent_name=agent, spent_usd=spent, budget_usd=limit, answer=result)


def enforce_budget(budget_usd: float | Decimal) -> Callable[[Any], Any]:
    """What is called within may spend so much together, each time it is called. Raises BudgetExceededError: before a call
    when the money is gone, after one that went over it (``answer`` is what was paid for)."""
    limit = Decimal(str(budget_usd))

    def habit(invocation: Invocation) -> Steps:
        with recording.scope_here(invocation.name) as scope:
            run, before = scope.run, scope.run.used.spent_usd()
            outer = run.budget_usd
            run.budget_usd = before + limit if outer is None else min(outer, before + limit)
            try:
                return (yield Call(scope))
            except BudgetExceededError as error:
                if error.budget_usd == before + limit and error.spent_usd is not None:
                    error.spent_usd, error.budget_usd = error.spent_usd - before, limit
                raise
            finally:
                run.budget_usd = outer

    return lambda target: wrap(target, habit)


def _decorated(target: Any, habit: Habit) -> Any:
    return wrap(target, habit) if target is not None else lambda inner: wrap(inner, habit)


def _model_of(arguments: Any) -> str:
    model = arguments.get("model") if hasattr(arguments, "get") else None
    if model is None and hasattr(arguments, "get"):
        model = (arguments.get("kwargs") or {}).get("model") if isinstance(arguments.get("kwargs"), dict) else None
    return model if isinstance(model, str) else ""


def _asked(arguments: Any) -> Any:
    """The messages among the arguments, else all of them."""
    for name in ("messages", "input", "contents", "prompt"):
        if isinstance(arguments, dict) and arguments.get(name) is not None:
            return arguments[name]
    inner = arguments.get("kwargs") if isinstance(arguments, dict) else None
    return _asked(inner) if isinstance(inner, dict) and inner else arguments
