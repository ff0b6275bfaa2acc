"""The agents against servers that speak OpenAI's, Anthropic's and Gemini's wire formats over HTTP, through the real LiteLLM."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from tests.wflo.agents.wire.provider import Calls, Fault, Provider, a_provider
from wflo.agents import (
    APIConnectionError,
    AuthenticationError,
    ExecutionContext,
    InvalidRequestError,
    LiteLLMAgent,
    LLMError,
    RateLimitError,
    RetryConfig,
    RoleMessage,
    RoleType,
    StructuredOutputError,
    TokenLimitError,
    complete,
    stream_complete,
    structured_complete,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM's own, at its import and in its adapters

ONCE = RetryConfig(max_attempts=1)
AT_ONCE = RetryConfig(max_attempts=3, min_wait=0, max_wait=0, multiplier=0)
MAKERS = ("chat", "responses", "anthropic", "gemini")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with a_provider() as found:
        yield found
    let_go()


def let_go() -> None:
    """LiteLLM keeps clients whose loops are closed: their sockets go here, and not in somebody else's test."""
    import litellm

    litellm.in_memory_llm_clients_cache.flush_cache()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            gc.collect()


def at(provider: Provider, maker: str) -> dict[str, Any]:
    """Whom to ask, and where."""
    models = {
        "chat": ("openai:gpt-4o-mini", f"{provider.url}/v1"), "responses": ("openai/responses/gpt-4o-mini", f"{provider.url}/v1"),
        "anthropic": ("anthropic:claude-haiku-4-5", provider.url), "gemini": ("gemini/gemini-2.5-flash", provider.url),
    }  # fmt: skip
    model, base = models[maker]
    return {"model": model, "api_base": base, "api_key": "sk-test", "retry": ONCE}


def weather(city: str, days: int = 1) -> str:
    """The weather in a city."""
    return f"fine in {city} for {days}"


def run(work: Any) -> Any:
    return asyncio.run(work)


async def streamed(*args: Any, **kwargs: Any) -> tuple[str, Any]:
    chunks = [chunk async for chunk in stream_complete(*args, **kwargs)]
    return "".join(chunk.content for chunk in chunks), chunks[-1].result


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_tool_loop_with_two_calls_at_once(provider: Provider, maker: str, is_stream: bool) -> None:
    provider.script(Calls((("weather", '{"city": "Bern"}'), ("weather", '{"city": "Rom", "days": 2}'))), "It is fine.")
    where = at(provider, maker)
    if is_stream:
        text, result = run(streamed("Weather?", tools=[weather], **where))
        assert text.strip() == "It is fine."
    else:
        result = run(complete("Weather?", tools=[weather], **where))
    assert result.final_response.strip() == "It is fine."
    assert [(one["arguments"]["city"], one["result"]) for one in result.tool_execution_history] == [
        ("Bern", "fine in Bern for 1"), ("Rom", "fine in Rom for 2"),
    ]  # fmt: skip
    told = json.dumps(provider.requests[1][1])
    assert "fine in Bern for 1" in told
    assert "fine in Rom for 2" in told
    assert result.tokens_used == {"prompt": 22, "completion": 14, "total": 36}
    assert result.cost_usd is not None
    assert result.cost_usd > 0
    assert all("sk-test" in key for key in provider.keys)


@pytest.mark.parametrize("maker", MAKERS)
def test_arguments_that_are_no_json_are_told_to_the_model(provider: Provider, maker: str) -> None:
    if maker in ("anthropic", "gemini"):  # theirs are objects: what is missing is told instead
        provider.script(Calls((("weather", "{}"),)), "Sorry.")
        words = "city: Field required"
    else:
        provider.script(Calls((("weather", '{"city": '),)), "Sorry.")
        words = "no JSON"
    result = run(complete("Weather?", tools=[weather], **at(provider, maker)))
    assert (result.final_response, result.tool_execution_history[0]["error"]) == ("Sorry.", True)
    assert words in result.tool_execution_history[0]["result"]


FAULTS: list[tuple[Fault, type[LLMError]]] = [
    (Fault(429, "slow down", "rate_limit_error"), RateLimitError),
    (Fault(500, "oh no", "api_error"), APIConnectionError),
    (Fault(503, "overloaded", "overloaded_error"), APIConnectionError),
    (Fault(401, "no such key", "authentication_error"), AuthenticationError),
    (Fault(400, "This model's maximum context length is 10 tokens", "context_length_exceeded"), TokenLimitError),
    (Fault(400, "messages: too few", "invalid_request_error"), InvalidRequestError),
]


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_every_providers_failures_are_of_one_tree(
    provider: Provider, maker: str, fault: Fault, kind: type[LLMError]
) -> None:
    provider.script(fault)
    with pytest.raises(LLMError) as caught:
        run(complete("x", **at(provider, maker)))
    assert isinstance(caught.value, kind), type(caught.value)
    assert len(provider.requests) == 1, "one request is one request"
    with pytest.raises(LLMError) as caught:
        run(streamed("x", **at(provider, maker)))
    assert isinstance(caught.value, kind), type(caught.value)


@pytest.mark.parametrize("maker", MAKERS)
def test_one_that_recovers_is_asked_again_by_us_alone(provider: Provider, maker: str) -> None:
    provider.script(Fault(503, "overloaded", "overloaded_error"), Fault(429, "slow", "rate_limit_error"), "fine")
    assert run(complete("x", **{**at(provider, maker), "retry": AT_ONCE})).final_response == "fine"
    assert len(provider.requests) == 3


@pytest.mark.parametrize("maker", ["chat", "anthropic"])
def test_a_refusal_is_an_answer(provider: Provider, maker: str) -> None:
    provider.script(Fault(refusal="I will not."))
    result = run(complete("x", **at(provider, maker)))
    assert result.iterations == 1
    assert "I will not." in json.dumps(result.messages[-1])


@pytest.mark.parametrize("maker", MAKERS)
def test_a_stream_that_is_cut_is_a_connection_error_after_what_came(provider: Provider, maker: str) -> None:
    provider.script(Fault(cut=2 if maker == "gemini" else 4))
    words: list[str] = []

    async def work() -> None:
        async for chunk in stream_complete("x", **at(provider, maker)):
            words.append(chunk.content)

    with pytest.raises(APIConnectionError):
        run(work())
    assert "it " in words
    assert len(provider.requests) == 1


@pytest.mark.parametrize("maker", ["chat", "anthropic"])
def test_who_stops_reading_hangs_up(provider: Provider, maker: str) -> None:
    provider.script("slow " + "word " * 400)

    async def work() -> None:
        chunks = stream_complete("x", **at(provider, maker))
        async for _ in chunks:
            break
        await chunks.aclose()
        await asyncio.sleep(0)

    run(work())
    assert provider.hung_up.wait(10)


class City(BaseModel):
    name: str
    people: int


@pytest.mark.parametrize("maker", MAKERS)
def test_structured_answers_repaired_once(provider: Provider, maker: str) -> None:
    provider.script('{"name": "Bern"}', '{"name": "Bern", "people": 134000}')
    found = run(structured_complete("Where?", City, **at(provider, maker)))
    assert found == City(name="Bern", people=134000)
    assert len(provider.requests) == 2
    assert "people" in json.dumps(provider.requests[0][1]), "the schema was told"


def test_what_never_fits_fails_with_the_last_answer(provider: Provider) -> None:
    provider.script("no idea")
    with pytest.raises(StructuredOutputError) as caught:
        run(structured_complete("Where?", City, **at(provider, "chat")))
    assert caught.value.last_answer == "no idea"


def test_a_server_that_is_away_is_a_connection_error() -> None:
    with pytest.raises(APIConnectionError):
        run(complete("x", model="openai:gpt-4o-mini", api_base="http://127.0.0.1:9/v1", api_key="k", retry=ONCE))


def test_a_model_nobody_knows_has_no_price(provider: Provider) -> None:
    provider.script("hi")
    result = run(complete("x", **{**at(provider, "chat"), "model": "openai/house-model"}))
    assert result.final_response == "hi"
    assert result.cost_usd is None or result.model == "gpt-4o-mini"


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_one_agent_by_roles_for_every_provider(provider: Provider, maker: str, is_stream: bool) -> None:
    """Calls for the environment, then words for the user; the same messages whoever answers."""
    provider.script(Calls((("weather", '{"city": "Bern"}'),)), "It is fine.")
    where = {name: value for name, value in at(provider, maker).items() if name != "retry"}
    user, agent, environment = RoleType.USER, RoleType.AGENT, RoleType.EXECUTION_ENVIRONMENT
    context = ExecutionContext([RoleMessage(sender=user, recipient=agent, content="Weather?")], [weather])
    role = LiteLLMAgent(where.pop("model"), context, stream=is_stream, user="ada", num_retries=0, **where)
    role.respond()
    call = role.get_messages()[-1]
    assert (call.recipient, call.openai_function_name) == (environment, "weather")
    scope: dict[str, Any] = {"weather": weather}
    exec(call.content, scope)
    told = RoleMessage(
        sender=environment, recipient=agent, content="fine in Bern for 1", openai_tool_call_id=call.openai_tool_call_id
    )
    role.add_messages([told])
    role.respond()
    assert (role.get_messages()[-1].recipient, role.get_messages()[-1].content.strip()) == (user, "It is fine.")
    assert "fine in Bern for 1" in json.dumps(provider.requests[1][1])
    assert role.tally.tokens["total"] == 36
    assert [user for _, user in role.costs] == ["ada"]


@pytest.mark.parametrize("maker", MAKERS)
def test_a_roles_failures_are_of_the_same_tree(provider: Provider, maker: str) -> None:
    provider.script(Fault(429, "slow down", "rate_limit_error"))
    where = {name: value for name, value in at(provider, maker).items() if name != "retry"}
    context = ExecutionContext([RoleMessage(sender=RoleType.USER, recipient=RoleType.AGENT, content="x")])
    with pytest.raises(RateLimitError):
        LiteLLMAgent(where.pop("model"), context, num_retries=0, **where).respond()
    assert len(provider.requests) == 1
