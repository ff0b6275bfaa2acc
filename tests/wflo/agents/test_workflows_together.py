"""Workflows whose agents vote, share work, or are chosen; every option has its meaning."""

from __future__ import annotations

import pytest

from tests.wflo.agents.voice import FAULT, Voice, run, voter
from wflo.agents import (
    ChatRoomConfig,
    ChatRoomWorkflow,
    ConsensusConfig,
    ConsensusWorkflow,
    ConstitutionalConfig,
    ConstitutionalWorkflow,
    ExpertConfig,
    HierarchicalConfig,
    HierarchicalWorkflow,
    MapReduceConfig,
    MapReduceWorkflow,
    MixtureOfExpertsWorkflow,
    MoEConfig,
    Principle,
    ReActConfig,
    ReActWorkflow,
    TreeOfThoughtsConfig,
    TreeOfThoughtsWorkflow,
    WorkflowResult,
)  # fmt: skip

# --- consensus, hierarchical, map and reduce --------------------------------------------------------------------------


def test_consensus_by_majority() -> None:
    three = [("a", voter("A", "VOTE: b")), ("b", voter("B", "VOTE: b")), ("c", voter("C", "VOTE: c"))]
    result = run(ConsensusWorkflow(three, ConsensusConfig(min_agreement_ratio=0.6)))
    assert (result.final_output, result.iterations) == ("B", 1)
    assert result.metadata == {"consensus_reached": True, "agreement_ratio": 2 / 3, "winning_proposal_agent": "b"}
    stages = [one["stage"] for one in result.agent_interactions]
    assert stages == ["proposal"] * 3 + ["vote"] * 3 + ["voting"]
    assert [one["vote"] for one in result.agent_interactions if one["stage"] == "vote"] == ["b", "b", "c"]
    assert result.agent_interactions[-1]["votes"] == {"a": "b", "b": "b", "c": "c"}


def test_consensus_unanimous_goes_on_with_the_best_proposal() -> None:
    first = voter("A", "VOTE: a", "VOTE: a")
    two = [("a", first), ("b", voter("B", "VOTE: b", "VOTE: a"))]
    result = run(ConsensusWorkflow(two, ConsensusConfig(voting_strategy="unanimous")))
    assert (result.iterations, result.metadata["winning_proposal_agent"]) == (2, "a")
    assert "did best so far" in first.heard[2]
    never = run(
        ConsensusWorkflow(
            [("a", voter("A", "VOTE: a")), ("b", voter("B", "VOTE: b"))],
            ConsensusConfig(voting_strategy="unanimous", max_rounds=2),
        )
    )
    assert (never.iterations, never.metadata["consensus_reached"], never.metadata["final_agreement_ratio"]) == (
        2,
        False,
        0.5,
    )
    assert never.final_output


def test_consensus_by_weight() -> None:
    two = [("boss", voter("A", "VOTE: boss")), ("b", voter("B", "VOTE: b")), ("c", voter("C", "VOTE: b"))]
    plain = run(ConsensusWorkflow(two, ConsensusConfig(min_agreement_ratio=0.6, max_rounds=1)))
    assert plain.metadata["winning_proposal_agent"] == "b"
    two = [("boss", voter("A", "VOTE: boss")), ("b", voter("B", "VOTE: b")), ("c", voter("C", "VOTE: b"))]
    weighed = run(
        ConsensusWorkflow(
            two, ConsensusConfig(min_agreement_ratio=0.6, max_rounds=1, voting_strategy="weighted", weights={"boss": 4})
        )
    )
    assert (weighed.metadata["winning_proposal_agent"], weighed.metadata["agreement_ratio"]) == ("boss", 4 / 6)


def test_consensus_a_vote_for_nobody_is_asked_for_again_or_an_abstention() -> None:
    shy = Voice("A", "I cannot say", "VOTE: a")
    result = run(ConsensusWorkflow([("a", shy), ("b", voter("B", "VOTE: a"))], ConsensusConfig(max_rounds=1)))
    assert (len(shy.heard), result.metadata["agreement_ratio"]) == (3, 1.0)
    shy = Voice("A", "VOTE: abstain")
    result = run(
        ConsensusWorkflow(
            [("a", shy), ("b", voter("B", "VOTE: b"))], ConsensusConfig(max_rounds=1, allow_abstention=True)
        )
    )
    assert (len(shy.heard), result.metadata["winning_proposal_agent"]) == (2, "b")


def test_consensus_a_proposer_that_fails_is_left_out() -> None:
    result = run(ConsensusWorkflow([("a", Voice(FAULT)), ("b", voter("B", "VOTE: b"))], ConsensusConfig(max_rounds=1)))
    assert result.final_output == "B"
    assert [one["agent"] for one in result.agent_interactions if one.get("error")] == ["a", "a", "a"]


PLAN = "Here is the plan:\n1. first part\n2. second part\n3) third part"


@pytest.mark.parametrize(("strategy", "words"), [("summarize", "Sum up"), ("merge", "keeps all they say")])
def test_hierarchical(strategy: str, words: str) -> None:
    manager, one, two = Voice(PLAN, "the whole"), Voice("did it", after_s=0.02), Voice("did that", after_s=0.02)
    result = run(
        HierarchicalWorkflow(manager, [("a", one), ("b", two)], HierarchicalConfig(synthesis_strategy=strategy))
    )
    assert (result.final_output, result.iterations) == ("the whole", 3)
    assert result.metadata == {
        "subtasks_created": 3,
        "workers_used": 2,
        "parallel_execution": True,
        "synthesis_strategy": strategy,
    }
    assert [(one.get("stage"), one["agent"], one.get("subtask")) for one in result.agent_interactions] == [
        ("decomposition", "manager", None), ("execution", "a", "first part"), ("execution", "b", "second part"),
        ("execution", "a", "third part"), ("synthesis", "manager", None),
    ]  # fmt: skip
    assert one.most_at_once == 2
    assert words in manager.heard[1]


def test_hierarchical_joined_costs_no_call_and_one_by_one_is_one_by_one() -> None:
    manager, worker = Voice(PLAN), Voice("done", after_s=0.01)
    config = HierarchicalConfig(max_subtasks=2, parallel_workers=False, synthesis_strategy="concatenate")
    result = run(HierarchicalWorkflow(manager, [("a", worker)], config))
    assert result.final_output == "first part\ndone\n\nsecond part\ndone"
    assert (len(manager.heard), worker.most_at_once) == (1, 1)
    broken = run(HierarchicalWorkflow(Voice(PLAN), [("a", Voice(FAULT, "done"))], config))
    assert "(this part failed)" in broken.final_output
    assert broken.agent_interactions[1]["error"] is True


WORDS = "one two three four five six seven eight nine ten"


def test_map_reduce_in_a_tree_and_in_one() -> None:
    mapper, reducer = Voice(lambda prompt: prompt[:3], after_s=0.01), Voice("reduced")
    config = MapReduceConfig(chunk_size=6, max_parallel_chunks=2)
    result = run(MapReduceWorkflow(mapper, reducer, config), WORDS)
    assert (result.final_output, len(reducer.heard)) == ("reduced", 1)
    assert result.iterations == len(mapper.heard) == result.metadata["chunks_processed"]
    assert (mapper.most_at_once, result.metadata["parallel_chunks"], result.metadata["reduce_strategy"]) == (
        2,
        2,
        "summarize",
    )
    assert [one["stage"] for one in result.agent_interactions][:2] == ["chunking", "map"]
    assert [one["chunk_index"] for one in result.agent_interactions if one["stage"] == "map"] == list(
        range(result.iterations)
    )
    tree = Voice("reduced")
    run(MapReduceWorkflow(Voice("x"), tree, MapReduceConfig(chunk_size=5, reduce_strategy="hierarchical")), WORDS)
    assert result.iterations > 4
    assert len(tree.heard) >= 3
    assert all(heard.count("\n[") <= 4 for heard in tree.heard)


def test_map_reduce_joined_costs_no_call_and_a_chunk_may_fail() -> None:
    mapper = Voice("a", FAULT, "c")
    result = run(
        MapReduceWorkflow(
            mapper, config=MapReduceConfig(chunk_size=14, reduce_strategy="concatenate", max_parallel_chunks=1)
        ),
        "first part is  second part is third",
    )
    assert (result.final_output, result.metadata["chunks_processed"], len(mapper.heard)) == ("a\n\nc", 2, 3)
    whole = run(MapReduceWorkflow(Voice("all of it")), WORDS)
    assert (whole.final_output, whole.iterations) == ("all of it", 1)


@pytest.mark.parametrize(("size", "overlap"), [(6, 0), (6, 3), (1, 0), (100, 50), (7, 6)])
def test_chunks_hold_the_whole_text(size: int, overlap: int) -> None:
    from wflo.agents.workflows.map_reduce import chunks_of

    chunks = chunks_of(WORDS, size, overlap)
    assert all(len(chunk) <= size for chunk in chunks)
    place = 0
    for chunk in chunks:
        found = WORDS.find(chunk, max(0, place - overlap))
        assert found >= 0
        assert WORDS[place:found].strip() == ""
        place = max(place, found + len(chunk))
    assert place == len(WORDS)


# --- react, experts, constitution, tree, room -------------------------------------------------------------------------


def search(query: str, most: int = 3) -> str:
    """Search the web."""
    return f"{most} pages on {query}"


@pytest.mark.parametrize(
    ("action", "seen"),
    [
        ('search {"query": "owls", "most": 1}', "1 pages on owls"),
        ('search("owls")', "3 pages on owls"),
        ("search[owls]", "3 pages on owls"),
        ("search: owls", "3 pages on : owls"),
        ('dig {"query": "x"}', 'Error: there is no tool "dig". Tools: search.'),
        ('search {"most": "x"}', "Error: search was not called: query: Field required; most: Input should be a valid integer"),
    ],
)  # fmt: skip
def test_react_runs_the_tool_it_names(action: str, seen: str) -> None:
    """The original made up "[Simulated result]"."""
    voice = Voice(
        f"Thought: look\nAction: {action}\nObservation: made up", "Thought: I know\nFinal Answer: owls\nare birds"
    )
    result = run(ReActWorkflow(voice, tools=[search]))
    assert (result.final_output, result.iterations) == ("owls\nare birds", 2)
    assert result.metadata == {"steps_taken": 2, "final_answer_detected": True}
    observation = result.agent_interactions[1]
    assert (observation["stage"], observation["output"].startswith(seen)) == ("observation", True)
    assert "made up" not in voice.heard[1]
    assert seen.partition(";")[0] in voice.heard[1]


def test_react_without_an_answer_and_without_stopping() -> None:
    result = run(ReActWorkflow(Voice("Thought: hm"), ReActConfig(max_steps=3)))
    assert (result.final_output, result.metadata) == ("Thought: hm", {"steps_taken": 3, "final_answer_detected": False})
    voice = Voice("Final Answer: first", "Final Answer: second")
    on = run(ReActWorkflow(voice, ReActConfig(max_steps=2, stop_on_final_answer=False)))
    assert (on.final_output, len(voice.heard)) == ("second", 2)
    own = Voice("DO: search(owls)", "Final Answer: x")
    run(ReActWorkflow(own, ReActConfig(action_prefix="DO:", observation_prefix="SEEN:"), tools=[search]))
    assert "SEEN: 3 pages on owls" in own.heard[1]


def experts(**voices: Voice) -> list[ExpertConfig]:
    words = {"law": ["contract", "court"], "tax": ["tax"], "code": ["python"]}
    return [ExpertConfig(voice, name, f"All about {name}.", words.get(name, [])) for name, voice in voices.items()]


@pytest.mark.parametrize(
    ("strategy", "router", "used"),
    [
        ("keyword", "", ["tax", "law"]),
        ("all", "", ["law", "tax", "code"]),
        ("semantic", '{"law": 0.9, "tax": 0.2, "code": 0.6}', ["law", "code"]),
        ("semantic", "law: 9/10\ntax: 2/10\ncode: 60 %", ["law", "code"]),
        ("semantic", '{"law": 0.1, "tax": 0.2, "code": 0.05}', ["tax"]),
        ("top_k", '{"law": 0.1, "tax": 0.2, "code": 0.05}', ["tax", "law"]),
    ],
)  # fmt: skip
def test_experts_are_chosen(strategy: str, router: str, used: list[str]) -> None:
    workflow = MixtureOfExpertsWorkflow(
        experts(law=Voice("L"), tax=Voice("T"), code=Voice("C")), router=Voice(router), combiner=Voice("both"),
        config=MoEConfig(routing_strategy=strategy, top_k=2),
    )  # fmt: skip
    result = run(workflow, "the tax on a contract")
    assert result.metadata["experts"] == used
    assert result.iterations == len(used) == result.metadata["experts_used"]
    assert result.metadata["routing_strategy"] == strategy
    assert result.final_output == ("both" if len(used) > 1 else used[0][0].upper())


def test_experts_answers_are_joined_weighed_or_voted_on() -> None:
    def made(combine: str, *votes: str) -> WorkflowResult:
        voices = [Voice(answer, vote) for answer, vote in zip(("L", "T", "C"), votes or ("", "", ""), strict=True)]
        named = dict(zip(("law", "tax", "code"), voices, strict=True))
        return run(
            MixtureOfExpertsWorkflow(
                experts(**named), config=MoEConfig(routing_strategy="all", combine_strategy=combine)
            )
        )

    assert made("concatenate").final_output == "law:\nL\n\ntax:\nT\n\ncode:\nC"
    assert made("vote", "VOTE: tax", "VOTE: law", "VOTE: tax").final_output == "T"
    assert made("vote", "VOTE: tax", "VOTE: law", "VOTE: code").final_output == "L"
    broken = run(
        MixtureOfExpertsWorkflow(experts(law=Voice(FAULT), tax=Voice("T")), config=MoEConfig(routing_strategy="all"))
    )
    assert broken.final_output == "T"
    assert [one["agent"] for one in broken.agent_interactions if one.get("error")] == ["law"]


KIND, TRUE, CALM = (
    Principle("kind", "blames nobody", "error"),
    Principle("true", "says what is", "critical"),
    Principle("calm", "no shouting", "warning"),
)


def verdict(**passed: bool) -> str:
    import json

    return json.dumps({name: {"passed": is_kept, "reason": f"{name} it is"} for name, is_kept in passed.items()})


def test_constitution_revises_until_what_blocks_is_kept() -> None:
    generator = Voice("rude", "polite")
    critic = Voice(verdict(kind=False, true=True, calm=False), verdict(kind=True, true=True, calm=False))
    result = run(ConstitutionalWorkflow(generator, critic, ConstitutionalConfig(principles=[KIND, TRUE, CALM])))
    assert (result.final_output, result.iterations) == ("polite", 1)
    assert result.metadata == {
        "principles_passed": True, "principles_status": {"kind": True, "true": True, "calm": False}, "revisions_completed": 1,
    }  # fmt: skip
    assert "kind it is" in generator.heard[1]
    assert "calm" not in generator.heard[1]
    assert [(one["revision"], one["stage"]) for one in result.agent_interactions] == [
        (0, "generation"),
        (0, "critique"),
        (1, "revision"),
        (1, "critique"),
    ]


def test_constitution_one_pass_is_not_for_all() -> None:
    """The original took one "pass" anywhere for every principle."""
    critic = Voice("kind: pass. true: fail, it is made up. calm: PASS", "kind: pass\ntrue: it fails\ncalm: pass")
    result = run(
        ConstitutionalWorkflow(
            Voice("x"), Voice(critic.turns[1]), ConstitutionalConfig(principles=[KIND, TRUE, CALM], max_revisions=1)
        )
    )
    assert result.metadata["principles_status"] == {"kind": True, "true": False, "calm": True}
    assert result.metadata["max_revisions_reached"] is True
    unnamed = run(
        ConstitutionalWorkflow(
            Voice("x"), Voice("all good, pass"), ConstitutionalConfig(principles=[KIND], max_revisions=0)
        )
    )
    assert unnamed.metadata["principles_status"] == {"kind": False}


def test_constitution_errors_block_only_where_all_must_pass() -> None:
    lax = ConstitutionalConfig(principles=[KIND, TRUE], require_all_pass=False)
    result = run(ConstitutionalWorkflow(Voice("x"), Voice(verdict(kind=False, true=True)), lax))
    assert (result.iterations, result.metadata["principles_passed"]) == (0, True)
    result = run(ConstitutionalWorkflow(Voice("x"), Voice(verdict(kind=True, true=False)), lax))
    assert (result.iterations, result.metadata["principles_passed"]) == (3, False)


def thinker(prompt: str) -> str:
    if "next thoughts" in prompt:
        depth = prompt.count("way") + 1
        return f"1. good way {depth}\n2. bad way {depth}"
    return f"the answer of {prompt.splitlines()[-3]}"


def judge_of(prompt: str) -> str:
    last = prompt.split("A line of thought:\n")[1].split("\n\n")[0].splitlines()[-1]
    return '{"score": 0.9}' if last.startswith("good") else "Score: 2/10"


def test_tree_follows_the_good_ones() -> None:
    config = TreeOfThoughtsConfig(branching_factor=2, max_depth=2)
    result = run(TreeOfThoughtsWorkflow(Voice(thinker), Voice(judge_of), config))
    levels = [one for one in result.agent_interactions if one.get("stage") == "depth"]
    assert [(one["depth"], one["thoughts_generated"], one["thoughts_after_pruning"]) for one in levels] == [
        (1, 2, 1),
        (2, 2, 1),
    ]
    assert levels[0]["top_thoughts"] == [{"thought": "good way 1", "score": 0.9}]
    assert result.iterations == 2
    assert result.metadata == {"max_depth": 2, "branching_factor": 2, "evaluation_strategy": "score", "best_score": 0.9}
    assert "good way 1" in result.agent_interactions[-1]["input"]
    assert "bad" not in result.agent_interactions[-1]["input"]


def test_tree_by_votes_and_best_first() -> None:
    votes = Voice("VOTE: 2", "VOTE: 2", "VOTE: 1")
    result = run(
        TreeOfThoughtsWorkflow(
            Voice(thinker), votes, TreeOfThoughtsConfig(branching_factor=2, max_depth=1, evaluation_strategy="vote")
        )
    )
    level = next(one for one in result.agent_interactions if one.get("stage") == "depth")
    assert level["top_thoughts"][0] == {"thought": "bad way 1", "score": 2 / 3}
    assert len(votes.heard) == 3

    scores = {"good way 1": 0.6, "bad way 1": 0.5, "good way 2": 0.35, "bad way 2": 0.3}

    def falling(prompt: str) -> str:
        last = prompt.split("A line of thought:\n")[1].split("\n\n")[0].splitlines()[-1]
        return f'{{"score": {scores.get(last, 0.9)}}}'

    voice = Voice(thinker)
    best = run(
        TreeOfThoughtsWorkflow(
            voice,
            Voice(falling),
            TreeOfThoughtsConfig(branching_factor=2, max_depth=3, evaluation_strategy="best_first"),
        )
    )
    followed = [one["input"] for one in best.agent_interactions if one.get("stage") == "thoughts"]
    assert "good way 1" in followed[1]
    assert "bad way 1" in followed[2]
    assert "good way 2" not in followed[2]
    assert best.metadata["best_score"] == 0.6


def test_chat_room_with_a_moderator_and_without() -> None:
    one, two = Voice("hello", "settled DONE"), Voice("hi")
    result = run(ChatRoomWorkflow([("a", one), ("b", two)], config=ChatRoomConfig(final_synthesis=False)))
    assert (result.final_output, result.iterations) == ("a: hello\n\nb: hi\n\na: settled", 3)
    assert result.metadata == {"members": ["a", "b"], "turns": 3, "settled": True, "synthesized": False}
    moderator = Voice("NEXT: b", "NEXT: b", "NEXT: DONE", "in short")
    led = run(ChatRoomWorkflow([("a", Voice("x")), ("b", two)], moderator))
    assert (led.final_output, led.metadata["turns"], led.metadata["settled"]) == ("in short", 2, True)
    assert [one["agent"] for one in led.agent_interactions if one.get("stage") != "moderation"] == [
        "b",
        "b",
        "moderator",
    ]
    endless = run(ChatRoomWorkflow([("a", Voice("x")), ("b", Voice("y"))], config=ChatRoomConfig(max_turns=3)))
    assert (endless.metadata["turns"], endless.metadata["settled"]) == (3, False)
