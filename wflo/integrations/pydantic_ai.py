"""pydantic-ai: agents executed by ``WfloWorkflow``, with a cost for each, a checkpoint after each turn, and a way back.

    result = await WfloWorkflow(budget_usd=2).execute(agent, "Write about owls")

A turn is a request to a model with the tools it asks for. After each, the messages are saved as a checkpoint of the run, named
after the agent; after a rollback the agent goes on from there, without having turns twice. Agents that a tool asks are agents of
the same run, with costs and budgets of their own. Where ``WfloWorkflow`` is not wanted, ``instrument_pydantic_ai()`` does the
recording.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any
from weakref import WeakKeyDictionary

from wflo import targets

_given: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()  # by flow: what a run was given besides its words
ASKED = ("user_prompt", "message_history", "messages", "deferred_tool_results")


def instrument_pydantic_ai() -> Callable[[], None]:
    """Have every run of pydantic-ai's agents in this process recorded, also streamed ones; what undoes it."""
    undo: Callable[[], None] = _watching().switch.everywhere()
    return undo


async def execute(target: Any, inputs: Any, flow: Any) -> Any:
    """``Agent.run`` with inputs: a text, a list of what a user may say, or a dict of ``user_prompt`` and what else it takes; with
    ``messages`` in it, a checkpoint's state, the agent goes on from there. Raises what the run raises, BudgetExceededError,
    RunKilledError, RollbackRequestedError."""
    if not _is_agent(target):
        return await targets.call(target, inputs)
    watching = _watching()
    arguments = _asked(inputs)
    if "messages" in arguments:
        history = watching.read_messages(arguments.pop("messages"))
        arguments = {**_given.get(flow, {}), "message_history": history, **arguments}
    else:
        _given[flow] = {key: value for key, value in arguments.items() if key not in ASKED}
    turns = watching.Turns(flow)
    token = watching.current.set(turns)
    try:
        with ExitStack() as stack:
            stack.enter_context(watching.switch.here())
            wanted = flow.run.overrides
            if wanted.get("instructions"):
                stack.enter_context(target.override(instructions=wanted["instructions"]))
            if wanted.get("model"):
                arguments["model"] = _model(target, arguments, wanted["model"])
            return await target.run(**arguments)
    finally:
        watching.current.reset(token)


def _watching() -> Any:
    """Imported when it is needed."""
    watching = importlib.import_module("wflo.integrations.pydantic_ai_watching")
    watching.watch()
    return watching


def _is_agent(target: Any) -> bool:
    return any(
        kind.__name__ == "AbstractAgent" and kind.__module__ == "pydantic_ai.agent.abstract"
        for kind in type(target).__mro__
    )


def _asked(inputs: Any) -> dict[str, Any]:
    """The arguments of ``Agent.run``. Raises ValueError for a dict without anything that is asked."""
    if not isinstance(inputs, Mapping):
        return {"user_prompt": inputs}
    if not any(name in inputs for name in ASKED):
        raise ValueError('inputs: a text, or a dict with "user_prompt" and what else ``Agent.run`` takes.')
    return dict(inputs)


def _model(agent: Any, arguments: Mapping[str, Any], wanted: str) -> Any:
    """The model that a rollback wants, of the provider and with the client that the agent has; "provider:model" names another."""
    own = arguments.get("model") or getattr(agent, "model", None)
    if ":" in wanted or own is None:
        return wanted
    if isinstance(own, str):
        return f"{own.partition(':')[0]}:{wanted}"
    other = copy.copy(own)
    other._model_name = wanted
    return other
