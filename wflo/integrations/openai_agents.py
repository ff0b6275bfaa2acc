"""openai-agents: agents executed by ``WfloWorkflow``, with a cost for each, a checkpoint after each turn, and a way back.

    result = await WfloWorkflow(budget_usd=2).execute(agent, "Write about owls")

A turn is a call of a model with the tools it asks for. After each, what the next would be asked is saved as a checkpoint of the
run, named after the agent that had the turn; after a rollback the agents go on from there, without having turns twice. Where
``WfloWorkflow`` is not wanted, ``instrument_openai_agents()`` does the recording.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from wflo import targets
from wflo.errors import CheckpointError

log = logging.getLogger("wflo")
_given: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()  # by flow: what a run was given besides its input


def instrument_openai_agents() -> Callable[[], None]:
    """Have every run of openai-agents in this process recorded, also streamed ones; what undoes it."""
    watching = _watching()
    undo: Callable[[], None] = watching.switch.everywhere()
    return undo


async def execute(target: Any, inputs: Any, flow: Any) -> Any:
    """``Runner.run`` of an agent with an input: a text, a list of items, a ``RunState``, or a dict of ``input`` and what else
    ``Runner.run`` takes; with ``agent`` in it, that one of those it may hand over to goes on. Raises what the run raises,
    BudgetExceededError, RunKilledError, RollbackRequestedError."""
    if not _is_agent(target):
        return await targets.call(target, inputs)
    from agents import Runner

    watching = _watching()
    arguments = _asked(inputs)
    name = arguments.pop("agent", None)
    if name is None:
        _given[flow] = {key: value for key, value in arguments.items() if key != "input"}
    else:
        arguments = {**_given.get(flow, {}), **arguments}
        await _put_back(arguments)
    agent = _changed(target if name is None else _found(target, name), flow)
    turns = watching.Turns(flow)
    token = watching.current.set(turns)
    try:
        with watching.switch.here():
            result = await Runner.run(agent, **arguments)
    finally:
        watching.current.reset(token)
    if turns.agent and not getattr(result, "interruptions", None):
        turns.save(result.last_agent.name, result.to_input_list())
    return result


def _watching() -> Any:
    """Imported when it is needed: a package of one's own may be called ``agents`` too."""
    watching = importlib.import_module("wflo.integrations.openai_agents_watching")
    watching.watch()
    return watching


def _is_agent(target: Any) -> bool:
    return any((kind.__module__, kind.__name__) == ("agents.agent", "AgentBase") for kind in type(target).__mro__)


def _asked(inputs: Any) -> dict[str, Any]:
    """The arguments of ``Runner.run``. Raises ValueError for a dict without an input."""
    if not isinstance(inputs, Mapping):
        return {"input": inputs}
    if "input" not in inputs:
        raise ValueError('inputs: a text, a list of items, or a dict with "input" and what else ``Runner.run`` takes.')
    return dict(inputs)


def _found(agent: Any, name: str) -> Any:
    """The agent of that name, among those that may be handed over to. Raises CheckpointError."""
    waiting, seen = [agent], list[Any]()
    while waiting:
        one = waiting.pop(0)
        if one.name == name:
            return one
        seen.append(one)
        for handoff in getattr(one, "handoffs", ()):
            refers = getattr(handoff, "_agent_ref", None)
            to = refers() if refers is not None else handoff
            if _is_agent(to) and not any(to is other for other in (*seen, *waiting)):
                waiting.append(to)
    raise CheckpointError(f'{agent.name} cannot go on from this checkpoint: nobody hands over to an agent "{name}".')


def _changed(agent: Any, flow: Any) -> Any:
    """With the instructions that a rollback wants."""
    wanted = flow.run.overrides.get("instructions")
    return agent.clone(instructions=wanted) if wanted else agent


async def _put_back(arguments: dict[str, Any]) -> None:
    """Have a session hold what the checkpoint has. One whose history is not given to the models whole is left out: what is
    not in the checkpoint would be lost from it."""
    session, config = arguments.get("session"), arguments.get("run_config")
    if session is None:
        return
    settings = [getattr(session, "session_settings", None), _of(config, "session_settings")]
    is_cut = any(getattr(one, "limit", None) is not None for one in settings)
    if is_cut or _of(config, "session_input_callback") or _of(config, "call_model_input_filter"):
        log.warning("the session was left as it is: the models are given a part of its history, so was the checkpoint.")
        arguments["session"] = None
        return
    await session.clear_session()


def _of(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)
