"""Conversations, roles, the system prompt as it is told, and what agents and executors are."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from wflo.agents import (
    Agent,
    AgentExecutor,
    BatchResult,
    Changed,
    Conversation,
    GenericAgent,
    GuardrailError,
    Guardrails,
    LLMError,
    Message,
    RequestConfig,
    Role,
    Scripted,
    SimpleExecutor,
    Step,
    SystemPrompt,
    batch_complete,
    blocklist,
    complete,
    mask_personal_data,
    max_length,
    settings,
    stream_complete,
    structured_complete,
)  # fmt: skip


def look(place: str) -> str:
    """Look <there> & back."""
    return place


def test_a_conversation_keeps_what_was_said_in_order() -> None:
    talk = Conversation()
    talk.add_message(Role.USER, "hi")
    talk.add_message("assistant", "hello")
    assert UUID(talk.id)
    assert talk.messages_dict == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    assert talk.messages[1].role is Role.ASSISTANT
    assert Message("1", "tool", "x").role is Role.TOOL  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="robot"):
        talk.add_message("robot", "beep")
    assert Conversation().messages == []


def test_a_system_prompt_is_told_word_for_word_and_tools_are_escaped() -> None:
    """Trap 6 of the original: lines were joined, and & and < of the prompt escaped."""
    prompt = SystemPrompt("line one.\nline two: a < b & c")
    assert prompt.to_formatted_string() == (
        "<system_prompt><system_instructions>line one.\nline two: a < b & c</system_instructions></system_prompt>"
    )
    told = prompt.to_formatted_string(tools=[look])
    assert (
        "<tools><tool><name>look</name><description>Look &lt;there&gt; &amp; back.</description></tool></tools>" in told
    )
    assert "<tools>" not in prompt.to_formatted_string(tools=[])


def test_a_request_config_has_the_system_message_first() -> None:
    config = RequestConfig("demo/agent", "Be brief.", tools=[look])
    config.add_message_to_conversation(Role.USER, "hi")
    talk = config.get_conversation()
    assert [one["role"] for one in talk] == ["system", "user"]
    assert "Be brief." in talk[0]["content"]
    assert RequestConfig().model == settings.default_model


def test_executors_answer_in_text_and_remember_nothing() -> None:
    script = Scripted(["one", "two"])
    executor = SimpleExecutor("m", "Be brief.", [look], 2, ask=script)
    assert [asyncio.run(executor.execute(query)) for query in ("a", "b")] == ["one", "two"]
    assert [message["content"] for message in script.requests[1].messages] == ["Be brief.", "b"]
    assert executor.last is not None
    assert executor.last.final_response == "two"


def test_an_agents_name_is_on_its_calls() -> None:
    steps: list[Step] = []
    script = Scripted([[("look", {"place": "x"})], "seen"])
    agent = Agent(
        "Scout",
        "looks",
        SystemPrompt("Look."),
        [look],
        model="m",
        options={"ask": script, "on_step": steps.append, "temperature": 0},
    )
    executor = AgentExecutor(agent)
    assert asyncio.run(executor.execute("go")) == "seen"
    assert {step.agent for step in steps} == {"Scout"}
    assert script.requests[0].agent == "Scout"
    assert script.requests[0].options == {"temperature": 0}
    with pytest.raises(ValueError, match="has a name"):
        Agent(" ")


def test_the_generic_agent_is_no_pirate() -> None:
    agent = GenericAgent()
    assert (agent.name, agent.max_tool_iterations) == ("Generic Agent", 10)
    assert agent.description
    assert "arr" not in str(agent.system_prompt).lower()
    assert GenericAgent(model="demo/echo").model == "demo/echo"


# --- guardrails, batches ----------------------------------------------------------------------------------------------


def said(script: Scripted) -> list[str]:
    return [str(request.messages[-1]["content"]) for request in script.requests]


def test_an_input_that_is_not_let_through_is_not_asked() -> None:
    script = Scripted(["fine"])
    with pytest.raises(GuardrailError, match='holds "Secret"') as caught:
        asyncio.run(complete("the Secret is", ask=script, guardrails=Guardrails(input=[blocklist("secret")])))
    assert caught.value.guardrail == "blocklist"
    assert script.requests == []
    assert (
        asyncio.run(complete("the rest", ask=script, guardrails=Guardrails(input=[blocklist("secret")]))).final_response
        == "fine"
    )


def test_an_input_may_go_on_changed() -> None:
    script = Scripted(["fine"])
    asyncio.run(
        complete(
            "mail bob@example.org, card 4111 1111 1111 1111",
            ask=script,
            guardrails=Guardrails(input=[mask_personal_data]),
        )
    )
    assert said(script) == ["mail [mail], card [card]"]


def test_an_answer_that_is_not_let_through_is_asked_for_again_and_then_refused() -> None:
    script = Scripted(["way too long an answer", "short"])
    result = asyncio.run(complete("x", ask=script, guardrails=Guardrails(output=[max_length(10)])))
    assert (result.final_response, result.iterations) == ("short", 2)
    assert result.tokens_used == {"prompt": 20, "completion": 10, "total": 30}
    assert "at most 10 are allowed" in said(script)[1]
    stubborn = Scripted(["way too long an answer"])
    with pytest.raises(GuardrailError, match="The answer was not let through"):
        asyncio.run(complete("x", ask=stubborn, guardrails=Guardrails(output=[max_length(10)], retries=1)))
    assert len(stubborn.requests) == 2


def test_a_check_may_be_async_and_change_an_answer() -> None:
    async def quiet(text: str) -> Changed:
        return Changed(text.lower())

    assert (
        asyncio.run(complete("x", ask=Scripted(["LOUD"]), guardrails=Guardrails(output=[quiet]))).final_response
        == "loud"
    )


def test_an_output_check_is_refused_where_it_would_come_too_late() -> None:
    script, late = Scripted(["1"]), Guardrails(output=[max_length(10)])

    async def read() -> None:
        async for _ in stream_complete("x", ask=script, guardrails=late):
            pass

    for work in (read(), structured_complete("x", int, ask=script, guardrails=late)):
        with pytest.raises(ValueError, match="need the whole answer"):
            asyncio.run(work)
    assert script.requests == []


def fails_on_b(request: Any) -> Any:
    return LLMError("no b") if request.messages[-1]["content"] == "b" else request.messages[-1]["content"].upper()


def batch(on_error: Any) -> BatchResult:
    return asyncio.run(batch_complete(["a", "b", "c"], ask=Scripted([fails_on_b]), on_error=on_error, at_once=2))


def test_of_a_batch_one_may_fail() -> None:
    kept = batch("continue")
    assert [getattr(one, "final_response", str(one)) for one in kept.results] == ["A", "no b", "C"]
    assert ([str(one) for one in kept.failed], kept.tally.calls) == (["no b"], 2)
    assert len(batch("skip").results) == 2
    with pytest.raises(LLMError, match="no b"):
        batch("fail_fast")
    with pytest.raises(ValueError, match="on_error"):
        batch("ignore")
