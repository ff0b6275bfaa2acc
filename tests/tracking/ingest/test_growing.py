"""A long run is loaded in part, and every row, total and usage figure is what loading all of it gives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.make import make_team
from tests.tracking.ingest.snapshot import snapshot
from tests.tracking.ingest.spans import SECOND, batch, call, span
from tracking import invariants, pricing, retention
from tracking.ingest import growing
from tracking.ingest.batch import LogContents
from tracking.ingest.run_state import RunState
from tracking.ingest.write import write
from tracking.ingest.writer import connect
from tracking.models import Run, Team
from tracking.models import Span as SpanRow
from wflo.spans import Kind, Span, Status
from wflo.usage import Usage

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = (Kind.AGENT, Kind.CHAIN, Kind.LLM, Kind.LLM, Kind.LLM, Kind.TOOL, Kind.TOOL, Kind.EMBEDDING, Kind.RETRIEVER)
TOKENS = (None, Usage(input_tokens=100, output_tokens=10), Usage(input_tokens=7, output_tokens=1))


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection[Any]]:
    pricing.load_bundled()
    retention.make_partitions()
    with connect() as connection:
        yield connection


@pytest.fixture
def in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run that is stored counts as a long one, and no part is too large."""
    monkeypatch.setattr(growing, "LIGHT_FROM", 0)
    monkeypatch.setattr(growing, "LOADED_SHARE", 1e6)


def sent(connection: psycopg.Connection[Any], team: Team, *spans: Span, **fields: Any) -> RunState:
    """The first run of a batch as it stood in the writer's hands."""
    return write(connection, [batch(team, *spans, **fields)]).runs[0]


def whole(connection: psycopg.Connection[Any], team: Team, *spans: Span) -> RunState:
    """The same with all rows loaded, whatever the run's size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing, "LIGHT_FROM", 1 << 60)
        return sent(connection, team, *spans)


def without_team(taken: dict[str, Any]) -> dict[str, Any]:
    for row in (*taken["runs"].values(), *taken["spans"].values()):
        row.pop("team_id")
    return taken


class Story:
    """A run told at random: nested and repeated calls, sub-agents, chains, spans told twice, parents that are late,
    absent, or (``is_odd``) in a circle."""

    def __init__(self, seed: int, size: int, *, is_odd: bool) -> None:
        self.rng = random.Random(seed)
        self.is_odd = is_odd
        self.conventions = self.rng.choice((("otel-genai",), ("otel-genai", "openllmetry", "openinference")))
        self.spans: list[Span] = []
        for number in range(1, size + 1):
            again = self.spans and self.rng.random() < 0.25
            self.spans.append(self.echo(number) if again else self.one(number, size))

    def echo(self, number: int) -> Span:
        """An earlier span told by another library: inside it or beside it, with less or more known."""
        rng = self.rng
        first = rng.choice(self.spans[-8:])
        later = rng.choice((0, 30_000_000, 70_000_000))
        return replace(
            first,
            span_id=f"{number:016x}",
            parent_id=rng.choice((first.span_id, first.parent_id)),
            convention=rng.choice(self.conventions),
            started_ns=first.started_ns + later,
            ended_ns=(first.ended_ns or first.started_ns) + later,
            usage=rng.choice((first.usage, None)),
            response_id=rng.choice((first.response_id, None)),
            agent=rng.choice((first.agent, None)),
        )

    def one(self, number: int, size: int) -> Span:
        rng = self.rng
        kind = Kind.AGENT if number == 1 else rng.choice(KINDS)
        parent = None if number == 1 or rng.random() < 0.03 else max(1, number - rng.choice((1, 1, 1, 2, 3, 5, number)))
        if self.is_odd and rng.random() < 0.1:
            parent = rng.choice((rng.randint(1, size), number, 900 + number))
        made = span(
            number, kind=kind, parent=parent, lasts=rng.choice((0.01, 0.2, 0.5, 3.0)),
            begins=rng.choice((number, number // 3, number + 3600 * rng.randint(0, 1) * (number % 5 == 0))),
        )  # fmt: skip
        made.convention = rng.choice(self.conventions)
        made.agent = rng.choice(("planner", "writer", None)) if kind is Kind.AGENT or rng.random() < 0.05 else None
        if rng.random() < 0.1:
            made.status, made.error = Status.ERROR, f"broken {number}"
        if kind in (Kind.LLM, Kind.EMBEDDING):
            made.model = rng.choice(("gpt-4o-mini", "gpt-4o-mini", "house-model", None))
            made.provider, made.usage = "openai", rng.choice(TOKENS)
            made.response_id = rng.choice(("r1", "r2", f"r{number}", None, None))
            made.is_aggregate = self.is_odd and rng.random() < 0.1
        elif kind is Kind.TOOL:
            made.tool_name = rng.choice(("search", "read", None))
            made.tool_call_id = rng.choice(("t1", f"t{number}", None))
        elif self.is_odd and rng.random() < 0.1:
            made.usage = Usage(input_tokens=5_000, output_tokens=50)
        made.is_declaration = self.is_odd and rng.random() < 0.05
        if rng.random() < 0.05:
            made.user_id, made.environment = rng.choice(("mira", "zoe")), "prod"
        return made

    def batches(self, cuts: int) -> list[list[Span]]:
        """Cut at random: some spans first told while open, some told again, some in another way."""
        rng = self.rng
        told: list[tuple[float, Span]] = []
        is_shuffled = rng.random() < 0.5
        for place, one in enumerate(self.spans):
            at = rng.random() if is_shuffled else -place / len(self.spans)  # children first
            if one.span_id == self.spans[0].span_id and not is_shuffled:
                at = 2.0
            told.append((at, one))
            if rng.random() < 0.2:
                early = replace(
                    one, ended_ns=None, usage=None, response_id=None, tool_name=None, tool_call_id=None,
                    model=None, agent=None, status=Status.UNSET, error=None,
                )  # fmt: skip
                told.append((rng.uniform(-1, 1), early))
            if rng.random() < 0.1:
                told.append((rng.uniform(-1, 2), one))
            if self.is_odd and rng.random() < 0.1:
                told.append((rng.uniform(-1, 2), self.another(one)))
        told.sort(key=lambda item: item[0])
        size = -(-len(told) // cuts)
        return [[one for _, one in told[at : at + size]] for at in range(0, len(told), size)]

    def another(self, one: Span) -> Span:
        rng = self.rng
        changes: list[dict[str, Any]] = [
            {"usage": rng.choice(TOKENS)},
            {"kind": rng.choice(KINDS)},
            {"parent_id": f"{rng.randint(1, len(self.spans)):016x}"},
            {"agent": "another"},
            {"response_id": "r2"},
            {"tool_name": "search", "response_id": "r1", "tool_call_id": "t1"},
            {"convention": "openllmetry"},
            {"is_aggregate": True},
            {"started_ns": one.started_ns - 2 * SECOND},
        ]
        return replace(one, **rng.choice(changes))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), size=st.integers(10, 60), cuts=st.integers(2, 10), is_odd=st.booleans())
def test_after_every_batch_a_part_says_what_the_whole_says(
    connection: psycopg.Connection[Any], in_part: None, seed: int, size: int, cuts: int, is_odd: bool
) -> None:
    part, all_of_it = make_team("Part"), make_team("Whole")
    for told in Story(seed, size, is_odd=is_odd).batches(cuts):
        sent(connection, part, *told)
        whole(connection, all_of_it, *told)
        assert without_team(snapshot(part)) == without_team(snapshot(all_of_it))
        assert invariants.check(part.id) == []


T = Kind.TOOL
A = Kind.AGENT


def told(*spans: Span, otherwise: bool = False) -> list[Span]:
    return [replace(one, convention="openllmetry") for one in spans] if otherwise else list(spans)


STORIES: dict[str, list[list[Span]]] = {
    "an agent is named after its calls": [
        [call(3, parent=2), span(4, parent=3, kind=T, tool_name="read")],
        [span(2, parent=1, kind=A, agent="writer")],
        [span(1, kind=A, agent="planner")],
    ],
    "a chain joins calls above and below it": [
        [call(2, parent=1), call(4, parent=3), call(5, parent=2, tokens=None)],
        [span(3, parent=2)],
    ],
    "a call inside a call becomes known, and another gives way": [
        [call(2, parent=1, tokens=None), call(3, parent=2, tokens=None), call(4, parent=2, tokens=None)],
        [call(5, parent=3)],
    ],
    "two libraries tell one call side by side": [
        [call(2, parent=1), call(20, parent=1)],
        told(call(3, parent=1, begins=2.01, tokens=None), otherwise=True),
        [call(4, parent=1, begins=2.4)],
    ],
    "reports of one response come apart": [
        [call(2, parent=1, response_id="r")],
        [call(3, parent=9, response_id="r", tokens=None)],
        [call(2, parent=1, response_id="another", tokens=(5, 5))],
    ],
    "a tool told again has the name of the one around it": [
        [span(2, kind=T, tool_name="read"), span(3, parent=2, kind=T), span(4, parent=3, kind=T, tool_name="read")],
        [span(3, parent=2, kind=T, tool_name="read")],
        [span(2, kind=T, tool_call_id="t1")],
    ],
    "a tool told again is another tool than the one around it": [
        [span(n, parent=n - 1, kind=T, tool_name="read") for n in (2, 3, 4)],
        [span(3, parent=2, kind=T, tool_name="write", lasts=2.0)],
    ],
    "a call moves to another parent": [
        [call(2, parent=1, tokens=None), call(3, parent=2)],
        [call(3, parent=1, lasts=2.0)],
    ],
    "a chain turns out to be an agent between two calls": [
        [call(2), span(3, parent=2, kind=Kind.OTHER), call(4, parent=3)],
        [span(3, parent=2, kind=A)],
    ],
    "a circle is cut where all below it says": [
        [span(10, parent=11), span(11, parent=10, agent="x"), span(12, parent=11, begins=1)],
        [span(13, parent=10, begins=20)],
    ],
    "sums stand in for calls until one call is known": [
        [span(1, kind=A, usage=TOKENS[1]), call(2, parent=1, tokens=None)],
        [span(3, parent=1, kind=A, usage=TOKENS[2])],
        [span(8, kind=A, usage=TOKENS[2])],
        [call(4, parent=3)],
        [call(5, parent=3)],
    ],
    "a known call that does not count leaves the sums in place": [
        [span(8, kind=A, usage=TOKENS[2]), call(2), call(3, parent=2, is_declaration=True)],
        [span(4, parent=2, kind=A), span(9, parent=8)],
    ],
    "the user is known late": [[call(2, parent=1)], [call(3, parent=1, user_id="mira")], [call(4, parent=1)]],
    "a run ends, and goes on": [
        [span(1, kind=A, lasts=None), call(2, parent=1, status=Status.ERROR, error="429", tokens=None)],
        [span(1, kind=A, lasts=9.0, status=Status.ERROR)],
        [call(3, parent=1, lasts=None)],
        [span(0x70, begins=-5), call(3, parent=1, lasts=1.0)],
    ],
    "an agent that was only declared begins to work": [
        [span(1, kind=A, agent="idle", is_declaration=True)],
        [span(2, parent=1, kind=A, is_declaration=True), span(1, kind=A, agent="idle", is_declaration=True)],
        [call(3, parent=2)],
    ],
}


@pytest.mark.parametrize("batches", STORIES.values(), ids=STORIES.keys())
def test_what_changes_when_it_comes_late(
    connection: psycopg.Connection[Any], in_part: None, batches: list[list[Span]]
) -> None:
    part, all_of_it = make_team("Part"), make_team("Whole")
    for number, spans in enumerate(batches):
        # Far away in the same run, so that the batch never is most of it.
        far = [span(1000 + 10 * number + n, parent=500, kind=T, tool_name="far") for n in range(3)]
        sent(connection, part, *spans, *far)
        whole(connection, all_of_it, *spans, *far)
        assert without_team(snapshot(part)) == without_team(snapshot(all_of_it))
        assert invariants.check(part.id) == []


def test_of_a_long_run_little_is_loaded(
    connection: psycopg.Connection[Any], team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "LIGHT_FROM", 100)
    spans = [span(1, kind=A, agent="planner", lasts=None)]
    for first in range(2, 400, 10):
        spans.append(span(first, parent=1, kind=A, agent="writer"))
        spans += [call(first + n, parent=first, response_id=f"r{first + n}") for n in range(1, 10)]
    for at in range(0, len(spans), 40):
        state = sent(connection, team, *spans[at : at + 40])
    assert state.rest is not None
    assert len(state.rows) <= 42
    assert state.totals.span_count == len(spans) == Run.objects.get(team_id=team.id).span_count
    assert invariants.check(team.id) == []

    state = sent(connection, team, *spans[:100])  # sent again: known, and nothing else is looked at
    assert (state.fresh, state.changed, len(state.rows)) == (set(), set(), 0)
    assert state.totals.llm_calls == 9 * 40

    state = sent(connection, team, span(1, kind=A, agent="planner", lasts=500.0))
    assert Run.objects.get(team_id=team.id).status == "completed"
    assert invariants.check(team.id) == []


def test_contents_alone_leave_a_long_run_as_it_is(
    connection: psycopg.Connection[Any], team: Team, in_part: None
) -> None:
    sent(connection, team, span(1, kind=A, agent="planner"), call(2, parent=1))
    before = snapshot(team)
    record = {"span_id": f"{2:016x}", "event_name": "e", "body": "hello", "attributes": {}, "time_ns": 1}
    logs = LogContents(trace_id=f"{1:032x}", span_id=f"{2:016x}", records=[record])
    state = sent(connection, team, logs=[logs])
    assert state.rest is not None
    assert snapshot(team) == before


def test_a_part_that_is_a_large_one_is_given_up(
    connection: psycopg.Connection[Any], team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "LIGHT_FROM", 20)
    calls = [call(n, parent=1) for n in range(2, 40)]
    sent(connection, team, *calls)
    state = sent(connection, team, span(1, kind=A, agent="late"))
    assert state.rest is None
    assert SpanRow.objects.filter(team_id=team.id, agent="late").count() == 39
    assert invariants.check(team.id) == []


def test_a_long_run_that_is_full_takes_no_more(
    connection: psycopg.Connection[Any], team: Team, in_part: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking.ingest.share.SPANS_PER_RUN_MAX", 3)
    sent(connection, team, span(1), span(2))
    written = write(connection, [batch(team, span(2), span(3), span(4))])
    receipt = written.receipts[0]
    assert (receipt.known, receipt.accepted, [r.index for r in receipt.rejected]) == (1, 1, [2])
