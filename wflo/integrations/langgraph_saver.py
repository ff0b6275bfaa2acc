"""WfloSaver: LangGraph's checkpointer on Wflo's store. A thread's checkpoints are those of the run of the same name.

    graph = builder.compile(checkpointer=WfloSaver())
    graph.invoke(inputs, {"configurable": {"thread_id": "ticket-7"}})

State is on the run's page, message by message, and is what it was when it is read back: interrupts outlive the process,
``get_state_history``, ``update_state`` and an invocation from an old ``checkpoint_id`` work as with any checkpointer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from wflo.client import Client
from wflo.integrations.langgraph_threads import Entry, Threads
from wflo.integrations.langgraph_values import pack, unpack
from wflo.plain import to_json

State = dict[str, Any]
_PULLED = "~__pregel_pull, "  # how the path of a task that an edge began is written


class WfloSaver(BaseCheckpointSaver[int]):
    """``server``: a client of another Wflo than the configured one; ``is_local``: kept in this process, whatever is
    configured. With a ``serde`` of one's own (one that encrypts) the store has nothing but what that writes.

    ``delete_for_runs`` and a ``list`` without a thread see the threads that this process has used. Raises ServerError and
    CheckpointError.
    """

    def __init__(
        self, *, serde: SerializerProtocol | None = None, server: Client | None = None, is_local: bool = False
    ) -> None:
        super().__init__(serde=serde)
        self._is_secret = serde is not None and not isinstance(serde, JsonPlusSerializer)
        self._threads = Threads(server, is_local=is_local)

    # --- putting ----------------------------------------------------------------------------------------------------------

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        asked = config["configurable"]
        thread_id, ns = str(asked["thread_id"]), str(asked.get("checkpoint_ns") or "")
        told = get_checkpoint_metadata(config, metadata)
        rest = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        state = {
            "values": {name: self._pack(value) for name, value in checkpoint["channel_values"].items()},
            "langgraph": {
                "ns": ns, "id": checkpoint["id"], "parent": asked.get("checkpoint_id"),
                "checkpoint": self._pack(rest), "metadata": self._pack(told),
            },
        }  # fmt: skip
        name = f"{told.get('source', 'loop')} {told.get('step', '')}".strip()
        agent = ns.partition("|")[0].partition(":")[0]
        self._threads.put(thread_id, Entry(f"{ns}/{checkpoint['id']}", name, agent, state))
        return _config(thread_id, ns, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        asked = config["configurable"]
        ns, id = str(asked.get("checkpoint_ns") or ""), str(asked["checkpoint_id"])
        kept = [
            {"channel": channel, "place": WRITES_IDX_MAP.get(channel, place), "value": self._pack(value)}
            for place, (channel, value) in enumerate(writes)
        ]
        state = {"langgraph": {"ns": ns, "writes_of": id, "task": task_id, "path": task_path, "writes": kept}}
        node = _node_of(task_path)
        key = hashlib.sha256(
            to_json(state).encode("utf-8", "replace")
        ).hexdigest()  # the same writes again are the same
        self._threads.put(str(asked["thread_id"]), Entry(key, f"writes of {node or task_id}", node, state))

    # --- reading ----------------------------------------------------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        asked = config["configurable"]
        thread_id, ns = str(asked["thread_id"]), str(asked.get("checkpoint_ns") or "")
        states = [*self._threads.read(thread_id).values()]
        found = {one["id"] for one in _checkpoints(states) if one["ns"] == ns}
        id = get_checkpoint_id(config) or max(found, default="")
        return self._tuple(thread_id, states, ns, id) if id in found else None

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        asked = config["configurable"] if config else {}
        threads = [str(asked["thread_id"])] if config else self._threads.names()
        ns, id = asked.get("checkpoint_ns"), get_checkpoint_id(config) if config else None
        below = get_checkpoint_id(before) if before else None
        left = limit
        for thread_id in threads:
            states = [*self._threads.read(thread_id).values()]
            for one in sorted(_checkpoints(states), key=lambda one: str(one["id"]), reverse=True):
                is_other = (ns is not None and one["ns"] != ns) or (id is not None and one["id"] != id)
                if is_other or (below is not None and one["id"] >= below):
                    continue
                metadata = self._unpack(one["metadata"])
                if any(metadata.get(name) != value for name, value in (filter or {}).items()):
                    continue
                if left is not None and left <= 0:
                    return
                left = None if left is None else left - 1
                yield self._tuple(thread_id, states, one["ns"], one["id"])

    def _tuple(self, thread_id: str, states: Sequence[State], ns: str, id: str) -> CheckpointTuple:
        place = (ns, id)
        state = next(one for one in states if (one["langgraph"]["ns"], one["langgraph"].get("id")) == place)
        told = state["langgraph"]
        values = {name: self._unpack(value) for name, value in state["values"].items()}
        parent = told.get("parent")
        return CheckpointTuple(
            config=_config(thread_id, ns, id),
            checkpoint={**self._unpack(told["checkpoint"]), "channel_values": values},
            metadata=self._unpack(told["metadata"]),
            parent_config=_config(thread_id, ns, parent) if parent else None,
            pending_writes=self._writes(states, ns, id),
        )

    def _writes(self, states: Sequence[State], ns: str, id: str) -> Sequence[tuple[str, str, Any]]:
        found: dict[tuple[str, int], tuple[str, str, Any]] = {}  # by task and place; path, channel, value
        for state in states:
            told = state["langgraph"]
            if told["ns"] == ns and told.get("writes_of") == id:
                for one in told["writes"]:
                    place = (told["task"], one["place"])
                    if one["place"] < 0 or place not in found:
                        found[place] = (told["path"], one["channel"], one["value"])
        order = sorted(found, key=lambda place: writes_sort_key(found[place][0], *place))
        return [(place[0], found[place][1], self._unpack(found[place][2])) for place in order]

    # --- deleting and copying ---------------------------------------------------------------------------------------------

    def delete_thread(self, thread_id: str) -> None:
        self._threads.delete(thread_id, self._threads.read(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """What those runs of LangGraph's left, in the threads that this process has used."""
        wanted = set(run_ids)
        for thread_id in self._threads.names():
            entries = self._threads.read(thread_id)
            told = _checkpoints(entries.values())
            gone = {(one["ns"], one["id"]) for one in told if self._unpack(one["metadata"]).get("run_id") in wanted}
            self._forget(thread_id, entries, gone)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        entries = self._threads.read(source_thread_id)
        copies = [Entry(f"copy of {id}", "copied", "", state) for id, state in entries.items()]
        self._threads.put(target_thread_id, *copies)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """``keep_latest`` keeps the newest of each namespace, and what its delta channels are rebuilt from."""
        for thread_id in thread_ids:
            if strategy == "delete":
                self.delete_thread(thread_id)
                continue
            entries = self._threads.read(thread_id)
            every = {(one["ns"], one["id"]): one for one in _checkpoints(entries.values())}
            self._forget(thread_id, entries, set(every) - self._needed(every))

    def _needed(self, every: dict[tuple[str, str], State]) -> set[tuple[str, str]]:
        latest = {ns: max(id for space, id in every if space == ns) for ns, _ in every}
        kept = set(latest.items())
        for place in latest.items():
            one = every[place]
            while self._unpack(one["metadata"]).get("counters_since_delta_snapshot"):
                above = (one["ns"], str(one.get("parent")))
                if above not in every:
                    break
                kept.add(above)
                one = every[above]
        return kept

    def _forget(self, thread_id: str, entries: dict[str, State], gone: set[tuple[str, str]]) -> None:
        def is_gone(told: State) -> bool:
            return (told["ns"], told.get("id") or told["writes_of"]) in gone

        self._threads.delete(thread_id, [id for id, state in entries.items() if is_gone(state["langgraph"])])

    # --- the same, awaited ------------------------------------------------------------------------------------------------

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        found = await asyncio.to_thread(lambda: [*self.list(config, filter=filter, before=before, limit=limit)])
        for one in found:
            yield one

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await asyncio.to_thread(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await asyncio.to_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await asyncio.to_thread(lambda: self.prune(thread_ids, strategy=strategy))

    # --- values -----------------------------------------------------------------------------------------------------------

    def _pack(self, value: Any) -> Any:
        return pack(self.serde, value, is_secret=self._is_secret)

    def _unpack(self, value: Any) -> Any:
        return unpack(self.serde, value)


def _config(thread_id: str, ns: str, id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": id}}


def _checkpoints(states: Iterable[State]) -> Iterator[State]:
    """What is told of each checkpoint among them."""
    return (state["langgraph"] for state in states if "id" in state["langgraph"])


def _node_of(task_path: str) -> str:
    """Its node, of a task that a node's edge began; "" of others."""
    return task_path.removeprefix(_PULLED) if task_path.startswith(_PULLED) else ""
