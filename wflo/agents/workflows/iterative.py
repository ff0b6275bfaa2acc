"""A producer and its critics, round after round, until the work is good, settles down, or the rounds are over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import distance
from wflo.agents.workflows.workflow import Turns, Workflow, need, need_share

PRODUCER = "producer"


@dataclass(slots=True)
class CriticConfig:
    """``weight`` orders and labels feedback; a critic of weight 0 is not asked."""

    executor: Executor
    specialty: str
    goal: str
    weight: float = 1.0


@dataclass(slots=True, kw_only=True)
class IterativeConfig:
    """``quality_evaluator(content, feedback by specialty)`` says from 0 to 1 how good it is, or raises: then nobody knows.

    ``convergence_threshold``: stop when a round changed so small a share of the words.
    """

    max_iterations: int = 3
    min_quality_score: float | None = None
    convergence_threshold: float | None = None
    quality_evaluator: Callable[[str, dict[str, str]], float] | None = None


@dataclass(slots=True)
class _State:
    content: str = ""
    feedback: dict[str, str] = field(default_factory=dict)
    is_converged: bool = False


class IterativeRefinementWorkflow(Workflow):
    name = "iterative"

    def __init__(
        self,
        producer: Executor,
        critics: CriticConfig | Sequence[CriticConfig],
        config: IterativeConfig | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.producer = producer
        self.critics = [critics] if isinstance(critics, CriticConfig) else list(critics)
        self.config = config or IterativeConfig()

    def _check(self) -> None:
        need(self.config.max_iterations >= 1, "max_iterations", "must be at least 1")
        need_share(self.config.min_quality_score, "min_quality_score")
        need_share(self.config.convergence_threshold, "convergence_threshold")
        need(bool(self.critics), "critics", "must have at least 1")
        need(all(critic.weight >= 0 for critic in self.critics), "critics", "no weight may be below 0")
        names = [critic.specialty for critic in self.critics]
        need(len(set(names)) == len(names), "critics", "each has a specialty of its own")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        state, done = _State(), 0
        asked = sorted((critic for critic in self.critics if critic.weight), key=lambda critic: -critic.weight)
        for round in range(1, self.config.max_iterations + 1):
            done = round
            before = state.content
            prompt = given if round == 1 else self._again(given, state, asked)
            state.content = await turn.ask(PRODUCER, self.producer, prompt, iteration=round)
            if round > 1 and self._has_settled(before, state.content):
                state.is_converged = round < self.config.max_iterations
                break
            answers = await turn.all(self._ask(turn, critic, given, state.content, round) for critic in asked)
            state.feedback = {
                critic.specialty: said for critic, said in zip(asked, answers, strict=True) if said is not None
            }
            if self._is_good(state):
                state.is_converged = round < self.config.max_iterations
                break
        return state.content, done, {"converged": state.is_converged, "num_critics": len(asked), "config": self._told()}

    async def _ask(self, turn: Turns, critic: CriticConfig, given: str, content: str, round: int) -> str | None:
        prompt = (
            f"You review work as a specialist in {critic.specialty}. Your goal: {critic.goal}\n\nThe task:\n{given}\n\n"
            f"The work:\n{content}\n\nSay briefly what to change and why."
        )
        labels = {"iteration": round, "specialty": critic.specialty, "goal": critic.goal}
        return await turn.try_ask(f"critic_{critic.specialty}", critic.executor, prompt, **labels)

    def _again(self, given: str, state: _State, critics: Sequence[CriticConfig]) -> str:
        weighty = len({critic.weight for critic in critics}) > 1
        told = "\n\n".join(
            f"[{critic.specialty}{f', weight {critic.weight:g}' if weighty else ''}]\n{state.feedback[critic.specialty]}"
            for critic in critics
            if critic.specialty in state.feedback
        )
        return f"{given}\n\nYour last version:\n{state.content}\n\nFeedback from critics, the weightiest first:\n{told}\n\nWrite the better version, and nothing else."

    def _has_settled(self, before: str, after: str) -> bool:
        threshold = self.config.convergence_threshold
        return threshold is not None and distance(before, after) <= threshold

    def _is_good(self, state: _State) -> bool:
        if self.config.min_quality_score is None or self.config.quality_evaluator is None:
            return False
        try:
            return self.config.quality_evaluator(state.content, state.feedback) >= self.config.min_quality_score
        except Exception:  # an evaluator that fails says nothing
            return False

    def _told(self) -> dict[str, Any]:
        config = self.config
        return {
            "max_iterations": config.max_iterations,
            "min_quality_score": config.min_quality_score,
            "convergence_threshold": config.convergence_threshold,
        }
