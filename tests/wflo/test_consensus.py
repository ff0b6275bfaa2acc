"""Agents that vote, asked side by side."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from wflo import recording
from wflo.consensus import ConsensusVoting, consensus_vote
from wflo.runs import Run
from wflo.testing import captured

AGENTS = ["a", "b", "c"]


def says(answer: str) -> Any:
    return lambda question: answer


async def later(question: str, options: list[str]) -> str:
    await asyncio.sleep(0.01)
    return options[0]


class Executor:
    async def execute(self, question: str) -> Any:
        return "Yes."


def test_with_and_without_await() -> None:
    voters = {"a": later, "b": Executor(), "c": says("no")}
    asked: dict[str, Any] = {"question": "Ship it?", "options": ["yes", "no"], "voters": voters}
    with captured() as events, recording.running(Run()):
        plain = consensus_vote(AGENTS, **asked)

        async def awaited() -> Any:
            return await consensus_vote(agents=AGENTS, strategy="majority", quorum=0.6, **asked)

        assert asyncio.run(awaited()) == plain
    assert (plain["decision"], plain["reached"], plain["participation"]) == ("yes", True, 1.0)
    assert plain["votes"] == {"a": "yes", "b": "yes", "c": "no"}
    assert plain["agreement"] == pytest.approx(2 / 3)
    assert [event["kind"] for event in events].count("consensus") == 2


@pytest.mark.parametrize(
    ("answers", "strategy", "quorum", "decision", "ties"),
    [
        ("yyn", "majority", 0.6, "y", []),
        ("yyn", "unanimous", 0.6, None, []),
        ("yyy", "unanimous", 0.6, "y", []),
        ("yn", "majority", 0.6, None, ["n", "y"]),
        ("yn", "plurality", 0.6, None, ["n", "y"]),
        ("y??", "majority", 0.6, None, []),
        ("y??", "majority", 0.3, "y", []),
    ],
)
def test_strategies_quorum_and_ties(
    answers: str, strategy: str, quorum: float, decision: str | None, ties: list[str]
) -> None:
    names = [f"agent {place}" for place in range(len(answers))]
    found = consensus_vote(names, strategy, quorum, options=["y", "n"], voters=[says(answer) for answer in answers])
    assert (found["decision"], found["ties"], found["reached"]) == (decision, ties, decision is not None)


def test_weights() -> None:
    found = consensus_vote(
        AGENTS, "weighted", voters=[says("x"), says("y"), says("y")], weights={"a": 5, "b": 1, "c": 1}
    )
    assert found["decision"] == "x"


def test_who_fails_or_is_late_abstains() -> None:
    def failing(question: str) -> str:
        raise OSError("down")

    async def late(question: str) -> str:
        await asyncio.sleep(30)
        return "x"

    began = time.monotonic()
    found = ConsensusVoting(quorum=0.3, timeout=0.1).vote(AGENTS, voters=[failing, late, says("x")])
    assert time.monotonic() - began < 15
    assert found["votes"] == {"a": None, "b": None, "c": "x"}
    assert (found["decision"], found["quorum_met"]) == ("x", True)
    assert found["errors"]["a"] == "OSError: down"
    assert "no answer" in found["errors"]["b"]


def test_arguments_that_mean_nothing() -> None:
    for arguments in ({"agents": []}, {"agents": ["a", "a"]}, {"agents": ["a"], "voters": {}}, {"agents": ["a"]}):
        with pytest.raises(ValueError, match="agents|voters"):
            consensus_vote(**arguments)
    with pytest.raises(ValueError, match="quorum"):
        consensus_vote(["a"], quorum=2, voters=[says("x")])
    with pytest.raises(ValueError, match="loudest"):
        consensus_vote(["a"], "loudest", voters=[says("x")])
