"""Another limit over calls that were made: which would not have been, and what that saves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import uuid4

import pytest

from tracking.reports.replay import Moved, Rule, Window, replay

START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW: Window = ("", START)


def moves(*usd: str, **fields: Any) -> list[Moved]:
    """Calls of one dollar a token, one an hour."""
    fields = {"window": WINDOW, "kind": "debit", "agent": "a", **fields}
    return [
        Moved(at=START + timedelta(hours=i), usd=D(one), tokens=int(D(one)), reservation=uuid4(), **fields)
        for i, one in enumerate(usd, 1)
    ]


def rule(usd: str | None = None, tokens: int | None = None, mode: str = "strict") -> Rule:
    return Rule(limit_usd=None if usd is None else D(usd), limit_tokens=tokens, mode=mode)


@pytest.mark.parametrize(
    ("limit", "blocked", "saved"),
    [
        (rule("10"), 0, "0"),
        (rule("9"), 1, "4"),
        (rule("3"), 2, "7"),  # 1 and 2 fit
        (rule("2"), 3, "9"),
        (rule("0"), 4, "10"),
        (rule("3", mode="elastic"), 2, "7"),
        (rule("2", mode="elastic"), 2, "7"),  # 2 begins, for something is left
        (rule("0.5", mode="elastic"), 3, "9"),
        (rule("0", mode="soft"), 0, "0"),
        (rule(tokens=3), 2, "7"),
        (rule("100", tokens=3), 2, "7"),
        (rule("3", tokens=100), 2, "7"),
    ],
)
def test_what_does_not_fit_is_not_made(limit: Rule, blocked: int, saved: str) -> None:
    found = replay(moves("1", "2", "3", "4"), limit, {})
    assert (found.calls, found.blocked_calls, found.saved_usd) == (4, blocked, D(saved))
    assert found.saved_tokens == int(D(saved))


def test_a_small_call_is_made_after_a_large_one_was_not() -> None:
    found = replay(moves("1", "2", "4", "1"), rule("2"), {})
    assert (found.blocked_calls, found.saved_usd) == (2, 6)


def test_a_window_begins_with_what_it_had_spent_and_each_is_by_itself() -> None:
    other: Window = ("", START + timedelta(days=1))
    user: Window = ("u1", START)
    found = replay(
        [*moves("2"), *moves("2", window=other), *moves("2", window=user)],
        rule("3"),
        {WINDOW: (D(2), 2), user: (D(1), 1)},
    )
    assert (found.blocked_calls, found.first_blocked_at) == (1, START + timedelta(hours=1))


def test_the_dearest_agent_comes_first() -> None:
    found = replay([*moves("1", "1", agent="a"), *moves("5", agent="b"), *moves("1", agent="")], rule("0"), {})
    assert [(one.agent, one.calls, one.usd) for one in found.blocked] == [("b", 1, 5), ("a", 2, 2), ("", 1, 1)]


def test_what_was_seen_afterwards_passes_any_limit_and_is_told() -> None:
    found = replay([*moves("2", "2", kind="charge"), *moves("1")], rule("3"), {})
    assert (found.seen_calls, found.seen_usd) == (1, D(2))
    assert (found.calls, found.blocked_calls) == (3, 1)


@pytest.mark.parametrize("kind", ["adjustment", "opening", "reprice"])
def test_what_is_no_call_moves_the_sum_and_is_never_blocked(kind: str) -> None:
    found = replay([*moves("5", kind=kind), *moves("1")], rule("3"), {})
    assert (found.calls, found.blocked_calls) == (1, 1)
    back = replay([*moves("3"), *moves("-3", kind=kind), *moves("3")], rule("3"), {})
    assert back.blocked_calls == 0


def test_a_correction_of_a_blocked_call_belongs_to_it() -> None:
    estimate = moves("5")[0]
    better = replace(moves("-2", kind="correction")[0], reservation=estimate.reservation)
    blocked = replay([estimate, better, *moves("1")], rule("4"), {})
    assert (blocked.blocked_calls, blocked.saved_usd) == (1, D(3))
    made = replay([estimate, better, *moves("2")], rule("5"), {})
    assert (made.blocked_calls, made.saved_usd) == (0, 0)


def test_what_costs_nothing_is_let_through_when_nothing_is_left() -> None:
    found = replay([*moves("3"), *moves("0")], rule("3"), {})
    assert found.blocked_calls == 0
    assert replay([], rule("1"), {}).calls == 0
