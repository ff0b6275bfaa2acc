"""LoopMemory: all the detector needs to know of a run's past. Small, and a JSON-able dict when it is stored.

It holds hashes, sets of hashed words, names of agents and tools, and sums of money. A run of any length takes a few kilobytes
for each agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

from wflo.loops.outcomes import Outcome
from wflo.loops.policy import LANES_MAX
from wflo.loops.rhythm import Mark, Rhythm, Row
from wflo.loops.steps import Call, Step
from wflo.loops.text import Sketch, packed, unpacked

VERSION = 2
VERSIONS_READ = (1, 2)  # in 1 sets of words are lists of numbers
UNNAMED = "system:"  # begins the name of a lane whose agent has none


class Seen(NamedTuple):
    """One request that was answered. Like requests that were in flight together are one."""

    request: str
    plain: str
    answer: str
    words: Sketch
    answer_words: Sketch
    depth: int
    until_ms: int
    siblings: int
    first: Mark  # of the like requests, also of those no longer kept
    times: int

    def row(self) -> Row:
        return [*self[:3], packed(self.words), packed(self.answer_words), *self[5:8], self.first.row(), self.times]

    @classmethod
    def of(cls, row: Row) -> Seen:
        request, plain, answer, words, answer_words, depth, until_ms, siblings, first, times = row
        said, told = unpacked(words), unpacked(answer_words)
        return cls(request, plain, answer, said, told, depth, until_ms, siblings, Mark.of(first), times)


class Streak(NamedTuple):
    """How often the same thing came in a row, since when; ``words`` are those it came in."""

    key: str = ""
    times: int = 0
    since: Mark = Mark()
    words: Sketch = ()

    def next(self) -> Streak:
        return self._replace(times=self.times + 1)

    def row(self) -> Row:
        return [self.key, self.times, self.since.row(), packed(self.words)] if self.times else []

    @classmethod
    def of(cls, row: Row) -> Streak:
        if not row:
            return cls()
        key, times, since, words = row
        return cls(key, times, Mark.of(since), unpacked(words))


NO_STREAK = Streak()


class Pauses(NamedTuple):
    """The pauses between like failures: whether each is longer than the one before."""

    key: str = ""
    at_ms: int = 0
    pause_ms: int = 0
    are_growing: bool = True


class Pending(NamedTuple):
    """Calls of tools since the last call of the model, which are one round."""

    calls: tuple[Call, ...] = ()
    at_ms: int = 0
    until_ms: int = 0
    mark: Mark = Mark()

    def row(self) -> Row:
        calls = [[c.name, c.arguments, c.result, c.outcome.value, packed(c.words), c.error, c.key] for c in self.calls]
        return [calls, self.at_ms, self.until_ms, self.mark.row()] if calls else []

    @classmethod
    def of(cls, row: Row) -> Pending:
        if not row:
            return cls()
        calls, at_ms, until_ms, mark = row
        found = [Call(n, a, r, Outcome(o), unpacked(w), e, k) for n, a, r, o, w, e, k in calls]
        return cls(tuple(found), at_ms, until_ms, Mark.of(mark))


class Talk(NamedTuple):
    """How far a turn was told by requests; agents of one name may work side by side."""

    topic: str = ""
    told: int = 0  # rounds of tools
    rounds: str = ""  # which
    may_wait: bool = False  # it was asked to


@dataclass(slots=True)
class Lane:
    """One agent of the run. Only a copy of it is ever changed, while a step is taken in."""

    calls: int = 0  # of a model
    spent_usd: Decimal = Decimal(0)
    unpriced: int = 0
    asked: Mark = Mark()  # its last call of a model
    last_step: int = 0
    talks: tuple[Talk, ...] = ()  # the last one is going on
    turns: tuple[Seen, ...] = ()
    requests: Rhythm = Rhythm()  # whole requests
    pairs: Rhythm = Rhythm()  # turns and their answers
    shapes: Rhythm = Rhythm()  # the same without ids
    rounds: Rhythm = Rhythm()  # calls of tools and their answers
    pending: Pending = Pending()
    pauses: Pauses = Pauses()
    similar: Streak = Streak()
    same_answers: Streak = Streak()
    failing: Streak = Streak()
    empty: Streak = Streak()
    failed: Streak = Streak()
    stuck: tuple[Streak, ...] = ()

    @property
    def topic(self) -> str:
        """What the agent's turn is about."""
        return self.talks[-1].topic if self.talks else ""

    @property
    def may_wait(self) -> bool:
        return self.talks[-1].may_wait if self.talks else False

    def copied(self) -> Lane:
        return Lane(*_lane_values(self))

    def clear(self) -> None:
        """Something changed: what came before repeats nothing. Money and topic stay."""
        kept = (self.calls, self.spent_usd, self.unpriced, self.asked, self.last_step, self.talks)
        self.__init__(*kept)  # type: ignore[misc]

    def row(self) -> dict[str, Any]:
        return {
            "sums": [self.calls, str(self.spent_usd), self.unpriced, self.asked.row(), self.last_step],
            "talks": [list(talk) for talk in self.talks],
            "turns": [seen.row() for seen in self.turns],
            "rhythms": [rhythm.row() for rhythm in (self.requests, self.pairs, self.shapes, self.rounds)],
            "pending": self.pending.row(),
            "pauses": list(self.pauses),
            "stuck": [streak.row() for streak in self.stuck],
            "streaks": [
                streak.row() for streak in (self.similar, self.same_answers, self.failing, self.empty, self.failed)
            ],
        }

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Lane:
        calls, spent, unpriced, asked, last_step = row["sums"]
        talks = tuple(Talk(*talk) for talk in row["talks"])
        requests, pairs, shapes, rounds = (Rhythm.of(rhythm) for rhythm in row["rhythms"])
        similar, same_answers, failing, empty, failed = (Streak.of(streak) for streak in row["streaks"])
        turns = tuple(Seen.of(seen) for seen in row["turns"])
        return cls(
            calls,
            Decimal(spent),
            unpriced,
            Mark.of(asked),
            last_step,
            talks,
            turns,
            requests,
            pairs,
            shapes,
            rounds,
            Pending.of(row["pending"]),
            Pauses(*row["pauses"]),
            similar,
            same_answers,
            failing,
            empty,
            failed,
            tuple(Streak.of(streak) for streak in row["stuck"]),
        )


_lane_values = attrgetter(*(one.name for one in fields(Lane)))


class Visit(NamedTuple):
    """What one agent did since another one had its turn."""

    lane: str = ""
    agent: str = ""
    content: str = ""
    mark: Mark = Mark()
    is_patient: bool = False

    def row(self) -> Row:
        return [self.lane, self.agent, self.content, self.mark.row(), int(self.is_patient)]

    @classmethod
    def of(cls, row: Row) -> Visit:
        lane, agent, content, mark, is_patient = row
        return cls(lane, agent, content, Mark.of(mark), bool(is_patient))


@dataclass(slots=True)
class LoopMemory:
    """What is known of one root run. ``LoopMemory()`` is that of a run that begins. Who holds one never sees it change:
    ``wflo.loops.advance`` gives another."""

    steps: int = 0
    spent_usd: Decimal = Decimal(0)
    unpriced: int = 0
    answered_ms: int = 0  # when the last call of a model ended, whoever's
    tools_from: str = ""  # "requests" or "spans": who told of a tool's call first; the other one repeats it
    visit: Visit = Visit()
    visits: Rhythm = Rhythm()
    lanes: dict[str, Lane] = field(default_factory=dict)  # by agent, or by a system prompt's hash

    def with_step_of(self, step: Step) -> tuple[LoopMemory, str, Lane]:
        """A copy to be changed, with a copy of the lane whose step it is, and that lane's name."""
        name = self._name_of(step)
        lane = self.lanes[name].copied() if name in self.lanes else Lane()
        lane.last_step = self.steps + 1
        memory = LoopMemory(*_memory_values(self))
        memory.lanes = {**self.lanes, name: lane}
        while len(memory.lanes) > LANES_MAX:
            del memory.lanes[min(memory.lanes, key=lambda key: memory.lanes[key].last_step)]
        return memory, name, lane

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; money as text."""
        return {
            "version": VERSION,
            "steps": self.steps,
            "usd": str(self.spent_usd),
            "unpriced": self.unpriced,
            "answered_ms": self.answered_ms,
            "tools_from": self.tools_from,
            "visit": self.visit.row(),
            "visits": self.visits.row(),
            "lanes": {name: lane.row() for name, lane in self.lanes.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LoopMemory:
        """What ``to_dict`` gave, ``{}`` for a run that begins. Raises ValueError for anything else."""
        if not data:
            return cls()
        if data.get("version") not in VERSIONS_READ:
            raise ValueError(f"a memory of version {data.get('version')}, not of one of {VERSIONS_READ}")
        try:
            return cls(
                data["steps"],
                Decimal(data["usd"]),
                data["unpriced"],
                data["answered_ms"],
                data["tools_from"],
                Visit.of(data["visit"]),
                Rhythm.of(data["visits"]),
                {str(name): Lane.of(lane) for name, lane in data["lanes"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError) as error:
            raise ValueError(f"no memory of loops: {error!r}") from error

    def _name_of(self, step: Step) -> str:
        """Whose step it is: the agent's; where none is named, of whoever has this system prompt, and a tool's call of
        the unnamed one who asked last."""
        if step.agent:
            return step.agent
        if step.fingerprint is not None:
            return f"{UNNAMED}{step.fingerprint.system}"
        unnamed = [name for name in self.lanes if name.startswith(UNNAMED)]
        return max(unnamed, key=lambda name: self.lanes[name].asked.step, default="")


_memory_values = attrgetter(*(one.name for one in fields(LoopMemory)))
