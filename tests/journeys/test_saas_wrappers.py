"""SaaS LiteLLM's wrappers as this library has them, driving jobs of a running Wflo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel

from tests.make import make_key, make_team
from tests.tracking.gateway.conftest import Gateway, _running, gateway, make_group
from tracking import credits
from tracking.audit import SYSTEM
from tracking.models import Job, ModelGroup
from wflo.errors import ServerError
from wflo.integrations.saas import (
    AgentLLMWrapper,
    SaaSAgentBase,
    SaaSAutoGenWrapper,
    SaaSCrewAIWrapper,
    SaaSLangChainWrapper,
)
from wflo.integrations.saas_langchain import SaaSChatOpenAI

__all__ = ["_running", "gateway"]
Make = Callable[..., Any]


@pytest.fixture
def made(gateway: Gateway) -> Make:
    """A wrapper of a class, for the gateway's team."""
    credits.open_account(gateway.team, allocated=100, actor=SYSTEM)
    for group, model in (("ChatFast", "echo"), ("ChatAdvanced", "echo"), ("Tools", "echo-tool")):
        make_group(gateway.team, group, gateway.provider.url, model)
    _, key = make_key(gateway.team, scopes=["jobs"])
    return lambda kind, **options: kind(f"{gateway.server.url}/api", key, gateway.team.slug, **options)


def _job(id: str) -> Job:
    return Job.objects.get(id=id)


def test_langchain_calls_through_a_job(gateway: Gateway, made: Make) -> None:
    with made(SaaSLangChainWrapper) as wrapper:
        job = wrapper.job_id
        assert wrapper.resolved_model == "openai/echo"
        llm = wrapper.get_langchain_llm(temperature=0.2, max_tokens=50)
        assert isinstance(llm, SaaSChatOpenAI)
        answer = llm.invoke([SystemMessage("be brief"), HumanMessage("hello you")])
        assert (answer.text, answer.response_metadata["finish_reason"]) == ("hello you", "stop")
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["output_tokens"] == 2
        assert "".join(piece.text for piece in llm.stream("in pieces")) == "in pieces"
        assert wrapper.make_call([{"role": "user", "content": "by hand"}], purpose="writer_call_1") == "by hand"
        asked = gateway.provider.requests[0]["body"]
    assert [one["role"] for one in asked["messages"]] == ["system", "user"]
    assert (asked["temperature"], asked["max_tokens"]) == (0.2, 50)
    assert (wrapper.job_id, _job(job).status) == (None, "completed")


def test_langchains_tools_and_structured_answers(gateway: Gateway, made: Make) -> None:
    class Weather(BaseModel):
        """The weather of a city."""

        city: str

    with made(SaaSLangChainWrapper, model_group="Tools") as wrapper:
        llm = wrapper.get_langchain_llm()
        answer = llm.bind_tools([Weather]).invoke("how is it")
        assert [(one["name"], one["args"]) for one in answer.tool_calls] == [("Weather", {"city": "x"})]
        streamed = list(llm.bind_tools([Weather]).stream("how is it now"))
        assert streamed[0].tool_calls[0]["args"] == {"city": "x"}
        assert llm.with_structured_output(Weather).invoke("and there") == Weather(city="x")


def test_langchain_that_breaks_fails_its_job(gateway: Gateway, made: Make) -> None:
    jobs: list[str] = []

    def work() -> None:
        with made(SaaSLangChainWrapper) as wrapper:
            jobs.append(wrapper.job_id)
            raise RuntimeError("no idea")

    with pytest.raises(RuntimeError, match="no idea"):
        work()
    assert (_job(jobs[0]).status, _job(jobs[0]).error) == ("failed", "no idea")


def test_a_group_without_access_is_a_value_error(gateway: Gateway, made: Make) -> None:
    ModelGroup.objects.create(team=None, name="Elsewhere")
    try:
        with pytest.raises(ValueError, match="does not have access to model group 'Elsewhere'"):
            made(SaaSLangChainWrapper, model_group="Elsewhere").start_job()
    finally:
        ModelGroup.objects.filter(team=None, name="Elsewhere").delete()


def test_a_conversation_of_autogen(gateway: Gateway, made: Make) -> None:
    wrapper = made(SaaSAutoGenWrapper)
    job = wrapper.start_conversation_job({"conversation_topic": "owls"})
    config = wrapper.get_llm_config(temperature=0.3)
    assert config["_saas_wrapper"] is wrapper
    told = {name: config[name] for name in ("model", "api_type", "temperature", "_saas_job_id")}
    assert told == {"model": "openai/echo", "api_type": "saas_litellm", "temperature": 0.3, "_saas_job_id": job}
    for agent in ("critic", "writer", "critic"):
        assert wrapper.make_agent_call([{"role": "user", "content": f"{agent} speaks {wrapper.call_count}"}], agent)
    done = wrapper.complete_conversation()
    assert wrapper.call_count == 3
    assert [one["purpose"] for one in done["calls"]] == ["critic_message_1", "writer_message_2", "critic_message_3"]
    assert _job(job).metadata == {"conversation_topic": "owls"}


def test_a_task_of_a_crew(gateway: Gateway, made: Make) -> None:
    wrapper = made(SaaSCrewAIWrapper)
    job = wrapper.start_crew_task("Research", {"user_id": "u1"})
    config = wrapper.get_llm_config_for_agent("writer", 0.1)
    assert (config["job_id"], config["model_group"], config["agent_role"]) == (job, "ChatAdvanced", "writer")
    for role in ("researcher", "writer", "researcher"):
        wrapper.make_agent_call(role, [{"role": "user", "content": f"{role} {wrapper.agent_call_counts}"}])
    assert wrapper.agent_call_counts == {"researcher": 2, "writer": 1}
    done = wrapper.complete_task()
    assert done["calls_by_agent"] == {"researcher": 2, "writer": 1}
    assert done["costs"]["credits_remaining"] == 99
    assert (wrapper.current_job_id, wrapper.agent_call_counts) == (None, {})
    assert _job(job).metadata == {"task_name": "Research", "user_id": "u1"}


def test_an_agent_of_ones_own(gateway: Gateway, made: Make) -> None:
    agent: AgentLLMWrapper = made(SaaSAgentBase, model_group="ChatFast")
    assert agent.make_llm_call([{"role": "user", "content": "one"}]) == "one"
    assert agent.make_llm_call([{"role": "user", "content": "two"}], purpose="summary") == "two"
    done = agent.complete_job()
    assert [one["purpose"] for one in done["calls"]] == ["call_1", "summary"]
    base = made(SaaSAgentBase, model_group="ChatFast")
    jobs: list[str] = []

    def work() -> None:
        with base.task_context({"session_id": "s"}) as id:
            jobs.append(id)
            base.make_llm_call([{"role": "user", "content": "three"}])
            raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="it broke"):
        work()
    assert (_job(jobs[0]).status, _job(jobs[0]).error) == ("failed", "it broke")
    with base.task_context() as job:
        base.make_llm_call([{"role": "user", "content": "four"}])
    assert _job(job).status == "completed"


def test_a_stranger_is_told_what_happened(gateway: Gateway, made: Make) -> None:
    _, key = make_key(make_team("Stranger"), scopes=["jobs"])
    wrapper = SaaSAgentBase(f"{gateway.server.url}/api", key, gateway.team.slug, "ChatFast")
    with pytest.raises(ServerError) as raised:
        wrapper.create_job()
    assert raised.value.status == 403
    with pytest.raises(ValueError, match="no job"):
        wrapper.complete_job()
