"""CrewAI's crews, tasks, agents and tools, watched where their classes define them, also those of classes that come later.

Nothing is recorded where nobody asked for it: see ``is_on``. CrewAI tells a tool's error to the model, and has an agent try
again whatever went wrong; so what stops a run is kept, and raised wherever the crew goes on until it has ended.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from crewai import Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.llms.base_llm import BaseLLM
from crewai.tools import BaseTool
from crewai.tools.structured_tool import CrewStructuredTool
from crewai.tools.tool_failure import ToolFailure
from crewai.utilities.string_utils import sanitize_tool_name

from wflo import context, recording
from wflo.context import Scope
from wflo.errors import (
    BudgetExceededError,
    InfiniteLoopDetectedError,
    RollbackRequestedError,
    RunKilledError,
    TimeBudgetExceededError,
)
from wflo.integrations import crewai_models, crewai_turns
from wflo.integrations.watching import MARK
from wflo.recording import OpenSpan
from wflo.runs import Run
from wflo.spans import Kind
from wflo.wrapping import Call, Habit, Invocation, wrap

STOPS = (
    BudgetExceededError, InfiniteLoopDetectedError, RollbackRequestedError, RunKilledError, TimeBudgetExceededError,
)  # fmt: skip
NAME_CHARACTERS = 80  # of a task that has only a description
Steps = Generator[Any, Any, Any]


@dataclass(slots=True)
class _InRun:
    """CrewAI's in a run. ``open``: by span, whose step it is; ``kept``: what stops the run, until none is open."""

    ids: set[str] = field(default_factory=set)
    open: dict[str, Any] = field(default_factory=dict)
    kept: BaseException | None = None


_everywhere: list[object] = []  # one for each ``instrument_crewai`` that was not undone
_runs: WeakSet[Run] = WeakSet()  # that ``WfloWorkflow`` executes something of CrewAI's in
_steps: WeakKeyDictionary[Run, _InRun] = WeakKeyDictionary()


def is_on() -> bool:
    """Whether what happens here is recorded."""
    scope = context.current()
    return bool(_everywhere) or (scope is not None and scope.run in _runs)


def record(run: Run) -> None:
    """Have what CrewAI does within the run recorded, and held to its budgets: also by a thread that outlives its crew."""
    _runs.add(run)


def everywhere() -> Callable[[], None]:
    """Have all that CrewAI does in this process recorded; what undoes it."""
    mark = object()
    _everywhere.append(mark)
    return lambda: _everywhere.remove(mark) if mark in _everywhere else None


def is_within(scope: Scope | None) -> bool:
    """Whether we are in a step of CrewAI's."""
    return scope is not None and scope.span_id in _of(scope.run).ids


def _of(run: Run) -> _InRun:
    return _steps.setdefault(run, _InRun())


# --- classes --------------------------------------------------------------------------------------------------------------


def follow(base: Any, methods: Mapping[str, Habit]) -> None:
    """Put habits around methods of a class and of all below it, those that are not there yet too."""
    _put(base, methods)
    original = vars(base).get("__init_subclass__")

    def later(cls: Any, /, **kwargs: Any) -> None:
        if original is not None:
            original.__get__(None, cls)(**kwargs)
        else:
            super(base, cls).__init_subclass__(**kwargs)
        _put(cls, methods)

    base.__init_subclass__ = classmethod(later)


def _put(kind: Any, methods: Mapping[str, Habit]) -> None:
    for name, habit in methods.items():
        method = vars(kind).get(name)
        if inspect.isfunction(method) and not hasattr(method, MARK) and not hasattr(method, "__isabstractmethod__"):
            wrapped = wrap(method, habit)
            setattr(wrapped, MARK, True)
            setattr(kind, name, wrapped)
    for below in kind.__subclasses__():
        _put(below, methods)


@functools.cache
def watch() -> None:
    """All of CrewAI's classes; once a process."""
    follow(Crew, dict.fromkeys(("kickoff", "akickoff", "replay"), _crew))
    follow(Task, {"execute_sync": _task, "aexecute_sync": _task, "execute_async": _task_of_a_thread})
    follow(BaseAgent, dict.fromkeys(("execute_task", "aexecute_task", "kickoff", "kickoff_async"), _agent))
    follow(BaseTool, dict.fromkeys(("run", "arun"), _tool))
    follow(CrewStructuredTool, dict.fromkeys(("invoke", "ainvoke"), _tool))
    follow(BaseLLM, dict.fromkeys(("call", "acall"), _model))


# --- what stops a run -----------------------------------------------------------------------------------------------------


def raise_kept(run: Run) -> None:
    error = _of(run).kept
    if error is not None:
        raise error


def keep(run: Run, error: BaseException) -> BaseException:
    """What there is to raise in an error's place: what stops the run, else the error itself."""
    steps = _of(run)
    if isinstance(error, STOPS) and steps.open and steps.kept is None:
        steps.kept = error
    return steps.kept or error


# --- steps ----------------------------------------------------------------------------------------------------------------


def _begun(scope: Scope, owner: Any, kind: Kind, name: str, **fields: Any) -> OpenSpan:
    """Raises what stops the run."""
    raise_kept(scope.run)
    scope.run.check_control()
    span = recording.begin(scope, kind, name, **fields)
    steps = _of(scope.run)
    steps.ids.add(span.id)
    steps.open[span.id] = owner
    return span


def _over(scope: Scope, span: OpenSpan, *, output: Any = None, error: BaseException | str | None = None) -> None:
    steps = _of(scope.run)
    del steps.open[span.id]
    if not steps.open:
        steps.kept = None
    if span.kind is Kind.TOOL:
        scope.run.used.add_tool(span.agent, span.name, is_error=error is not None)
    span.end(output=output, error=error)


def _step(scope: Scope, owner: Any, kind: Kind, name: str, told: Callable[[Any], Any], **fields: Any) -> Steps:
    """A step around a call. ``told``: what is shown of its answer."""
    run, span = scope.run, None
    try:
        span = _begun(scope, owner, kind, name, **fields)
        answer = yield Call(span.scope)
        raise_kept(run)
    except BaseException as error:
        found = keep(run, error)
        if span is not None:
            _over(scope, span, error=found)
        if found is error:
            raise
        raise found from None
    failure = answer.message if isinstance(answer, ToolFailure) else None
    _over(scope, span, output=recording.safely(told, answer, default=None), error=failure)
    return answer


def _is_own(scope: Scope | None, owner: Any) -> bool:
    """Whether one method of the owner calls another."""
    return scope is not None and _of(scope.run).open.get(scope.span_id) is owner


def _said(result: Any) -> Any:
    """An output of CrewAI's as it was said."""
    raw = getattr(result, "raw", None)
    return raw if isinstance(raw, str) else result


# --- crews and tasks ------------------------------------------------------------------------------------------------------


def _crew(invocation: Invocation) -> Steps:
    crew = invocation.args[0]
    if not is_on() or crew.stream:  # one that streams calls itself again when it is read
        return (yield Call())
    name = crew.name or "crew"
    with recording.scope_here(name) as scope:
        return (yield from _step(scope, crew, Kind.CHAIN, name, _said, input=invocation.arguments().get("inputs")))


def name_of(task: Any) -> str:
    return str(task.name or task.description.strip().partition("\n")[0][:NAME_CHARACTERS])


def role_of(agent: Any) -> str:
    return str(getattr(agent, "role", None) or "").strip()


def _asked_of(task: Any, given: Mapping[str, Any], scope: Scope) -> tuple[str, dict[str, Any]]:
    """Who does the task, and what its step tells."""
    role = role_of(given.get("agent") or task.agent) or scope.agent
    scope.run.task = name_of(task)
    return role, {"agent": role, "input": {"task": task.description, "context": given.get("context")}}


def _task(invocation: Invocation) -> Steps:
    task = invocation.args[0]
    if not is_on():
        return (yield Call())
    with recording.scope_here("task") as scope:
        turns = crewai_turns.of(scope.run)
        had = None if turns is None else turns.had(task)
        if had is not None:
            raise_kept(scope.run)
            return had
        role, fields = _asked_of(task, invocation.arguments(), scope)
        output = yield from _step(scope, task, Kind.CHAIN, name_of(task), _said, **fields)
        if turns is not None:
            turns.ended(scope.run, task, role, output)
        return output


def _task_of_a_thread(invocation: Invocation) -> Steps:
    """A task that runs beside others: what is given is not its output, but where that will be."""
    task = invocation.args[0]
    if not is_on():
        return (yield Call())
    promised: Future[Any] = Future()
    with recording.scope_here("task") as scope:
        run, turns = scope.run, crewai_turns.of(scope.run)
        had = None if turns is None else turns.had(task)
        if had is not None:
            promised.set_result(had)
            return promised
        role, fields = _asked_of(task, invocation.arguments(), scope)
        span = _begun(scope, task, Kind.CHAIN, name_of(task), **fields)

        def over(done: Future[Any]) -> None:
            error = done.exception() or _of(run).kept
            if error is not None:
                error = keep(run, error)
                _over(scope, span, error=error)
                promised.set_exception(error)
                return
            _over(scope, span, output=recording.safely(_said, done.result(), default=None))
            if turns is not None:
                turns.ended(run, task, role, done.result())
            promised.set_result(done.result())

        future = yield Call(span.scope)
        future.add_done_callback(over)
        return promised


# --- agents and tools -----------------------------------------------------------------------------------------------------


def _agent(invocation: Invocation) -> Steps:
    """A turn of an agent: a step of its role, to which what it calls is charged."""
    agent = invocation.args[0]
    if not is_on():
        return (yield Call())
    role = role_of(agent)
    with recording.scope_here(role) as scope:
        if _is_own(scope, agent):  # it tries again, or one of its methods calls another
            raise_kept(scope.run)
            return (yield Call())
        given = invocation.arguments()
        asked = given["task"].description if "task" in given else given.get("messages")
        return (yield from _step(scope, agent, Kind.AGENT, role, _said, agent=role, input=asked))


def _tool(invocation: Invocation) -> Steps:
    tool = invocation.args[0]
    if not is_on() or _is_own(context.current(), tool):
        return (yield Call())
    name, given = sanitize_tool_name(tool.name), invocation.arguments()
    asked = given.get("input") if isinstance(tool, CrewStructuredTool) else given
    if "args" in given:  # by their places
        asked = [*given["args"][1:], *invocation.kwargs.values()]
    with recording.scope_here(name) as scope:
        result = yield from _step(scope, tool, Kind.TOOL, name, _result_of, input=asked, tool=name)
        try:
            scope.run.check_loop()
        except STOPS as error:
            keep(scope.run, error)
            raise
        return result


def _result_of(result: Any) -> Any:
    """As the model is told."""
    plain = (str, int, float, bool, dict, list, tuple, type(None))
    return result if isinstance(result, plain) else str(result)


# --- models ---------------------------------------------------------------------------------------------------------------


def _model(invocation: Invocation) -> Steps:
    """A call of a model: recorded by the provider's client under it where that is known, which tells more; else by what
    CrewAI tells of it."""
    llm = invocation.args[0]
    if not is_on():
        return (yield Call())
    with recording.scope_here("chat") as scope:
        run = scope.run
        if crewai_models.is_called(scope.call, llm):
            return (yield Call())
        recording.safely(crewai_models.watch_clients, is_within, default=None)
        recording.safely(crewai_models.refresh, llm, default=None)
        call = None
        try:
            raise_kept(run)
            run.check(scope.agent)
            call = crewai_models.ModelCall(scope, llm, invocation.arguments().get("messages"))
            with call.heard():
                answer = yield Call(call.scope)
            call.end(answer)
            run.check_spent(scope.agent, answer)
        except BaseException as error:
            found = keep(run, error)
            if call is not None:
                call.end(None, found)
            if found is error:
                raise
            raise found from None
        return answer
