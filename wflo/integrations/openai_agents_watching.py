"""Runs of openai-agents, watched: whose turn it is, its calls of models and tools, guardrails, and its input after each turn.

A turn's parts are in tasks of their own, so where we are is asked of the run they belong to (``Activity``). A tool's error is
told to the model, so what stops a run is kept, and raised wherever the run goes on until it has ended.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import agents.tool
from agents import FunctionTool, InputGuardrail, Model, OutputGuardrail, RunResultStreaming
from agents.lifecycle import RunHooksBase
from agents.run import AgentRunner
from agents.run_internal import tool_execution

from wflo import checkpoints, context, recording
from wflo.context import Scope
from wflo.errors import CheckpointError
from wflo.integrations.following import STOPS, Steps, Switch, follow, put, with_habit, with_pieces
from wflo.integrations.openai_agents_models import ModelCall
from wflo.recording import OpenSpan
from wflo.spans import Kind
from wflo.wrapping import Call, Invocation

log = logging.getLogger("wflo")
switch = Switch("openai_agents")
BY_SERVER = ("conversation_id", "previous_response_id", "auto_previous_response_id")  # who keeps what was said


@dataclass(slots=True)
class Turns:
    """The turns of the agent that ``WfloWorkflow`` executes: after each a checkpoint of what the next is asked."""

    flow: Any
    agent: str = ""  # who had the last one
    is_taken: bool = False

    def asked(self, agent: str, items: Any) -> None:
        """It is an agent's turn, which is given the input as it is now."""
        if self.agent:
            self.save(agent, items)
        self.agent = agent

    def save(self, agent: str, items: Any) -> None:
        if not self.flow.enable_checkpointing:
            return
        try:
            checkpoints.save(self.flow.run, self.agent, {"agent": agent, "input": list(items)}, agent=self.agent)
        except CheckpointError as error:
            log.warning("%s", error)
        except Exception as error:
            recording.told("openai_agents checkpoint", error)


@dataclass(slots=True, eq=False)
class Activity:
    """One run of an agent and of those it hands over to; ``scope`` is for what happens in it."""

    entered: Scope
    scope: Scope
    above: Activity | None = None
    turns: Turns | None = None
    agent: Any = None
    span: OpenSpan | None = None  # of the agent whose turn it is
    said: Any = None
    is_open: bool = True
    failure: BaseException | None = None  # that stops the whole run
    tools: dict[object, OpenSpan] = field(default_factory=dict)  # of other kinds than functions

    @property
    def root(self) -> Activity:
        above = self.above
        return self if above is None or above.entered.run is not self.entered.run else above.root

    def at(self, agent: Any, asked: Any = None) -> None:
        """It is this agent's turn."""
        if agent is self.agent:
            return
        self.over()
        self.agent, self.said = agent, None
        self.span = recording.begin(self.entered, Kind.AGENT, agent.name, agent=agent.name, input=asked)
        self.scope = self.span.scope

    def over(self, error: BaseException | None = None) -> None:
        for tool in self.tools.values():
            tool.end(error=error)
        self.tools.clear()
        if self.span is not None:
            self.span.end(output=self.said, error=error)

    def keep(self, error: BaseException) -> BaseException:
        """What there is to raise in an error's place: what stops the run, else the error itself."""
        if isinstance(error, STOPS):
            self.root.failure = self.root.failure or error
        return self.root.failure or error


current: ContextVar[Turns | None] = ContextVar("wflo_openai_agents_turns", default=None)
_activity: ContextVar[Activity | None] = ContextVar("wflo_openai_agents", default=None)
_failed: ContextVar[list[BaseException] | None] = ContextVar("wflo_openai_agents_tool", default=None)


def _bridge(entered: Scope | None) -> Scope | None:
    activity = _activity.get()
    is_nearest = activity is not None and activity.is_open and activity.entered is entered
    return activity.scope if activity is not None and is_nearest else entered


@functools.cache
def watch() -> None:
    """All of it; once a process."""
    context.bridge(_bridge)
    follow(AgentRunner, {"run": _run, "run_streamed": _run_streamed})
    put(RunResultStreaming, "stream_events", _events)
    follow(Model, {"get_response": with_habit(_model), "stream_response": with_pieces(_model)})
    for name in ("_invoke_function_tool_with_metadata", "invoke_function_tool"):  # one calls the other
        if hasattr(tool_execution, name):
            put(tool_execution, name, with_habit(_tool))
            break
    put(agents.tool, "maybe_invoke_function_tool_failure_error_function", _failure)
    for guardrail in (InputGuardrail, OutputGuardrail):
        follow(guardrail, {"run": with_habit(_guardrail)})


# --- runs -----------------------------------------------------------------------------------------------------------------


def _run(method: Any) -> Any:
    @functools.wraps(method)
    async def run(self: Any, starting_agent: Any, input: Any, **kwargs: Any) -> Any:
        if not switch.is_on():
            return await method(self, starting_agent, input, **kwargs)
        with recording.scope_here(starting_agent.name) as scope, _acting(scope, kwargs) as activity:
            try:
                result = await method(self, starting_agent, input, **kwargs)
                raise_kept()
            except BaseException as error:
                raised = _ended(activity, error)
                if raised is None or raised is error:
                    raise
                raise raised from None
            _ended(activity)
            return result

    return run


def _run_streamed(method: Any) -> Any:
    """The run goes on in a task of its own, which has the context it was begun in."""

    @functools.wraps(method)
    def run_streamed(self: Any, starting_agent: Any, input: Any, **kwargs: Any) -> Any:
        if not switch.is_on():
            return method(self, starting_agent, input, **kwargs)
        with ExitStack() as stack:
            scope = stack.enter_context(recording.scope_here(starting_agent.name))
            with _acting(scope, kwargs) as activity:
                result = method(self, starting_agent, input, **kwargs)
            result._wflo_activity = activity
            later = stack.pop_all()

        def over(task: asyncio.Task[Any]) -> None:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            error = error or getattr(result, "_stored_exception", None)
            raised = _ended(activity, error)
            with recording.quietly("openai_agents stream"):
                later.__exit__(None if raised is None else type(raised), raised, None)

        result.run_loop_task.add_done_callback(over)
        return result

    return run_streamed


def _events(method: Any) -> Any:
    """What stops the run is raised as it was to who reads its events."""

    @functools.wraps(method)
    async def stream_events(self: Any) -> AsyncIterator[Any]:
        try:
            async with aclosing(method(self)) as events:
                async for event in events:
                    yield event
        except Exception as error:
            activity = getattr(self, "_wflo_activity", None)
            raised = error if activity is None else activity.keep(error)
            if raised is error:
                raise
            raise raised from None

    return stream_events


@contextmanager
def _acting(scope: Scope, kwargs: dict[str, Any]) -> Iterator[Activity]:
    """What is called within belongs to a new run of agents, which hears of itself by its hooks."""
    entered = Scope(*scope)
    activity = Activity(entered, entered, _activity.get())
    turns = current.get()
    if turns is not None and not turns.is_taken:
        turns.is_taken = True
        activity.turns = None if any(kwargs.get(name) for name in BY_SERVER) else turns
    theirs = kwargs.get("hooks")
    if theirs is None or isinstance(theirs, RunHooksBase):
        kwargs["hooks"] = _Hooks(activity, theirs)
    token = _activity.set(activity)
    try:
        with context.entered(entered):
            yield activity
    finally:
        _activity.reset(token)


def _ended(activity: Activity, error: BaseException | None = None) -> BaseException | None:
    raised = None if error is None else activity.keep(error)
    activity.over(raised)
    activity.is_open = False
    return raised


def raise_kept() -> None:
    activity = _activity.get()
    if activity is not None and activity.root.failure is not None:
        raise activity.root.failure


def _checked(check: Callable[..., None], *args: Any) -> None:
    """What stops a run is kept as it is raised."""
    try:
        check(*args)
    except STOPS as error:
        activity = _activity.get()
        if activity is not None:
            activity.keep(error)
        raise


class _Hooks(RunHooksBase[Any, Any]):
    """Ours, before those of whoever called."""

    def __init__(self, activity: Activity, theirs: Any) -> None:
        self.activity, self.theirs = activity, theirs or RunHooksBase()

    async def on_agent_start(self, context: Any, agent: Any) -> None:
        self.activity.at(agent, getattr(context, "turn_input", None))
        await self.theirs.on_agent_start(context, agent)

    async def on_llm_start(self, context: Any, agent: Any, system_prompt: Any, input_items: Any) -> None:
        self.activity.at(agent, input_items)
        if self.activity.turns is not None:
            self.activity.turns.asked(agent.name, input_items)
        await self.theirs.on_llm_start(context, agent, system_prompt, input_items)

    async def on_llm_end(self, context: Any, agent: Any, response: Any) -> None:
        await self.theirs.on_llm_end(context, agent, response)

    async def on_agent_end(self, context: Any, agent: Any, output: Any) -> None:
        self.activity.said = output
        await self.theirs.on_agent_end(context, agent, output)

    async def on_handoff(self, context: Any, from_agent: Any, to_agent: Any) -> None:
        name = f"{from_agent.name} to {to_agent.name}"
        self.activity.said = {"handoff": to_agent.name}
        recording.occurred(
            "agent_message", scope=self.activity.scope, name=name, to=to_agent.name, message_kind="handoff"
        )
        await self.theirs.on_handoff(context, from_agent, to_agent)

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        self.activity.at(agent)
        if not isinstance(tool, FunctionTool):
            id, asked = getattr(context, "tool_call_id", None), getattr(context, "tool_arguments", None)
            self.activity.tools[id or tool.name] = recording.begin(
                self.activity.scope, Kind.TOOL, tool.name, input=asked, tool=tool.name, tool_call_id=id
            )
        await self.theirs.on_tool_start(context, agent, tool)

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        span = self.activity.tools.pop(getattr(context, "tool_call_id", None) or tool.name, None)
        if span is not None:
            span.run.used.add_tool(span.agent, tool.name)
            span.end(output=result)
        await self.theirs.on_tool_end(context, agent, tool, result)


# --- models, tools, guardrails --------------------------------------------------------------------------------------------


def _model(invocation: Invocation) -> Steps:
    if not switch.is_on():
        return (yield Call())
    with recording.scope_here("chat") as scope:
        raise_kept()
        _checked(scope.run.check, scope.agent)
        call = ModelCall(scope, invocation)
        try:
            answer = yield Call(call.span.scope, call.feed)
        except BaseException as error:
            call.end(None, error)
            raise
        call.end(answer)
        _checked(scope.run.check_spent, call.span.agent, call.answer)
        return answer


def _tool(invocation: Invocation) -> Steps:
    if not switch.is_on():
        return (yield Call())
    given = invocation.arguments()
    tool, id = given["function_tool"], getattr(given.get("context"), "tool_call_id", None)
    with recording.scope_here(tool.name) as scope:
        run, errors = scope.run, list[BaseException]()
        raise_kept()
        _checked(run.check_control)
        asked = recording.safely(_asked, given.get("arguments"), default=None)
        span = recording.begin(scope, Kind.TOOL, tool.name, input=asked, tool=tool.name, tool_call_id=id)
        token = _failed.set(errors)
        try:
            result = yield Call(span.scope)
        except BaseException as error:
            run.used.add_tool(span.agent, tool.name, is_error=True)
            span.end(error=error)
            _checked(_raise, error)
        finally:
            _failed.reset(token)
        output = getattr(result, "output", result)
        failure = errors[-1] if errors else None
        if failure is None and getattr(result, "is_sdk_generated_error", False):
            run.used.add_tool(span.agent, tool.name, is_error=True)
            span.end(error=str(output))
            return result
        run.used.add_tool(span.agent, tool.name, is_error=failure is not None)
        span.end(output=output, error=failure)
        _checked(run.check_loop)
        return result


def _raise(error: BaseException) -> None:
    raise error


def _asked(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) and arguments else arguments


def _failure(function: Any) -> Any:
    """A tool failed, of which the model will be told, unless it is what stops the run."""

    @functools.wraps(function)
    async def told(*args: Any, **kwargs: Any) -> Any:
        errors, error = _failed.get(), kwargs.get("error")
        if errors is not None and error is not None:
            errors.append(error)
            if isinstance(error, STOPS):
                return None  # so it is raised
        return await function(*args, **kwargs)

    return told


def _guardrail(invocation: Invocation) -> Steps:
    if not switch.is_on():
        return (yield Call())
    guardrail = invocation.args[0]
    with recording.scope_here("guardrail") as scope:
        span = recording.begin(scope, Kind.GUARDRAIL, guardrail.get_name())
        try:
            result = yield Call(span.scope)
        except BaseException as error:
            span.end(error=error)
            _checked(_raise, error)
        told = result.output
        span.end(output={"tripwire_triggered": told.tripwire_triggered, "output_info": told.output_info})
        return result
