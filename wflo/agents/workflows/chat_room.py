"""Agents in one room; a moderator says who speaks next, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import choice_of
from wflo.agents.workflows.workflow import Named, Turns, Workflow, need, need_named

MODERATOR = "moderator"


@dataclass(slots=True, kw_only=True)
class ChatRoomConfig:
    """Without a moderator all speak in turn. Who says ``end_phrase`` ends it."""

    max_turns: int = 12
    end_phrase: str = "DONE"
    final_synthesis: bool = True


class ChatRoomWorkflow(Workflow):
    name = "chat_room"

    def __init__(
        self,
        members: Sequence[Named],
        moderator: Executor | None = None,
        config: ChatRoomConfig | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.members = list(members)
        self.moderator = moderator
        self.config = config or ChatRoomConfig()

    def _check(self) -> None:
        need_named(self.members, "members", least=2)
        need(MODERATOR not in [name for name, _ in self.members], "members", f'"{MODERATOR}" is the moderator\'s name')
        need(self.config.max_turns >= 1, "max_turns", "must be at least 1")
        need(bool(self.config.end_phrase.strip()), "end_phrase", "must not be empty")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        said: list[str] = []
        spoken = 0
        is_over = False
        while spoken < self.config.max_turns and not is_over:
            name, executor = await self._next(turn, given, said, spoken)
            if executor is None:
                is_over = True
                break
            spoken += 1
            prompt = f"You are {name}, one of several in a room.\n\nThe topic:\n{given}{_told(said)}\n\nSay what you have to say. When the topic is settled, end with {self.config.end_phrase}."
            words = await turn.ask(name, executor, prompt, turn=spoken)
            is_over = self.config.end_phrase in words
            said.append(f"{name}: {words.replace(self.config.end_phrase, '').strip()}")
        metadata = {
            "members": [name for name, _ in self.members],
            "turns": spoken,
            "settled": is_over,
            "synthesized": self.config.final_synthesis,
        }
        if not self.config.final_synthesis:
            return "\n\n".join(said), spoken, metadata
        name, executor = (MODERATOR, self.moderator) if self.moderator is not None else self.members[0]
        output = await turn.ask(
            name,
            executor,
            f"The topic:\n{given}{_told(said)}\n\nSay what came of it, as one answer.",
            stage="synthesis",
        )
        return output, spoken, metadata

    async def _next(self, turn: Turns, given: str, said: Sequence[str], spoken: int) -> tuple[str, Executor | None]:
        """Who speaks; nobody, where the moderator says it is over. A moderator who names nobody leaves it to the next in turn."""
        in_turn = self.members[spoken % len(self.members)]
        if self.moderator is None:
            return in_turn
        names = [name for name, _ in self.members]
        prompt = f"You lead a talk of {', '.join(names)}.\n\nThe topic:\n{given}{_told(said)}\n\nWho speaks next? Answer with one line, NEXT: and a name, or NEXT: {self.config.end_phrase} when it is settled."
        words = await turn.ask(MODERATOR, self.moderator, prompt, turn=spoken, stage="moderation")
        chosen = choice_of(words, [*names, self.config.end_phrase], key="next")
        if chosen == self.config.end_phrase and said:
            return "", None
        return next(((name, executor) for name, executor in self.members if name == chosen), in_turn)


def _told(said: Sequence[str]) -> str:
    return "\n\nSo far:\n" + "\n\n".join(said) if said else ""
