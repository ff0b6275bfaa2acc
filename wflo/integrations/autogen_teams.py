"""AutoGen's teams: a step for each run of one, what its messages lose on their way, and its state after each turn.

A team's messages go through a runtime that may have been started anywhere, so where we are is remembered by the team's id.
What a participant raises, a team tells as a RuntimeError of its words; where that stops the run it is raised as it was.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from autogen_agentchat.base import TaskResult
from autogen_agentchat.teams import BaseGroupChat
from autogen_agentchat.teams._group_chat._base_group_chat_manager import BaseGroupChatManager
from autogen_agentchat.teams._group_chat._events import GroupChatAgentResponse, GroupChatStart, GroupChatTeamResponse
from autogen_agentchat.teams._group_chat._magentic_one._magentic_one_orchestrator import MagenticOneOrchestrator
from autogen_agentchat.teams._group_chat._sequential_routed_agent import SequentialRoutedAgent

from wflo import checkpoints, context, recording
from wflo.context import Scope
from wflo.errors import CheckpointError
from wflo.integrations import autogen_watching as watching
from wflo.spans import Kind
from wflo.wrapping import Call, Invocation

log = logging.getLogger("wflo")
KEY = "autogen"  # of a checkpoint's state: what AutoGen saves


@dataclass(slots=True)
class Turns:
    """The turns of a team that is executed. ``back`` is the state it goes on from, None at its beginning."""

    team: Any
    flow: Any
    back: dict[str, Any] | None = None
    began: int = 0  # how many messages the thread had before
    ended: list[str] = field(default_factory=list)  # who had a turn since the last checkpoint


@dataclass(slots=True)
class _Running:
    scope: Scope
    turns: Turns | None
    containers: dict[str, Any] = field(default_factory=dict)  # of the participants
    failure: BaseException | None = None  # that stops the run


current: ContextVar[Turns | None] = ContextVar("wflo_autogen_turns", default=None)
_running: dict[str, _Running] = {}  # by the team's id


@functools.cache
def watch() -> None:
    """All of AutoGen's classes; once a process."""
    watching.watch()
    watching.follow(BaseGroupChat, {"run_stream": watching.with_pieces(_run)})
    watching.follow(SequentialRoutedAgent, {"on_message_impl": _message})
    watching.follow(BaseGroupChatManager, {"_transition_to_next_speakers": _next})
    watching.follow(MagenticOneOrchestrator, {"_orchestrate_step": _next})


# --- runs -----------------------------------------------------------------------------------------------------------------


def _run(invocation: Invocation) -> watching.Steps:
    team = invocation.args[0]
    if not watching.is_on() or team._team_id in _running:
        return (yield Call())
    with recording.scope_here(team.name) as scope:
        scope.run.check_control()
        asked = recording.safely(watching.words_of, invocation.kwargs.get("task"), default=None)
        span = recording.begin(scope, Kind.CHAIN, team.name, input=asked)
        turns = current.get()
        running = _running[team._team_id] = _Running(span.scope, turns if turns and turns.team is team else None)
        said: list[Any] = []
        try:
            yield Call(span.scope, said.append)
            watching.raise_kept(scope.run)
        except BaseException as error:
            told = error if running.failure is None else running.failure
            span.end(error=told)
            if told is error:
                raise
            raise told from None
        finally:
            del _running[team._team_id]
        span.end(output=recording.safely(_last, said, default=None))
        return None


def _last(said: list[Any]) -> Any:
    result = said[-1] if said else None
    return watching.words_of(result.messages[-1]) if isinstance(result, TaskResult) and result.messages else None


def _message(method: Any) -> Any:
    """A message reaches a participant or the manager: within the team's run, whatever task delivers it."""

    @functools.wraps(method)
    async def on_message_impl(self: Any, message: Any, ctx: Any) -> Any:
        running = _running.get(self.id.key)
        if running is None:
            return await method(self, message, ctx)
        is_manager = isinstance(self, BaseGroupChatManager)
        if not is_manager:
            running.containers[self.id.type] = self
        scope = running.scope._replace(agent=self._name) if is_manager else running.scope
        try:
            with watching.here(), context.entered(scope):
                if is_manager and running.turns is not None:
                    await _heard(self, message, running.turns)
                    if _goes_on(self, message, running.turns):
                        return await self._orchestrate_step(ctx.cancellation_token)
                return await method(self, message, ctx)
        except watching.STOPS as error:
            running.failure = running.failure or error
            raise

    return on_message_impl


# --- checkpoints ----------------------------------------------------------------------------------------------------------


async def _heard(manager: Any, message: Any, turns: Turns) -> None:
    if isinstance(message, GroupChatAgentResponse | GroupChatTeamResponse):
        turns.ended.append(message.name)
    elif isinstance(message, GroupChatStart):
        manager._active_speakers.clear()  # a run that failed leaves them
        if turns.back is None:
            turns.began = len(manager._message_thread)
        else:
            await _recount(manager, turns.back)


async def _recount(manager: Any, back: dict[str, Any]) -> None:
    """Have the condition that ends the team know of what was said before the checkpoint: AutoGen does not save it."""
    condition = manager._termination_condition
    if condition is None:
        return
    await condition.reset()
    before = manager._message_thread[int(back.get("began") or 0) :]
    if before and not back.get("is_over"):
        await condition(before)


def _goes_on(manager: Any, message: Any, turns: Turns) -> bool:
    """Magentic-One has no way of its own to go on without a new task."""
    is_start = isinstance(message, GroupChatStart) and not message.messages
    return is_start and turns.back is not None and isinstance(manager, MagenticOneOrchestrator)


def _next(method: Any) -> Any:
    """Who is next was not decided yet: the moment that a team can go on from."""

    @functools.wraps(method)
    async def decide(self: Any, *args: Any, **kwargs: Any) -> Any:
        running = _running.get(self.id.key)
        if running is not None and running.turns is not None and running.turns.ended:
            await asyncio.sleep(0)  # all who hear of the turn have begun to
            for container in list(running.containers.values()):
                await container._fifo_lock.acquire()
                container._fifo_lock.release()
            await save(running.turns)
        return await method(self, *args, **kwargs)

    return decide


async def save(turns: Turns, *, is_over: bool = False) -> None:
    """A checkpoint after those whose turns ended. What goes wrong is logged."""
    name = ", ".join(sorted(turns.ended))
    turns.ended.clear()
    if not turns.flow.enable_checkpointing:
        return
    try:
        state = {"task": None, "began": turns.began, "is_over": is_over, KEY: dict(await turns.team.save_state())}
        checkpoints.save(turns.flow.run, name, state, agent=name)
    except CheckpointError as error:
        log.warning("%s", error)
    except Exception as error:
        recording.told("autogen checkpoint", error)
