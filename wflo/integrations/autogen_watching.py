"""AutoGen's agents, models and tools, watched where their classes define them, also those of classes that come later.

Nothing is recorded where nobody asked for it: see ``is_on``. A tool may not raise within AutoGen, whose agents would either
tell the model of it or wait for ever; so what stops a run is kept, and raised as soon as the agent goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from autogen_agentchat.base import ChatAgent, Response
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, ToolCallExecutionEvent
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import (
    BaseStreamTool,
    BaseTool,
    FunctionTool,
    StaticStreamWorkbench,
    StaticWorkbench,
    TextResultContent,
    ToolResult,
    Workbench,
)

from wflo import context, recording
from wflo.errors import (
    BudgetExceededError,
    InfiniteLoopDetectedError,
    RollbackRequestedError,
    RunKilledError,
    TimeBudgetExceededError,
)
from wflo.integrations import autogen_models
from wflo.integrations.watching import MARK
from wflo.runs import Run
from wflo.spans import Kind
from wflo.wrapping import Call, Habit, Invocation, wrap

STOPS = (
    BudgetExceededError, InfiniteLoopDetectedError, RollbackRequestedError, RunKilledError, TimeBudgetExceededError,
)  # fmt: skip
Steps = Generator[Any, Any, Any]
Wrapper = Callable[[Any], Any]

_here: ContextVar[bool] = ContextVar("wflo_autogen", default=False)
_everywhere: list[object] = []  # one for each ``instrument_autogen`` that was not undone
_kept: WeakKeyDictionary[Run, BaseException] = WeakKeyDictionary()  # what stops a run, that a tool was told of


def is_on() -> bool:
    """Whether what happens here is recorded."""
    return bool(_everywhere) or _here.get()


@contextmanager
def here() -> Iterator[None]:
    """Have what is called within recorded."""
    token = _here.set(True)
    try:
        yield
    finally:
        _here.reset(token)


def everywhere() -> Callable[[], None]:
    """Have all that happens in this process recorded; what undoes it."""
    mark = object()
    _everywhere.append(mark)
    return lambda: _everywhere.remove(mark) if mark in _everywhere else None


def raise_kept(run: Run) -> None:
    error = _kept.pop(run, None)
    if error is not None:
        raise error


def _keep(run: Run, error: BaseException | None) -> None:
    if isinstance(error, STOPS):
        _kept.setdefault(run, error)


# --- classes --------------------------------------------------------------------------------------------------------------


def follow(base: Any, methods: Mapping[str, Wrapper]) -> None:
    """Put wrappers around methods of a class and of all below it, those that are not there yet too."""
    _put(base, methods)
    original = vars(base).get("__init_subclass__")

    def later(cls: Any, /, **kwargs: Any) -> None:
        if original is not None:
            original.__get__(None, cls)(**kwargs)
        else:
            super(base, cls).__init_subclass__(**kwargs)
        _put(cls, methods)

    base.__init_subclass__ = classmethod(later)


def _put(kind: Any, methods: Mapping[str, Wrapper]) -> None:
    for name, wrapper in methods.items():
        method = vars(kind).get(name)
        if inspect.isfunction(method) and not hasattr(method, MARK) and not hasattr(method, "__isabstractmethod__"):
            wrapped = wrapper(method)
            setattr(wrapped, MARK, True)
            setattr(kind, name, wrapped)
    for below in kind.__subclasses__():
        _put(below, methods)


def with_habit(habit: Habit) -> Wrapper:
    """Around a method that is awaited."""
    return lambda method: wrap(method, habit)


def with_pieces(habit: Habit) -> Wrapper:
    """Around a method that gives an async generator, whether it is one itself or not."""

    def wrapper(method: Any) -> Any:
        @functools.wraps(method)
        async def pieces(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async for piece in method(*args, **kwargs):
                yield piece

        return wrap(method if inspect.isasyncgenfunction(method) else pieces, habit)

    return wrapper


@functools.cache
def watch() -> None:
    """All of AutoGen's classes below the teams; once a process."""
    follow(ChatAgent, {"on_messages": with_habit(_turn), "on_messages_stream": with_pieces(_turn)})
    follow(ChatCompletionClient, {"create": with_habit(_model), "create_stream": with_pieces(_model)})
    follow(BaseTool, {"run_json": with_habit(_tool)})
    follow(BaseStreamTool, {"run_json_stream": with_pieces(_tool)})
    follow(Workbench, {"call_tool": _workbench})
    follow(StaticStreamWorkbench, {"call_tool_stream": _stream_workbench})
    follow(FunctionTool, {"run": _in_a_thread})


# --- agents ---------------------------------------------------------------------------------------------------------------


def words_of(said: Any) -> Any:
    """A message, or several, as who said what."""
    if isinstance(said, Response):
        return words_of(said.chat_message)
    if isinstance(said, BaseChatMessage | BaseAgentEvent):
        return {"source": said.source, "content": said.to_text()}
    if isinstance(said, list | tuple):
        return [words_of(one) for one in said]
    return said


def _turn(invocation: Invocation) -> Steps:
    """One turn of an agent: a step of its name, to which what it calls is charged."""
    agent = invocation.args[0]
    if not is_on():
        return (yield Call())
    with recording.scope_here(agent.name) as scope:
        run, said = scope.run, list[Any]([None])

        def heard(piece: Any) -> None:
            if isinstance(piece, Response):
                said[0] = piece
            if isinstance(piece, Response) or isinstance(piece, ToolCallExecutionEvent) and piece.source == agent.name:
                raise_kept(run)

        if scope.agent == agent.name and scope.span_id:  # one method of the agent calls another
            return (yield Call(scope, heard))
        raise_kept(run)
        run.check_control()
        asked = recording.safely(words_of, invocation.arguments().get("messages"), default=None)
        span = recording.begin(scope, Kind.AGENT, agent.name, agent=agent.name, input=asked)
        try:
            answer = yield Call(span.scope, heard)
            raise_kept(run)
        except BaseException as error:
            span.end(error=error)
            raise
        span.end(output=recording.safely(words_of, answer or said[0], default=None))
        return answer


# --- models ---------------------------------------------------------------------------------------------------------------


def _model(invocation: Invocation) -> Steps:
    """A call of a model: recorded by the provider's client under it where that is known, which tells more; else here."""
    client = invocation.args[0]
    if not is_on():
        return (yield Call())
    with recording.scope_here("chat") as scope:
        raise_kept(scope.run)
        autogen_models.override(invocation, scope.run)
        if autogen_models.is_watched_below(client, is_on):
            answer = yield Call(scope)
            scope.run.check_spent(scope.agent, answer)
            return answer
        scope.run.check(scope.agent)
        call = autogen_models.ModelCall(scope, client, invocation.arguments().get("messages"))
        try:
            answer = yield Call(call.span.scope, call.feed)
        except BaseException as error:
            call.end(None, error)
            raise
        call.end(answer)
        scope.run.check_spent(call.span.agent, answer or call.result)
        return answer


# --- tools ----------------------------------------------------------------------------------------------------------------


def _tool(invocation: Invocation) -> Steps:
    tool = invocation.args[0]
    if not is_on():
        return (yield Call())
    given = invocation.arguments()
    with recording.scope_here(tool.name) as scope:
        run, name, pieces = scope.run, tool.name, list[Any]()
        asked, id = given.get("args"), given.get("call_id")
        span = recording.begin(scope, Kind.TOOL, name, input=asked, tool=name, tool_call_id=id)
        try:
            result = yield Call(span.scope, pieces.append)
        except BaseException as error:
            run.used.add_tool(span.agent, name, is_error=True)
            span.end(error=error)
            _keep(run, error)
            raise
        run.used.add_tool(span.agent, name)
        span.end(output=recording.safely(_told, tool, pieces[-1] if pieces else result, default=None))
        _keep(run, _stop(run.check_loop))
        return result


def _told(tool: Any, result: Any) -> Any:
    """What an agent would be told of a result that is no plain value, as it is told."""
    plain = (str, int, float, bool, dict, list, tuple, type(None))
    return result if isinstance(result, plain) else tool.return_value_as_string(result)


def _stop(check: Callable[[], None]) -> BaseException | None:
    try:
        check()
    except STOPS as error:
        return error
    return None


def _refused(name: str) -> ToolResult | None:
    """A tool's result in a run that is to stop: the tool is not called."""
    scope = context.current() if is_on() else None
    if scope is None:
        return None
    error = _stop(scope.run.check_control)
    _keep(scope.run, error)
    return (
        None if error is None else ToolResult(name=name, result=[TextResultContent(content=str(error))], is_error=True)
    )


def _workbench(method: Any) -> Any:
    watched = wrap(method, _remote_tool)

    @functools.wraps(method)
    async def call_tool(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        return _refused(name) or await watched(self, name, *args, **kwargs)

    return call_tool


def _stream_workbench(method: Any) -> Any:
    @functools.wraps(method)
    async def call_tool_stream(self: Any, name: str, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        refused = _refused(name)
        if refused is not None:
            yield refused
            return
        async for piece in method(self, name, *args, **kwargs):
            yield piece

    return call_tool_stream


def _remote_tool(invocation: Invocation) -> Steps:
    """A tool that is no object here, such as one of an MCP server."""
    if not is_on() or isinstance(invocation.args[0], StaticWorkbench):
        return (yield Call())
    given = invocation.arguments()
    name = str(given.get("name"))
    with recording.scope_here(name) as scope:
        asked, id = given.get("arguments"), given.get("call_id")
        span = recording.begin(scope, Kind.TOOL, name, input=asked, tool=name, tool_call_id=id)
        try:
            result = yield Call(span.scope)
        except BaseException as error:
            scope.run.used.add_tool(span.agent, name, is_error=True)
            span.end(error=error)
            raise
        scope.run.used.add_tool(span.agent, name, is_error=result.is_error)
        text = recording.safely(result.to_text, default="")
        span.end(output=text, error=text or "the tool failed" if result.is_error else None)
        return result


def _in_a_thread(method: Any) -> Any:
    """AutoGen calls a plain function in a thread, without the context it is called in."""

    @functools.wraps(method)
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_on() and not asyncio.iscoroutinefunction(self._func):
            self = copy.copy(self)
            self._func = functools.partial(contextvars.copy_context().run, self._func)
        return await method(self, *args, **kwargs)

    return run
