"""Scores, choices, verdicts and lists, out of what models say."""

from __future__ import annotations

import pytest

from wflo.agents.workflows.reading import agrees, choice_of, distance, json_of, lines_of, score_of


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"score": 0.7}', 0.7), ('{"score": 7}', 0.7), ('{"rating": "8/10"}', 0.8), ("Score: 7/10", 0.7), ("7 out of 10", 0.7), ("70 %", 0.7),
        ("0.25", 0.25), ("I would say 3 of the points hold. Rating: 9", 0.9), ("5%", 0.05), ("4/5", 0.8), ("12", 1.0), ("1", 1.0), ("10/10", 1.0),
        ("Quality: 85%", 0.85), ("good", None), ("", None), ('{"score": true}', None),
    ],
)  # fmt: skip
def test_a_score_says_its_scale(text: str, score: float | None) -> None:
    """The original mixed "5" of 10 up with "5 %"."""
    assert score_of(text) == score


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("VOTE: anna", "anna"), ("vote - Bob!", "bob"), ('{"vote": "anna"}', "anna"), ("I am for bob, not for anna", "bob"), ("**VOTE:** anna", "anna"),
        ("bobsled", None), ("VOTE: nobody", None), ("", None), ("Much speaks for anna.\nVOTE: bob", "bob"), ("VOTE: anna bell", "anna bell"),
    ],
)  # fmt: skip
def test_a_choice_is_one_of_the_names(text: str, choice: str | None) -> None:
    assert choice_of(text, ["anna", "bob", "anna bell"]) == choice


@pytest.mark.parametrize(
    ("text", "is_so"),
    [("yes", True), ("No.", False), ("Yes, but no", True), ("not yet", False), ('{"agree": true}', True), ('{"passed": false}', False),
     ('{"verdict": "pass"}', True), ("it fails", False), ("it passes", True), ("hm", False), ("I disagree", False)],
)  # fmt: skip
def test_a_yes(text: str, is_so: bool) -> None:
    assert agrees(text) is is_so


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("1. a\n2) b\n- c", ["a", "b", "c"]), ('["a", "b"]', ["a", "b"]), ('{"subtasks": [{"task": "a"}, "b"]}', ["a", "b"]), ("a\n\nb", ["a", "b"]),
        ("Plan:\n* a\n• b\nThat is all.", ["a", "b"]), ("1. a\n2. b\n3. c\n4. d", ["a", "b", "c"]), ("", []),
    ],
)  # fmt: skip
def test_a_list(text: str, items: list[str]) -> None:
    assert lines_of(text, 3) == items


def test_json_and_distance() -> None:
    assert json_of('so {"a": [1]} it') == {"a": [1]}
    assert json_of("no { at all") is None
    assert distance("a b c d", "a b c d") == 0
    assert distance("a b", "c d") == 1
    assert distance("", "") == 0
    assert 0 < distance("a b c d", "a b c e") < 0.5
