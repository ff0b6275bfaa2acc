"""LiteLLM agents in a talk by roles; the mistakes of the plan they come from are tests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from wflo.agents import (
    AGENT_TYPE_TO_FACTORY,
    Answer,
    BudgetExceededError,
    ClaudeOpusAgent,
    ExecutionContext,
    GPT_4_0125_Agent,
    LiteLLMAgent,
    LiteLLMAgentWithRouter,
    LiteLLMConfig,
    RateLimitError,
    Request,
    RoleMessage,
    RoleType,
    create_litellm_agent,
    create_router_agent,
)  # fmt: skip
from wflo.agents.roles.agent import to_openai
from wflo.agents.roles.cache import cache_of, key_of
from wflo.agents.roles.config import deployments_of
from wflo.agents.roles.context import code_of, variable_of
from wflo.usage import Usage

USER, AGENT, ENVIRONMENT, SYSTEM = RoleType.USER, RoleType.AGENT, RoleType.EXECUTION_ENVIRONMENT, RoleType.SYSTEM


def said(sender: RoleType, recipient: RoleType, content: str, **more: Any) -> RoleMessage:
    return RoleMessage(sender=sender, recipient=recipient, content=content, **more)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"fine in {city}"


class Told(LiteLLMAgent):
    """Answers from a script instead of a provider."""

    def __init__(
        self, *turns: Any, context: ExecutionContext | None = None, model: str = "openai/gpt-4o", **config: Any
    ) -> None:
        super().__init__(model, context, **config)
        self.turns = list(turns)
        self.asked: list[Request] = []

    def _ask_once(self, request: Request) -> Answer:
        self.asked.append(request)
        turn = self.turns[min(len(self.asked), len(self.turns)) - 1]
        if isinstance(turn, Exception):
            raise turn
        return (
            turn
            if isinstance(turn, Answer)
            else Answer(
                message={"role": "assistant", "content": turn},
                cost_usd=Decimal("0.01"),
                usage=Usage(input_tokens=5, output_tokens=2),
            )
        )


def calls(*wanted: tuple[str, str, str], content: Any = None) -> Answer:
    listed = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name, arguments in wanted
    ]
    return Answer(message={"role": "assistant", "content": content, "tool_calls": listed})


def talk(*messages: RoleMessage, tools: Any = ()) -> ExecutionContext:
    return ExecutionContext(list(messages), list(tools))


def test_it_answers_the_user() -> None:
    agent = Told("hello", context=talk(said(SYSTEM, AGENT, "Be brief."), said(USER, AGENT, "hi"), tools=[weather]))
    agent.respond()
    assert agent.get_messages()[-1] == said(AGENT, USER, "hello")
    assert agent.asked[0].messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert [tool["function"]["name"] for tool in agent.asked[0].tools] == ["weather"]
    assert agent.asked[0].options["temperature"] == 0.0
    assert (agent.asked[0].options["max_tokens"], agent.asked[0].options["timeout"]) == (1024, 30)


def test_nothing_is_said_to_the_system_and_only_to_it_that_is_addressed() -> None:
    agent = Told("x", context=talk(said(SYSTEM, AGENT, "Be brief.")))
    agent.respond()
    assert (agent.asked, len(agent.get_messages())) == ([], 1)
    with pytest.raises(KeyError, match="not for agent"):
        Told("x", context=talk(said(AGENT, USER, "done"))).respond()
    with pytest.raises(KeyError, match="Nothing was said"):
        Told("x").respond()


def test_what_it_may_not_see_it_is_not_told() -> None:
    hidden = said(USER, ENVIRONMENT, "psst")
    agent = Told("x", context=talk(said(USER, AGENT, "one"), hidden, said(USER, AGENT, "two")))
    agent.respond()
    assert [message["content"] for message in agent.asked[0].messages] == ["one", "two"]


def test_a_turn_may_end_earlier() -> None:
    agent = Told("x", context=talk(said(USER, AGENT, "one"), said(AGENT, USER, "two"), said(USER, AGENT, "three")))
    agent.respond(0)
    assert [message["content"] for message in agent.asked[0].messages] == ["one"]


def test_calls_become_code_for_the_environment_and_come_back_as_one_message() -> None:
    context = talk(said(USER, AGENT, "weather?"), tools=[weather])
    agent = Told(
        calls(("call-1.x", "weather", '{"city": "Bern"}'), ("2b", "weather", '{"city": "Rom"}')),
        "fine both",
        context=context,
    )
    agent.respond()
    first, second = agent.get_messages()[-2:]
    assert (first.recipient, first.openai_tool_call_id, first.openai_function_name) == (
        ENVIRONMENT,
        "call-1.x",
        "weather",
    )
    scope: dict[str, Any] = {"weather": weather}
    exec(first.content, scope)
    assert scope["call_1_x_response"] == "fine in Bern"
    exec(second.content, scope)
    assert scope["call_2b_response"] == "fine in Rom"
    agent.add_messages([
        said(ENVIRONMENT, AGENT, "fine in Bern", openai_tool_call_id="call-1.x"),
        said(ENVIRONMENT, AGENT, "", openai_tool_call_id="2b", tool_call_exception="KeyError: Rom"),
    ])  # fmt: skip
    agent.respond()
    told = agent.asked[1].messages
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool"]
    assert [json.loads(call["function"]["arguments"]) for call in told[1]["tool_calls"]] == [
        {"city": "Bern"},
        {"city": "Rom"},
    ]
    assert [message["content"] for message in told[2:]] == ["fine in Bern", "KeyError: Rom"]
    assert agent.get_messages()[-1].content == "fine both"


@pytest.mark.parametrize("id", ["call-1", "toolu_01", "9x", "", "a b/c", "ünder"])
def test_a_calls_id_makes_a_name_whatever_is_in_it(id: str) -> None:
    """5.3, 3."""
    assert variable_of(id).isidentifier()
    compile(code_of(id, "weather", {"city": 'a "quoted" town'}), "x", "exec")


def test_scrambled_names_are_mapped_back_and_unknown_ones_refused() -> None:
    context = ExecutionContext([said(USER, AGENT, "x")], [weather], {"tool_0": "weather"})
    agent = Told(calls(("1", "tool_0", '{"city": "Bern"}')), context=context)
    agent.respond()
    assert agent.asked[0].tools[0]["function"]["name"] == "tool_0"
    assert "weather(**" in agent.get_messages()[-1].content
    with pytest.raises(KeyError, match="dig"):
        Told(calls(("1", "dig", "{}")), context=talk(said(USER, AGENT, "x"), tools=[weather])).respond()


def test_no_calls_and_no_text_are_taken_as_they_are() -> None:
    """5.3, 4: an empty list of calls is none, and a text may be missing."""
    agent = Told(
        Answer(message={"role": "assistant", "content": None, "tool_calls": []}), context=talk(said(USER, AGENT, "x"))
    )
    agent.respond()
    assert agent.get_messages()[-1].content == ""
    broken = Told(calls(("1", "weather", "{bad")), context=talk(said(USER, AGENT, "x"), tools=[weather]))
    broken.respond()
    assert "weather(**call_1_parameters)" in broken.get_messages()[-1].content


def test_what_it_cost_is_counted_and_the_budget_is_its_own() -> None:
    agent = Told("a", context=talk(said(USER, AGENT, "x")), max_budget=0.02)
    for _ in range(2):
        agent.respond(0)
    assert (agent.tally.cost_usd, agent.tally.calls) == (Decimal("0.02"), 2)
    assert agent.costs == {("openai/gpt-4o", ""): Decimal("0.02")}
    with pytest.raises(BudgetExceededError, match=r"\$0\.02 of \$0\.02"):
        agent.respond(0)
    other = Told("a", context=talk(said(USER, AGENT, "x")))
    other.respond()
    assert other.tally.calls == 1


def test_the_agent_alone_tries_again() -> None:
    """5.3, 5: one owner of retries."""
    agent = Told(RateLimitError("slow"), "fine", context=talk(said(USER, AGENT, "x")), num_retries=1)
    agent.retry = type(agent.retry)(max_attempts=2, min_wait=0, max_wait=0, multiplier=0)
    agent.respond()
    assert len(agent.asked) == 2
    never = Told(RateLimitError("slow"), context=talk(said(USER, AGENT, "x")), num_retries=0)
    with pytest.raises(RateLimitError):
        never.respond()
    assert len(never.asked) == 1
    with pytest.raises(ValueError, match="num_retries"):
        LiteLLMAgent("gpt-4o", num_retries=-1)


def test_the_demo_models_need_no_provider() -> None:
    agent = create_litellm_agent("demo/agent", talk(said(USER, AGENT, "What is the weather?"), tools=[weather]))
    agent.respond()
    assert agent.get_messages()[-1].openai_function_name == "weather"
    assert agent.tally.cost_usd > 0


# --- caches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "local", "disk"])
def test_an_answer_is_kept_per_agent(kind: str, tmp_path: Path) -> None:
    config = {"enabled": True, "type": kind, "directory": str(tmp_path)}
    agent = Told("one", "two", context=talk(said(USER, AGENT, "x")), cache_config=config)
    for _ in range(2):
        agent.respond(0)
    assert [message.content for message in agent.get_messages()[1:]] == ["one", "one"]
    assert (len(agent.asked), agent.tally.calls) == (1, 1)
    assert agent.cache is not None
    assert agent.cache.hits == 1
    other = Told("three", context=talk(said(USER, AGENT, "x")), cache_config=config)
    other.respond()
    assert other.get_messages()[-1].content == ("one" if kind == "disk" else "three")


def test_a_kept_answer_ends_and_who_pays_makes_no_difference(tmp_path: Path) -> None:
    cache = cache_of({"type": "disk", "directory": str(tmp_path), "ttl": 0, "enabled": True})
    assert cache is not None
    request, answer = Request(model="m", messages=[]), Answer(message={"content": "x"})
    cache.keep(request, answer)
    assert cache.find(request) is None
    assert key_of(Request(model="m", messages=[], options={"api_key": "a"})) == key_of(
        Request(model="m", messages=[], options={"api_key": "b"})
    )
    assert key_of(Request(model="m", messages=[], options={"temperature": 1})) != key_of(request)


def test_a_cache_that_fails_is_none() -> None:
    cache = cache_of({"enabled": True, "type": "disk", "directory": "/proc/nowhere"})
    assert cache is not None
    assert cache.find(Request(model="m", messages=[])) is None
    cache.keep(Request(model="m", messages=[]), Answer(message={}))


@pytest.mark.usefixtures("_quiet")
def test_an_answer_is_kept_in_redis() -> None:
    where = urlsplit(settings.WFLO_REDIS_URL)
    config = {
        "enabled": True,
        "type": "redis",
        "host": where.hostname,
        "port": where.port,
        "password": where.password,
        "ttl": 60,
    }
    context = talk(said(USER, AGENT, f"x {time.monotonic_ns()}"))
    first = Told("one", context=context, cache_config=config)
    first.respond(0)
    second = Told("two", context=context, cache_config=config)
    second.respond(0)
    assert second.get_messages()[-1].content == "one"
    assert second.asked == []


def test_caches_that_are_off_or_there_are_not() -> None:
    assert cache_of(None) is cache_of({}) is cache_of({"enabled": False, "type": "redis"}) is None
    with pytest.raises(ValueError, match="memory, disk or redis"):
        cache_of({"enabled": True, "type": "stone"})


# --- configuration, routers, factories --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "environment", "found"),
    [
        ("gpt-4o", {"OPENAI_API_KEY": "k", "OPENAI_API_BASE": "b"}, {"model_name": "openai/gpt-4o", "api_key": "k", "api_base": "b"}),
        ("openai:gpt-4o", {}, {"model_name": "openai/gpt-4o"}),
        ("claude-3-opus", {"ANTHROPIC_API_KEY": "k"}, {"model_name": "anthropic/claude-3-opus", "api_key": "k"}),
        ("gemini-1.5-pro", {"GOOGLE_API_KEY": "k"}, {"model_name": "gemini/gemini-1.5-pro", "api_key": "k"}),
        ("gemini-1.5-pro", {"VERTEX_PROJECT": "p", "VERTEX_LOCATION": "l"}, {"model_name": "vertex_ai/gemini-1.5-pro", "vertex_project": "p", "vertex_location": "l"}),
        ("groq/llama3", {"GROQ_API_KEY": "k"}, {"model_name": "groq/llama3", "api_key": "k"}),
    ],
)  # fmt: skip
def test_the_environment_of_each_provider(model: str, environment: dict[str, str], found: dict[str, Any]) -> None:
    assert LiteLLMConfig.from_env(model, environment) == found


def test_fallbacks_are_a_routers_list() -> None:
    made = LiteLLMConfig.with_fallbacks("gpt-4o", ["claude-3-opus", "gemini-pro"])
    assert [one["model_name"] for one in made["model_list"]] == ["primary", "fallback_0", "fallback_1"]
    assert made["fallbacks"] == [{"primary": ["fallback_0", "fallback_1"]}]
    assert made["model_list"][1]["litellm_params"]["model"] == "anthropic/claude-3-opus"


def test_both_kinds_of_items_make_a_router() -> None:
    """5.3, 6."""
    made = deployments_of(
        [
            {"model": "gpt-4o", "api_key": "a"},
            {"model_name": "second", "litellm_params": {"model": "claude-3-opus", "api_key": "b"}},
        ]
    )
    assert made == {
        "model_list": [
            {"model_name": "primary", "litellm_params": {"model": "openai/gpt-4o", "api_key": "a"}},
            {"model_name": "second", "litellm_params": {"model": "anthropic/claude-3-opus", "api_key": "b"}},
        ],
        "fallbacks": [{"primary": ["second"]}],
    }  # fmt: skip
    for wrong, where in (
        ([], "at least one"),
        ([{"api_key": "a"}], r"model_config\.0"),
        ([{"litellm_params": {}}], r"model_config\.0"),
    ):
        with pytest.raises(ValueError, match=where):
            deployments_of(wrong)


@pytest.fixture
def _quiet() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("_quiet")
def test_a_router_where_there_is_something_to_route_and_it_falls_back() -> None:
    """5.3, 1: the original passed the name "router", which no deployment has."""
    assert create_litellm_agent("gpt-4o").router is None
    items = [
        {"model": "openai/gpt-4o", "api_key": "a", "mock_response": "litellm.InternalServerError"},
        {"model": "openai/gpt-4o-mini", "api_key": "b", "mock_response": "from the second"},
    ]
    agent = create_router_agent(items, talk(said(USER, AGENT, "x")), num_retries=0)
    assert isinstance(agent, LiteLLMAgentWithRouter)
    assert agent.routed_name == "primary"
    agent.respond()
    assert agent.get_messages()[-1].content == "from the second"
    alone = LiteLLMAgent("gpt-4o", talk(said(USER, AGENT, "x")), fallbacks=["gpt-4o-mini"], api_key="k")
    assert alone.router is not None


@pytest.mark.usefixtures("_quiet")
def test_nothing_of_litellms_process_is_touched() -> None:
    """5.3, 2: its cache, callbacks and budget are of the process, and so of everybody in it."""
    import litellm

    def state() -> Any:
        return (
            litellm.cache,
            list(litellm.success_callback),
            list(litellm.input_callback),
            litellm.max_budget,
            litellm.num_retries,
        )

    before = state()
    agent = create_litellm_agent(
        "gpt-4o",
        talk(said(USER, AGENT, "x")),
        cache_config={"enabled": True},
        max_budget=1,
        mock_response="hi",
        api_key="k",
    )
    agent.respond()
    assert agent.get_messages()[-1].content == "hi"
    assert state() == before


def test_every_type_has_its_factory() -> None:
    assert sorted(AGENT_TYPE_TO_FACTORY) == [
        "Claude_3_5_Sonnet", "Claude_3_Opus", "GPT_4_0125", "GPT_4_Turbo", "Gemini_1_5", "Llama_3_70B", "Mistral_Large", "Multi_Provider",
    ]  # fmt: skip
    models = {name: make().model_name for name, make in AGENT_TYPE_TO_FACTORY.items() if name != "Multi_Provider"}
    assert models == {
        "GPT_4_0125": "openai/gpt-4-0125-preview", "Claude_3_Opus": "anthropic/claude-3-opus-20240229", "Gemini_1_5": "gemini/gemini-1.5-pro",
        "GPT_4_Turbo": "openai/gpt-4-turbo", "Claude_3_5_Sonnet": "anthropic/claude-3-5-sonnet-20241022", "Llama_3_70B": "groq/llama3-70b-8192",
        "Mistral_Large": "mistral/mistral-large-latest",
    }  # fmt: skip
    assert (GPT_4_0125_Agent().model_name, ClaudeOpusAgent(temperature=0.5).model_name) == (
        models["GPT_4_0125"],
        models["Claude_3_Opus"],
    )
    with pytest.raises(ValueError, match="model_name"):
        LiteLLMAgent(" ")


def test_to_openai_of_a_whole_talk() -> None:
    told = to_openai([said(SYSTEM, AGENT, "s"), said(USER, AGENT, "u"), said(AGENT, USER, "a")])
    assert [message["role"] for message in told] == ["system", "user", "assistant"]
