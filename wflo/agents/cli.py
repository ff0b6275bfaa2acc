"""``wflo agents …``: try a model, a tool, a workflow; the demo; the examples; the tests. Without a key: ``--model demo/agent``."""

from __future__ import annotations

import asyncio
import runpy
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from wflo.agents import (
    Agent,
    AgentExecutor,
    ChainOfDensityConfig,
    ChainOfDensityWorkflow,
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
    LLMError,
    MapReduceConfig,
    MapReduceWorkflow,
    MixtureOfExpertsWorkflow,
    PipelineWorkflow,
    Principle,
    RAGWorkflow,
    ReActConfig,
    ReActWorkflow,
    ReflectionConfig,
    ReflectionWorkflow,
    RoundRobinConfig,
    RoundRobinWorkflow,
    SocraticConfig,
    SocraticWorkflow,
    Step,
    StepKind,
    TreeOfThoughtsConfig,
    TreeOfThoughtsWorkflow,
    Workflow,
    WorkflowResult,
    complete,
    settings,
    structured_complete,
)  # fmt: skip
from wflo.agents.workflows.rag import Chunk

T = TypeVar("T")

EXAMPLES = Path("examples") / "agents"
console = Console()


@click.group()
@click.option("--model", default=None, help="Which model speaks; demo/agent needs no key. Else WFLO_DEFAULT_MODEL.")
@click.pass_context
def agents(context: click.Context, model: str | None) -> None:
    """Agents of the library, tried from here."""
    context.obj = model or settings.default_model


# --- a model, a tool --------------------------------------------------------------------------------------------------


@agents.command("test-completion")
@click.pass_obj
def test_completion(model: str) -> None:
    """One question, one answer."""
    result = _run(complete("Say in one sentence what an AI agent is.", model=model), "asking")
    _answer(result.final_response, result.tokens_used, result.cost_usd)


@agents.command("test-tool-call")
@click.pass_obj
def test_tool_call(model: str) -> None:
    """A question that a tool answers."""
    result = _run(complete("What is the weather in Tokyo?", model=model, tools=[get_weather]), "asking")
    for call in result.tool_execution_history:
        console.print(f"[dim]called[/dim] {call['tool_name']}({call['arguments']}) [dim]→[/dim] {call['result']}")
    _answer(result.final_response, result.tokens_used, result.cost_usd)


@agents.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """A tour: a completion, a tool, a structured answer, a pipeline."""
    context.invoke(test_completion)
    context.invoke(test_tool_call)
    found = _run(
        structured_complete("A city in Japan and its people in millions.", City, model=context.obj), "asking for a City"
    )
    console.print(found)
    context.invoke(test_pipeline_workflow)


@agents.command()
def examples() -> None:
    """Run every example of the checkout, offline."""
    found = sorted(EXAMPLES.glob("**/*.py"))
    if not found:
        raise click.ClickException(f"There is no {EXAMPLES} here: run it at the top of a checkout.")
    for path in found:
        console.rule(str(path))
        runpy.run_path(str(path), run_name="__main__")


@agents.command("run-tests")
@click.option("--verbose", is_flag=True, help="Each test by its name.")
@click.option("-c", "class_name", default=None, help="Those of one class: TestBasicToolCalling.")
@click.option("-t", "test_name", default=None, help="Those of one name: test_single_tool_call.")
@click.option("--no-integration", is_flag=True, help="Leave out those that talk HTTP.")
def run_tests(verbose: bool, class_name: str | None, test_name: str | None, no_integration: bool) -> None:
    """The library's tests, of a checkout."""
    if not Path("tests/wflo/agents").is_dir():
        raise click.ClickException("There are no tests here: run it at the top of a checkout.")
    named = [name for name in (class_name, test_name) if name]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/wflo/agents",
        *(["-v"] if verbose else []),
        *(["-k", " and ".join(named)] if named else []),
    ]
    command += ["--ignore=tests/wflo/agents/wire"] if no_integration else []
    raise SystemExit(subprocess.call(command))


# --- workflows --------------------------------------------------------------------------------------------------------


@agents.command("test-iterative-workflow")
@click.option("-i", "--input", "text", default="Write a paragraph on why tests should be fast.", help="The task.")
@click.option("-n", "--iterations", default=2, show_default=True, help="Rounds at most.")
@click.option(
    "-c", "--critics", default=1, show_default=True, help="How many critics, 1 to 3.", type=click.IntRange(1, 3)
)
@click.pass_obj
def test_iterative_workflow(model: str, text: str, iterations: int, critics: int) -> None:
    """A producer and its critics."""
    known = [
        ("clarity", "Plain words."),
        ("accuracy", "Nothing that is not so."),
        ("brevity", "Nothing that is not needed."),
    ]
    asked = [CriticConfig(_executor(f"critic of {name}", model), name, goal) for name, goal in known[:critics]]
    _show(
        IterativeRefinementWorkflow(_executor("producer", model), asked, IterativeConfig(max_iterations=iterations)),
        text,
    )


@agents.command("test-pipeline-workflow")
@click.option(
    "-i", "--input", "text", default="The history of the printing press.", help="What the first stage is asked."
)
@click.option(
    "-s", "--stages", default=3, show_default=True, help="How many stages, 1 to 3.", type=click.IntRange(1, 3)
)
@click.pass_obj
def test_pipeline_workflow(model: str, text: str, stages: int) -> None:
    """One agent after the other."""
    named = [(name, _executor(name, model)) for name in ("researcher", "writer", "editor")[:stages]]
    _show(PipelineWorkflow(named), text)


@agents.command("test-debate-workflow")
@click.option("-t", "--topic", default="Should agents be allowed to spend money by themselves?", help="The question.")
@click.option("-r", "--rounds", default=2, show_default=True, help="Rounds at most.")
@click.option("--no-judge", is_flag=True, help="Nobody decides.")
@click.pass_obj
def test_debate_workflow(model: str, topic: str, rounds: int, no_judge: bool) -> None:
    """Two argue, a judge decides."""
    sides = [("for", _executor("for", model)), ("against", _executor("against", model))]
    judge = None if no_judge else _executor("judge", model)
    _show(DebateWorkflow(sides, judge, DebateConfig(max_rounds=rounds, judge_decides=not no_judge)), topic)


@agents.command("test-reflection-workflow")
@click.option("-i", "--input", "text", default="Explain recursion.", help="The task.")
@click.option("-r", "--reflections", default=2, show_default=True, help="Rounds at most.")
@click.pass_obj
def test_reflection_workflow(model: str, text: str, reflections: int) -> None:
    """An answer, looked at and written anew."""
    _show(ReflectionWorkflow(_executor("writer", model), config=ReflectionConfig(max_reflections=reflections)), text)


@agents.command("test-chain-of-density-workflow")
@click.option("-i", "--input", "text", default="Summarize what PostgreSQL is.", help="The task.")
@click.option("-n", "--iterations", default=3, show_default=True, help="Rounds.")
@click.pass_obj
def test_chain_of_density_workflow(model: str, text: str, iterations: int) -> None:
    """More said in as many words."""
    _show(ChainOfDensityWorkflow(_executor("writer", model), ChainOfDensityConfig(num_iterations=iterations)), text)


@agents.command("test-socratic-workflow")
@click.option("-t", "--topic", default="What makes code readable?", help="The topic.")
@click.option("-e", "--exchanges", default=2, show_default=True, help="Questions.")
@click.pass_obj
def test_socratic_workflow(model: str, topic: str, exchanges: int) -> None:
    """Questions that lead on."""
    _show(
        SocraticWorkflow(
            _executor("questioner", model), _executor("responder", model), SocraticConfig(max_exchanges=exchanges)
        ),
        topic,
    )


@agents.command("test-rag-workflow")
@click.option("-q", "--query", default="How is a budget held?", help="The question.")
@click.pass_obj
def test_rag_workflow(model: str, query: str) -> None:
    """Look it up, then answer."""
    _show(RAGWorkflow(_passages, _executor("writer", model)), query)


@agents.command("test-round-robin-workflow")
@click.option("-i", "--input", "text", default="A story about a lighthouse.", help="The task.")
@click.option("-r", "--rounds", default=2, show_default=True, help="Rounds.")
@click.option(
    "-a", "--agents", "many", default=3, show_default=True, help="How many agents.", type=click.IntRange(1, 8)
)
@click.pass_obj
def test_round_robin_workflow(model: str, text: str, rounds: int, many: int) -> None:
    """Each adds to one text in turn."""
    named = [(f"author {place}", _executor(f"author {place}", model)) for place in range(1, many + 1)]
    _show(RoundRobinWorkflow(named, RoundRobinConfig(max_rounds=rounds)), text)


@agents.command("test-consensus-workflow")
@click.option("-p", "--problem", default="Which database for a new service?", help="The question.")
@click.option("-r", "--rounds", default=2, show_default=True, help="Rounds at most.")
@click.option(
    "-a", "--agents", "many", default=3, show_default=True, help="How many agents.", type=click.IntRange(2, 8)
)
@click.pass_obj
def test_consensus_workflow(model: str, problem: str, rounds: int, many: int) -> None:
    """All propose, all vote."""
    named = [(f"agent {place}", _executor(f"agent {place}", model)) for place in range(1, many + 1)]
    _show(ConsensusWorkflow(named, ConsensusConfig(max_rounds=rounds)), problem)


@agents.command("test-hierarchical-workflow")
@click.option("-t", "--task", default="Plan a conference.", help="The task.")
@click.option("-s", "--subtasks", default=3, show_default=True, help="Subtasks at most.")
@click.pass_obj
def test_hierarchical_workflow(model: str, task: str, subtasks: int) -> None:
    """A manager and workers."""
    workers = [(name, _executor(name, model)) for name in ("worker 1", "worker 2")]
    _show(HierarchicalWorkflow(_executor("manager", model), workers, HierarchicalConfig(max_subtasks=subtasks)), task)


@agents.command("test-map-reduce-workflow")
@click.option("-i", "--input", "text", default="A long text. " * 60, help="The text.")
@click.option("-c", "--chunk-size", default=300, show_default=True, help="Characters of a piece.")
@click.pass_obj
def test_map_reduce_workflow(model: str, text: str, chunk_size: int) -> None:
    """A long text in pieces."""
    _show(MapReduceWorkflow(_executor("reader", model), config=MapReduceConfig(chunk_size=chunk_size)), text)


@agents.command("test-react-workflow")
@click.option("-q", "--question", default="What is the weather in Tokyo?", help="The question.")
@click.option("-s", "--steps", default=4, show_default=True, help="Steps at most.")
@click.pass_obj
def test_react_workflow(model: str, question: str, steps: int) -> None:
    """Think, act, look."""
    _show(ReActWorkflow(_executor("reasoner", model), ReActConfig(max_steps=steps), tools=[get_weather]), question)


@agents.command("test-mixture-of-experts-workflow")
@click.option("-q", "--query", default="How fast is a query with an index?", help="The question.")
@click.pass_obj
def test_mixture_of_experts_workflow(model: str, query: str) -> None:
    """The experts a question is for."""
    experts = [
        ExpertConfig(_executor("databases", model), "databases", "Indexes and queries.", ["query", "index"]),
        ExpertConfig(_executor("cooking", model), "cooking", "Food.", ["recipe"]),
    ]
    _show(MixtureOfExpertsWorkflow(experts), query)


@agents.command("test-constitutional-workflow")
@click.option("-i", "--input", "text", default="Write to a customer whose parcel is late.", help="The task.")
@click.pass_obj
def test_constitutional_workflow(model: str, text: str) -> None:
    """An answer that keeps to principles."""
    config = ConstitutionalConfig(
        principles=[Principle("honest", "Says nothing that is not known."), Principle("kind", "Blames nobody.")],
        max_revisions=1,
    )
    _show(ConstitutionalWorkflow(_executor("writer", model), config=config), text)


@agents.command("test-tree-of-thoughts-workflow")
@click.option("-p", "--problem", default="How to halve a bill for tokens?", help="The problem.")
@click.option("-d", "--depth", default=2, show_default=True, help="Levels.")
@click.option("-b", "--branches", default=2, show_default=True, help="Ways on from each thought.")
@click.pass_obj
def test_tree_of_thoughts_workflow(model: str, problem: str, depth: int, branches: int) -> None:
    """Several ways on, the good ones followed."""
    config = TreeOfThoughtsConfig(max_depth=depth, branching_factor=branches)
    _show(TreeOfThoughtsWorkflow(_executor("thinker", model), config=config), problem)


# --- parts of them ----------------------------------------------------------------------------------------------------


class City(BaseModel):
    name: str
    people_in_millions: float


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Its name.
    """
    return f"22 degrees and sunny in {city}"


def _passages(query: str) -> list[Chunk]:
    return [
        {
            "content": "A budget is held before a call: the worst case, freed again when the bill is there.",
            "source": "docs/budgets.md",
        },
        {"content": "A loop is told with its cycle and what it burned.", "source": "docs/loops.md"},
    ]


def _executor(name: str, model: str) -> AgentExecutor:
    return AgentExecutor(Agent(name=name, system_prompt=f"You are {name}. Be brief.", model=model))


def _show(workflow: Workflow, text: str) -> None:
    done = {"turns": 0}

    with console.status(f"{workflow.name}: begun") as status:

        def told(step: Step) -> None:
            if step.kind is StepKind.TURN:
                done["turns"] += 1
                status.update(f"{workflow.name}: turn {done['turns']}, {step.agent}")

        workflow.on_step = told
        result = _caught(workflow.execute(text))
    _table(result)
    _answer(result.final_output, result.tokens, result.cost_usd)


def _table(result: WorkflowResult) -> None:
    table = Table(title=f"{len(result.agent_interactions)} turns, {result.iterations} iterations")
    for name in ("agent", "what", "said"):
        table.add_column(name)
    for one in result.agent_interactions:
        label = str(one.get("stage") or one.get("round") or one.get("iteration") or one.get("step") or "")
        table.add_row(str(one.get("agent", "")), label, " ".join(str(one.get("output", "")).split())[:90])
    console.print(table)
    console.print(result.metadata)


def _answer(text: str, tokens: dict[str, int] | None, cost_usd: Any) -> None:
    console.print(Markdown(text))
    cost = "unknown" if cost_usd is None else f"${cost_usd:f}"
    console.print(f"[dim]{(tokens or {}).get('total', 'unknown')} tokens, cost {cost}[/dim]")


def _run(work: Awaitable[T], doing: str) -> T:
    with console.status(doing):
        return _caught(work)


def _caught(work: Awaitable[T]) -> T:
    async def awaited() -> T:
        return await work

    try:
        return asyncio.run(awaited())
    except (LLMError, ImportError, ValueError) as error:
        raise click.ClickException(f"{error}") from None


if __name__ == "__main__":
    agents()
