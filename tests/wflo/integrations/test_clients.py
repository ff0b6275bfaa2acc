"""The makers' own clients, watched, before a scripted provider that keeps its own bill."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from tests.fake_provider import Provider, a_provider
from wflo import config, recording
from wflo.errors import BudgetExceededError, RunKilledError
from wflo.integrations.anthropic import instrument_anthropic, wrap_anthropic
from wflo.integrations.openai import instrument_openai, wrap_openai
from wflo.rates import Rates
from wflo.runs import Run
from wflo.testing import captured

RATES = Rates(input=Decimal("0.000001"), output=Decimal("0.000010"))
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
WORDS = [{"role": "user", "content": "one two three"}]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with a_provider() as provider:
        yield provider


@pytest.fixture(autouse=True)
def prices(monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    provider.clear()
    monkeypatch.setattr(
        config,
        "_present",
        config.Config(prices=dict.fromkeys(("echo", "echo-tool", "echo-drip", "echo-nousage"), RATES)),
    )
    monkeypatch.setattr("wflo.price_list._found", {})


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=provider.url, max_retries=0) as client:
        yield wrap_openai(client)


@pytest.fixture
def claude(provider: Provider) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="k", base_url=address(provider), max_retries=0) as client:
        yield client


def address(provider: Provider) -> str:
    """Anthropic's client adds the version itself."""
    return provider.url.removesuffix("/v1")


def calls(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event.get("span_kind") in ("llm", "embedding") and event["kind"] == "span.end"]


def billed(provider: Provider) -> Decimal:
    tokens_in, tokens_out = provider.tokens()
    return tokens_in * (RATES.input or 0) + tokens_out * (RATES.output or 0)


def test_chat_whole_streamed_with_tools_and_responses_cost_what_the_provider_bills(
    client: openai.OpenAI, provider: Provider
) -> None:
    with captured() as events, recording.running(Run()) as run:
        whole = client.chat.completions.create(model="echo", messages=WORDS)
        assert whole.choices[0].message.content == "one two three"
        options = {"include_usage": True}
        pieces = list(client.chat.completions.create(model="echo", messages=WORDS, stream=True, stream_options=options))
        assert pieces[-1].usage is not None
        tools = client.chat.completions.create(model="echo-tool", messages=WORDS, tools=[TOOL])
        assert tools.choices[0].message.tool_calls
        assert client.responses.create(model="echo", input="one two three").output_text == "one two three"
        raw = client.chat.completions.with_raw_response.create(model="echo", messages=WORDS)
        assert raw.parse().choices[0].message.content == "one two three"
    assert run.used.whole.cost_usd == billed(provider)
    told = calls(events)
    assert len(told) == len(provider.bill) == 5
    assert {call["provider"] for call in told} == {"openai"}
    assert told[0]["input"] == WORDS
    assert all(call["status"] == "ok" and call["output_tokens"] for call in told)


def test_async_clients_and_streams_that_are_managed_or_left(provider: Provider) -> None:
    async def work() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=provider.url, max_retries=0) as client:
            await calls_of(wrap_openai(client))

    async def calls_of(client: openai.AsyncOpenAI) -> None:
        answer = await client.chat.completions.create(model="echo", messages=WORDS)
        assert answer.usage is not None
        options = {"include_usage": True}
        async with await client.chat.completions.create(
            model="echo", messages=WORDS, stream=True, stream_options=options
        ) as stream:
            assert [piece async for piece in stream]
        stream = await client.chat.completions.create(model="echo-drip", messages=WORDS, stream=True)
        async for _ in stream:
            break
        await stream.close()

    with captured() as events, recording.running(Run()) as run:
        asyncio.run(work())
    assert [call["status"] for call in calls(events)] == ["ok"] * 3
    assert run.used.whole.llm_calls == 3


def test_embeddings_and_failures(client: openai.OpenAI, provider: Provider) -> None:
    with captured() as events, recording.running(Run()) as run:
        client.embeddings.create(model="echo", input=["one two"])
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="echo-fail400", messages=WORDS)
    embedding, failed = calls(events)
    assert (embedding["span_kind"], failed["status"]) == ("embedding", "error")
    assert failed["error"].startswith("BadRequestError")
    assert run.used.whole.errors == 1


def test_budget_and_stop_bind_the_client(client: openai.OpenAI, provider: Provider) -> None:
    with recording.running(Run(budget_usd=Decimal("0.00000001"))), pytest.raises(BudgetExceededError) as over:
        client.chat.completions.create(model="echo", messages=WORDS)
    assert over.value.answer.choices[0].message.content == "one two three"
    with recording.running(Run()) as run:
        run.control = {"status": "killed", "kill_reason": "enough"}
        before = len(provider.bill)
        with pytest.raises(RunKilledError):
            client.chat.completions.create(model="echo", messages=WORDS)
        assert len(provider.bill) == before


def test_every_client_of_the_process_and_back(provider: Provider) -> None:
    with openai.OpenAI(api_key="k", base_url=provider.url, max_retries=0) as client:
        undo = instrument_openai()
        try:
            wrap_openai(client)  # twice is once
            with captured() as events, recording.running(Run()):
                client.with_options(timeout=5).chat.completions.create(model="echo", messages=WORDS)
                client.chat.completions.create(model="echo", messages=WORDS)
            assert len(calls(events)) == 2
        finally:
            undo()
        with captured() as events, recording.running(Run()):
            client.with_options(timeout=5).chat.completions.create(model="echo", messages=WORDS)
        assert calls(events) == []


def test_usage_is_asked_for_and_hidden_where_the_provider_tells_it(
    client: openai.OpenAI, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wflo.integrations.openai._TELLS_USAGE", ("127.0.0.1",))
    with captured() as events, recording.running(Run()):
        pieces = list(client.chat.completions.create(model="echo", messages=WORDS, stream=True))
    assert all(piece.usage is None for piece in pieces)
    assert all(piece.choices for piece in pieces)
    (call,) = calls(events)
    assert call["output_tokens"] == provider.tokens()[1]


def test_anthropics_messages_whole_and_streamed(claude: anthropic.Anthropic, provider: Provider) -> None:
    client = wrap_anthropic(claude)

    async def work() -> None:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=address(provider), max_retries=0) as other:
            await calls_of(wrap_anthropic(other))

    async def calls_of(other: anthropic.AsyncAnthropic) -> None:
        await other.messages.create(model="echo", max_tokens=50, messages=WORDS)
        async with other.messages.stream(model="echo", max_tokens=50, messages=WORDS) as stream:
            assert (await stream.get_final_message()).usage.output_tokens

    with captured() as events, recording.running(Run()) as run:
        answer = client.messages.create(model="echo", max_tokens=50, messages=WORDS)
        assert answer.content[0].text == "one two three"  # type: ignore[union-attr]
        assert list(client.messages.create(model="echo", max_tokens=50, messages=WORDS, stream=True))
        with client.messages.stream(model="echo", max_tokens=50, messages=WORDS) as stream:
            assert "".join(stream.text_stream).split() == ["one", "two", "three"]
        asyncio.run(work())
    assert run.used.whole.cost_usd == billed(provider)
    assert len(calls(events)) == len(provider.bill) == 5


def test_every_anthropic_client(claude: anthropic.Anthropic) -> None:
    undo = instrument_anthropic()
    try:
        with captured() as events, recording.running(Run()), pytest.raises(anthropic.APIStatusError):
            claude.messages.create(model="echo-fail400", max_tokens=5, messages=WORDS)
        assert [call["status"] for call in calls(events)] == ["error"]
    finally:
        undo()
