"""The search line: what is understood, and what stays red with its reason."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tracking.reports import search
from tracking.reports.run_filters import node_sql
from tracking.reports.search import All, Either, Not, Term, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status:failed", Term("status", "failed")),
        ("status:Done", Term("status", "completed")),
        ("agent:researcher", Term("agent", "researcher")),
        ('agent:"Fact checker"', Term("agent", "Fact checker")),
        ("model:gpt-4o", Term("model", "gpt-4o")),
        ("cost:>=0.05", Term("cost", low=Decimal("0.05"))),
        ("cost:$1.50", Term("cost", low=Decimal("1.50"), high=Decimal("1.50"))),
        ("cost:0.05..0.10", Term("cost", low=Decimal("0.05"), high=Decimal("0.10"))),
        ("tokens:>10k", Term("tokens", low=Decimal(10_000), is_low_open=True)),
        ("tokens:<=1.5M", Term("tokens", high=Decimal(1_500_000))),
        ("duration:>30s", Term("duration", low=Decimal(30_000), is_low_open=True)),
        ("latency:<2m", Term("duration", high=Decimal(120_000), is_high_open=True)),
        ("environment:prod", Term("env", "prod")),
        ("-env:dev", Not(Term("env", "dev"))),
        ('"battery passport"', Term("text", "battery passport")),
        ("battery", Term("text", "battery")),
        ("status:failed agent:a", All((Term("status", "failed"), Term("agent", "a")))),
        ("status:failed and agent:a", All((Term("status", "failed"), Term("agent", "a")))),
        ("has:unpriced or has:error", Either((Term("has", "unpriced"), Term("has", "error")))),
        ("status:(failed or running)", Either((Term("status", "failed"), Term("status", "running")))),
        ("status:(failed OR killed) -user:u1", All((
            Either((Term("status", "failed"), Term("status", "killed"))), Not(Term("user", "u1"))))),
        (
            "cost:>1 or has:unpriced -env:dev",
            All((
                Either((Term("cost", low=Decimal(1), is_low_open=True), Term("has", "unpriced"))),
                Not(Term("env", "dev")),
            )),
        ),
        ("-(env:dev or env:test)", Not(Either((Term("env", "dev"), Term("env", "test"))))),
        ("a b or c", All((Term("text", "a"), Either((Term("text", "b"), Term("text", "c")))))),
        ("", None),
    ],
)  # fmt: skip
def test_a_line_is_read_as_its_terms(text: str, expected: object) -> None:
    found = parse(text)
    assert found.problems == ()
    assert found.expression == expected


@pytest.mark.parametrize(
    ("text", "piece", "reason"),
    [
        ("step:abc agnt:x", "agnt:x", 'no term "agnt"'),
        ("status:green", "status:green", "status is one of running"),
        ("has:wings", "has:wings", "has is one of"),
        ("cost:cheap", "cost:cheap", "a number is missing"),
        ("tokens:>5q", "tokens:>5q", 'no unit "q"'),
        ("cost:>" + "9" * 40, "cost:>" + "9" * 40, "too large"),
        ("agent:", "agent:", "a value is missing"),
        ("(status:failed", "(", "not closed"),
        ("status:failed)", ")", "nothing open"),
        ("()", "(", "nothing between"),
        ("or status:failed", "or", "between two terms"),
        ("status:failed or", "or", "between two terms"),
        ("status:(agent:x)", "agent:x", "already names"),
        ("(" * 12 + "a" + ")" * 12, "(", "at most 10 deep"),
    ],
)
def test_what_cannot_be_understood_keeps_its_place_and_says_why(text: str, piece: str, reason: str) -> None:
    found = parse(text)
    assert found.expression is None, "a half-understood search must not be run"
    wrong = [shown for shown in found.pieces if shown.problem and reason in shown.problem]
    assert piece in [shown.text for shown in wrong]


def test_every_character_of_the_line_is_in_a_piece() -> None:
    text = 'status:(failed or agent:x) -env:dev "two words" foo:bar ) or'
    pieces = parse(text).pieces
    covered = "".join(text[piece.start : piece.end] for piece in pieces)
    assert covered.replace(" ", "") == text.replace(" ", "")


def test_too_many_terms_and_too_long_lines_are_refused() -> None:
    many = " ".join(f"user:u{number}" for number in range(search.TERMS_MAX + 1))
    assert "at most 40 terms" in parse(many).problems[0]
    assert "characters" in parse("a" * (search.CHARACTERS_MAX + 1)).problems[0]


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE tracking_run; --", "user:' OR 1=1", 'agent:"%s"', "title__startswith:a"]
)
def test_values_travel_as_parameters_only(text: str) -> None:
    found = parse(text)
    if found.expression is None:
        assert found.problems
        return
    sql, values = node_sql(found.expression)
    assert sql.count("%s") == len(values)
    assert "DROP" not in sql
    assert "1=1" not in sql


def test_a_negated_term_keeps_runs_that_lack_the_value() -> None:
    expression = parse("-env:dev").expression
    assert expression is not None
    assert node_sql(expression) == ("NOT coalesce((r.environment = %s), false)", ["dev"])


def test_only_the_star_is_special_in_a_pattern() -> None:
    expression = parse("name:100%_*").expression
    assert expression is not None
    assert node_sql(expression) == ("r.name LIKE %s", ["100\\%\\_%"])
