"""Rhythm: whether the last of a sequence repeat those before them, found step by step and kept small.

For every length p up to the limit it is counted how many of the last beats equal the one p before them; n of those mean
n // p + 1 passes of a cycle of p. That is the period of a suffix by comparison with the sequence moved by p (Knuth, Morris
and Pratt's failure function answers the same question, but for a whole sequence at once).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

Row = list[Any]  # JSON


class Mark(NamedTuple):
    """A place in a run: the step's ordinal from 1, when it began, and what had been spent before it."""

    step: int = 0
    at_ms: int = 0
    agent_usd: Decimal = Decimal(0)
    run_usd: Decimal = Decimal(0)
    agent_unpriced: int = 0  # steps before it whose cost is unknown
    run_unpriced: int = 0

    def row(self) -> Row:
        return [self.step, self.at_ms, str(self.agent_usd), str(self.run_usd), self.agent_unpriced, self.run_unpriced]

    @classmethod
    def of(cls, row: Row) -> Mark:
        step, at_ms, agent_usd, run_usd, *unpriced = row
        return cls(int(step), int(at_ms), Decimal(agent_usd), Decimal(run_usd), *map(int, unpriced))


class Beat(NamedTuple):
    """One step as it is compared: by ``key``; by ``asked`` alone when there is no answer yet. An empty one equals none."""

    key: str
    asked: str
    agent: str
    name: str
    mark: Mark
    at_ms: int = 0
    is_patient: bool = False  # it waits, or looks again
    is_paused: bool = False  # a pause came with it

    def equals(self, earlier: Beat) -> bool:
        if self.key:
            return self.key == earlier.key
        return self.asked != "" and self.asked == earlier.asked

    def row(self) -> Row:
        return [
            self.key,
            self.asked,
            self.agent,
            self.name,
            self.mark.row(),
            self.at_ms,
            int(self.is_patient),
            int(self.is_paused),
        ]

    @classmethod
    def of(cls, row: Row) -> Beat:
        key, asked, agent, name, mark, at_ms, *flags = row
        return cls(str(key), str(asked), str(agent), str(name), Mark.of(mark), int(at_ms), *map(bool, flags))


class Cycle(NamedTuple):
    """A cycle found at the end of a sequence: its beats, how often it came, and where the first of them stands."""

    beats: tuple[Beat, ...]
    passes: int
    since: Mark
    is_paused: bool = False  # a pause came in one of the passes

    @property
    def is_patient(self) -> bool:
        return any(beat.is_patient for beat in self.beats)


class Stretch(NamedTuple):
    """How many of the last beats equal the one ``p`` before them, and where the first cycle began."""

    length: int = 0
    since: Mark = Mark()
    is_paused: bool = False


_NONE = Stretch()


class Rhythm(NamedTuple):
    beats: tuple[Beat, ...] = ()  # the last ones, as many as the longest cycle has
    stretches: tuple[Stretch, ...] = ()  # by length of the cycle, from 1

    def after(self, beat: Beat, *, length_max: int, pause_ms: int) -> Rhythm:
        """With one beat more. At least ``pause_ms`` after the one it equals it repeats nothing."""
        stretches = []
        for length in range(1, length_max + 1):
            earlier = self.beats[-length] if length <= len(self.beats) else None
            so_far = self.stretches[length - 1] if length <= len(self.stretches) else _NONE
            if earlier is None or not beat.equals(earlier) or _is_unhurried(beat, earlier, pause_ms):
                stretches.append(_NONE)
            else:
                since = so_far.since if so_far.length else earlier.mark
                stretches.append(Stretch(so_far.length + 1, since, so_far.is_paused or beat.is_paused))
        return Rhythm((*self.beats, beat)[-length_max:], tuple(stretches))

    def cycle(self, is_enough: Callable[[Cycle], bool]) -> Cycle | None:
        """The shortest cycle the sequence ends with that came often enough."""
        for length, stretch in enumerate(self.stretches, start=1):
            if stretch.length < length:
                continue
            beats = self.beats[-length:]
            found = Cycle(beats, stretch.length // length + 1, stretch.since, stretch.is_paused)
            if is_enough(found) and _is_primitive(beats):
                return found
        return None

    def row(self) -> Row:
        return [
            [beat.row() for beat in self.beats],
            [[s.length, s.since.row(), int(s.is_paused)] if s.length else 0 for s in self.stretches],
        ]

    @classmethod
    def of(cls, row: Row) -> Rhythm:
        beats, stretches = row
        if not beats:
            return cls()
        return cls(
            tuple(Beat.of(beat) for beat in beats),
            tuple(Stretch(int(one[0]), Mark.of(one[1]), bool(one[2])) if one else _NONE for one in stretches),
        )


def _is_unhurried(beat: Beat, earlier: Beat, pause_ms: int) -> bool:
    return bool(earlier.at_ms) and beat.at_ms - earlier.at_ms >= pause_ms


def _is_primitive(beats: tuple[Beat, ...]) -> bool:
    """Whether no shorter cycle makes it up: A-A is not one of two."""
    keys = [beat.asked or beat.key for beat in beats]
    return not any(len(keys) % part == 0 and keys == keys[:part] * (len(keys) // part) for part in range(1, len(keys)))
