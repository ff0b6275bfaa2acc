"""Checkpoints of crews, and going on from them without doing a task twice."""

from __future__ import annotations

from typing import Any

import pytest
from crewai import Crew
from crewai.tasks.conditional_task import ConditionalTask
from pydantic import BaseModel

from tests.frameworks.crewai.agents import TOPIC, Desk, agent, go, llm
from tests.frameworks.sights import Bill, Wflo, until
from wflo import WfloWorkflow
from wflo.errors import CheckpointError
from wflo.states import decode


@pytest.fixture
def desk(provider_url: str) -> Desk:
    return Desk(provider_url)


def _models(bill: Bill, since: int = 0) -> list[str]:
    return [line["model"] for line in bill.lines()[since:]]


def test_a_checkpoint_follows_each_task_and_the_crew_goes_on_from_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, crew = WfloWorkflow("desk"), desk.crew()
    first = go(flow.execute(crew, TOPIC))
    kept = wflo.checkpoints(flow.execution_id)
    names = ["researcher", "writer", "editor"]
    assert [(one["name"], one["agent"]) for one in kept] == [(name, name) for name in names]
    assert [one["name"] for one in flow.list_checkpoints()] == names
    back = flow.rollback_to_checkpoint("researcher")
    assert back["inputs"] == TOPIC
    assert [(one["agent"], one["raw"]) for one in back["crewai"]] == [("researcher", first.tasks_output[0].raw)]
    paid = len(bill.lines())
    second = go(flow.execute(crew, back))
    assert _models(bill, paid) == ["think", "tool", "tool"]
    assert [one.raw for one in second.tasks_output] == [one.raw for one in first.tasks_output]
    assert [one["name"] for one in flow.list_checkpoints()] == ["writer", "editor"]
    assert {span["agent"] for span in wflo.spans(flow.execution_id)} == {None, "writer", "editor"}


def test_the_last_checkpoint_has_it_all(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, crew = WfloWorkflow("desk"), desk.crew()
    first, paid = go(flow.execute(crew, TOPIC)), len(bill.lines())
    assert go(flow.execute(crew, flow.rollback_to_last_checkpoint())).raw == first.raw
    assert _models(bill, paid) == []


def test_a_state_of_another_process_goes_on_in_a_crew_like_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    go(flow.execute(desk.crew(), TOPIC))
    found = wflo.get(f"/api/v1/runs/{flow.execution_id}/checkpoints/2")
    paid, later = len(bill.lines()), WfloWorkflow("desk")
    result = go(later.execute(Desk(desk.url).crew(), decode(found["state"])))
    assert (result.raw, _models(bill, paid)) == ("x is fine", ["tool", "tool"])
    other = Crew(agents=[desk.writer], tasks=[desk.task(desk.writer)])
    with pytest.raises(CheckpointError, match="Task 1 of the crew"):
        go(later.execute(other, decode(found["state"])))


def test_what_was_changed_of_a_state_is_what_the_crew_goes_on_with(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, crew = WfloWorkflow("desk"), desk.crew()
    go(flow.execute(crew, TOPIC))
    back = flow.rollback_to_checkpoint("researcher")
    back["crewai"][0]["raw"] = "There are no owls."
    second = go(flow.execute(crew, back))
    assert "There are no owls." in second.tasks_output[1].raw


def test_a_task_has_its_own_name(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    class Told(BaseModel):
        owls: int

    counter = agent("counter", llm(desk.url, "json"))
    count = desk.task(counter, name="count", output_pydantic=Told)
    flow = WfloWorkflow("named")
    crew = Crew(agents=[counter, desk.writer], tasks=[count, desk.task(desk.writer, name="write", context=[count])])
    first = go(flow.execute(crew))
    assert isinstance(first.tasks_output[0].pydantic, Told)
    assert [(one["name"], one["agent"]) for one in flow.list_checkpoints()] == [
        ("count", "counter"), ("write", "writer"),
    ]  # fmt: skip
    paid = len(bill.lines())
    second = go(flow.execute(crew, flow.rollback_to_checkpoint("count")))
    assert _models(bill, paid) == ["think"]
    assert second.tasks_output[0].pydantic == first.tasks_output[0].pydantic
    assert second.raw == first.raw


def test_a_crew_goes_on_when_a_page_asks_it_to(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, first = WfloWorkflow("desk"), ""

    def ask(output: Any) -> None:
        nonlocal first
        if not first:
            first = flow.execution_id
            until(lambda: len(wflo.checkpoints(first)) == 1)
            changed = {"state": {"inputs": {"topic": "bats"}}, "model": "echo", "instructions": "Be brief."}
            wflo.post(f"/api/v1/runs/{first}/rollback", {"checkpoint": 1, "reason": "x", "overrides": changed})
            assert until(lambda: flow.run.control.get("rollback"))

    write = desk.task(desk.writer, description="Write about {topic}. {instructions}", callback=ask)
    crew = Crew(
        agents=[desk.researcher, desk.writer, desk.editor],
        tasks=[desk.task(desk.researcher), write, desk.task(desk.editor)],
    )
    result = go(flow.execute(crew, {**TOPIC, "instructions": ""}))
    assert _models(bill) == ["echo", "think", "echo", "echo"]
    assert "Write about bats. Be brief." in result.tasks_output[1].raw
    assert flow.execution_id != first
    assert wflo.run(flow.execution_id)["parent_run_id"] == wflo.run(first)["id"]


def test_a_crew_whose_money_ended_goes_back_by_itself_where_it_may(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", per_agent_budgets={"writer": "0.00001"}, rollback_on_budget=True)
    crew = desk.crew()
    with pytest.raises(flow.AgentBudgetExceededError):
        go(flow.execute(crew, TOPIC))
    flow.per_agent_budgets.clear()
    paid = len(bill.lines())
    assert go(flow.execute(crew, flow.restored_state)).raw == "x is fine"
    assert _models(bill, paid) == ["think", "tool", "tool"]


def test_a_crew_goes_on_after_what_ran_together(wflo: Wflo, desk: Desk, bill: Bill, provider_url: str) -> None:
    slow = agent("slow", llm(provider_url, "echo-slow"))
    beside = [desk.task(who, async_execution=True) for who in (desk.researcher, slow)]
    crew = Crew(agents=[desk.researcher, slow, desk.writer], tasks=[*beside, desk.task(desk.writer)])
    flow = WfloWorkflow("together")
    first, paid = go(flow.execute(crew, TOPIC)), len(bill.lines())
    second = go(flow.execute(crew, flow.rollback_to_checkpoint("slow")))
    assert (_models(bill, paid), second.raw) == (["think"], first.raw)
    go(flow.execute(crew, TOPIC))
    paid = len(bill.lines())
    go(flow.execute(crew, flow.rollback_to_checkpoint("researcher")))
    assert _models(bill, paid) == ["echo-slow", "think"]


def test_a_task_that_was_left_out_is_left_out_again(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    maybe = ConditionalTask(
        description="Perhaps", expected_output="words", agent=desk.writer, condition=lambda output: False
    )
    crew = Crew(
        agents=[desk.researcher, desk.writer, desk.editor],
        tasks=[desk.task(desk.researcher), maybe, desk.task(desk.editor)],
    )
    flow = WfloWorkflow("perhaps")
    go(flow.execute(crew, TOPIC))
    assert [one["name"] for one in flow.list_checkpoints()] == ["researcher", "editor"]
    paid = len(bill.lines())
    go(flow.execute(crew, flow.rollback_to_checkpoint("researcher")))
    assert _models(bill, paid) == ["tool", "tool"]


def test_a_state_that_cannot_be_saved_is_no_hindrance(
    wflo: Wflo, desk: Desk, bill: Bill, caplog: pytest.LogCaptureFixture
) -> None:
    class Told(BaseModel):
        owls: int

        def model_dump(self, **options: Any) -> Any:
            if options.get("mode") == "json":
                raise OSError("no room")
            return super().model_dump(**options)

    counter = agent("counter", llm(desk.url, "json"))
    crew = Crew(agents=[counter], tasks=[desk.task(counter, output_pydantic=Told)])
    flow = WfloWorkflow("broken")
    assert go(flow.execute(crew)).pydantic is not None
    assert flow.list_checkpoints() == []
    assert "no room" in caplog.text
    quiet = WfloWorkflow("quiet", enable_checkpointing=False)
    go(quiet.execute(desk.crew(), TOPIC))
    assert quiet.list_checkpoints() == []
