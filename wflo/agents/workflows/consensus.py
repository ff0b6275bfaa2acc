"""Each proposes, all vote, the best proposal goes into the next round, until enough agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wflo import voting
from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import choice_of
from wflo.agents.workflows.workflow import Named, Turns, Workflow, need, need_named, need_one_of, need_share

STRATEGIES = ("majority", "unanimous", "weighted")


@dataclass(slots=True, kw_only=True)
class ConsensusConfig:
    """``min_agreement_ratio`` of the votes cast must be for one proposal; unanimous wants all of them. ``weights`` by name.

    ``allow_abstention``: who votes for none has abstained; else that vote is asked for once more, and is none then too.
    """

    min_agreement_ratio: float = 0.7
    max_rounds: int = 5
    voting_strategy: str = "majority"
    allow_abstention: bool = False
    weights: Mapping[str, float] = field(default_factory=dict)


class ConsensusWorkflow(Workflow):
    name = "consensus"

    def __init__(self, proposers: Sequence[Named], config: ConsensusConfig | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.proposers = list(proposers)
        self.config = config or ConsensusConfig()

    def _check(self) -> None:
        need_named(self.proposers, "proposers", least=2)
        need_share(self.config.min_agreement_ratio, "min_agreement_ratio")
        need(self.config.max_rounds >= 1, "max_rounds", "must be at least 1")
        need_one_of(self.config.voting_strategy, STRATEGIES, "voting_strategy")
        need(all(weight >= 0 for weight in self.config.weights.values()), "weights", "no weight may be below 0")
        unknown = sorted(set(self.config.weights) - {name for name, _ in self.proposers})
        need(not unknown, "weights", f'"{unknown[0] if unknown else ""}" proposes nothing')

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        best, proposals, result = "", {}, None
        for round in range(1, self.config.max_rounds + 1):
            proposals = await self._proposals(turn, given, best, round)
            votes = await self._votes(turn, given, proposals, round)
            result = voting.count(
                votes,
                self.config.voting_strategy,
                weights=self.config.weights,
                threshold=self.config.min_agreement_ratio,
            )
            await turn.note(
                "voting", round=round, agent="voting", votes=votes, agreement_ratio=result.share, winner=result.winner
            )
            winner = (
                result.winner
                or max(result.counts, key=lambda name: result.counts[name], default="")
                or next(iter(proposals), "")
            )
            best = proposals.get(winner, best)
            if result.is_reached:
                metadata = {
                    "consensus_reached": True,
                    "agreement_ratio": result.share,
                    "winning_proposal_agent": result.winner,
                }
                return best, round, metadata
        share = result.share if result is not None else 0.0
        return best, self.config.max_rounds, {
            "consensus_reached": False, "final_agreement_ratio": share,
            "winning_proposal_agent": result.winner if result is not None else None,
        }  # fmt: skip

    async def _proposals(self, turn: Turns, given: str, best: str, round: int) -> dict[str, str]:
        before = (
            f"\n\nThe proposal that did best so far:\n{best}\n\nPropose something that more can agree to."
            if best
            else ""
        )
        prompt = f"The question:\n{given}{before}\n\nMake your proposal."
        said = await turn.all(
            turn.try_ask(name, executor, prompt, round=round, stage="proposal") for name, executor in self.proposers
        )
        return {name: text for (name, _), text in zip(self.proposers, said, strict=True) if text is not None}

    async def _votes(self, turn: Turns, given: str, proposals: Mapping[str, str], round: int) -> dict[str, str | None]:
        told = "\n\n".join(f"{name}:\n{text}" for name, text in proposals.items())
        abstain = " or VOTE: abstain" if self.config.allow_abstention else ""
        prompt = f"The question:\n{given}\n\nProposals:\n{told}\n\nWhich is the best, whoever made it? Answer with one line, VOTE: and its name{abstain}."
        names = list(proposals)
        votes = await turn.all(
            self._vote(turn, name, executor, prompt, names, round) for name, executor in self.proposers
        )
        return {name: vote for (name, _), vote in zip(self.proposers, votes, strict=True)}

    async def _vote(
        self, turn: Turns, name: str, executor: Executor, prompt: str, names: Sequence[str], round: int
    ) -> str | None:
        for _ in range(1 if self.config.allow_abstention else 2):
            said = await turn.try_ask(name, executor, prompt, round=round, stage="vote")
            vote = None if said is None else choice_of(said, names)
            place = next(
                one for one in reversed(turn.interactions) if one.get("stage") == "vote" and one["agent"] == name
            )
            place["vote"] = vote
            if vote is not None:
                return vote
        return None
