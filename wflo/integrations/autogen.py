"""AutoGen: teams and agents executed by ``WfloWorkflow``, with a cost for each agent, checkpoints, and a way back.

    result = await WfloWorkflow(budget_usd=2).execute(team, "Write about owls")

After each turn the team's own state is saved as a checkpoint of the run, named after who had it. After a rollback the team
goes on from there: turns before it are not had again. Where ``WfloWorkflow`` is not wanted, ``instrument_autogen()`` does the
recording. Agents of AutoGen before 0.4, which go on as AG2, are executed by the method they have.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from wflo import targets
from wflo.errors import CheckpointError

KEY = "autogen"  # of a checkpoint's state: what AutoGen saves


def instrument_autogen() -> Callable[[], None]:
    """Have every team, agent, tool and model of AutoGen's in this process recorded; what undoes it."""
    teams, watching = _parts()
    teams.watch()
    undo: Callable[[], None] = watching.everywhere()
    return undo


async def execute(target: Any, inputs: Any, flow: Any) -> Any:
    """Run a team or an agent with a task: a text, a message, several, or a dict of what its ``run`` takes. Raises what it
    raises, BudgetExceededError, RunKilledError, RollbackRequestedError."""
    if _is_classic(target):
        return await targets.call(target, inputs)
    teams, watching = _parts()
    teams.watch()
    if not hasattr(target, "run") or not hasattr(target, "save_state"):
        raise ValueError(f"{type(target).__name__} cannot be executed: it is neither a team nor an agent of AutoGen's.")
    back = inputs if isinstance(inputs, Mapping) and KEY in inputs else None
    turns = teams.Turns(target, flow, None if back is None else dict(back))
    arguments = _asked(inputs if back is None else {"task": back.get("task")}, flow)
    token = teams.current.set(turns)
    try:
        with watching.here():
            if back is not None:
                await _set_down(target, turns)
            result = await target.run(**arguments)
            if not hasattr(target, "_team_id"):
                turns.ended.append(target.name)
            if turns.ended:
                await teams.save(turns, is_over=True)
            return result
    finally:
        teams.current.reset(token)


def _parts() -> tuple[Any, Any]:
    """Imported when they are needed: AutoGen of before 0.4 has neither."""
    names = ("autogen_teams", "autogen_watching")
    teams, watching = (importlib.import_module(f"wflo.integrations.{name}") for name in names)
    return teams, watching


def _is_classic(target: Any) -> bool:
    return not any(kind.__module__.partition(".")[0] == "autogen_agentchat" for kind in type(target).__mro__)


def _asked(inputs: Any, flow: Any) -> dict[str, Any]:
    """The arguments of ``run``. Raises ValueError for a dict without a task."""
    if not isinstance(inputs, Mapping):
        return {"task": inputs}
    if "task" not in inputs:
        raise ValueError('inputs: a task, or a dict with "task" and what else ``run`` takes.')
    arguments = dict(inputs)
    arguments["task"] = arguments["task"] or flow.run.overrides.get("instructions")
    return arguments


async def _set_down(target: Any, turns: Any) -> None:
    """Have it be what it was. Raises CheckpointError where the state is another's."""
    turns.began = int(turns.back.get("began") or 0)
    try:
        await target.load_state(turns.back[KEY])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{target.name} cannot go on from this checkpoint: {error}") from error
