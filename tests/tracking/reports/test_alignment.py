"""Two lists side by side: every element once, as many equal ones as there can be, and an end to it for long ones."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from tracking.reports.alignment import Alignment, Pair, aligned

ENOUGH = 10_000
WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def of(one: str, other: str, *, cells: int = ENOUGH) -> Alignment:
    """Letters: a capital one is like the small one at the second level only, and all are at the third."""
    return aligned([levels(letter) for letter in one], [levels(letter) for letter in other], cells=cells)


def levels(letter: str) -> tuple[str, str, str]:
    return letter, letter.lower(), "letter"


def shown(found: Alignment, one: str, other: str) -> str:
    """``ab/ab`` pairs as one letter, those of lower levels as both, what is alone with its sign."""
    return " ".join(
        f"-{one[pair.one]}" if pair.other is None and pair.one is not None
        else f"+{other[pair.other]}" if pair.one is None and pair.other is not None
        else one[pair.one] if pair.level == 0 and pair.one is not None
        else f"{one[pair.one or 0]}~{other[pair.other or 0]}"
        for pair in found.pairs
    )  # fmt: skip


def test_what_is_the_same_stands_side_by_side() -> None:
    for one, other, wanted in (
        ("", "", ""),
        ("abc", "abc", "a b c"),
        ("abc", "", "-a -b -c"),
        ("", "ab", "+a +b"),
        ("abcd", "abd", "a b -c d"),
        ("abd", "abcd", "a b +c d"),
        ("abc", "aBc", "a b~B c"),
        ("axc", "ayc", "a x~y c"),
        ("abca", "bca", "-a b c a"),
        ("aXb", "aYzb", "a X~Y +z b"),
    ):
        assert shown(of(one, other), one, other) == wanted, (one, other)


def test_a_demanding_match_goes_before_a_near_one() -> None:
    """The third "b" is the same as the second of the other list: it is not given away to one that is only like it."""
    assert shown(of("abB", "aBc"), "abB", "aBc") == "a -b B +c"


@cache
def longest(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + longest(one[1:], other[1:])
    return max(longest(one[1:], other), longest(one, other[1:]))


def whole(found: Alignment, one: list[str], other: list[str]) -> None:
    assert [pair.one for pair in found.pairs if pair.one is not None] == list(range(len(one)))
    assert [pair.other for pair in found.pairs if pair.other is not None] == list(range(len(other)))
    for pair in found.pairs:
        if pair.one is not None and pair.other is not None:
            assert levels(one[pair.one])[pair.level] == levels(other[pair.other])[pair.level]


@given(WORDS, WORDS, st.sampled_from((0, 3, 20, ENOUGH)))
def test_every_element_is_there_once_and_in_order(one: list[str], other: list[str], cells: int) -> None:
    whole(of("".join(one), "".join(other), cells=cells), one, other)


@given(WORDS, WORDS)
def test_as_many_are_the_same_as_there_can_be(one: list[str], other: list[str]) -> None:
    found = of("".join(one), "".join(other))
    assert found.is_exact
    assert sum(pair.level == 0 for pair in found.pairs) == longest(tuple(one), tuple(other))


@given(WORDS)
def test_a_list_is_the_same_as_itself_at_any_cost(one: list[str]) -> None:
    found = of("".join(one), "".join(one), cells=0)
    assert found.pairs == [Pair(i, i, 0) for i in range(len(one))]
    assert found.is_exact


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=40), st.integers(0, 39), st.integers(0, 10))
def test_one_that_was_changed_in_the_middle_needs_no_table(one: list[int], at: int, more: int) -> None:
    """A run and its fork: what is before and after the change is found without comparing each with each."""
    other = [*one[:at], *range(-more, 0), *one[at + 1 :]]
    found = aligned([(key,) for key in one], [(key,) for key in other], cells=more)
    assert found.is_exact
    assert sum(pair.level == 0 for pair in found.pairs) == len(one) - (at < len(one))


def test_long_ones_are_aligned_by_what_occurs_once_and_say_so() -> None:
    """20,000 elements, all different from their neighbours, a third of them changed: far beyond a table's size."""
    one = [f"step {number}" for number in range(20_000)]
    other = [f"changed {number}" if number % 3 == 0 else name for number, name in enumerate(one)]
    found = aligned([(key, "step") for key in one], [(key, "step") for key in other], cells=1_000)
    assert not found.is_exact
    assert sum(pair.level == 0 for pair in found.pairs) == sum(a == b for a, b in zip(one, other, strict=True))
    assert all(pair.one == pair.other for pair in found.pairs)


def test_long_ones_without_any_are_aligned_by_place() -> None:
    one, other = ["x", "y"] * 2_000 + ["a"] * 10, ["y", "x"] * 2_000 + ["b"] * 10
    found = aligned([(key,) for key in one], [(key,) for key in other], cells=100)
    assert not found.is_exact
    assert len([pair for pair in found.pairs if pair.one is not None]) == len(one)
