"""The experts a question is for, at the same time, and one answer of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wflo import voting
from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import choice_of, json_of, score_of
from wflo.agents.workflows.workflow import Turns, Workflow, need, need_one_of

ROUTINGS = ("keyword", "semantic", "all", "top_k")
COMBINATIONS = ("synthesize", "concatenate", "vote")
ENOUGH = 0.5  # of a score, for an expert to be asked


@dataclass(slots=True)
class ExpertConfig:
    executor: Executor
    specialty: str
    description: str = ""
    activation_keywords: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class MoEConfig:
    """keyword: those whose words are in the question; semantic: those the router gives half the points or more; top_k: the
    ``top_k`` with the most points; all. Where nobody fits, the best one is asked."""

    routing_strategy: str = "semantic"
    top_k: int = 2
    combine_strategy: str = "synthesize"


@dataclass(slots=True)
class _Said:
    expert: ExpertConfig
    text: str = field(default="")


class MixtureOfExpertsWorkflow(Workflow):
    """``router`` gives points and ``combiner`` puts together; without them the first expert does."""

    name = "mixture_of_experts"

    def __init__(
        self, experts: Sequence[ExpertConfig], router: Executor | None = None, combiner: Executor | None = None,
        config: MoEConfig | None = None, **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(**more)
        self.experts = list(experts)
        self.router = router
        self.combiner = combiner
        self.config = config or MoEConfig()

    def _check(self) -> None:
        need(bool(self.experts), "experts", "must have at least 1")
        names = [expert.specialty for expert in self.experts]
        need(len(set(names)) == len(names), "experts", "each has a specialty of its own")
        need_one_of(self.config.routing_strategy, ROUTINGS, "routing_strategy")
        need_one_of(self.config.combine_strategy, COMBINATIONS, "combine_strategy")
        need(self.config.top_k >= 1, "top_k", "must be at least 1")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        chosen = await self._route(turn, given)
        said = await turn.all(
            turn.try_ask(one.specialty, one.executor, self._prompt(one, given), stage="expert_execution")
            for one in chosen
        )
        answers = [_Said(expert, text) for expert, text in zip(chosen, said, strict=True) if text is not None]
        output = await self._combined(turn, given, answers)
        return output, len(chosen), {
            "experts_used": len(chosen),
            "experts": [expert.specialty for expert in chosen],
            "routing_strategy": self.config.routing_strategy,
            "combine_strategy": self.config.combine_strategy,
        }  # fmt: skip

    async def _route(self, turn: Turns, given: str) -> list[ExpertConfig]:
        strategy = self.config.routing_strategy
        if strategy == "all":
            scores = {expert.specialty: 1.0 for expert in self.experts}
        elif strategy == "keyword":
            scores = {expert.specialty: _keywords(expert, given) for expert in self.experts}
        else:
            scores = await self._scores(turn, given)
        best = sorted(self.experts, key=lambda expert: -scores[expert.specialty])
        enough = ENOUGH if strategy == "semantic" else 1e-9
        chosen = (
            best[: self.config.top_k]
            if strategy == "top_k"
            else [one for one in best if scores[one.specialty] >= enough]
        )
        chosen = chosen or best[:1]
        await turn.note("routing", agent="router", scores=scores, chosen=[expert.specialty for expert in chosen])
        return chosen

    async def _scores(self, turn: Turns, given: str) -> dict[str, float]:
        """The router's points; where it fails or says nothing of an expert, its keywords decide."""
        told = "\n".join(f"- {one.specialty}: {one.description}" for one in self.experts)
        prompt = f'Experts:\n{told}\n\nThe question:\n{given}\n\nHow well does it fit each, from 0 to 1? Answer with JSON: {{"specialty": score}}.'
        router = self.router or self.experts[0].executor
        said = await turn.try_ask("router", router, prompt, stage="routing")
        found = json_of(said or "")
        points = found if isinstance(found, dict) else {}
        return {
            one.specialty: _within(points.get(one.specialty), said or "", one) if said else _keywords(one, given)
            for one in self.experts
        }

    def _prompt(self, expert: ExpertConfig, given: str) -> str:
        return f"You are an expert in {expert.specialty}. {expert.description}\n\n{given}"

    async def _combined(self, turn: Turns, given: str, answers: Sequence[_Said]) -> str:
        told = "\n\n".join(f"{one.expert.specialty}:\n{one.text}" for one in answers)
        strategy = self.config.combine_strategy
        if strategy == "concatenate" or len(answers) <= 1:
            output = answers[0].text if len(answers) == 1 and strategy != "concatenate" else told
            await turn.note("combination", agent="workflow", output=output)
            return output
        if strategy == "vote":
            return await self._voted(turn, given, answers, told)
        combiner = self.combiner or answers[0].expert.executor
        prompt = f"The question:\n{given}\n\nWhat experts say:\n{told}\n\nMake one answer of it; where they differ, weigh them."
        return await turn.ask("combiner", combiner, prompt, stage="combination")

    async def _voted(self, turn: Turns, given: str, answers: Sequence[_Said], told: str) -> str:
        """Each expert that answered votes for one of the answers; the first of those with the most wins."""
        names = [one.expert.specialty for one in answers]
        prompt = f"The question:\n{given}\n\nAnswers:\n{told}\n\nWhich is right, whoever gave it? Answer with one line, VOTE: and its name."
        said = await turn.all(
            turn.try_ask(one.expert.specialty, one.expert.executor, prompt, stage="combination") for one in answers
        )
        votes = {name: None if text is None else choice_of(text, names) for name, text in zip(names, said, strict=True)}
        counts = voting.count(votes, "plurality", choices=names).counts
        winner = max(names, key=lambda name: counts[name])
        await turn.note("combination", agent="voting", votes=votes, winner=winner)
        return next(one.text for one in answers if one.expert.specialty == winner)


def _keywords(expert: ExpertConfig, given: str) -> float:
    """The share of its words that are there."""
    words = expert.activation_keywords
    text = given.lower()
    return sum(1 for word in words if word.lower() in text) / len(words) if words else 0.0


def _within(points: Any, said: str, expert: ExpertConfig) -> float:
    if isinstance(points, int | float) and not isinstance(points, bool):
        return min(1.0, max(0.0, float(points if points <= 1 else points / 10)))
    place = said.lower().find(expert.specialty.lower())
    return (score_of(said[place + len(expert.specialty) :].partition("\n")[0], out_of=10) or 0.0) if place >= 0 else 0.0
