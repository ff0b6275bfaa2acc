"""What the sixteen workflows share: bills by name, context, parallel parts, hooks, cancelling, what cannot be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.wflo.agents.voice import Voice, run, voter
from wflo.agents import (
    Agent,
    AgentExecutor,
    Answer,
    ChainOfDensityConfig,
    ChainOfDensityWorkflow,
    ChatRoomConfig,
    ChatRoomWorkflow,
    ConfigError,
    ConsensusConfig,
    ConsensusWorkflow,
    ConstitutionalConfig,
    ConstitutionalWorkflow,
    CriticConfig,
    DebateConfig,
    DebateWorkflow,
    ExpertConfig,
    HierarchicalConfig,
    HierarchicalWorkflow,
    IterativeConfig,
    IterativeRefinementWorkflow,
    MapReduceConfig,
    MapReduceWorkflow,
    MixtureOfExpertsWorkflow,
    MoEConfig,
    PipelineWorkflow,
    Principle,
    RAGConfig,
    RAGWorkflow,
    RateLimitError,
    ReActConfig,
    ReActWorkflow,
    ReflectionConfig,
    ReflectionWorkflow,
    Request,
    RoundRobinConfig,
    RoundRobinWorkflow,
    Scripted,
    SocraticConfig,
    SocraticWorkflow,
    Step,
    StepKind,
    TreeOfThoughtsConfig,
    TreeOfThoughtsWorkflow,
    Workflow,
    WorkflowResult,
)  # fmt: skip


def test_what_agents_cost_is_charged_by_name_and_summed() -> None:
    async def ask(request: Request) -> Answer:
        answer = await Scripted(["ok"]).ask(request)
        answer.cost_usd = Decimal("0.01")
        return answer

    steps: list[Step] = []
    workers = [(name, AgentExecutor(Agent(f"model of {name}", model="m", options={"ask": ask}))) for name in ("a", "b")]
    workflow = PipelineWorkflow(workers, on_step=steps.append)
    result = run(workflow)
    assert (result.cost_usd, result.tokens["total"]) == (Decimal("0.02"), 30)
    assert [(step.kind, step.agent, step.workflow) for step in steps] == [
        ("model", "model of a", "pipeline"), ("turn", "a", "pipeline"), ("model", "model of b", "pipeline"), ("turn", "b", "pipeline"),
    ]  # fmt: skip


def test_a_context_is_told_with_the_input() -> None:
    voice = Voice("x")
    run(PipelineWorkflow([("a", voice)]), "do it", {"tone": "calm", "words": 10})
    assert voice.heard == ["do it\n\nContext:\n- tone: calm\n- words: 10"]


def test_a_workflow_may_be_run_by_several_at_once() -> None:
    async def both() -> list[WorkflowResult]:
        workflow = PipelineWorkflow([("a", Voice(after_s=0.01))])
        return await asyncio.gather(workflow.execute("one"), workflow.execute("two"))

    assert [len(result.agent_interactions) for result in asyncio.run(both())] == [1, 1]


def test_a_hook_stops_the_run_also_where_failures_are_let_pass() -> None:
    async def ask(request: Request) -> Answer:
        return await Scripted(["ok"]).ask(request)

    def stop(step: Step) -> None:
        if step.kind is StepKind.MODEL:
            raise KeyError("enough")

    reader = AgentExecutor(Agent("reader", model="m", options={"ask": ask}))
    with pytest.raises(KeyError, match="enough"):
        run(MapReduceWorkflow(reader, config=MapReduceConfig(chunk_size=3), on_step=stop), "one two three")
    strange = run(
        MapReduceWorkflow(
            Voice(ZeroDivisionError("odd"), "fine"), config=MapReduceConfig(chunk_size=3, max_parallel_chunks=1)
        ),
        "one two",
    )
    assert (strange.final_output, strange.agent_interactions[1]["output"]) == ("fine", "Error: odd")


def test_cancelled_it_stops_and_a_hook_may_stop_it() -> None:
    voice = Voice(after_s=30)

    async def work() -> None:
        task = asyncio.create_task(
            MapReduceWorkflow(voice, config=MapReduceConfig(chunk_size=5)).execute("one two three four")
        )
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert voice.at_once == 0

    def stop(step: Step) -> None:
        raise RateLimitError("enough")

    with pytest.raises(RateLimitError, match="enough"):
        run(PipelineWorkflow([("a", Voice()), ("b", Voice())], on_step=stop))


WRONG: list[tuple[Callable[[], Workflow], str]] = [
    (lambda: PipelineWorkflow([]), "stages"),
    (lambda: PipelineWorkflow([("a", Voice()), ("a", Voice())]), "stages"),
    (lambda: PipelineWorkflow([("a", Voice())], parallel_max=0), "parallel_max"),
    (lambda: IterativeRefinementWorkflow(Voice(), []), "critics"),
    (lambda: IterativeRefinementWorkflow(Voice(), CriticConfig(Voice(), "a", "b", -1)), "critics"),
    (lambda: IterativeRefinementWorkflow(Voice(), CriticConfig(Voice(), "a", "b"), IterativeConfig(max_iterations=0)), "max_iterations"),
    (lambda: IterativeRefinementWorkflow(Voice(), CriticConfig(Voice(), "a", "b"), IterativeConfig(min_quality_score=2)), "min_quality_score"),
    (lambda: IterativeRefinementWorkflow(Voice(), CriticConfig(Voice(), "a", "b"), IterativeConfig(convergence_threshold=-1)), "convergence_threshold"),
    (lambda: DebateWorkflow([("a", Voice())]), "participants"),
    (lambda: DebateWorkflow([("a", Voice()), ("judge", Voice())]), "participants"),
    (lambda: DebateWorkflow([("a", Voice()), ("b", Voice())], config=DebateConfig(max_rounds=0)), "max_rounds"),
    (lambda: ReflectionWorkflow(Voice(), config=ReflectionConfig(max_reflections=0)), "max_reflections"),
    (lambda: ReflectionWorkflow(Voice(), config=ReflectionConfig(reflection_prompt_template="{x}")), "reflection_prompt_template"),
    (lambda: ReflectionWorkflow(Voice(), config=ReflectionConfig(min_improvement_threshold=3)), "min_improvement_threshold"),
    (lambda: ChainOfDensityWorkflow(Voice(), ChainOfDensityConfig(density_increment="gold")), "density_increment"),
    (lambda: ChainOfDensityWorkflow(Voice(), ChainOfDensityConfig(num_iterations=0)), "num_iterations"),
    (lambda: SocraticWorkflow(Voice(), Voice(), SocraticConfig(mode="drill")), "mode"),
    (lambda: SocraticWorkflow(Voice(), Voice(), SocraticConfig(max_exchanges=0)), "max_exchanges"),
    (lambda: RAGWorkflow(lambda q: [], Voice(), config=RAGConfig(verify_facts=True)), "verify_facts"),
    (lambda: RAGWorkflow(lambda q: [], Voice(), config=RAGConfig(max_retrieved_chunks=0)), "max_retrieved_chunks"),
    (lambda: RoundRobinWorkflow([("a", Voice())], RoundRobinConfig(contribution_style="shout")), "contribution_style"),
    (lambda: RoundRobinWorkflow([("a", Voice())], RoundRobinConfig(max_rounds=0)), "max_rounds"),
    (lambda: ConsensusWorkflow([("a", Voice())]), "proposers"),
    (lambda: ConsensusWorkflow([("a", Voice()), ("b", Voice())], ConsensusConfig(voting_strategy="loud")), "voting_strategy"),
    (lambda: ConsensusWorkflow([("a", Voice()), ("b", Voice())], ConsensusConfig(min_agreement_ratio=2)), "min_agreement_ratio"),
    (lambda: ConsensusWorkflow([("a", Voice()), ("b", Voice())], ConsensusConfig(weights={"c": 1})), "weights"),
    (lambda: HierarchicalWorkflow(Voice(), []), "workers"),
    (lambda: HierarchicalWorkflow(Voice(), [("a", Voice())], HierarchicalConfig(synthesis_strategy="mix")), "synthesis_strategy"),
    (lambda: HierarchicalWorkflow(Voice(), [("a", Voice())], HierarchicalConfig(max_subtasks=0)), "max_subtasks"),
    (lambda: MapReduceWorkflow(Voice(), config=MapReduceConfig(chunk_size=5, chunk_overlap=5)), "chunk_overlap"),
    (lambda: MapReduceWorkflow(Voice(), config=MapReduceConfig(chunk_size=0)), "chunk_size"),
    (lambda: MapReduceWorkflow(Voice(), config=MapReduceConfig(max_parallel_chunks=0)), "parallel_max"),
    (lambda: MapReduceWorkflow(Voice(), config=MapReduceConfig(reduce_strategy="mix")), "reduce_strategy"),
    (lambda: ReActWorkflow(Voice(), ReActConfig(max_steps=0)), "max_steps"),
    (lambda: ReActWorkflow(Voice(), ReActConfig(action_prefix=" ")), "action_prefix"),
    (lambda: MixtureOfExpertsWorkflow([]), "experts"),
    (lambda: MixtureOfExpertsWorkflow([ExpertConfig(Voice(), "a")], config=MoEConfig(routing_strategy="dice")), "routing_strategy"),
    (lambda: MixtureOfExpertsWorkflow([ExpertConfig(Voice(), "a")], config=MoEConfig(combine_strategy="mix")), "combine_strategy"),
    (lambda: MixtureOfExpertsWorkflow([ExpertConfig(Voice(), "a")], config=MoEConfig(top_k=0)), "top_k"),
    (lambda: ConstitutionalWorkflow(Voice(), config=ConstitutionalConfig(principles=[])), "principles"),
    (lambda: ConstitutionalWorkflow(Voice()), "config"),
    (lambda: ConstitutionalWorkflow(Voice(), config=ConstitutionalConfig(principles=[Principle("a", "b", "mild")])), "severity"),
    (lambda: TreeOfThoughtsWorkflow(Voice(), config=TreeOfThoughtsConfig(branching_factor=0)), "branching_factor"),
    (lambda: TreeOfThoughtsWorkflow(Voice(), config=TreeOfThoughtsConfig(max_depth=0)), "max_depth"),
    (lambda: TreeOfThoughtsWorkflow(Voice(), config=TreeOfThoughtsConfig(evaluation_strategy="luck")), "evaluation_strategy"),
    (lambda: TreeOfThoughtsWorkflow(Voice(), config=TreeOfThoughtsConfig(prune_threshold=2)), "prune_threshold"),
    (lambda: ChatRoomWorkflow([("a", Voice())]), "members"),
    (lambda: ChatRoomWorkflow([("a", Voice()), ("b", Voice())], config=ChatRoomConfig(max_turns=0)), "max_turns"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "field"), WRONG)
def test_what_cannot_be_names_the_field_before_anybody_is_asked(make: Callable[[], Workflow], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(make())
    assert caught.value.field == field
    assert str(caught.value).startswith(field)


def test_a_good_config_is_said_to_be_one() -> None:
    assert PipelineWorkflow([("a", Voice())]).validate_config() is True
    assert PipelineWorkflow([]).validate_config() is False


def test_parts_that_run_at_once_are_no_more_than_may_be() -> None:
    voice = Voice("x", after_s=0.01)
    began = time.monotonic()
    run(
        MixtureOfExpertsWorkflow(
            [ExpertConfig(voice, f"e{n}") for n in range(12)],
            config=MoEConfig(routing_strategy="all", combine_strategy="concatenate"),
            parallel_max=3,
        )
    )
    assert voice.most_at_once == 3
    assert time.monotonic() - began < 30


def test_hooks_see_turns_and_stages() -> None:
    steps: list[Step] = []
    run(ConsensusWorkflow([("a", voter("A", "VOTE: a")), ("b", voter("B", "VOTE: a"))], on_step=steps.append))
    assert [(step.kind, step.name) for step in steps] == [
        (StepKind.TURN, "proposal"), (StepKind.TURN, "proposal"), (StepKind.TURN, "vote"), (StepKind.TURN, "vote"), (StepKind.STAGE, "voting"),
    ]  # fmt: skip
    assert {step.workflow for step in steps} == {"consensus"}
