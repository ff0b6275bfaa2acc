"""Votes counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflo.voting import Strategy, count


@pytest.mark.parametrize(
    ("votes", "more", "winner", "is_reached"),
    [
        ("aab", {}, "a", True), ("ab", {}, None, False), ("aabbc", {}, None, False), ("aabc", {}, "a", False),
        ("aabc", {"strategy": "plurality"}, "a", True), ("aab", {"strategy": "unanimous"}, "a", False), ("aaa", {"strategy": "unanimous"}, "a", True),
        ("aab", {"threshold": 0.7}, "a", False), ("aab", {"threshold": 2 / 3}, "a", True), ("a--", {"quorum": 0.5}, "a", False),
        ("aa-", {"quorum": 0.5}, "a", True), ("---", {}, None, False), ("", {}, None, False),
        ("abb", {"strategy": "weighted", "weights": {"0": 3}}, "a", True), ("abb", {"strategy": "weighted", "weights": {"0": 2}}, None, False),
        ("abb", {"strategy": "weighted", "weights": {"0": 0}}, "b", True),
    ],
)  # fmt: skip
def test_strategies(votes: str, more: dict[str, Any], winner: str | None, is_reached: bool) -> None:
    found = count({str(place): None if vote == "-" else vote for place, vote in enumerate(votes)}, **more)
    assert (found.winner, found.is_reached) == (winner, is_reached)


@pytest.mark.parametrize(
    "more", [{"quorum": 2}, {"threshold": -1}, {"weights": {"0": -1}}, {"choices": ["b"]}, {"strategy": "loud"}]
)
def test_what_cannot_be_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        count({"0": "a"}, **more)


@given(
    st.dictionaries(st.text(max_size=3), st.none() | st.sampled_from("abc"), max_size=8),
    st.sampled_from(list(Strategy)),
)
def test_shares_are_shares_and_a_winner_has_the_most(votes: dict[str, str | None], strategy: Strategy) -> None:
    found = count(votes, strategy, choices=["a", "b", "c"])
    assert 0 <= found.share <= 1
    assert 0 <= found.turnout <= 1
    assert sum(found.counts.values()) == sum(1 for vote in votes.values() if vote is not None)
    assert found.winner is None or all(
        found.counts[found.winner] > got for choice, got in found.counts.items() if choice != found.winner
    )
    assert not found.is_reached or found.winner is not None
