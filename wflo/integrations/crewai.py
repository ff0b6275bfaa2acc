"""CrewAI: crews, agents and flows executed by ``WfloWorkflow``, with a cost for each agent, checkpoints, and a way back.

    result = await WfloWorkflow(budget_usd=2).execute(crew, {"topic": "owls"})

After each task its output is saved in a checkpoint of the run, named after the task, else after who did it. After a rollback
the crew goes on from there: tasks before it are not done again. Where ``WfloWorkflow`` is not wanted, ``instrument_crewai()``
does the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crewai import Crew
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.types.streaming import CrewStreamingOutput, FlowStreamingOutput

from wflo import targets
from wflo.integrations import crewai_turns as turns
from wflo.integrations import crewai_watching as watching


def instrument_crewai() -> Callable[[], None]:
    """Have every crew, agent, tool and model of CrewAI's in this process recorded; what undoes it."""
    watching.watch()
    return watching.everywhere()


async def execute(target: Any, inputs: Any, flow: Any) -> Any:
    """Run a crew or a flow with its inputs, a crew with each of a list of inputs, or an agent with a question. Raises what it
    raises, BudgetExceededError, RunKilledError, RollbackRequestedError."""
    watching.watch()
    watching.record(flow.run)
    if isinstance(target, Crew):
        return await _crew(target, inputs, flow)
    if isinstance(target, BaseAgent):
        return await target.kickoff_async(inputs)
    result = await targets.call(target, inputs)
    return await _read(result) if isinstance(result, FlowStreamingOutput) else result


async def _crew(crew: Any, inputs: Any, flow: Any) -> Any:
    if isinstance(inputs, list):
        found = await crew.kickoff_for_each_async(inputs)
        return await _read(found) if isinstance(found, CrewStreamingOutput) else found
    state = inputs if isinstance(inputs, Mapping) and turns.KEY in inputs else {"inputs": inputs}
    given = {**(state.get("inputs") or {})}
    if "instructions" in flow.run.overrides:
        given["instructions"] = flow.run.overrides["instructions"]
    done = list(state.get(turns.KEY) or [])
    turns.begin(flow.run, turns.Turns(crew, given, done, is_saved=flow.enable_checkpointing))
    result = await crew.kickoff_async(inputs=dict(given))
    return await _read(result) if isinstance(result, CrewStreamingOutput) else result


async def _read(stream: Any) -> Any:
    """To its end: what was said, not its pieces."""
    async for _ in stream:
        pass
    many = getattr(stream, "results", None)
    return many if isinstance(many, list) and len(many) > 1 else stream.result
