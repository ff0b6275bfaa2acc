"""Agents by themselves: tools, LLMs of other makers, structured answers, what CrewAI may not swallow."""

from __future__ import annotations

from typing import Any

import pytest
from crewai import LLM, BaseLLM, Crew
from crewai.tools import tool
from crewai.tools.tool_failure import ToolFailure
from openai import OpenAI
from pydantic import BaseModel

from tests.frameworks.crewai.agents import TOPIC, Desk, agent, go, llm, paths
from tests.frameworks.sights import Bill, Wflo
from wflo import BudgetExceededError, InfiniteLoopDetectedError, WfloWorkflow, run, track_llm_call
from wflo.integrations.crewai import instrument_crewai
from wflo.integrations.openai import instrument_openai


@pytest.fixture
def desk(provider_url: str) -> Desk:
    return Desk(provider_url)


def test_an_agent_alone(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("alone", budget_usd=1)
    assert go(flow.execute(desk.editor, "two owls")).raw == "x is fine"
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd()}
    turn, first, tool, second = wflo.spans(flow.execution_id)[1:5]
    assert {span["parent_id"] for span in (first, tool, second)} == {turn["span_id"]}
    content = wflo.get(f"/api/v1/spans/{tool['trace_id']}/{tool['span_id']}")
    assert (content["input"], content["output"]) == ('{"q":"x"}', "x is fine")
    poor = WfloWorkflow("alone", budget_usd="0.00002")
    with pytest.raises(BudgetExceededError):
        go(poor.execute(desk.editor, "two owls"))


def test_a_tool_that_fails_is_shown_as_failed_and_the_agent_goes_on(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    @tool("look_up")
    def look_up(q: str) -> str:
        """Look something up."""
        raise LookupError(f"no {q}")

    @tool("give_up")
    def give_up(q: str) -> Any:
        """Give up."""
        return ToolFailure(message="not today")

    for failing, error in ((look_up, "LookupError: no x"), (give_up, "not today")):
        editor = agent("editor", llm(desk.url, "tool"), tools=[failing])
        flow = WfloWorkflow("fails")
        go(flow.execute(Crew(agents=[editor], tasks=[desk.task(editor)])))
        (span,) = wflo.spans(flow.execution_id, "tool")
        assert (span["status"], span["error"]) == ("error", error)
        assert flow.get_cost_breakdown()["tool_counts"] == {failing.name: 1}
        assert wflo.agent_costs(flow.execution_id)["editor"] == flow.get_cost_breakdown()["total_usd"]


def test_tools_that_run_together(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    @tool("ask")
    def ask(q: str) -> str:
        """Ask somebody."""
        return f"{q} it is"

    editor = agent("editor", llm(desk.url, "tools"), tools=[desk.look_up(), ask])
    flow = WfloWorkflow("together")
    go(flow.execute(editor, "two owls"))
    tools = wflo.spans(flow.execution_id, "tool")
    assert sorted(span["name"] for span in tools) == ["ask", "look_up"]
    assert paths(tools + wflo.spans(flow.execution_id, "agent"), "tool") == [[], []]
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd()}


def test_what_a_tool_calls_is_below_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    provider = OpenAI(base_url=desk.url, api_key="sk-provider")

    @track_llm_call(model="think")
    def asked(q: str) -> Any:
        return provider.chat.completions.create(model="think", messages=[{"role": "user", "content": q}])

    @tool("look_up")
    async def look_up(q: str) -> str:
        """Look something up."""
        return str(asked(q).choices[0].message.content)

    editor = agent("editor", llm(desk.url, "tool"), tools=[look_up])
    flow = WfloWorkflow("below")
    go(flow.execute(editor, "two owls"))
    inner = next(span for span in wflo.spans(flow.execution_id, "llm") if span["model"] == "think")
    assert paths(wflo.spans(flow.execution_id))[-1][:2] == ["editor", "look_up"]
    assert inner["agent"] == "editor"
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd()}


def test_a_run_that_is_to_stop_calls_no_tool(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("circles")

    def noticed(span: Any, output: Any, error: Any) -> None:
        if span.name == "chat tool":
            flow.run.loop = InfiniteLoopDetectedError(iteration=1, repeated_pattern="look_up")

    flow.run.watchers.append(noticed)
    with pytest.raises(InfiniteLoopDetectedError):
        go(flow.execute(Crew(agents=[desk.editor], tasks=[desk.task(desk.editor)])))
    assert (desk.looked_up, len(bill.lines())) == ([], 1)
    assert flow.get_cost_breakdown()["tool_counts"] == {}


def test_a_tool_that_goes_round_in_circles_ends_the_crew(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("circles")

    def noticed(span: Any, output: Any, error: Any) -> None:
        if span.name == "look_up":
            flow.run.loop = InfiniteLoopDetectedError(iteration=1, repeated_pattern="look_up")

    flow.run.watchers.append(noticed)
    with pytest.raises(InfiniteLoopDetectedError):
        go(flow.execute(desk.crew(), TOPIC))
    assert desk.looked_up == ["x"]
    assert [line["model"] for line in bill.lines()] == ["echo", "think", "tool"]


def test_a_time_limit_of_an_agent_hides_nothing(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    editor = agent("editor", llm(desk.url, "tool"), tools=[desk.look_up()], max_execution_time=60)
    crew = Crew(agents=[editor], tasks=[desk.task(editor)])
    flow, poor = WfloWorkflow("timed"), WfloWorkflow("timed", budget_usd="0.00002")
    go(flow.execute(crew))
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd()}
    with pytest.raises(BudgetExceededError):
        go(poor.execute(crew))


def test_a_guardrail_has_the_task_done_again_within_its_budget(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    said: list[str] = []

    def twice(output):  # type: ignore[no-untyped-def]  # CrewAI reads what it says it gives
        said.append(output.raw)
        return len(said) == 2, output.raw

    task = desk.task(desk.researcher, guardrail=twice)
    flow = WfloWorkflow("guarded")
    go(flow.execute(Crew(agents=[desk.researcher], tasks=[task]), TOPIC))
    assert wflo.agent_costs(flow.execution_id) == {"researcher": bill.cost_usd()}
    above = ["crew", "Research owls"]
    assert paths(wflo.spans(flow.execution_id), "agent") == [above, above]
    assert len(flow.list_checkpoints()) == 1


def test_a_schema_asked_for_is_the_agents_cost(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    class Told(BaseModel):
        owls: int

    exact = agent("exact", llm(desk.url, "json"))
    tasks = [desk.task(exact, output_pydantic=Told), desk.task(desk.editor, output_json=Told)]
    flow = WfloWorkflow("schema", budget_usd=1)
    result = go(flow.execute(Crew(agents=[exact, desk.editor], tasks=tasks)))
    assert (result.tasks_output[0].pydantic, result.json_dict) == (Told(owls=1), {"owls": 1})
    assert wflo.agent_costs(flow.execution_id) == {"exact": bill.cost_usd("json"), "editor": bill.cost_usd("tool")}
    # What CrewAI asks by a client of its own, to have the editor's answer fit, is the task's.
    assert paths(wflo.spans(flow.execution_id))[0] == ["crew", "Edit it"]


def test_the_responses_api(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    for is_stream in (False, True):
        researcher = agent("researcher", llm(desk.url, "echo", api="responses", stream=is_stream))
        before, flow = bill.cost_usd(), WfloWorkflow("responses", budget_usd=1)
        go(flow.execute(Crew(agents=[researcher], tasks=[desk.task(researcher)]), TOPIC))
        assert wflo.agent_costs(flow.execution_id) == {"researcher": bill.cost_usd() - before}


def test_anthropics_client(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    for is_stream in (False, True):
        model = LLM(
            model="cached",
            provider="anthropic",
            base_url=desk.url.removesuffix("/v1"),
            api_key="sk-provider",
            stream=is_stream,
        )
        writer = agent("writer", model)
        before, flow = len(bill.lines()), WfloWorkflow("anthropic", budget_usd=1)
        go(flow.execute(Crew(agents=[writer], tasks=[desk.task(writer)])))
        (call,) = wflo.spans(flow.execution_id, "llm")
        (line,) = bill.lines()[before:]
        told = (call["provider"], call["agent"], call["input_tokens"], call["output_tokens"])
        assert told == ("anthropic", "writer", line["input"], line["output"])
        assert call["cached_tokens"] == line["input"] // 2


def test_litellm(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    for is_stream in (False, True):
        model = LLM(model="openai/think", is_litellm=True, base_url=desk.url, api_key="sk-provider", stream=is_stream)
        writer = agent("writer", model)
        before, flow = bill.cost_usd(), WfloWorkflow("litellm", budget_usd=1)
        go(flow.execute(Crew(agents=[writer], tasks=[desk.task(writer)])))
        assert wflo.agent_costs(flow.execution_id) == {"writer": bill.cost_usd() - before}
        assert flow.get_cost_breakdown()["llm_calls"] == 1


def _unwatched(completions: Any) -> Any:
    """The method as it was before anything was watched."""
    create = type(completions).create
    while hasattr(create, "__wrapped__"):
        create = create.__wrapped__
    return create.__get__(completions)


def test_an_llm_that_was_used_before(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    completions = desk.writer.llm._get_sync_client().chat.completions
    completions.create = _unwatched(completions)
    assert completions.with_raw_response  # it remembers the method
    del completions.create
    flow = WfloWorkflow("before", budget_usd="0.00002")
    with pytest.raises(BudgetExceededError) as raised:
        go(flow.execute(Crew(agents=[desk.writer], tasks=[desk.task(desk.writer)])))
    assert raised.value.answer.model == "think"
    assert wflo.agent_costs(flow.execution_id) == {"writer": bill.cost_usd()}


def test_where_the_client_tells_nothing_crewai_does(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    completions = desk.writer.llm._get_sync_client().chat.completions
    completions.create = _unwatched(completions)
    flow = WfloWorkflow("events", budget_usd=1)
    go(flow.execute(Crew(agents=[desk.writer], tasks=[desk.task(desk.writer)])))
    (call,) = wflo.spans(flow.execution_id, "llm")
    (line,) = bill.lines()
    assert (call["agent"], call["input_tokens"], call["output_tokens"]) == ("writer", line["input"], line["output"])
    assert wflo.agent_costs(flow.execution_id) == {"writer": bill.cost_usd()}
    poor = WfloWorkflow("events", budget_usd="0.00002")
    with pytest.raises(BudgetExceededError) as raised:
        go(poor.execute(Crew(agents=[desk.writer], tasks=[desk.task(desk.writer)])))
    assert "Write it up" in raised.value.answer
    broken = agent("broken", llm(desk.url, "echo-fail500"))
    broken.llm._get_sync_client().chat.completions.create = _unwatched(broken.llm._client.chat.completions)
    failed = WfloWorkflow("events")
    with pytest.raises(Exception, match="500"):
        go(failed.execute(Crew(agents=[broken], tasks=[desk.task(broken)])))
    (call,) = wflo.spans(failed.execution_id, "llm")
    assert (call["status"], call["agent"], call["cost_usd"]) == ("error", "broken", None)


class Scripted(BaseLLM):
    """A model of one's own: it cannot call functions, and tells no usage."""

    answers: list[str] = []

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        return self.answers.pop(0)


class Polite(Scripted):
    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        return super().call(messages, *args, **kwargs) + " Thank you."


def test_a_model_of_ones_own(wflo: Wflo, desk: Desk) -> None:
    answers = ['Thought: ask\nAction: look_up\nAction Input: {"q": "owls"}', "Thought: done\nFinal Answer: fine"]
    editor = agent("editor", Polite(model="own", answers=answers), tools=[desk.look_up()])
    flow = WfloWorkflow("own")
    result = go(flow.execute(Crew(agents=[editor], tasks=[desk.task(editor)])))
    assert (result.raw, desk.looked_up) == ("fine Thank you.", ["owls"])
    assert [span["name"] for span in wflo.spans(flow.execution_id, "llm")] == ["chat own", "chat own"]
    (span,) = wflo.spans(flow.execution_id, "tool")
    content = wflo.get(f"/api/v1/spans/{span['trace_id']}/{span['span_id']}")
    assert (span["name"], content["input"], content["output"]) == ("look_up", '{"q":"owls"}', "owls is fine")
    assert (flow.get_cost_breakdown()["unpriced_calls"], flow.get_cost_breakdown()["llm_calls"]) == (2, 2)


def test_a_client_that_is_watched_too_counts_once(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    for _ in range(2):
        undo = instrument_openai()
        before, flow = bill.cost_usd(), WfloWorkflow("twice")
        go(flow.execute(desk.crew(), TOPIC))
        assert sum(wflo.agent_costs(flow.execution_id).values()) == bill.cost_usd() - before
        assert len(wflo.spans(flow.execution_id, "llm")) == flow.get_cost_breakdown()["llm_calls"] == 4
        undo()


def test_a_model_called_without_an_agent(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    model = llm(desk.url, "echo")
    undo = instrument_crewai()
    with run("core") as this:
        assert model.call("two owls") == go(model.acall("two owls")) == "two owls"
    with run("circles") as other:
        other.loop = InfiniteLoopDetectedError(iteration=1, repeated_pattern="owls")
        with pytest.raises(InfiniteLoopDetectedError):
            model.call("two owls")
        assert model.call("bats") == "bats"  # it was told once
    undo()
    assert this.used.whole.cost_usd + other.used.whole.cost_usd == bill.cost_usd() > 0
    model.call("two owls")
    OpenAI(base_url=desk.url, api_key="sk-provider").chat.completions.create(model="echo", messages=[])
    assert this.used.whole.llm_calls == len(wflo.spans(this.id, "llm")) == 2
