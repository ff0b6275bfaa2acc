"""Where a step stands in its run: pure. The same whenever the run is done again, whatever else goes on at the same time.

A conversation is known by its agent and by what it began with (the instructions aside: a fork may change them), and by its number
among those that began alike. In it a model's answer is known by how many came before, a tool's result by the answer that
asked for it and its place there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

SIZE = 16


def digest(value: Any, clean: Callable[[bytes], bytes] = lambda raw: raw) -> bytes:
    return blake2b(clean(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)), digest_size=SIZE).digest()


class Place(NamedTuple):
    """Of a model's answer."""

    lane: bytes
    ordinal: int

    @property
    def key(self) -> bytes:
        return digest(["model", self.lane.hex(), self.ordinal])


class ToolPlace(NamedTuple):
    """Of a tool's result: of which answer, and which of its calls."""

    lane: bytes
    ordinal: int
    call: int

    @property
    def key(self) -> bytes:
        return digest(["tool", self.lane.hex(), self.ordinal, self.call])


@dataclass(slots=True)
class Conversation:
    """One that is under way. ``messages`` is the loop's own list, which grows; ``shift``: answers it had before somebody edited it,
    less those it has since."""

    agent: str
    lane: bytes
    messages: list[dict[str, Any]]
    shift: int = 0
    edited: list[dict[str, Any]] | None = None  # what somebody put in place of the first ``edited_count`` messages
    edited_count: int = 0

    @property
    def answers(self) -> int:
        return self.shift + _answers(self.messages)

    def edit(self, messages: list[dict[str, Any]], count: int, answers: int) -> None:
        """Put these in place of the first ``count``, after which it has had so many answers. Instructions that are not among them stay."""
        head = [one for one in self.messages[:1] if one.get("role") == "system"]
        if messages[:1] and messages[0].get("role") == "system":
            head = []
        self.messages[:count] = [*head, *messages]
        self.shift = answers - _answers(self.messages)


@dataclass(slots=True)
class Conversations:
    """All of a run, found again by the list each loop keeps its messages in."""

    clean: Callable[[bytes], bytes] = lambda raw: raw
    _by_list: dict[int, Conversation] = field(default_factory=dict)
    _seen: Counter[bytes] = field(default_factory=Counter)
    _calls: dict[int, tuple[dict[str, Any], Conversation, ToolPlace]] = field(default_factory=dict)

    def of(self, agent: str, messages: list[dict[str, Any]]) -> Conversation:
        found = self._by_list.get(id(messages))
        if found is None:
            began = digest([agent, opening_of(messages)], self.clean)
            number = self._seen[began]
            self._seen[began] += 1
            lane = digest([began.hex(), number])
            found = self._by_list[id(messages)] = Conversation(agent, lane, messages)
        return found

    def place_of(self, conversation: Conversation) -> Place:
        """Of the answer that is asked for next."""
        return Place(conversation.lane, conversation.answers)

    def asked(self, conversation: Conversation, place: Place, calls: list[dict[str, Any]]) -> None:
        """An answer wants tools called."""
        for index, call in enumerate(calls):
            self._calls[id(call)] = (call, conversation, ToolPlace(place.lane, place.ordinal, index))

    def of_call(self, call: dict[str, Any]) -> tuple[Conversation, ToolPlace]:
        _, conversation, place = self._calls[id(call)]
        return conversation, place


def _answers(messages: list[dict[str, Any]]) -> int:
    return sum(1 for one in messages if one.get("role") == "assistant")


def opening_of(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a conversation began with: all before the first answer but the instructions."""
    found = []
    for one in messages:
        if one.get("role") == "assistant":
            break
        if one.get("role") != "system":
            found.append(one)
    return found
