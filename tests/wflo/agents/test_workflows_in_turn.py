"""Workflows whose agents speak one after the other; every option has its meaning."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wflo.agents.voice import FAULT, Voice, agents_of, run
from wflo.agents import (
    ChainOfDensityConfig,
    ChainOfDensityWorkflow,
    CriticConfig,
    DebateConfig,
    DebateWorkflow,
    IterativeConfig,
    IterativeRefinementWorkflow,
    PipelineWorkflow,
    RAGConfig,
    RAGWorkflow,
    ReflectionConfig,
    ReflectionWorkflow,
    RoundRobinConfig,
    RoundRobinWorkflow,
    SocraticConfig,
    SocraticWorkflow,
)  # fmt: skip

# --- pipeline, iterative, debate, reflection --------------------------------------------------------------------------


def test_pipeline() -> None:
    result = run(PipelineWorkflow([("draft", Voice("a draft")), ("edit", Voice(lambda prompt: prompt.upper()))]))
    assert (result.final_output, result.iterations, result.metadata) == ("A DRAFT", 2, {"stages": ["draft", "edit"]})
    assert [{name: one[name] for name in ("stage", "input", "output")} for one in result.agent_interactions] == [
        {"stage": "draft", "input": "the task", "output": "a draft"}, {"stage": "edit", "input": "a draft", "output": "A DRAFT"},
    ]  # fmt: skip


def test_iterative_rounds_feedback_and_the_first_critics_round_in_any_case() -> None:
    producer, critic = Voice("one", "two", "three"), Voice("more heart")
    result = run(
        IterativeRefinementWorkflow(
            producer, CriticConfig(critic, "style", "warm words"), IterativeConfig(max_iterations=2)
        )
    )
    assert (result.final_output, result.iterations) == ("two", 2)
    assert result.metadata | {"config": 0} == {"converged": False, "num_critics": 1, "config": 0}
    assert agents_of(result) == ["producer", "critic_style", "producer", "critic_style"]
    assert result.agent_interactions[1] | {"input": 0} == {
        "iteration": 1, "agent": "critic_style", "specialty": "style", "goal": "warm words", "input": 0, "output": "more heart",
    }  # fmt: skip
    assert "more heart" in producer.heard[1]
    assert "warm words" in critic.heard[0]
    only = run(
        IterativeRefinementWorkflow(Voice("one"), CriticConfig(Voice("x"), "a", "b"), IterativeConfig(max_iterations=1))
    )
    assert agents_of(only) == ["producer", "critic_a"]


def test_iterative_critics_are_weighed_and_asked_at_the_same_time() -> None:
    slow = [Voice(name, after_s=0.02) for name in ("light", "heavy")]
    producer, silent = Voice("one", "two"), Voice("never")
    critics = [
        CriticConfig(slow[0], "a", "g", 0.5),
        CriticConfig(slow[1], "b", "g", 2),
        CriticConfig(silent, "c", "g", 0),
    ]
    result = run(IterativeRefinementWorkflow(producer, critics, IterativeConfig(max_iterations=2)))
    assert silent.heard == []
    assert result.metadata["num_critics"] == 2
    assert producer.heard[1].index("heavy") < producer.heard[1].index("light")
    assert "[b, weight 2]" in producer.heard[1]


def test_iterative_stops_when_it_is_good_or_settles() -> None:
    def quality(content: str, feedback: dict[str, str]) -> float:
        assert feedback == {"a": "hm"}
        return 0.9 if content == "two" else 0.1

    critic = CriticConfig(Voice("hm"), "a", "g")
    good = run(
        IterativeRefinementWorkflow(
            Voice("one", "two", "three"),
            critic,
            IterativeConfig(max_iterations=5, min_quality_score=0.8, quality_evaluator=quality),
        )
    )
    assert (good.final_output, good.iterations, good.metadata["converged"]) == ("two", 2, True)
    settled = run(
        IterativeRefinementWorkflow(
            Voice("a b c d", "a b c e f g h i", "a b c e f g h j", "x"),
            critic,
            IterativeConfig(max_iterations=5, convergence_threshold=0.2),
        )
    )
    assert (settled.iterations, settled.metadata["converged"]) == (3, True)

    def broken(content: str, feedback: dict[str, str]) -> float:
        raise RuntimeError

    ignored = run(
        IterativeRefinementWorkflow(
            Voice("one"), critic, IterativeConfig(max_iterations=2, min_quality_score=0, quality_evaluator=broken)
        )
    )
    assert ignored.metadata["converged"] is False


def test_iterative_a_critic_that_fails_is_marked_and_the_others_count() -> None:
    producer = Voice("one", "two")
    critics = [CriticConfig(Voice(FAULT), "a", "g"), CriticConfig(Voice("fine"), "b", "g")]
    result = run(IterativeRefinementWorkflow(producer, critics, IterativeConfig(max_iterations=2)))
    failed = next(one for one in result.agent_interactions if one["agent"] == "critic_a")
    assert (failed["error"], failed["output"]) == (True, "Error: it broke")
    assert "it broke" not in producer.heard[1]
    assert "fine" in producer.heard[1]


def test_debate() -> None:
    one, two, judge = Voice("yes!"), Voice("no!"), Voice("the first")
    result = run(DebateWorkflow([("pro", one), ("con", two)], judge, DebateConfig(max_rounds=2)))
    assert (result.final_output, result.iterations) == ("the first", 2)
    assert result.metadata == {"participants": ["pro", "con"], "judge_used": True}
    assert [(entry.get("round"), entry.get("argument"), entry.get("stage")) for entry in result.agent_interactions] == [
        (1, "yes!", None), (1, "no!", None), (2, "yes!", None), (2, "no!", None), (None, None, "judgment"),
    ]  # fmt: skip
    assert "pro: yes!" in two.heard[0]
    assert "con: no!" in judge.heard[0]
    undecided = run(
        DebateWorkflow(
            [("pro", Voice("yes!")), ("con", Voice("no!"))], judge, DebateConfig(max_rounds=1, judge_decides=False)
        )
    )
    assert (undecided.final_output, undecided.metadata["judge_used"]) == ("pro: yes!\n\ncon: no!", False)


def test_debate_ends_when_all_agree() -> None:
    one, two = Voice("a", "not yet", "b", "yes"), Voice("c", "no", "d", "Yes, I agree.")
    result = run(
        DebateWorkflow([("pro", one), ("con", two)], config=DebateConfig(max_rounds=5, require_consensus=True))
    )
    assert (result.iterations, result.metadata["consensus_reached"]) == (2, True)
    never = run(
        DebateWorkflow(
            [("pro", Voice("no")), ("con", Voice("yes"))], config=DebateConfig(max_rounds=2, require_consensus=True)
        )
    )
    assert never.metadata["consensus_reached"] is False


def test_reflection() -> None:
    generator, reflector = Voice("first", "second", "third"), Voice("weak", "better")
    config = ReflectionConfig(
        max_reflections=2, reflection_prompt_template="was {previous_output}, is {current_output}"
    )
    result = run(ReflectionWorkflow(generator, reflector, config))
    assert (result.final_output, result.iterations) == ("third", 2)
    assert result.metadata == {"max_reflections": 2, "reflections_completed": 2}
    assert "was (none), is first" in reflector.heard[0]
    assert "was first, is second" in reflector.heard[1]
    assert [one["reflection"] for one in result.agent_interactions] == [0, 1, 1, 2, 2]
    alone = Voice("same words here")
    settled = run(ReflectionWorkflow(alone, config=ReflectionConfig(max_reflections=5, min_improvement_threshold=0.1)))
    assert (settled.iterations, settled.metadata["reflections_completed"]) == (1, 1)


# --- density, socratic, rag, round robin ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("increment", "words"), [("entities", "named things"), ("details", "facts"), ("examples", "examples")]
)
def test_chain_of_density(increment: str, words: str) -> None:
    voice = Voice("a b c", "a b c d", "a b c d e")
    result = run(ChainOfDensityWorkflow(voice, ChainOfDensityConfig(num_iterations=3, density_increment=increment)))
    assert (result.final_output, result.iterations) == ("a b c d e", 3)
    assert result.metadata == {"density_increment": increment, "preserve_length": True, "final_length": 5}
    assert [one["length"] for one in result.agent_interactions] == [3, 4, 5]
    assert words in voice.heard[1]
    assert "about 3 words" in voice.heard[1]
    free = Voice("a")
    run(ChainOfDensityWorkflow(free, ChainOfDensityConfig(num_iterations=2, preserve_length=False)))
    assert "words:" not in free.heard[1]


@pytest.mark.parametrize(("mode", "words"), [("peer", "as much as you do"), ("teacher_student", "You teach")])
def test_socratic(mode: str, words: str) -> None:
    asks, answers = Voice("why?", "how?"), Voice("because", "so", "in short")
    result = run(SocraticWorkflow(asks, answers, SocraticConfig(max_exchanges=2, mode=mode)))
    assert (result.final_output, result.iterations) == ("in short", 2)
    assert result.metadata == {"mode": mode, "exchanges": 2, "synthesized": True}
    assert words in asks.heard[0]
    assert "Answer: because" in asks.heard[1]
    assert result.agent_interactions[-1]["stage"] == "synthesis"
    bare = run(
        SocraticWorkflow(Voice("why?"), Voice("because"), SocraticConfig(max_exchanges=1, synthesis_at_end=False))
    )
    assert (bare.final_output, len(bare.agent_interactions), bare.metadata["synthesized"]) == ("because", 2, False)


CHUNKS = [{"content": f"fact {n}", "source": f"page {n}"} for n in range(4)]


def test_rag() -> None:
    voice = Voice("the answer")
    result = run(RAGWorkflow(lambda query: CHUNKS, voice, config=RAGConfig(max_retrieved_chunks=2)))
    assert result.final_output == "the answer\n\nSources:\n- page 0\n- page 1"
    assert result.metadata == {"retrieved_chunks": 2, "verified": False, "sources_included": True}
    assert result.iterations == 1
    assert (result.agent_interactions[0]["stage"], result.agent_interactions[0]["chunks"]) == ("retrieval", CHUNKS[:2])
    assert "fact 1" in voice.heard[0]
    assert "fact 2" not in voice.heard[0]

    async def found(query: str) -> list[dict[str, Any]]:
        return CHUNKS[:1]

    assert run(RAGWorkflow(found, Voice("x"), config=RAGConfig(include_sources=False))).final_output == "x"


def test_rag_checks_facts_and_writes_anew_what_they_do_not_support() -> None:
    config = RAGConfig(verify_facts=True, include_sources=False)
    good = run(RAGWorkflow(lambda query: CHUNKS, Voice("x"), Voice("yes"), config))
    assert (good.final_output, good.metadata["verified"]) == ("x", True)
    voice = Voice("too much", "less")
    bad = run(RAGWorkflow(lambda query: CHUNKS, voice, Voice("no: the second claim"), config))
    assert (bad.final_output, bad.metadata["verified"]) == ("less", False)
    assert "the second claim" in voice.heard[1]


def test_rag_where_nothing_is_found() -> None:
    voice = Voice("from memory")
    assert run(RAGWorkflow(lambda query: [], voice)).final_output == "from memory"
    assert voice.heard == ["the task"]
    silent = Voice("x")
    none = run(RAGWorkflow(lambda query: [], silent, config=RAGConfig(fallback_on_no_context=False)))
    assert ("Nothing was found" in none.final_output, silent.heard) == (True, [])


@pytest.mark.parametrize(
    ("style", "output", "words"),
    [("extend", "a1\n\nb1\n\na2\n\nb2", "what is missing"), ("refine", "b2", "write the whole anew"), ("challenge", "a1\n\nb: b1\n\na: a2\n\nb: b2", "wrong or doubtful")],
)  # fmt: skip
def test_round_robin(style: str, output: str, words: str) -> None:
    first, second = Voice("a1", "a2"), Voice("b1", "b2")
    result = run(
        RoundRobinWorkflow(
            [("a", first), ("b", second)],
            RoundRobinConfig(max_rounds=2, contribution_style=style, final_synthesis=False),
        )
    )
    assert (result.final_output, result.iterations) == (output, 2)
    assert result.metadata == {"agents": ["a", "b"], "contribution_style": style, "synthesized": False}
    assert words in second.heard[0]
    whole = run(
        RoundRobinWorkflow(
            [("a", Voice("a1", "made one")), ("b", Voice("b1"))],
            RoundRobinConfig(max_rounds=1, contribution_style=style),
        )
    )
    assert (whole.final_output, whole.agent_interactions[-1]["stage"]) == ("made one", "synthesis")
