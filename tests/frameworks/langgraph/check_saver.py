"""WfloSaver: against LangGraph's own suite for savers, in the process and on the server; and with graphs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any, TypedDict
from urllib.parse import quote
from uuid import uuid4

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from tests.frameworks.sights import Wflo
from wflo.errors import CheckpointError
from wflo.integrations.langgraph_saver import WfloSaver


def _conforms(*, is_local: bool) -> None:
    @checkpointer_test(name=f"WfloSaver {is_local}")
    async def saver() -> AsyncGenerator[BaseCheckpointSaver[int], None]:
        yield WfloSaver(is_local=is_local)

    report = asyncio.run(validate(saver))
    failures = {name: result.failures for name, result in report.results.items() if not result.passed}
    assert failures == {}
    assert report.passed_all_base()
    assert {"delete_for_runs", "copy_thread", "prune"} <= set(report.results)


def test_langgraphs_suite_in_this_process() -> None:
    _conforms(is_local=True)


def test_langgraphs_suite_on_the_server(wflo: Wflo) -> None:
    _conforms(is_local=False)


class Word(BaseModel):
    said: str


class Kept(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    seen: set[str]
    word: Word
    answer: str


class Turned:
    """A cipher, as far as a reader of the store can tell."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "turned", bytes(255 - byte for byte in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return bytes(255 - byte for byte in ciphertext)


def _graph(saver: WfloSaver) -> Any:
    """Asks a person between two steps."""

    def first(state: Kept) -> Kept:
        return {"messages": [("ai", "first")], "seen": {"a", "b"}, "word": Word(said="owl")}

    def ask(state: Kept) -> Kept:
        return {"answer": interrupt("may I?")}

    def last(state: Kept) -> Kept:
        return {"messages": [("ai", f"{state['answer']} {state['word'].said} {sorted(state['seen'])}")]}

    builder = StateGraph(Kept)
    for node in (first, ask, last):
        builder.add_node(node.__name__, node)
    builder.add_edge(START, "first").add_edge("first", "ask").add_edge("ask", "last")
    return builder.compile(checkpointer=saver)


def _thread() -> RunnableConfig:
    return {"configurable": {"thread_id": f"thread {uuid4().hex}"}}


def _saver() -> WfloSaver:
    serde = JsonPlusSerializer(allowed_msgpack_modules=[(Word.__module__, "Word")])
    return WfloSaver(serde=serde)


def test_a_question_outlives_the_process(wflo: Wflo) -> None:
    here = _thread()
    _graph(_saver()).invoke({"messages": [("user", "go")]}, here)
    later = _graph(_saver())  # knows nothing but what the server has
    waiting = later.get_state(here)
    assert (waiting.next, [one.value for one in waiting.interrupts]) == (("ask",), ["may I?"])
    result = later.invoke(Command(resume="yes"), here)
    assert [one.text for one in result["messages"]] == ["go", "first", "yes owl ['a', 'b']"]


def test_time_travel(wflo: Wflo) -> None:
    here = _thread()
    graph = _graph(_saver())
    graph.invoke({"messages": [("user", "go")]}, here)
    graph.invoke(Command(resume="yes"), here)
    graph = _graph(_saver())
    history = list(graph.get_state_history(here))
    assert [one.next for one in history] == [(), ("last",), ("ask",), ("first",), ("__start__",)]
    before = history[1]
    again = graph.invoke(None, before.config)
    assert again["messages"][-1].text == "yes owl ['a', 'b']"
    fork = graph.update_state(before.config, {"answer": "no"})
    assert graph.invoke(None, fork)["messages"][-1].text == "no owl ['a', 'b']"
    assert (
        graph.get_state(history[0].config).values["messages"][-1].text == "yes owl ['a', 'b']"
    )  # nothing is rewritten


def test_a_page_can_read_what_was_saved(wflo: Wflo) -> None:
    here = _thread()
    _graph(_saver()).invoke({"messages": [("user", "go")]}, here)
    run = here["configurable"]["thread_id"]
    kept = [one for one in wflo.checkpoints(run) if one["name"] == "loop 1"]
    assert {one["source"] for one in kept} == {"langgraph"}
    values = wflo.get(f"/api/v1/runs/{quote(run)}/checkpoints/{kept[0]['id']}")["state"]["values"]
    assert [one["value"]["content"] for one in values["messages"]] == ["go", "first"]
    assert values["word"]["shown"] == {"said": "owl"}


def test_what_is_encrypted_says_nothing(wflo: Wflo) -> None:
    here = _thread()
    serde = EncryptedSerializer(Turned())
    saver = WfloSaver(serde=serde)
    _graph(saver).invoke({"messages": [("user", "a word nobody sees")]}, here)
    run = here["configurable"]["thread_id"]
    for one in wflo.checkpoints(run):
        assert "nobody" not in str(wflo.get(f"/api/v1/runs/{quote(run)}/checkpoints/{one['id']}"))
    assert _graph(WfloSaver(serde=serde)).get_state(here).values["messages"][0].text == "a word nobody sees"


def test_a_state_that_is_too_large_is_refused_in_words(wflo: Wflo) -> None:
    with pytest.raises(CheckpointError, match="2,097,152"):
        _graph(_saver()).invoke({"messages": [("user", "x" * 3_000_000)]}, _thread())
