"""Several ways on from each thought, the good ones followed (Yao et al., "Tree of Thoughts", 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import choice_of, lines_of, score_of
from wflo.agents.workflows.workflow import Turns, Workflow, need, need_one_of, need_share

STRATEGIES = ("score", "vote", "best_first")
VOTES = 3  # evaluator's calls that vote on a level


@dataclass(slots=True, kw_only=True)
class TreeOfThoughtsConfig:
    """score: each thought gets points, those above ``prune_threshold`` go on; vote: the evaluator votes VOTES times on all of a
    level, those with that share of the votes go on; best_first: ``max_depth`` times the best thought so far, at any depth, is followed.
    """

    branching_factor: int = 3
    max_depth: int = 3
    evaluation_strategy: str = "score"
    prune_threshold: float = 0.3


@dataclass(slots=True)
class _Thought:
    path: tuple[str, ...]
    score: float = 0.0

    @property
    def text(self) -> str:
        return self.path[-1] if self.path else ""


class TreeOfThoughtsWorkflow(Workflow):
    name = "tree_of_thoughts"

    def __init__(
        self,
        thinker: Executor,
        evaluator: Executor | None = None,
        config: TreeOfThoughtsConfig | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.thinker = thinker
        self.evaluator = evaluator or thinker
        self.config = config or TreeOfThoughtsConfig()

    def _check(self) -> None:
        need(self.config.branching_factor >= 1, "branching_factor", "must be at least 1")
        need(self.config.max_depth >= 1, "max_depth", "must be at least 1")
        need_one_of(self.config.evaluation_strategy, STRATEGIES, "evaluation_strategy")
        need_share(self.config.prune_threshold, "prune_threshold")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        frontier, best = [_Thought(())], _Thought(())
        for depth in range(1, self.config.max_depth + 1):
            followed = [frontier.pop(0)] if self.config.evaluation_strategy == "best_first" else frontier
            new = [
                one
                for found in await turn.all(self._think(turn, given, one, depth) for one in followed)
                for one in found
            ]
            if not new:
                break
            await self._judge(turn, given, new, depth)
            kept = sorted((one for one in new if one.score >= self.config.prune_threshold), key=lambda one: -one.score)
            kept = kept[: self.config.branching_factor] or [max(new, key=lambda one: one.score)]
            frontier = (
                sorted(frontier + kept, key=lambda one: -one.score)
                if self.config.evaluation_strategy == "best_first"
                else kept
            )
            best = max(
                [best, *kept] if self.config.evaluation_strategy == "best_first" else kept,
                key=lambda one: (one.score, len(one.path)),
            )
            await turn.note(
                "depth", depth=depth, agent="workflow", thoughts_generated=len(new), thoughts_after_pruning=len(kept),
                top_thoughts=[{"thought": one.text, "score": one.score} for one in kept[:3]],
            )  # fmt: skip
        steps = "\n".join(f"{place}. {text}" for place, text in enumerate(best.path, 1))
        prompt = (
            f"The task:\n{given}\n\nThe line of thought that was found best:\n{steps}\n\nGive the answer it leads to."
        )
        answer = await turn.ask("thinker", self.thinker, prompt, stage="answer")
        return answer, self.config.max_depth, {
            "max_depth": self.config.max_depth, "branching_factor": self.config.branching_factor,
            "evaluation_strategy": self.config.evaluation_strategy, "best_score": best.score,
        }  # fmt: skip

    async def _think(self, turn: Turns, given: str, before: _Thought, depth: int) -> list[_Thought]:
        so_far = "\n\nSo far:\n" + "\n".join(before.path) if before.path else ""
        prompt = f"The task:\n{given}{so_far}\n\nName {self.config.branching_factor} different next thoughts, a numbered line each, nothing else."
        said = await turn.try_ask("thinker", self.thinker, prompt, depth=depth, stage="thoughts")
        return [_Thought((*before.path, line)) for line in lines_of(said or "", self.config.branching_factor)]

    async def _judge(self, turn: Turns, given: str, new: Sequence[_Thought], depth: int) -> None:
        if self.config.evaluation_strategy == "vote":
            await self._vote(turn, given, new, depth)
            return
        scores = await turn.all(self._score(turn, given, one, depth) for one in new)
        for one, score in zip(new, scores, strict=True):
            one.score = score

    async def _score(self, turn: Turns, given: str, thought: _Thought, depth: int) -> float:
        prompt = f'The task:\n{given}\n\nA line of thought:\n{chr(10).join(thought.path)}\n\nHow promising is it, from 0 to 1? Answer with JSON: {{"score": 0.0}}.'
        said = await turn.try_ask("evaluator", self.evaluator, prompt, depth=depth, stage="evaluation")
        return (score_of(said) if said is not None else None) or 0.0

    async def _vote(self, turn: Turns, given: str, new: Sequence[_Thought], depth: int) -> None:
        told = "\n".join(f"{place}. {one.text}" for place, one in enumerate(new, 1))
        prompt = f"The task:\n{given}\n\nThoughts:\n{told}\n\nWhich is the most promising? Answer with one line, VOTE: and its number."
        said = await turn.all(
            turn.try_ask("evaluator", self.evaluator, prompt, depth=depth, stage="evaluation") for _ in range(VOTES)
        )
        places = [_place_of(text, len(new)) for text in said if text is not None]
        for place, one in enumerate(new, 1):
            one.score = places.count(place) / VOTES


def _place_of(text: str, most: int) -> int | None:
    chosen = choice_of(text, [str(place) for place in range(1, most + 1)])
    return None if chosen is None else int(chosen)
