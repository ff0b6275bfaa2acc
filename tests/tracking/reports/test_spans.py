"""Spans of a run: one order for small and large runs, pages that join up, spans whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.make import make_team
from tests.told import a_store, agent, call, tell_one, told_run, tool
from tests.tracking.ingest.spans import span, stored
from tracking.errors import Invalid, NotFound
from tracking.ingest.writer import Store
from tracking.models import Team
from tracking.reports import run as one_run
from tracking.reports import spans as run_spans
from tracking.reports.run import find_run
from tracking.reports.runs import RunRow
from tracking.reports.span import find_span, run_contents
from tracking.reports.span_tree import ids_of
from tracking.reports.transcript import ENTRIES, first_error, transcript


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


def the_run(team: Team, trace: int = 1) -> RunRow:
    return find_run(team.id, f"{trace:032x}").run


def test_a_large_run_reads_the_same_as_a_small_one(store: Store, team: Team) -> None:
    """The order of a large run comes of a skeleton, its rows of what is shown; a small one is read whole."""
    number = run_spans.ONE_READ_SPANS_MAX + 40
    many = [agent(1, "root", trace=1, lasts=number)]
    many += [
        call(n, trace=1, parent=max(1, n // 3), model="gpt-4o" if n % 2 else "nobody-prices-this")
        for n in range(2, number)
    ]
    stored(store, team, *many)
    run = the_run(team)
    large = run_spans.tree(team.id, [run])
    assert large.rows == {}
    spans = run_spans._spans_of(team.id, [run])
    small = run_spans.ordered([run_spans._node(0, one) for one in spans])
    assert large.places == small

    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = run_spans.page(team.id, large, limit=200, cursor=cursor)
        seen += [one.span_id for _, one in page.spans]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [ids_of(place.node.key)[1] for place in small]


def test_a_forged_cursor_is_refused(store: Store, team: Team) -> None:
    tell_one(store, team)
    whole = run_spans.tree(team.id, [the_run(team)])
    for forged in ("x", "1:2:3", "\0"):
        with pytest.raises(Invalid):
            run_spans.page(team.id, whole, limit=5, cursor=forged)


def test_whatever_was_sent_is_shown_once(store: Store, team: Team) -> None:
    """I22 and I32 in small: no parent, a parent that never came, a circle, a span that is its own parent."""
    stored(
        store, team, agent(1, "a", trace=1), call(2, trace=1, parent=1), span(3, trace=1, parent=77),
        span(4, trace=1, parent=5), span(5, trace=1, parent=4), span(6, trace=1, parent=6),
    )  # fmt: skip
    whole = run_spans.tree(team.id, [the_run(team)])
    page = run_spans.page(team.id, whole, limit=50)
    assert {one.span_id: place.how for place, one in page.spans} == {
        1: "root", 2: "child", 3: "orphan", 4: "looped", 5: "child", 6: "looped",
    }  # fmt: skip


def test_a_tree_of_linked_runs_keeps_equal_span_ids_apart(store: Store, team: Team) -> None:
    stored(store, team, *told_run(1))
    stored(store, team, *[_linked(one) if one.parent_id is None else one for one in told_run(2)])
    run = the_run(team)
    both = [run, *one_run.linked_runs(team.id, run)]
    whole = run_spans.tree(team.id, both)
    page = run_spans.page(team.id, whole, limit=50)
    assert [(one.trace_id.int, one.span_id) for _, one in page.spans] == [
        (t, n) for t in (1, 2) for n in (1, 2, 3, 4, 5)
    ]
    assert [place.depth for place, _ in page.spans] == [0, 1, 1, 1, 2] * 2


def _linked(one: object) -> object:
    one.links = [{"trace_id": f"{1:032x}", "span_id": f"{1:016x}", "attributes": {}}]  # type: ignore[attr-defined]
    return one


def test_a_span_comes_with_its_messages_and_raw_attributes(store: Store, team: Team) -> None:
    tell_one(store, team)
    whole = find_span(team.id, f"{1:032x}", f"{2:016x}")
    assert whole.contents.input[0].text == "Find the parcel"
    assert whole.contents.output[0].text == "I will look it up."
    assert whole.entry["attributes"]["llm.input_messages.0.message.role"] == "user"
    assert run_contents(team.id, the_run(team)) == ("Find the parcel", "It is in Oslo.")


def test_a_span_of_nobody_is_not_found(store: Store, team: Team) -> None:
    tell_one(store, team)
    other = make_team("Elsewhere")
    for team_id, trace, number in (
        (other.id, f"{1:032x}", f"{2:016x}"),
        (team.id, f"{1:032x}", f"{99:016x}"),
        (team.id, "zz", "yy"),
        (team.id, f"{1:032x}", "f" * 40),
    ):
        with pytest.raises(NotFound):
            find_span(team_id, trace, number)


def test_a_transcript_says_each_message_once_and_pages_join_up(store: Store, team: Team) -> None:
    spans = [agent(1, "a", trace=1, lasts=500)]
    for number in range(2, ENTRIES + 12):
        told = {f"llm.input_messages.{n}.message.{key}": value for n in range(number - 1)
                for key, value in (("role", "user"), ("content", f"said {n}"))}  # fmt: skip
        spans.append(call(number, trace=1, parent=1, attributes=told))
    spans.append(tool(99, "lookup", trace=1, parent=1))
    stored(store, team, *spans)
    run = the_run(team)
    first = transcript(team.id, [run])
    second = transcript(team.id, [run], cursor=first.next_cursor)
    entries = first.entries + second.entries
    assert second.next_cursor is None
    assert len(entries) == len(spans) - 1
    assert [message.text for entry in entries for message in entry.told] == [f"said {n}" for n in range(ENTRIES + 10)]
    assert second.entries[0].repeated == ENTRIES


def test_the_first_error_is_the_deepest_one_that_came_first(store: Store, team: Team) -> None:
    run = tell_one(store, team)
    failed = first_error(team.id, the_run(team))
    assert failed is not None
    assert failed.error == "carrier answered 503"
    assert run.errors == 1


def test_find_looks_at_names_tools_models_and_errors(store: Store, team: Team) -> None:
    tell_one(store, team)
    run = the_run(team)
    for text, wanted in (("CARRIERS", {3}), ("gpt-4o-mini", {2}), ("503", {3}), ("writer", {4, 5}), ("100%", set())):
        assert {ids_of(key)[1] for key in run_spans.find_in_run(team.id, [run], text)} == wanted, text
