"""Two texts line by line: what went, what came, and only what stands near."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tracking.reports.text_difference import CHARACTERS_MAX, Line, text_difference


def signs(before: str, after: str) -> str:
    marks = {"add": "+", "del": "-", "": " ", "gap": "~"}
    return "|".join(
        marks[line.kind] + (line.text if line.kind != "gap" else "") for line in text_difference(before, after)
    )


def test_lines_that_went_and_came_stand_among_those_of_both() -> None:
    assert signs("a\nb\nc", "a\nB\nc") == " a|-b|+B| c"
    assert signs("a", "a") == ""
    assert signs("", "a\nb") == "+a|+b"
    assert signs("a\nb", "") == "-a|-b"


def test_lines_far_from_every_difference_are_left_out() -> None:
    before = "\n".join("abcdefghijklmnop")
    assert signs(before, before.replace("h", "H")) == "~| e| f| g|-h|+H| i| j| k|~"


def test_a_long_line_is_compared_by_its_sentences() -> None:
    one = (
        "The parcel left Oslo on Monday. It was seen in Bergen on Tuesday. Nobody has seen it since then, and nobody"
        " will. Ask the carrier for a new one."
    )
    other = one.replace("Tuesday", "Friday")
    assert [line for line in text_difference(one, other) if line.kind] == [
        Line("del", "It was seen in Bergen on Tuesday."),
        Line("add", "It was seen in Bergen on Friday."),
    ]


@given(st.text(alphabet="ab\n", max_size=60), st.text(alphabet="ab\n", max_size=60))
def test_with_every_line_near_both_texts_can_be_read_back(before: str, after: str) -> None:
    found = text_difference(before, after)
    if "gap" not in {line.kind for line in found} and found:
        assert [line.text for line in found if line.kind != "add"] == before.splitlines()
        assert [line.text for line in found if line.kind != "del"] == after.splitlines()


def test_what_repeats_itself_for_ever_comes_to_an_end() -> None:
    """Empty lines, all alike: each with each would be a thousand million comparisons."""
    found = text_difference("\n" * CHARACTERS_MAX, "x\n" + "\n\n" * CHARACTERS_MAX)
    assert [line for line in found if line.kind in ("add", "del")] == [
        Line("del", ""),
        Line("del", ""),
        Line("add", "x"),
    ]
