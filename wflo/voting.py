"""Votes counted: majority, plurality, weighted, unanimous, with a quorum. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class Strategy(StrEnum):
    MAJORITY = "majority"  # more than half of the votes cast
    PLURALITY = "plurality"  # more than any other
    WEIGHTED = "weighted"  # more than half of the weight cast
    UNANIMOUS = "unanimous"  # every vote cast


@dataclass(frozen=True, slots=True)
class Result:
    """``share`` is of the votes cast (by weight where they are weighed), ``turnout`` of those who may vote.

    ``winner`` has the most; None where two have as many. ``is_reached``: the strategy, and the quorum, are satisfied.
    """

    winner: str | None
    share: float
    turnout: float
    is_reached: bool
    counts: dict[str, float]


def count(
    votes: Mapping[str, str | None], strategy: Strategy | str = Strategy.MAJORITY, *, weights: Mapping[str, float] | None = None,
    quorum: float = 0, threshold: float | None = None, choices: Sequence[str] = (),
) -> Result:  # fmt: skip
    """``votes``: voter -> choice, None for an abstention. ``threshold``: the share to reach instead of more than half.

    A voter without a weight has 1. ``quorum`` is the least share of voters that must have voted. Raises ValueError for a
    share that is none, a weight below 0, or a choice that is not among ``choices`` where those are given.
    """
    strategy = Strategy(strategy)
    for name, share in (("quorum", quorum), ("threshold", threshold)):
        if share is not None and not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1.")
    weights = weights or {}
    if any(weight < 0 for weight in weights.values()):
        raise ValueError("No weight may be below 0.")
    sums: dict[str, Fraction] = {choice: Fraction(0) for choice in choices}
    for voter, choice in votes.items():
        if choice is None:
            continue
        if choices and choice not in choices:
            raise ValueError(f'"{choice}" cannot be voted for.')
        weight = Fraction(str(weights.get(voter, 1))) if strategy is Strategy.WEIGHTED else Fraction(1)
        sums[choice] = sums.get(choice, Fraction(0)) + weight
    cast = sum(1 for choice in votes.values() if choice is not None)
    turnout = Fraction(cast, len(votes)) if votes else Fraction(0)
    total = sum(sums.values(), Fraction(0))
    most = max(sums.values(), default=Fraction(0))
    first = [choice for choice, got in sums.items() if got == most and got > 0]
    winner = first[0] if len(first) == 1 else None
    share_won = most / total if total else Fraction(0)
    is_reached = winner is not None and turnout >= Fraction(str(quorum)) and _is_enough(strategy, share_won, threshold)
    return Result(
        winner, float(share_won), float(turnout), is_reached, {choice: float(got) for choice, got in sums.items()}
    )


def _is_enough(strategy: Strategy, share: Fraction, threshold: float | None) -> bool:
    if strategy is Strategy.UNANIMOUS:
        return share == 1
    if threshold is not None:
        return share >= Fraction(str(threshold))
    return strategy is Strategy.PLURALITY or share > Fraction(1, 2)
