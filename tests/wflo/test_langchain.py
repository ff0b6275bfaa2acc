"""LangChain's own classes, watched: what of their steps is told, under which span, and what of it is money."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

import wflo
from tests.fake_provider import Provider, a_provider
from wflo import BudgetExceededError, RunKilledError, config, run, track_agent_cost
from wflo.integrations.langchain import WfloCallbackHandler, instrument_langchain
from wflo.integrations.langchain_reading import answer_of
from wflo.testing import captured

PRICE = {"input_usd_per_million": "1", "output_usd_per_million": "10"}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setattr(config, "_present", None)
    wflo.configure(endpoint="", prices={"echo": PRICE, "tool": PRICE, "cached": PRICE})
    with a_provider() as provider:
        yield provider


@pytest.fixture
def watched() -> Iterator[list[dict[str, Any]]]:
    """What is told while every call of LangChain's is watched."""
    undo = instrument_langchain()
    try:
        with captured() as events:
            yield events
    finally:
        undo()


def _model(provider: Provider, name: str = "echo", **options: Any) -> BaseChatModel:
    return ChatOpenAI(model=name, base_url=provider.url, api_key="sk-x", stream_usage=True, max_retries=0, **options)


def _paths(events: list[dict[str, Any]]) -> list[str]:
    """Each span that ended, below those it is in."""
    spans = {event["span_id"]: event for event in events if event["kind"] == "span.end"}

    def path(span: dict[str, Any]) -> str:
        above = spans.get(span.get("parent_span_id", ""))
        return f"{path(above)} / {span['name']}" if above else str(span["name"])

    return sorted(path(span) for span in spans.values())


def test_the_library_imports_no_framework() -> None:
    code = "import wflo, wflo.workflow, wflo.targets, wflo.integrations, sys; wflo.WfloWorkflow()\n"
    code += (
        "print([name for name in sys.modules if name.partition('.')[0] in ('langchain_core', 'langgraph', 'openai')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_chain_is_told_without_its_plumbing(provider: Provider, watched: list[dict[str, Any]]) -> None:
    def shorten(message: Any) -> str:
        return str(message.text)[:5]

    chain = ChatPromptTemplate.from_messages([("user", "say {word}")]) | _model(provider) | RunnableLambda(shorten)
    with run("poem"):
        assert chain.invoke({"word": "owl"}) == "say o"
    assert _paths(watched) == [
        "RunnableSequence", "RunnableSequence / chat echo", "RunnableSequence / shorten",
    ]  # fmt: skip


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_call_costs_what_the_provider_bills(
    provider: Provider, watched: list[dict[str, Any]], is_streamed: bool
) -> None:
    with run("one") as this:
        if is_streamed:
            assert "".join(piece.text for piece in _model(provider, "cached").stream("one two")).strip() == "one two"
        else:
            assert _model(provider, "cached").invoke("one two").text == "one two"
    tokens_in, tokens_out = provider.tokens()
    (told,) = (event for event in watched if event["kind"] == "span.end")
    assert (told["input_tokens"], told["output_tokens"], told["model"]) == (tokens_in, tokens_out, "cached")
    assert told["output"]["content"].strip() == "one two"
    assert this.used.whole.cost_usd == Decimal(told["cost_usd"])
    assert told["cached_tokens"] == tokens_in // 2


def test_between_two_pieces_a_reader_is_outside_of_the_call(provider: Provider, watched: list[dict[str, Any]]) -> None:
    with run("one"):
        for number, _ in enumerate(_model(provider).stream("one two")):
            if number == 0:
                _model(provider).invoke("meanwhile")
    ended = [event for event in watched if event["kind"] == "span.end"]
    assert [(event["span_kind"], "parent_span_id" in event) for event in ended] == [("llm", False)] * 2


def test_a_failed_call_is_an_error_and_costs_nothing_known(provider: Provider, watched: list[dict[str, Any]]) -> None:
    with run("one") as this, pytest.raises(Exception, match="failed with 500"):
        _model(provider, "echo-fail500").invoke("one two")
    (told,) = (event for event in watched if event["kind"] == "span.end")
    assert (told["status"], "cost_usd" in told, this.used.whole.llm_calls) == ("error", False, 1)


def test_a_tools_model_is_the_tools_child_in_whatever_thread(provider: Provider, watched: list[dict[str, Any]]) -> None:
    model = _model(provider)

    @tool
    def look_up(word: str) -> str:
        """Look a word up."""
        return str(model.invoke(word).text)

    def in_threads(words: list[str], config: RunnableConfig) -> list[str]:
        with ThreadPoolExecutor(2) as threads:  # they know nothing of where we are
            return list(threads.map(lambda word: look_up.invoke(word, config), words))

    with run("one"):
        assert RunnableLambda(in_threads).invoke(["a", "b"]) == ["a", "b"]
    tool_path = "in_threads / look_up"
    assert _paths(watched) == ["in_threads", *sorted([tool_path, f"{tool_path} / chat echo"] * 2)]


def test_a_decorator_inside_a_chain_comes_between(provider: Provider, watched: list[dict[str, Any]]) -> None:
    @track_agent_cost("critic")
    def criticise(word: str) -> str:
        return str(_model(provider).invoke(word).text)

    with run("one") as this:
        RunnableLambda(criticise, name="judge").invoke("owl")
        _model(provider).invoke("after")
    assert _paths(watched) == ["chat echo", "judge", "judge / critic", "judge / critic / chat echo"]
    assert this.used.by_agent({})["critic"]["api_calls"] == 1


def test_budgets_are_held_before_a_call_and_after_it(provider: Provider) -> None:
    handler = WfloCallbackHandler()
    with run("one", budget_usd="0.000001"):
        with pytest.raises(BudgetExceededError) as raised:
            _model(provider).invoke("one two", {"callbacks": [handler]})
        assert raised.value.answer.text == "one two"
        with pytest.raises(BudgetExceededError, match="was not made"):
            _model(provider).invoke("one two", {"callbacks": [handler]})
    assert len(provider.bill) == 1


def test_a_run_that_was_stopped_calls_nothing(provider: Provider) -> None:
    with run("one") as this:
        this.control = {"status": "killed"}
        with pytest.raises(RunKilledError):
            _model(provider).invoke("one two", {"callbacks": [WfloCallbackHandler()]})
    assert provider.bill == []


def test_outside_of_a_run_a_call_has_one_of_its_own(provider: Provider, watched: list[dict[str, Any]]) -> None:
    _model(provider).invoke("one two")
    assert [event["kind"] for event in watched] == ["run.start", "span.end", "run.end"]
    assert len({event["run_id"] for event in watched}) == 1


def test_what_is_retrieved_is_told(watched: list[dict[str, Any]]) -> None:
    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
            return [Document(page_content=f"about {query}")]

    with run("one"):
        Shelf().invoke("owls")
    (told,) = (event for event in watched if event["kind"] == "span.end")
    assert (told["span_kind"], told["input"]) == ("retriever", "owls")
    assert told["output"][0]["page_content"] == "about owls"


def test_an_answer_from_langchains_cache_has_no_cost(provider: Provider, watched: list[dict[str, Any]]) -> None:
    model = _model(provider, cache=InMemoryCache())
    with run("one") as this:
        model.invoke("one two")
        spent = this.used.whole.cost_usd
        model.invoke("one two")
    assert len(provider.bill) == 1
    assert this.used.whole.cost_usd == spent


def test_a_model_that_tells_no_usage_is_unpriced(watched: list[dict[str, Any]]) -> None:
    with run("one") as this:
        GenericFakeChatModel(messages=iter([AIMessage("hello")])).invoke("hi")
    assert (this.used.whole.cost_usd, this.used.whole.unpriced_calls) == (0, 1)


def test_anthropics_cache_writes_are_told_by_their_lifetime() -> None:
    details = {"cache_read": 10, "cache_creation": 0, "ephemeral_1h_input_tokens": 30, "ephemeral_5m_input_tokens": 20}
    usage = {"input_tokens": 100, "output_tokens": 5, "total_tokens": 105, "input_token_details": details}
    message = AIMessage("hi", usage_metadata=usage)
    told, _ = answer_of(LLMResult(generations=[[ChatGeneration(message=message)]]))
    assert told.usage is not None
    assert (told.usage.cached_tokens, told.usage.cache_write_tokens, told.usage.cache_write_1h_tokens) == (10, 50, 30)
