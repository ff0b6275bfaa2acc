"""LangGraph: a graph executed by ``WfloWorkflow``, with a span and a cost for each node, checkpoints, and a way back.

    result = await WfloWorkflow(budget_usd=2).execute(graph, {"topic": "owls"})

A graph without a checkpointer is given one of this process, and after each step its state is saved as a checkpoint of the
run, named after the node (nodes that ran together: "a, b"). One that was compiled with ``WfloSaver`` saves by itself. After a
rollback the graph goes on from that step: nodes before it are not run again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel

from wflo import checkpoints
from wflo.errors import CheckpointError
from wflo.integrations.langchain import WfloCallbackHandler
from wflo.integrations.langgraph_saver import WfloSaver
from wflo.shelf import Checkpoint

__all__ = ["WfloCallbackHandler", "WfloSaver", "execute"]

log = logging.getLogger("wflo")
Config = dict[str, Any]


class _AsItIs:
    """A serialiser for a checkpointer of this process: whatever a state holds is kept, not written."""

    def dumps_typed(self, value: Any) -> tuple[str, Any]:
        return "object", value.copy() if type(value) in (list, dict) else value

    def loads_typed(self, data: tuple[str, Any]) -> Any:
        return data[1].copy() if type(data[1]) in (list, dict) else data[1]


@dataclass(slots=True)
class _Place:
    """Where a graph was after a step: the state it had, and how its own checkpointer calls that."""

    saver: InMemorySaver
    config: Config
    saved: Checkpoint


_places: WeakKeyDictionary[Any, dict[str, _Place]] = WeakKeyDictionary()  # by flow, then by checkpoint's id


async def execute(target: Any, inputs: Any, flow: Any) -> Any:
    """Run a graph (a builder is compiled) to its end, or to where it asks somebody. Raises what its nodes raise,
    BudgetExceededError, RunKilledError, RollbackRequestedError."""
    graph = target if hasattr(target, "ainvoke") else target.compile()
    is_back = flow.resumed_from is not None and inputs is flow.restored_state
    config = _config(graph, flow)
    if getattr(graph, "checkpointer", None):
        if is_back and isinstance(graph.checkpointer, WfloSaver):
            inputs = await _forked(graph, inputs, config, flow.resumed_from)
        return await graph.ainvoke(inputs, config)
    if not flow.enable_checkpointing or not isinstance(graph, Pregel):  # a graph of another process keeps its own
        return await graph.ainvoke(inputs, config)
    return await _in_steps(graph, inputs, config, flow, is_back=is_back)


def _config(graph: Any, flow: Any) -> Config:
    """The thread is the run, unless the graph is bound to one; a rollback's overrides are configurable fields."""
    bound = (getattr(graph, "config", None) or {}).get("configurable") or {}
    changed = {name: value for name, value in flow.run.overrides.items() if name in ("model", "instructions")}
    thread = bound.get("thread_id") or flow.run.id
    return {"callbacks": [WfloCallbackHandler()], "configurable": {**changed, "thread_id": thread}}


async def _in_steps(graph: Any, inputs: Any, config: Config, flow: Any, *, is_back: bool) -> Any:
    places = _places.setdefault(flow, {})
    place = places.get(flow.resumed_from.get("id")) if is_back else None
    if not is_back:
        places.clear()
    saver = place.saver if place is not None else InMemorySaver(serde=_AsItIs())
    graph = graph.copy(update={"checkpointer": saver})
    if place is not None:
        inputs = await _returned(graph, inputs, config, place)
    elif is_back:
        inputs = await _set_down(graph, inputs, config, flow.resumed_from)
    result, nodes = None, set[str]()
    async for mode, told in graph.astream(inputs, config, stream_mode=["updates", "values", "checkpoints"]):
        if mode == "updates":
            nodes.update(name for name in told if name in graph.nodes)
        elif mode == "values":
            result = told
        elif nodes:  # a checkpoint, after them
            _save(flow, ", ".join(sorted(nodes)), told["values"], saver, told["config"])
            nodes.clear()
    return result


def _save(flow: Any, name: str, values: Any, saver: InMemorySaver, config: Config) -> None:
    try:
        made = checkpoints.save(flow.run, name, checkpoints.state_of(values), agent=name)
    except CheckpointError as error:
        log.warning("%s", error)
        return
    _places[flow][made.id] = _Place(saver, config, made)


async def _returned(graph: Any, inputs: Any, config: Config, place: _Place) -> Any:
    """Stand where the graph was, with what was changed of its state since."""
    there = place.config["configurable"]
    was, state = place.saved.restored(), inputs if isinstance(inputs, Mapping) else {}
    changed = {name: value for name, value in state.items() if _differs(was.get(name), value)}
    if changed:
        there = (await graph.aupdate_state({"configurable": there}, changed))["configurable"]
    config["configurable"] |= there
    return None


async def _set_down(graph: Any, state: Any, config: Config, checkpoint: Mapping[str, Any]) -> Any:
    """Begin after the nodes a checkpoint of another process is named after; by the edges they have."""
    name = str(checkpoint.get("name"))
    nodes = [name] if name in graph.nodes else name.split(", ")
    if not all(node in graph.nodes for node in nodes):
        return state  # saved by hand, under a name of its own: the graph begins with it
    for place, node in enumerate(nodes):
        await graph.aupdate_state({"configurable": _thread(config)}, {} if place else state, as_node=node)
    return None


async def _forked(graph: Any, inputs: Any, config: Config, checkpoint: Mapping[str, Any]) -> Any:
    """Have the run's own thread begin with a checkpoint of the old one's."""
    told = inputs.get("langgraph") if isinstance(inputs, Mapping) else None
    if not isinstance(told, Mapping):
        return inputs
    saver, wanted = graph.checkpointer, str(told.get("id") or told.get("writes_of"))
    old = {"configurable": {"thread_id": checkpoint["run"], "checkpoint_ns": ""}}
    found = [one async for one in saver.alist(old) if one.checkpoint["id"] <= wanted]  # of a subgraph: what it began in
    if not found:
        raise CheckpointError(f'The thread "{checkpoint["run"]}" has no checkpoint {wanted}.')
    here = {"configurable": {**_thread(config), "checkpoint_ns": ""}}
    versions = found[0].checkpoint["channel_versions"]
    await saver.aput(here, found[0].checkpoint, {**found[0].metadata, "source": "fork"}, versions)
    changed = {name: value for name, value in inputs.items() if name not in ("langgraph", "values")}
    if changed:
        await graph.aupdate_state({"configurable": _thread(config)}, changed)
    return None


def _thread(config: Config) -> Config:
    return {"thread_id": config["configurable"]["thread_id"]}


def _differs(one: Any, other: Any) -> bool:
    try:
        return one is not other and not bool(one == other)
    except Exception:  # arrays and the like have an opinion of their own
        return True
