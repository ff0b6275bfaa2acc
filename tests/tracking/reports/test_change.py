from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tracking.reports.change import Change, Spent, explain

D = Decimal


def spent(calls: int, tokens: int, cost: str) -> Spent:
    return Spent(calls, tokens, D(cost))


def parts(change: Change) -> tuple[Decimal, ...]:
    return (change.volume_usd, change.mix_usd, change.size_usd, change.price_usd)


def test_twice_the_same_calls_is_volume_alone() -> None:
    change = explain({"a": spent(10, 1000, "2")}, {"a": spent(20, 2000, "4")})
    assert parts(change) == (D(2), 0, 0, 0)


def test_longer_calls_at_the_same_price_are_size_alone() -> None:
    change = explain({"a": spent(10, 1000, "2")}, {"a": spent(10, 1500, "3")})
    assert parts(change) == (0, 0, D(1), 0)


def test_a_dearer_token_is_price_alone() -> None:
    change = explain({"a": spent(10, 1000, "2")}, {"a": spent(10, 1000, "5")})
    assert parts(change) == (0, 0, 0, D(3))


def test_calls_that_move_to_a_dearer_model_are_mix_alone() -> None:
    before = {"cheap": spent(8, 800, "8"), "dear": spent(2, 200, "20")}
    now = {"cheap": spent(2, 200, "2"), "dear": spent(8, 800, "80")}
    change = explain(before, now)
    assert parts(change) == (0, D(54), 0, 0)
    assert [(group.key, group.change_usd) for group in change.groups] == [("dear", D(60)), ("cheap", D(-6))]


def test_a_new_group_is_mix_and_a_first_period_is_volume() -> None:
    change = explain({"old": spent(10, 100, "10")}, {"old": spent(10, 100, "10"), "new": spent(10, 100, "30")})
    assert parts(change) == (D(10), D(20), 0, 0)
    assert parts(explain({}, {"new": spent(5, 50, "7")})) == (D(7), 0, 0, 0)
    assert parts(explain({"old": spent(5, 50, "7")}, {})) == (D(-7), 0, 0, 0)


def test_a_cost_without_tokens_has_no_size() -> None:
    change = explain({"tool": spent(4, 0, "4")}, {"tool": spent(4, 0, "6")})
    assert parts(change) == (0, 0, 0, D(2))


groups = st.dictionaries(
    st.sampled_from("abcde"),
    st.builds(
        Spent,
        st.integers(0, 10**6),
        st.integers(0, 10**10),
        st.decimals(0, 10**6, places=10, allow_nan=False, allow_infinity=False),
    ),
)


@given(groups, groups)
def test_the_parts_add_up_to_the_change_to_the_last_digit(before: dict[str, Spent], now: dict[str, Spent]) -> None:
    change = explain(before, now)
    assert sum(parts(change)) == change.now_usd - change.before_usd
    assert change.now_usd == sum((s.cost_usd for s in now.values()), D(0))
