"""Runs of pydantic-ai's agents, watched by a capability of each: the agent's span, its requests to models, its tools, its messages after
each turn. pydantic-ai calls it at each of these; what it is put in by is ``Agent.iter``, which all ways to run an agent go through."""

from __future__ import annotations

import functools
import json
import logging
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pydantic_ai import DeferredToolRequests
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, SkipToolExecution
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter

from wflo import checkpoints, context, recording
from wflo.context import Scope
from wflo.errors import CheckpointError
from wflo.integrations.following import Switch, follow
from wflo.integrations.pydantic_ai_models import Watched
from wflo.recording import OpenSpan
from wflo.spans import Kind

log = logging.getLogger("wflo")
switch = Switch("pydantic_ai")
LATER = (ApprovalRequired, CallDeferred)  # somebody else does it


@dataclass(slots=True)
class Turns:
    """The turns of the agent that ``WfloWorkflow`` executes: after each a checkpoint of what was said until then."""

    flow: Any
    is_taken: bool = False

    def save(self, agent: str, messages: list[ModelMessage]) -> None:
        if not self.flow.enable_checkpointing:
            return
        try:
            state = {"messages": json.loads(ModelMessagesTypeAdapter.dump_json(messages))}
            checkpoints.save(self.flow.run, agent, state, agent=agent)
        except CheckpointError as error:
            log.warning("%s", error)
        except Exception as error:
            recording.told("pydantic_ai checkpoint", error)


current: ContextVar[Turns | None] = ContextVar("wflo_pydantic_ai_turns", default=None)


@functools.cache
def watch() -> None:
    """All of it; once a process."""
    follow(AbstractAgent, {"iter": _iter})


def read_messages(state: Any) -> list[ModelMessage]:
    """As a checkpoint has them. Raises CheckpointError for what are none."""
    try:
        found: list[ModelMessage] = ModelMessagesTypeAdapter.validate_python(state)
    except ValueError as error:
        raise CheckpointError(
            f"The checkpoint's messages cannot be read by this version of pydantic-ai: {error}"
        ) from error
    return found


def _iter(method: Any) -> Any:
    """An agent that wraps another hands its capabilities on: one is enough."""

    @functools.wraps(method)
    def iter(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = kwargs.get("capabilities") or ()
        if switch.is_on() and not any(isinstance(one, Watch) for one in given):
            kwargs["capabilities"] = [*given, Watch()]
        return method(self, *args, **kwargs)

    return iter


class Watch(AbstractCapability[Any]):
    """One run of one agent."""

    def __init__(self) -> None:
        self.name = ""
        self.scope: Scope | None = None  # of what happens in it
        self.turns: Turns | None = None
        self.requests = 0

    async def for_run(self, ctx: Any) -> Watch:
        return Watch()

    async def wrap_run(self, ctx: Any, *, handler: Any) -> Any:
        self.name = str(getattr(ctx.agent, "name", None) or "agent")
        turns = current.get()
        if turns is not None and not turns.is_taken:
            turns.is_taken, self.turns = True, turns
        with recording.scope_here(self.name) as entered:
            span = recording.begin(entered, Kind.AGENT, self.name, agent=self.name, input=ctx.prompt)
            self.scope = span.scope
            try:
                with context.entered(span.scope):
                    result = await handler()
            except BaseException as error:
                span.end(error=error)
                raise
            span.end(output=result.output)
        if self.turns is not None and not isinstance(result.output, DeferredToolRequests):
            self.turns.save(self.name, result.all_messages())
        return result

    async def wrap_model_request(self, ctx: Any, *, request_context: Any, handler: Any) -> Any:
        """A turn begins: the one before is over, with its tools."""
        if self.requests and self.turns is not None:
            self.turns.save(self.name, ctx.messages)
        self.requests += 1
        return await handler(request_context)

    def get_wrapper_model(self, model: Any) -> Any:
        return None if self.scope is None else Watched(model, self.scope)

    async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
        with recording.scope_here(call.tool_name) as here:
            scope = self.scope or here
            scope.run.check_control()
            span = recording.begin(
                scope, Kind.TOOL, call.tool_name, input=args, tool=call.tool_name, tool_call_id=call.tool_call_id
            )
            try:
                with context.entered(span.scope):
                    result = await handler(args)
            except BaseException as error:
                _failed(span, call.tool_name, error)
                raise
            span.run.used.add_tool(span.agent, call.tool_name)
            span.end(output=result)
            scope.run.check_loop()
            return result


def _failed(span: OpenSpan, tool: str, error: BaseException) -> None:
    """A tool that is left to somebody else, or not run, has not failed."""
    if isinstance(error, (*LATER, SkipToolExecution)):
        span.end(output={"deferred": type(error).__name__})
        return
    span.run.used.add_tool(span.agent, tool, is_error=True)
    span.end(error=error)
