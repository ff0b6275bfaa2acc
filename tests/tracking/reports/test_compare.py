"""Two runs side by side: which steps stand for one another, what both share and who paid for it, where they part."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

import pytest
from django.conf import settings

from dashboards.messages import spoken
from tests.compared import MODEL, asks, at, fork, root, run_of, saved, uses, walk, went_back
from tests.make import make_team
from tests.told import UNPRICED, a_store
from tests.tracking.ingest.spans import stored
from tracking.ingest.writer import Store
from tracking.models import Checkpoint, JobRun, JobStep, Team
from tracking.reports.compare import Comparison, by_words, compare
from tracking.reports.run_steps import steps_of
from tracking.reports.step_words import side_by_side
from tracking.reports.transcript import transcript
from wflo.spans import Status

CALL = Decimal("0.00021")


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


def hows(found: Comparison) -> list[str]:
    return [row.how for row in found.rows]


def codes(found: Comparison) -> list[str]:
    return [verdict.code for verdict in found.verdicts]


def of(team: Team, a: str, b: str) -> Comparison:
    return compare(team.id, run_of(team, a), run_of(team, b))


# --- any two runs -----------------------------------------------------------------------------------------------------


def test_the_same_twice_is_the_same(store: Store, team: Team) -> None:
    stored(store, team, *walk("a", trace=1))
    stored(store, team, *walk("b", trace=2))
    found = of(team, "a", "b")
    assert hows(found) == ["same"] * 4
    assert (found.divergence, found.difference_usd, found.prefix) == (None, 0, 0)
    assert (found.shared.steps, found.together.cost_usd) == (0, 6 * CALL)
    assert codes(found) == ["same_cost", "same_answer"]
    assert found.is_by_words
    assert found.is_exact


def test_the_first_step_that_differs_is_where_they_part(store: Store, team: Team) -> None:
    stored(store, team, *walk("a", trace=1))
    stored(
        store, team, root("b", trace=2, answers="Nobody knows."), asks(2, "Find the parcel", "I look it up.", trace=2),
        uses(3, "parcels.find", {"deep": {"in": ["a"]}, "id": 7}, {"place": "Rome"}, trace=2),
        uses(4, "web.search", {"q": "parcel"}, "nothing", trace=2),
        asks(5, "What now, in short?", "Tell them.", trace=2, model="gpt-4o"), asks(6, "Say it", "Nobody knows.", trace=2),
    )  # fmt: skip
    found = of(team, "a", "b")
    assert [(row.how, row.differs) for row in found.rows] == [
        ("same", ()),
        ("changed", ("answered",)),  # its arguments are the same, in another order
        ("only_b", ()),
        ("changed", ("model", "asked")),
        ("changed", ("answered",)),
    ]
    assert found.divergence == 2
    assert [(one.a, one.b) for one in found.verdicts if one.code.startswith("other_")] == [
        ((), ("web.search",)),
        ((), ("gpt-4o",)),
        ((), ()),
    ]
    assert codes(found) == ["dearer", "other_tools", "other_models", "other_answer"]
    assert [line for line in found.answers if line.kind] == [("del", "It is in Oslo."), ("add", "Nobody knows.")]


def test_other_agents_and_tools_in_the_same_place_stand_beside_one_another(store: Store, team: Team) -> None:
    stored(store, team, root("a", trace=1), asks(2, "x", "y", trace=1), uses(3, "one", {}, "1", trace=1))
    stored(
        store, team, root("b", trace=2), asks(2, "x", "y", trace=2, agent="scout"),
        uses(3, "two", {}, "1", trace=2, status=Status.ERROR, error="down"),
    )  # fmt: skip
    assert [row.differs for row in of(team, "a", "b").rows] == [("agent",), ("tool", "status")]


def test_sums_and_time_are_those_until_a_row(store: Store, team: Team) -> None:
    stored(store, team, *walk("a", trace=1))
    stored(
        store,
        team,
        root("b", trace=2, lasts=4),
        asks(2, "Find the parcel", "I look it up.", trace=2, tokens=(3000, 100)),
    )
    found = of(team, "a", "b")
    last = found.rows[-1]
    assert (last.so_far_a.cost_usd, last.so_far_b.cost_usd) == (3 * CALL, Decimal("0.00051"))
    assert last.difference_so_far_usd == Decimal("0.00051") - 3 * CALL
    assert (last.so_far_a.tokens, last.so_far_a.ms, last.so_far_b.ms) == (3300, 4500, 1500)
    assert [row.difference_usd for row in found.rows] == [Decimal("0.0003"), 0, -CALL, -CALL]
    assert codes(found)[:3] == ["cheaper", "faster", "fewer_tokens"]
    assert found.difference_usd == Decimal("0.00051") - 3 * CALL


def test_what_has_no_price_is_not_counted_as_nothing(store: Store, team: Team) -> None:
    stored(store, team, root("a", trace=1), asks(2, "x", "y", trace=1), asks(3, "z", "y", trace=1))
    stored(store, team, root("b", trace=2), asks(2, "x", "y", trace=2, model=UNPRICED), asks(3, "z", "y", trace=2))
    found = of(team, "a", "b")
    assert (found.difference_usd, codes(found)[0]) == (None, "unknown_cost")
    assert [row.difference_usd for row in found.rows] == [None, 0]
    assert (found.together.cost_usd, found.together.cost_status) == (3 * CALL, "partial")
    assert found.rows[0].so_far_b.cost_usd is None


def test_a_run_beside_itself_is_counted_once(store: Store, team: Team) -> None:
    stored(store, team, *walk("a"))
    found = of(team, "a", "a")
    assert hows(found) == ["shared"] * 4
    assert (found.together.cost_usd, found.difference_usd, found.verdicts) == (3 * CALL, 0, [])


def test_a_run_without_steps_is_one_side_of_nothing(store: Store, team: Team) -> None:
    stored(store, team, *walk("a", trace=1))
    stored(store, team, root("b", trace=2))
    assert hows(of(team, "a", "b")) == ["only_a"] * 4
    assert hows(of(team, "b", "a")) == ["only_b"] * 4
    assert of(team, "b", "b").rows == []


# --- one that goes on from the other ----------------------------------------------------------------------------------


def test_a_fork_has_the_steps_before_it_and_did_not_pay_for_them(store: Store, team: Team) -> None:
    a, b = fork(store, team)
    side = steps_of(team.id, b)
    assert [(step.run == a.id, step.is_reused) for step in side.steps] == [(True, True)] * 2 + [(False, False)] * 2
    assert (side.reused.cost_usd, side.reused.steps) == (CALL, 2)
    assert side.own.cost_usd == b.cost_usd
    assert side.whole.cost_usd == CALL + (b.cost_usd or 0)
    assert [(one.run.id, one.steps, one.checkpoint) for one in side.came_from] == [(a.id, 2, 1)]

    found = compare(team.id, a, b)
    assert hows(found) == ["shared", "shared", "changed", "changed"]
    assert (found.prefix, found.divergence) == (2, 3)
    assert (found.shared.cost_usd, found.shared.steps) == (CALL, 2)
    assert found.together.cost_usd == (a.cost_usd or 0) + (b.cost_usd or 0)  # the shared step is a's, once
    assert found.difference_usd == (b.cost_usd or 0) - 2 * CALL
    assert found.rows[0].difference_usd == 0
    assert found.rows[1].so_far_b.cost_usd == CALL
    assert side.steps[-1].elapsed_ms == 2500 + 2500  # until the tool was done, and since it went on


def test_the_order_of_the_two_does_not_matter(store: Store, team: Team) -> None:
    a, b = fork(store, team)
    one, other = compare(team.id, a, b), compare(team.id, b, a)
    assert one.together == other.together
    assert one.shared == other.shared
    assert one.difference_usd == -(other.difference_usd or 0)
    assert hows(one) == hows(other)


def test_two_forks_share_what_both_have_of_their_parent(store: Store, team: Team) -> None:
    stored(store, team, *walk("first"))
    for number, (name, seconds) in enumerate((("second", 3.8), ("third", 4.8)), 2):
        stored(store, team, root(name, trace=number, begins=30), asks(2, f"{name}?", "So.", trace=number, begins=31))
        went_back(team, saved(team, "first", seconds), name)
    found = of(team, "second", "third")
    assert hows(found) == ["shared", "shared", "changed", "only_b"]
    assert (found.shared.cost_usd, found.b.reused.cost_usd) == (CALL, 2 * CALL)
    assert found.together.cost_usd == 4 * CALL  # two of the parent's, one each
    assert found.difference_usd == CALL


def test_a_fork_of_a_fork_has_the_steps_of_both(store: Store, team: Team) -> None:
    fork(store, team)
    stored(store, team, root("third", trace=3, begins=60), asks(2, "Last", "So.", trace=3, begins=61))
    went_back(team, saved(team, "second", 31.8), "third")
    side = steps_of(team.id, run_of(team, "third"))
    assert [(one.run.external_id, one.steps) for one in side.came_from] == [("second", 1), ("first", 2)]
    assert (side.reused.cost_usd, len(side.steps)) == (2 * CALL, 4)
    found = of(team, "first", "third")
    assert hows(found) == ["shared", "shared", "changed", "changed"]
    assert found.together.cost_usd == 5 * CALL  # three of the first, one of the second, one of its own


def test_a_step_under_way_at_the_checkpoint_is_not_shared(store: Store, team: Team) -> None:
    stored(store, team, *walk("first"), asks(6, "Beside", "Later.", trace=1, begins=3.2, lasts=4))
    stored(store, team, root("second", trace=2, begins=30), asks(2, "Go on", "So.", trace=2, begins=31))
    went_back(team, saved(team, "first", 3.8), "second")
    assert steps_of(team.id, run_of(team, "second")).reused.steps == 2


def test_a_shared_step_stands_for_itself_and_not_for_one_that_looks_the_same(store: Store, team: Team) -> None:
    """The same question twice at once: the fork has the second, which was answered first."""
    twice = [asks(number, "Again?", "Yes.", trace=1, lasts=lasts) for number, lasts in ((2, 8), (3, 0.5))]
    stored(store, team, root("first", trace=1), *twice)
    stored(store, team, root("second", trace=2, begins=30))
    went_back(team, saved(team, "first", 3.8), "second")
    assert hows(of(team, "first", "second")) == ["only_a", "shared"]


def test_the_span_a_state_was_saved_in_says_when_rather_than_its_arrival(store: Store, team: Team) -> None:
    fork(store, team)
    Checkpoint.objects.update(created_at=at(500), span_id=f"{3:016x}")
    assert steps_of(team.id, run_of(team, "second")).reused.steps == 2
    Checkpoint.objects.update(span_id="not hex")
    assert steps_of(team.id, run_of(team, "second")).reused.steps == 4


def test_a_rollback_that_was_not_taken_shares_nothing(store: Store, team: Team) -> None:
    stored(store, team, *walk("first"))
    stored(store, team, *walk("second", trace=2))
    went_back(team, saved(team, "first", 3.8), "second", status="refused")
    assert steps_of(team.id, run_of(team, "second")).came_from == []


def test_runs_that_go_on_from_one_another_in_a_circle_come_to_an_end(store: Store, team: Team) -> None:
    fork(store, team)
    went_back(team, saved(team, "second", 31.8), "first")
    assert len(steps_of(team.id, run_of(team, "second")).came_from) == 1


def test_a_chain_is_followed_so_far(store: Store, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.LIMITS, "compare_parents", 1)
    fork(store, team)
    stored(store, team, root("third", trace=3, begins=60))
    went_back(team, saved(team, "second", 31.8), "third")
    assert len(steps_of(team.id, run_of(team, "third")).came_from) == 1


def test_a_job_says_exactly_up_to_which_step(store: Store, team: Team) -> None:
    """Its tools by their spans, its models by when their step was done; a rollback behind an earlier one has the less."""
    stored(store, team, *walk("job"))
    job = uuid4()
    for number, parent, position in ((1, "", 0), (2, "job", 3), (3, "job.2", 2)):
        run = "job" if number == 1 else f"job.{number}"
        if number > 1:
            stored(store, team, root(run, trace=number, begins=30 * number))
        JobRun.objects.create(
            team=team, run=run, job_id=job, number=number, parent=parent, from_position=position, created_at=at(20)
        )
    for position, kind, span in ((1, "model", 1), (2, "tool", 3), (3, "model", 1), (4, "model", 1)):
        JobStep.objects.create(
            team=team, run="job", key=bytes([position]), position=position, kind=kind, agent="planner", name=MODEL, lane=b"", ordinal=0,
            input_hash=b"", span_id=f"{span:016x}", fence=1, begun_at=at(position + 1), ended_at=at(position + 1.6),
        )  # fmt: skip
    second, third = (steps_of(team.id, run_of(team, name)) for name in ("job.2", "job.3"))
    assert [(one.run.external_id, one.steps) for one in second.came_from] == [("job", 3)]
    assert [(one.run.external_id, one.steps) for one in third.came_from] == [("job.2", 0), ("job", 2)]
    assert (second.reused.cost_usd, third.reused.cost_usd) == (2 * CALL, CALL)


def test_a_run_of_another_team_is_no_parent(store: Store, team: Team) -> None:
    other = make_team("Elsewhere")
    stored(store, other, *walk("first"))
    stored(store, team, root("second", trace=2))
    to = saved(other, "first", 3.8)
    went_back(other, to, "second")
    assert steps_of(team.id, run_of(team, "second")).came_from == []


# --- long ones --------------------------------------------------------------------------------------------------------


def test_words_of_long_runs_are_read_for_the_rows_that_are_shown(
    store: Store, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(store, team, *walk("a", trace=1))
    stored(store, team, *walk("b", trace=2, found={"place": "Rome"}, answers="It is in Rome."))
    monkeypatch.setitem(settings.LIMITS, "compare_texts", 5)
    found = of(team, "a", "b")
    assert not found.is_by_words
    assert hows(found) == ["same"] * 4  # as many tokens
    shown = by_words(team.id, found.rows[1:3])
    assert [(row.number, row.how, row.differs) for row in shown] == [(2, "changed", ("answered",)), (3, "same", ())]
    monkeypatch.setitem(settings.LIMITS, "compare_text_bytes", 10)
    assert [row.how for row in by_words(team.id, found.rows[1:3])] == ["same", "same"]
    monkeypatch.setitem(settings.LIMITS, "compare_texts", 500)
    assert not of(team, "a", "b").is_by_words


def test_runs_are_compared_so_far_and_say_so(store: Store, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(store, team, *walk("a", trace=1))
    stored(store, team, *walk("b", trace=2, answers="It is in Rome."))
    monkeypatch.setitem(settings.LIMITS, "compare_steps", 3)
    found = of(team, "a", "b")
    assert found.is_cut
    assert len(found.rows) == 3
    assert found.a.own.cost_usd == 3 * CALL  # sums are of the whole run


def test_long_runs_that_differ_everywhere_are_aligned_all_the_same(
    store: Store, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.LIMITS, "compare_cells", 10)
    for trace, name in ((1, "a"), (2, "b")):
        steps = [
            asks(number, f"{number} {trace if number % 3 == 0 else ''}", "So.", trace=trace) for number in range(2, 60)
        ]
        stored(store, team, root(name, trace=trace, lasts=70), *steps)
    found = of(team, "a", "b")
    assert not found.is_exact
    assert len(found.rows) == 58
    assert hows(found).count("same") == 39


# --- words side by side -----------------------------------------------------------------------------------------------


def test_texts_differ_by_lines_and_json_by_paths(store: Store, team: Team) -> None:
    fork(store, team, says="What now?\nBe short.")
    found = of(team, "first", "second")
    asked, answered = side_by_side(team.id, found.rows[2].a, found.rows[2].b)
    assert (asked.name, [tuple(line) for line in asked.lines]) == (
        "asked",
        [("", "user:"), ("", "What now?"), ("add", "Be short.")],
    )
    assert (answered.is_same, answered.text) == (True, "Tell them.")

    stored(store, team, *walk("third", trace=3, found={"place": "Rome", "since": 1}))
    found = of(team, "first", "third")
    asked, answered = side_by_side(team.id, found.rows[1].a, found.rows[1].b)
    assert (asked.is_same, asked.changes) == (True, [])
    assert [(one["path"], one["change"], one["after"]) for one in answered.changes] == [
        ("place", "changed", "Rome"),
        ("since", "added", 1),
    ]


def test_tools_that_a_model_asks_for_are_compared_by_their_arguments(store: Store, team: Team) -> None:
    for trace, name, city in ((1, "a", "Oslo"), (2, "b", "Rome")):
        called = asks(2, "Where?", "", trace=trace)
        called.attributes |= {
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": f'{{"city": "{city}"}}',
        }
        stored(store, team, root(name, trace=trace), called)
    (row,) = of(team, "a", "b").rows
    assert row.differs == ("answered",)
    _, calls = side_by_side(team.id, row.a, row.b)
    assert calls.changes == [{"path": "[0].arguments.city", "change": "changed", "before": "Oslo", "after": "Rome"}]


def test_a_step_alone_shows_its_words(store: Store, team: Team) -> None:
    stored(store, team, root("a", trace=1), uses(2, "parcels.find", {"id": 7}, "deep", trace=1))
    stored(store, team, root("b", trace=2))
    (row,) = of(team, "a", "b").rows
    asked, answered = side_by_side(team.id, row.a, row.b)
    assert (asked.text, answered.text) == ('{\n  "id": 7\n}', "deep")
    assert not asked.lines


def test_json_nested_hundreds_deep_is_compared_as_text(store: Store, team: Team) -> None:
    for trace, name in ((1, "a"), (2, "b")):
        deep = "[" * 900 + str(trace) + "]" * 900
        stored(store, team, root(name, trace=trace), uses(2, "t", {}, deep, trace=trace))
    (row,) = of(team, "a", "b").rows
    _, answered = side_by_side(team.id, row.a, row.b)
    assert answered.lines or answered.changes


def test_arguments_nested_hundreds_deep_are_shown_all_the_same(store: Store, team: Team) -> None:
    """Of a call that a model asks for: in the transcript, and beside another."""
    for trace, name in ((1, "a"), (2, "b")):
        called = asks(2, "Where?", f"So {trace}", trace=trace)
        called.attributes |= {
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "[" * 900 + "]" * 900,
        }
        stored(store, team, root(name, trace=trace), called)
    (row,) = of(team, "a", "b").rows
    assert [part.name for part in side_by_side(team.id, row.a, row.b)] == ["asked", "calls", "answered"]
    (entry,) = transcript(team.id, [run_of(team, "a")]).entries
    assert "too deep" in spoken(entry.said)[0].parts[1].text
